"""Workbooks as lists: what programs write is read as they show it, and nothing that is in one does harm."""

from __future__ import annotations

import datetime as dt
import io
import struct
import subprocess
import sys
import zipfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import openpyxl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from openpyxl.cell.rich_text import CellRichText, TextBlock
from openpyxl.cell.text import InlineFont
from openpyxl.utils.datetime import MAC_EPOCH

from campaign.errors import UserError
from campaign.model import BadRow
from campaign.recipients.list import Recipients
from campaign.recipients.records import MAX_LINE
from tests.recipients.lists import good, lines, opened, refusal
from tests.recipients.sheets import BOOK, SHEET, STRINGS, STYLES, inline, listed, sheet, workbook

OpenBook = Callable[..., Recipients]


@pytest.fixture
def book(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> OpenBook:
    """Open a list that openpyxl writes, or that is made of parts."""
    monkeypatch.chdir(tmp_path)

    def book(content: openpyxl.Workbook | bytes, **given: Any) -> Recipients:
        return listed(tmp_path, written(content), **given)

    return book


def written(content: openpyxl.Workbook | bytes) -> bytes:
    if isinstance(content, bytes):
        return content
    octets = io.BytesIO()
    content.save(octets)
    return octets.getvalue()


def table(*rows: tuple[Any, ...], **formats: str) -> openpyxl.Workbook:
    """Return a workbook of one sheet with these rows; `formats` are of cells, such as B2."""
    made = openpyxl.Workbook()
    assert made.active is not None
    for row in rows:
        made.active.append(row)
    for cell, number_format in formats.items():
        made.active[cell].number_format = number_format
    return made


HEADER = ("email", "x", "y")


class TestCells:
    def test_texts_numbers_and_dates_are_as_the_sheet_shows_them(self, book: OpenBook) -> None:
        moment = dt.datetime(2026, 11, 28, 9, 5)
        made = table(
            HEADER,
            ("a@x.test", "Ann <&> \u00e4", 7),
            ("b@x.test", 1234.5, moment),
            ("c@x.test", moment.date(), dt.time(9, 5)),
            ("d@x.test", dt.timedelta(hours=30), True),
            ("e@x.test", 0.1 + 0.2, None),
            ("f@x.test", 4915112345678, "007"),
            C2="000",
            B3='#,##0.00 "€"',
            C3="dd.mm.yyyy hh:mm",
            B4="mm-dd-yy",
            C4="h:mm",
            B5="[h]:mm",
        )
        assert [(row.row["x"], row.row["y"]) for row in good(book(made))] == [
            ("Ann <&> \u00e4", "007"),
            ("1,234.50 €", "28.11.2026 09:05"),
            ("2026-11-28", "9:05"),
            ("30:00", "TRUE"),
            ("0.3", ""),
            ("4915112345678", "007"),
        ]

    def test_a_workbook_that_counts_from_1904(self, book: OpenBook) -> None:
        made = table(HEADER, ("a@x.test", dt.datetime(2026, 11, 28), 1))
        made.epoch = MAC_EPOCH
        assert good(book(made))[0].row["x"].startswith("2026-11-28")

    def test_rich_and_phonetic_texts(self, book: OpenBook) -> None:
        made = table(HEADER, ("a@x.test", CellRichText("Dear ", TextBlock(InlineFont(b=True), "Ann")), "z"))
        assert good(book(made))[0].row["x"] == "Dear Ann"
        strings = (
            "<si><t>課</t><rPh sb='0' eb='1'><t>カ</t></rPh></si><si><r><t>a</t></r><r><t> b</t></r></si>"
        )
        cells = '<c t="inlineStr"><is><t>a@x.test</t></is></c><c t="s"><v>0</v></c><c t="s"><v>1</v></c>'
        parts = {SHEET: sheet(inline(HEADER) + f"<row>{cells}</row>"), STRINGS: f"<sst>{strings}</sst>"}
        assert list(good(book(workbook(parts)))[0].row.values()) == ["a@x.test", "課", "a b"]

    def test_of_a_formula_the_saved_value(self, book: OpenBook) -> None:
        cells = (
            '<c t="inlineStr"><is><t>a@x.test</t></is></c>'
            '<c t="str"><f>UPPER("ann")</f><v>ANN</v></c><c><f>1+1</f><v>2</v></c>'
        )
        (row,) = good(book(workbook({SHEET: sheet(inline(HEADER) + f"<row>{cells}</row>")})))
        assert (row.row["x"], row.row["y"]) == ("ANN", "2")

    def test_a_formula_that_nobody_has_computed_is_an_error_of_its_row(self, book: OpenBook) -> None:
        made = table(HEADER, ("a@x.test", "=1+1", 1), ("b@x.test", 1, 1))
        assert lines(book(made)) == [
            "1: list.xlsx:2: the formula in B2 has no value; save the workbook with a spreadsheet program",
            "2: b@x.test",
        ]

    def test_errors_are_text(self, book: OpenBook) -> None:
        assert good(book(table(HEADER, ("a@x.test", "#N/A", "#DIV/0!"))))[0].row["x"] == "#N/A"

    def test_escapes_and_what_is_none(self, book: OpenBook) -> None:
        rows = inline(HEADER, ("a@x.test", "a_x000D_b_x005F_x000A_c", "_xD800_ _xyz_ x_x41_"))
        (row,) = good(book(workbook({SHEET: sheet(rows)})))
        assert row.row["x"] == "a\rb_x000A_c"
        assert row.row["y"] == "_xD800_ _xyz_ x_x41_"

    def test_dates_in_iso_and_in_built_in_formats(self, book: OpenBook) -> None:
        xfs = "".join(f'<xf numFmtId="{number}"/>' for number in (0, 14, 22, 27, 46, 999))
        others = "<dxfs><numFmt numFmtId='14' formatCode='x'/></dxfs>"
        styles = f"<styleSheet>{others}<cellXfs>{xfs}</cellXfs></styleSheet>"
        days = '<c s="{}"><v>46354.5</v></c>'
        cells = "".join(days.format(style) for style in (0, 1, 2, 3, 4, 5, 77, "x"))
        iso = '<c t="d"><v>2026-11-28</v></c><c t="d" s="2"><v>2026-11-28T09:05:00Z</v></c>'
        iso += '<c t="d"><v>-</v></c>'
        header = inline(("email", *"abcdefghijk"))
        body = f'<row><c t="inlineStr"><is><t>a@x.test</t></is></c>{cells}{iso}</row>'
        (row,) = good(book(workbook({SHEET: sheet(header + body), STYLES: styles})))
        plain = "46354.5"
        assert list(row.row.values())[1:] == [
            *(plain, "2026-11-28", "2026-11-28 12:00", "2026-11-28", "1112508:00:00", plain, plain, plain),
            *("2026-11-28", "2026-11-28 9:05", "-"),
        ]

    def test_a_text_that_was_emptied(self, book: OpenBook) -> None:
        cells = '<c t="inlineStr"><is><t>a@x.test</t></is></c><c t="s"><v></v></c><c t="s"/>'
        (row,) = good(book(workbook({SHEET: sheet(inline(HEADER) + f"<row>{cells}</row>")})))
        assert (row.row["x"], row.row["y"]) == ("", "")

    def test_numbers_that_are_none_are_as_they_stand(self, book: OpenBook) -> None:
        cells = '<c t="inlineStr"><is><t>a@x.test</t></is></c><c><v>1e999</v></c><c><v>nan</v></c>'
        (row,) = good(book(workbook({SHEET: sheet(inline(HEADER) + f"<row>{cells}</row>")})))
        assert (row.row["x"], row.row["y"]) == ("1e999", "nan")


class TestRows:
    def test_lines_are_rows_of_the_sheet_and_blank_ones_are_none(self, book: OpenBook) -> None:
        made = table((), HEADER, ("a@x.test", 1, 2), (None, " ", None), (), ("b@x.test",))
        assert [(row.number, row.line, list(row.row.values())) for row in good(book(made))] == [
            (1, 3, ["a@x.test", "1", "2"]),
            (2, 6, ["b@x.test", "", ""]),
        ]

    def test_of_merged_cells_the_first_has_the_text(self, book: OpenBook) -> None:
        made = table(HEADER, ("a@x.test", "both", None))
        assert made.active is not None
        made.active.merge_cells("B2:C2")
        assert list(good(book(made))[0].row.values()) == ["a@x.test", "both", ""]

    def test_hidden_rows_are_read_like_others(self, book: OpenBook) -> None:
        made = table(HEADER, ("a@x.test",), ("b@x.test",))
        assert made.active is not None
        made.active.row_dimensions[2].hidden = True
        read = book(made)
        for _ in range(2):
            assert len(good(read)) == 2
            assert read.hidden == 1

    def test_hidden_rows_without_cells_and_a_hidden_header_are_not_counted(self, book: OpenBook) -> None:
        made = table(HEADER, ("a@x.test",), (), ("b@x.test",), ("c@x.test", 1, 2, 3))
        assert made.active is not None
        for line in (1, 3, 4, 5):
            made.active.row_dimensions[line].hidden = True
        read = book(made)
        assert len(lines(read)) == 3
        assert read.hidden == 2

    def test_a_cell_beside_the_header(self, book: OpenBook) -> None:
        made = table(HEADER, ("a@x.test", 1, 2, " ", "!"), ("b@x.test", 1, 2, " "))
        assert lines(book(made)) == [
            "1: list.xlsx:2: '!' is in column E, which has no header",
            "2: b@x.test",
        ]

    def test_columns_without_name_titles_and_what_csv_has_too(self, book: OpenBook) -> None:
        assert book(table(("email", None, "x"), ("a@x.test", None, 1))).columns == ("email", "x")
        assert refusal(lambda: book(table(("Members",), (), HEADER))).startswith(
            "list.xlsx:3: this line looks like the header; remove the lines above it"
        )
        assert "write `recipients.email: Mail`" in refusal(lambda: book(table(("Mail",), ("a@x.test",))))
        assert (
            refusal(lambda: book(table())) == "list.xlsx: the list is empty; its first row names the columns"
        )

    def test_where_and_templates(self, book: OpenBook) -> None:
        made = table(HEADER, ("a", 1, 2), ("b", 2, 2), ("c", 3, 2))
        rows = good(book(made, email="{{ email }}@x.test", where="x != '2' and recipient.number < 3"))
        assert [row.email for row in rows] == ["a@x.test"]

    def test_position_goes_to_the_end(self, book: OpenBook) -> None:
        recipients = book(table(HEADER, *((f"p{n}@x.test", n, n) for n in range(3000))))
        seen = [recipients.position for _ in recipients]
        assert seen == sorted(seen)
        assert seen[0] < seen[-1] == recipients.size


class TestSheets:
    def both(self) -> openpyxl.Workbook:
        made = table(("email",), ("first@x.test",))
        made.create_sheet("People").append(("email",))
        made["People"].append(("second@x.test",))
        return made

    def test_the_first_or_the_one_that_is_named(self, book: OpenBook) -> None:
        assert lines(book(self.both())) == ["1: first@x.test"]
        assert lines(book(self.both(), sheet="People")) == ["1: second@x.test"]

    def test_the_first_is_the_first_that_is_shown(self, book: OpenBook) -> None:
        made = self.both()
        made["Sheet"].sheet_state = "hidden"
        assert lines(book(made)) == ["1: second@x.test"]
        assert lines(book(made, sheet="Sheet")) == ["1: first@x.test"]

    def test_a_chart_is_no_list(self, book: OpenBook) -> None:
        made = self.both()
        made.create_chartsheet("Chart", 0)
        assert lines(book(made)) == ["1: first@x.test"]

    def test_a_name_that_is_none(self, book: OpenBook) -> None:
        assert refusal(lambda: book(self.both(), sheet="Peple")) == (
            "spring.yaml:4:10: recipients.sheet: list.xlsx has no sheet 'Peple'; did you mean 'People'?;"
            " its sheets are Sheet, People"
        )

    @pytest.mark.parametrize(("key", "value"), [("delimiter", ";"), ("encoding", "cp1252")])
    def test_what_is_for_csv(self, book: OpenBook, key: str, value: str) -> None:
        assert f"recipients.{key}: is for CSV files, and the list list.xlsx is a workbook" in refusal(
            lambda: book(self.both(), **{key: value})
        )

    def test_a_csv_has_no_sheets(self, book: OpenBook) -> None:
        assert "recipients.sheet: names a sheet of a workbook, and the list list.xlsx is not one" in refusal(
            lambda: book(b"email\na@x.test\n", sheet="People")
        )

    def test_a_workbook_by_another_name_is_one(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """What a file is says its beginning."""
        monkeypatch.chdir(tmp_path)
        assert lines(opened(tmp_path, written(self.both()))) == ["1: first@x.test"]


ONE = sheet(inline(("email",), ("a@x.test",)))


def cut(octets: bytes, name: str) -> bytes:
    """Return a workbook whose part says that it is a hundred gigabytes long."""
    at = octets.rindex(name.encode()) - 46  # its entry in the list of members (APPNOTE.TXT 4.3.12)
    extra = struct.pack("<HHQ", 1, 8, 100_000_000_000)
    (names,) = struct.unpack_from("<H", octets, at + 28)
    entry = bytearray(octets[at : at + 46 + names])
    struct.pack_into("<L", entry, 24, 0xFFFFFFFF)
    struct.pack_into("<H", entry, 30, len(extra))
    changed = octets[:at] + bytes(entry) + extra + octets[at + 46 + names :]
    end = changed.rindex(b"PK\x05\x06")
    (length,) = struct.unpack_from("<L", changed, end + 12)
    return changed[: end + 12] + struct.pack("<L", length + len(extra)) + changed[end + 16 :]


def locked(octets: bytes) -> bytes:
    """Return a workbook whose first members say that they are encrypted."""
    at = octets.index(b"PK\x01\x02")
    return octets[: at + 8] + b"\x01\x00" + octets[at + 10 :]


ENTITIES = '<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY e SYSTEM "file:///etc/passwd">]>'


@pytest.mark.parametrize(
    ("octets", "what"),
    [
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(512), "it is encrypted, or an .xls; save it as .xlsx"),
        (b"PK\x03\x04", "it is damaged or incomplete"),
        (workbook({SHEET: ONE})[:-30], "it is damaged or incomplete"),
        (workbook({SHEET: ONE})[:200] + bytes(40), "it is damaged or incomplete"),
        (locked(workbook({SHEET: ONE})), "it is encrypted; save it without a password"),
        (cut(workbook({SHEET: ONE}), SHEET), f"its part {SHEET} has 100.0 GB; at most 2.0 GB are read"),
        (workbook({SHEET: ONE}, zipfile.ZIP_LZMA), "is compressed in a way that no workbook uses"),
        (workbook({SHEET: " " * 30_000_000}), "that become 30.0 MB, which is no sheet of a list"),
        (workbook({SHEET: ENTITIES + ONE}), "one of its parts declares a DOCTYPE, which no workbook does"),
        (workbook({SHEET: ONE, BOOK: ENTITIES + "<workbook/>"}), "declares a DOCTYPE"),
        (workbook({SHEET: ONE, BOOK: "<workbook/>"}), "it has no sheet of cells"),
        (workbook({SHEET: ONE, "_rels/.rels": "<x/>"}), "it is not an .xlsx; save it as one, or as CSV"),
        (
            workbook({"a/List.CSV": "email", "_rels/.rels": "<x/>"}),
            "it is an archive (ZIP) with 'a/List.CSV' in it; unpack it",
        ),
        (workbook({SHEET: ONE[:-20]}), f"its part {SHEET} is broken (unclosed token"),
        (workbook({"xl/other.xml": ""}), f"its part {SHEET} is missing"),
        (workbook({SHEET: sheet(f'<row x="{"y" * 3_000_000}"/>')}), "has a tag of more than 1.0 MB"),
        (workbook({SHEET: sheet('<row r="5"/><row r="4"/>')}), "a row after row 5 has the number '4'"),
        (workbook({SHEET: sheet('<row r="-1"/>')}), "a row after row 0 has the number '-1'"),
        (workbook({SHEET: sheet('<row><c r="B1"/><c r="A1"/></row>')}), "the cells of its row 1 are not in"),
        (workbook({SHEET: sheet('<row><c r="ZZZ1"/></row>')}), "the cells of its row 1 are not in order"),
        (workbook({SHEET: sheet('<row><c r="1"/></row>')}), "it has a cell at '1', which is not a place"),
        (workbook({SHEET: sheet('<row><c t="s"><v>3</v></c></row>')}), "a cell shows text number 3, and"),
        (workbook({SHEET: sheet('<row><c t="s"><v>-3</v></c></row>')}), "a cell shows text number '-3'"),
        (workbook({f"x{n:0300}": "" for n in range(3000)}), "it has more parts than a workbook has"),
    ],
    ids=range(24),
)
def test_what_cannot_be_read(book: OpenBook, octets: bytes, what: str) -> None:
    said = refusal(lambda: list(book(octets)))
    assert said.startswith("list.xlsx: the workbook cannot be read: ")
    assert what in said


def test_a_row_that_is_too_long_is_an_error_of_its_own(book: OpenBook) -> None:
    long = "x" * (MAX_LINE + 10)
    rows = inline(HEADER, ("a@x.test", long, long), ("b@x.test", "1", "2"))
    strings = f"<sst><si><t>{long}</t></si></sst>"
    shared = '<row><c t="inlineStr"><is><t>c@x.test</t></is></c>' + '<c t="s"><v>0</v></c>' * 2 + "</row>"
    first, second, third = book(workbook({SHEET: sheet(rows + shared), STRINGS: strings}))
    for row in (first, third):
        assert isinstance(row, BadRow)
        assert "the row has more than 1,048,576 characters" in str(row.problems[0])
    assert not isinstance(second, BadRow)


def test_memory_stays_flat(tmp_path: Path) -> None:
    """Neither many rows, nor a long text that many cells show, are held."""
    amplified = "<row>" + '<c t="s"><v>0</v></c>' * 3 + "</row>"
    strings = f"<sst><si><t>{'x' * 1_000_000}</t></si></sst>"
    packed = workbook({SHEET: sheet(inline(HEADER) + amplified * 300), STRINGS: strings})
    many = inline(HEADER) + "".join(inline((f"p{n}@x.test", f"{n:090}", "z")) for n in range(50_000))
    (tmp_path / "plain").mkdir()
    (tmp_path / "packed").mkdir()
    listed(tmp_path / "plain", workbook({SHEET: sheet(many)}))
    listed(tmp_path / "packed", packed)
    for folder in ("plain", "packed"):
        script = (
            "import resource; from pathlib import Path; from campaign.campaignfile.load import load;"
            "from campaign.recipients.list import Recipients;"
            f"rows = Recipients(load(Path({str(tmp_path / folder / 'spring.yaml')!r})));"
            "next(iter(rows)); before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss;"
            "count = sum(1 for _ in rows);"
            "print(count, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)"
        )
        done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
        count, grown = map(int, done.stdout.split())
        assert count >= 300
        assert grown < 20_000, folder  # KiB


_texts = st.text(
    st.characters(blacklist_categories=["Cs", "Cc"], blacklist_characters="\ufffe\uffff"), max_size=12
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50)
@given(rows=st.lists(st.tuples(_texts, _texts), max_size=6))
def test_what_is_written_is_read(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, str]]
) -> None:
    made = openpyxl.Workbook()
    assert made.active is not None
    made.active.append(HEADER)
    for number, row in enumerate(rows):
        made.active.append((f"p{number}@x.test", None, None))
        for column, text in enumerate(row, 2):
            cell = made.active.cell(number + 2, column, None)
            cell.value = text
            cell.data_type = "s"
    read = good(listed(tmp_path_factory.mktemp("book"), written(made)))
    assert [(row.row["x"], row.row["y"]) for row in read] == rows


@settings(max_examples=100, deadline=None)
@given(at=st.integers(0, 5000), damage=st.binary(min_size=1, max_size=6), replace=st.booleans())
def test_a_damaged_workbook_is_read_or_refused(
    tmp_path_factory: pytest.TempPathFactory, at: int, damage: bytes, replace: bool
) -> None:
    octets = written(table(HEADER, ("a@x.test", 1, dt.date(2026, 1, 1)), ("b@x.test", "t", 2.5)))
    at %= len(octets)
    octets = octets[:at] + damage + octets[at + len(damage) * replace :]
    with suppress(UserError):
        list(listed(tmp_path_factory.mktemp("damaged"), octets))
