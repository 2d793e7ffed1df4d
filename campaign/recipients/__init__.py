"""The list: a file that names people → an iterator of recipients and bad rows."""
