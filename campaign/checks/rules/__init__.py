"""The rules of `check`, one file each; `campaign guide checks` shows their docstrings."""
