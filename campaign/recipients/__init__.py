"""Read the list, a CSV file or a workbook, as an iterator of recipients and bad rows."""
