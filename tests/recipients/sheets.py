"""Workbooks for tests, part by part: what no spreadsheet program would write, too."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from campaign.campaignfile.load import load
from campaign.recipients.list import Recipients
from tests.folder import write_campaign

_MAIN = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
_OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
_PACKAGE = "http://schemas.openxmlformats.org/package/2006/relationships"
SHEET, STRINGS, STYLES, BOOK = (
    f"xl/{name}.xml" for name in ("worksheets/sheet1", "sharedStrings", "styles", "workbook")
)


def relations(**targets: str) -> str:
    found = "".join(
        f'<Relationship Id="{id_}" Type="{_OFFICE}/{kind}" Target="{target}"/>'
        for id_, (kind, _, target) in ((id_, value.partition(" ")) for id_, value in targets.items())
    )
    return f'<Relationships xmlns="{_PACKAGE}">{found}</Relationships>'


def sheet(rows: str) -> str:
    return f'<worksheet xmlns="{_MAIN}"><sheetData>{rows}</sheetData></worksheet>'


def inline(*rows: tuple[str, ...]) -> str:
    """Rows of texts."""
    cells = ("".join(f'<c t="inlineStr"><is><t>{cell}</t></is></c>' for cell in row) for row in rows)
    return "".join(f"<row>{row}</row>" for row in cells)


def workbook(
    parts: Mapping[str, str | bytes], packing: int = zipfile.ZIP_DEFLATED, book: str | None = None
) -> bytes:
    """Return a workbook of these parts; those that every workbook has are added."""
    if book is None:
        book = '<sheets><sheet name="Sheet1" sheetId="1" r:id="a"/></sheets>'
    all_parts: dict[str, str | bytes] = {
        "_rels/.rels": relations(m=f"officeDocument {BOOK}"),
        BOOK: f'<workbook xmlns="{_MAIN}" xmlns:r="{_OFFICE}">{book}</workbook>',
        "xl/_rels/workbook.xml.rels": relations(
            a="worksheet worksheets/sheet1.xml",
            **({"b": "sharedStrings sharedStrings.xml"} if STRINGS in parts else {}),
            **({"c": "styles /xl/styles.xml"} if STYLES in parts else {}),
        ),
        **parts,
    }
    octets = io.BytesIO()
    with zipfile.ZipFile(octets, "w", packing) as file:
        for name, content in all_parts.items():
            file.writestr(name, content)
    return octets.getvalue()


def listed(folder: Path, octets: bytes, **settings: Any) -> Recipients:
    """Return the list of a campaign whose list is this workbook."""
    file = write_campaign(folder, {"list.xlsx": octets}, recipients={"csv": "list.xlsx", **settings})
    return Recipients(load(file))
