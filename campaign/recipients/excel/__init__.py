"""A workbook (.xlsx) → records, row by row, each cell as the text that its sheet shows.

It is read here, from ZIP and XML, because a list may have a million rows and come from anybody: openpyxl
holds all shared texts and styles in memory, and no limit can be set to a part; python-calamine does not
tell the formats that cells are shown by.
"""
