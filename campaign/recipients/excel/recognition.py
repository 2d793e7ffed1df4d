"""What a workbook is known by. This module is small: who has a CSV loads no reader of workbooks."""

from __future__ import annotations

from pathlib import Path

from campaign.campaignfile.octets import MOST_OF_A_LIST, open_file

ZIP, OLE = b"PK\x03\x04", b"\xd0\xcf\x11\xe0"
"""How files begin that are an .xlsx, and an .xls or an encrypted .xlsx."""


def is_workbook(path: Path) -> bool:
    """Whether a file begins as workbooks do; false where it cannot be read."""
    try:
        with open_file(path, MOST_OF_A_LIST) as file:
            return file.read(4) in (ZIP, OLE)
    except OSError:
        return False
