"""Read a workbook (.xlsx) row by row, each cell as the text that the sheet shows.

This package parses ZIP and XML itself, because a list may have a million rows and be hostile: openpyxl keeps
all shared texts and styles in memory, and has no limit for the size of a part; python-calamine does not
report number formats.
"""
