"""Read a CSV file as a table of records."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from io import BufferedReader, TextIOWrapper

from campaign.campaignfile.models import CampaignFile
from campaign.errors import Problem, UserError
from campaign.recipients.encoding import Encoding, is_text
from campaign.recipients.records import (
    CUT_LINE,
    SAMPLE,
    TOO_LONG,
    Lines,
    choose_delimiter,
    header_below,
    is_spaced,
    line_end,
    named_delimiter,
    other_kind,
    records,
    separator,
)
from campaign.recipients.table import Rows
from campaign.wording import shown


class CsvFile:
    """A list that is a CSV file; see `table.Table`. Raises UserError if it cannot be read."""

    def __init__(self, campaign: CampaignFile) -> None:
        self.hidden = 0
        self._campaign = campaign
        self._settings = campaign.recipients
        self._file = shown(self._settings.csv)
        try:
            self._encoding = Encoding(self._settings.encoding)
        except LookupError as error:
            raise UserError(campaign.problem("recipients.encoding", str(error))) from None
        if self._settings.sheet is not None:
            what = f"names a sheet of a workbook, and the list {self._file} is not one; remove it"
            raise UserError(campaign.problem("recipients.sheet", what))
        self._line_end = "\n"
        with self._opened() as file:
            self.size = self._settings.csv.stat().st_size
            sample = file.read(SAMPLE)
        self._line_end = line_end(sample)
        self._sample = sample.replace(self._line_end, "\n")
        if "\0" in self._sample.partition("\n")[0]:  # it may be a single line, as long as the file
            what = f"the header is not {self._encoding}; {self._encoding.advice}"
            raise UserError(Problem(what, self._file, 1))
        if kind := other_kind(self._sample):
            what = f"this is {kind}; export the list as CSV or .xlsx, or save it as such with a spreadsheet"
            raise UserError(Problem(what, self._file, 1))
        named = named_delimiter(self._sample)
        self._skipped = 1 if named else 0  # lines above the header
        chosen = named or choose_delimiter(self._sample, self._settings.email)
        self.delimiter = self._settings.delimiter or chosen
        self._spaced = is_spaced(self._sample, self.delimiter)
        self.position = 0

    def rows(self, width: int = 0) -> Rows:
        with self._opened() as file:
            lines = Lines(file, self._line_end)
            for _ in zip(range(self._skipped), lines, strict=False):
                pass
            for count, record in enumerate(records(lines, self.delimiter, width, spaced=self._spaced)):
                if count & 255 == 0 and count:
                    self.position = file.buffer.tell()
                yield record

    def unfit(self, cells: Sequence[str], names: Sequence[str]) -> tuple[str, bool]:
        whole = "".join(cells)
        if not is_text(whole):
            if CUT_LINE in whole:
                return TOO_LONG, False
            place = next(place for place, cell in enumerate(cells) if not is_text(cell))
            column = (names[place] if place < len(names) else "") or f"cell {place + 1}"
            return f"{column} is not {self._encoding}; {self._encoding.advice}", False
        if right := self._encoding.in_utf_8(whole):
            wrong = next(cell for cell in cells if not cell.isascii())
            right = self._encoding.in_utf_8(wrong) or right
            return f"{wrong!r} is {right!r} in UTF-8; {self._encoding.advice}", True
        return "", True

    def separated_otherwise(self, column: str) -> Problem | None:
        if (other := separator(self._sample, column)) is None or other == self.delimiter:
            return None
        what = f"the list {self._file} looks separated by {_shown(other)}"
        if self._settings.delimiter is None:
            write = f'write `delimiter: "{other}"` under `recipients:`'
            return self._campaign.problem("recipients", f"{what}, which you must specify: {write}")
        said = f"{what}, and this says {self.delimiter!r}; remove it, or correct it"
        return self._campaign.problem("recipients.delimiter", said)

    def unfit_header(self, names: Sequence[str]) -> str:
        if any("\0" in column or not is_text(column) for column in names):
            return f"the header is not {self._encoding}; {self._encoding.advice}"
        if right := self._encoding.in_utf_8("".join(names)):
            return f"the header has {right!r} in UTF-8; {self._encoding.advice}"
        return ""

    def header_below(self, column: str) -> int | None:
        return header_below(self._sample, column)

    def advice(self, columns: Sequence[str]) -> str:
        alone = len(columns) == 1 and self._settings.delimiter is None
        return ". If they are one by mistake, name the `delimiter`" if alone else ""

    @contextmanager
    def _opened(self) -> Iterator[TextIOWrapper[BufferedReader]]:
        try:
            with self._encoding.open(self._settings.csv, self._line_end) as file:
                yield file
        except OSError as error:
            what = f"the list {self._file} cannot be read: {error.strerror}"
            raise UserError(self._campaign.problem("recipients.csv", what)) from None
        except UnicodeError as error:  # UTF-16 without its mark, which no replacement character can express
            what = f"the list {self._file} is not {self._encoding} ({error}); {self._encoding.advice}"
            raise UserError(self._campaign.problem("recipients.encoding", what)) from None


def _shown(delimiter: str) -> str:
    return "tabs" if delimiter == "\t" else delimiter
