"""Read one sheet of a workbook as a table of records."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from itertools import islice
from pathlib import Path

from campaign.campaignfile.models import CampaignFile
from campaign.campaignfile.octets import open_file
from campaign.errors import Problem, UserError
from campaign.recipients.excel.parts import LARGEST, Parts, Relation, Unreadable
from campaign.recipients.excel.recognition import OLE
from campaign.recipients.excel.sheet import Sheet, letters_of
from campaign.recipients.excel.strings import Strings
from campaign.recipients.excel.styles import number_formats
from campaign.recipients.table import Rows
from campaign.wording import shown

_TITLE_ROWS = 10  # the first rows, in which the header is looked for
_LISTED = 20  # sheets that a message names


@contextmanager
def opened_sheet(path: Path, chosen: Callable[[dict[str, str]], str]) -> Iterator[Sheet]:
    """Open a sheet of a workbook. `chosen` gets the parts of the sheets by sheet names, and returns one.

    Raises OSError, and Unreadable with a sentence.
    """
    with open_file(path, LARGEST) as file:
        if file.read(4) == OLE:
            raise Unreadable("it is encrypted, or an .xls; save it as .xlsx without a password")
        parts = Parts(file)
        main = _main_part(parts)
        relations = parts.relations(main)
        kinds = {relation.kind: relation.target for relation in relations.values()}
        sheets, since_1904 = _sheets(parts, main)
        name = chosen(_of_cells(sheets, relations))
        formats = number_formats(parts, kinds.get("styles"))
        with closing(Strings(parts, kinds.get("sharedStrings"))) as strings:
            yield Sheet(parts, name, strings, formats, since_1904=since_1904)


def first_sheet(sheets: dict[str, str]) -> str:
    """Return the part of the first sheet. Raises Unreadable if there is none."""
    if not sheets:
        raise Unreadable("it has no sheet of cells")
    return next(iter(sheets.values()))


class Workbook:
    """A list that is a sheet of a workbook; see `table.Table`. A record's line is its row in the sheet.

    Without `recipients.sheet`, it is the first visible sheet. Raises UserError if it cannot be read.
    """

    def __init__(self, campaign: CampaignFile) -> None:
        self._campaign = campaign
        self._settings = campaign.recipients
        self._file = shown(self._settings.csv)
        self.position = 0
        self.hidden = 0
        for key, is_given in (
            ("delimiter", self._settings.delimiter is not None),
            ("encoding", self._settings.encoding != "utf-8"),
        ):
            if is_given:
                what = f"is for CSV files, and the list {self._file} is a workbook; remove it"
                raise UserError(campaign.problem(f"recipients.{key}", what))
        with self._opened() as sheet:
            self.size = sheet.size

    def rows(self, width: int = 0) -> Rows:
        with self._opened() as sheet:
            hidden = header = 0
            for line, cells in sheet.rows():
                self.position = sheet.read
                if isinstance(cells, list) and not any(map(str.strip, cells)):
                    continue
                header = header or line
                hidden += sheet.is_hidden and line != header
                self.hidden = hidden
                if isinstance(cells, str):
                    yield line, cells
                    continue
                while len(cells) > width and not cells[-1].strip():
                    cells.pop()
                if width and len(cells) > width:
                    place = next(place for place in range(width, len(cells)) if cells[place].strip())
                    yield line, f"{cells[place]!r} is in column {letters_of(place)}, which has no header"
                else:
                    cells += [""] * (width - len(cells))
                    yield line, cells

    def unfit(self, cells: Sequence[str], names: Sequence[str]) -> tuple[str, bool]:
        return "", True  # XML says its encoding

    def separated_otherwise(self, column: str) -> Problem | None:
        return None

    def unfit_header(self, names: Sequence[str]) -> str:
        return "the header has a NUL character in it" if any("\0" in name for name in names) else ""

    def header_below(self, column: str) -> int | None:
        with closing(self.rows()) as rows:
            for line, cells in islice(rows, _TITLE_ROWS):
                if column.casefold() in (cell.strip().casefold() for cell in cells):
                    return line
        return None

    def advice(self, columns: Sequence[str]) -> str:
        return ""

    @contextmanager
    def _opened(self) -> Iterator[Sheet]:
        try:
            with opened_sheet(self._settings.csv, self._chosen) as sheet:
                yield sheet
        except Unreadable as error:
            what = f"the workbook cannot be read: {error}"
            raise UserError(Problem(what, self._file)) from None
        except OSError as error:
            what = f"the list {self._file} cannot be read: {error.strerror or error}"
            raise UserError(self._campaign.problem("recipients.csv", what)) from None

    def _chosen(self, sheets: dict[str, str]) -> str:
        """Return the part of the sheet that the campaign names, or of the first."""
        named = self._settings.sheet
        if named is None or not sheets:
            return first_sheet(sheets)
        if named in sheets:
            return sheets[named]
        near = difflib.get_close_matches(named, sheets, 1, 0.5)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        listed = ", ".join(list(sheets)[:_LISTED])
        what = f"{self._file} has no sheet {named!r}{hint}; its sheets are {listed}"
        raise UserError(self._campaign.problem("recipients.sheet", what))


def _main_part(parts: Parts) -> str:
    """Return the name of the workbook's main part. Raises Unreadable for other kinds of files."""
    main = next((r.target for r in parts.relations("").values() if r.kind == "officeDocument"), "")
    if not main.endswith(".xml") or main not in parts:
        if packed := next(filter(_is_list, parts), ""):
            raise Unreadable(f"it is an archive (ZIP) with {packed[:60]!r} in it; unpack it")
        raise Unreadable("it is not an .xlsx; save it as one, or as CSV")
    return main


def _is_list(name: str) -> bool:
    return name.lower().endswith((".csv", ".tsv", ".txt", ".xlsx"))


def _sheets(parts: Parts, main: str) -> tuple[list[tuple[str, str]], bool]:
    """Return name and relation id of each sheet, hidden ones last, and whether days count from 1904."""
    found: list[tuple[bool, str, str]] = []
    since_1904 = False
    for element, attributes in parts.elements(main):
        if element == "sheet":
            hidden = attributes.get("state", "visible") != "visible"
            found.append((hidden, attributes.get("name", ""), attributes.get("id", "")))
        elif element == "workbookPr":
            since_1904 = attributes.get("date1904") in ("1", "true")
    return [(name, id_) for _, name, id_ in sorted(found, key=lambda sheet: sheet[0])], since_1904


def _of_cells(sheets: list[tuple[str, str]], relations: dict[str, Relation]) -> dict[str, str]:
    """Return the parts of the sheets by their names, without charts, which have no cells."""
    found = ((name, relations.get(id_)) for name, id_ in sheets)
    return {name: part.target for name, part in found if part is not None and part.kind == "worksheet"}
