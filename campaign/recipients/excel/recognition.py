"""Recognise a workbook. A module of its own, so that a CSV list does not load the reader of workbooks."""

from __future__ import annotations

from pathlib import Path

from campaign.campaignfile.octets import MOST_OF_A_LIST, open_file

ZIP, OLE = b"PK\x03\x04", b"\xd0\xcf\x11\xe0"
"""The first octets of an .xlsx, and of an .xls or an encrypted .xlsx."""


def is_workbook(path: Path) -> bool:
    """Whether a file begins like a workbook; false if it cannot be read."""
    try:
        with open_file(path, MOST_OF_A_LIST) as file:
            return file.read(4) in (ZIP, OLE)
    except OSError:
        return False
