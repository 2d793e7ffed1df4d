"""Importing suppression lists that other tools export."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from campaign.cli import main
from campaign.errors import UserError
from campaign.ledger.imports import read_suppressions
from tests.ledger.book import NOW
from tests.recipients.sheets import SHEET, inline, sheet, workbook

ANNA, BEN = "anna@example.com", "ben@example.org"


def read(folder: Path, content: str | bytes, column: str | None = None) -> list[tuple[str, str]]:
    file = folder / "export.csv"
    file.write_bytes(content.encode() if isinstance(content, str) else content)
    return [(entry.pattern, entry.reason) for entry in read_suppressions(file, NOW, column)]


def refused(folder: Path, content: str | bytes, column: str | None = None) -> list[str]:
    with pytest.raises(UserError) as caught:
        read(folder, content, column)
    return [f"{problem.line}: {problem.message}" for problem in caught.value.problems]


@pytest.mark.parametrize(
    "content",
    [
        f"Email Address,First Name\n{ANNA},Anna\n{BEN},Ben\n",
        f"EMAIL;SMS\r\n{ANNA};+47 1\r\n{BEN};\r\n",
        f"sep=;\r\nEMAIL;SMS\r\n{ANNA};1\r\n{BEN};\r\n",
        f"name\temailAddress\nAnna\t{ANNA}\nBen\t{BEN}\n",
        f"Address,E-Mail\n1 Street,{ANNA}\n2 Street,{BEN}\n",
        f"\n\nrecipient|when\n{ANNA}|now\n{BEN}|then\n",
        f"{ANNA}\n{BEN}\n",
        f"1;{ANNA};Jos\xe9\n2;{BEN};Zo\xeb\n".encode("cp1252"),
        f"{ANNA},2026-01-01\n{BEN},2026-01-02\n{ANNA},2026-01-03\n",
        f"\ufeffEmail\n{ANNA}\n{BEN}\n",
        f"E-mail\tName\r\n{ANNA}\tZoë\r\n{BEN}\tÅse\r\n".encode("utf-16"),
        f"E-mail\tName\r\n{ANNA}\tZoë\r\n{BEN}\tÅse\r\n".encode("utf-16-be"),
        f"{ANNA}\r\n{BEN}\r\n\x1a",
        f"sep=;\rName;E-mail\rA, B;{ANNA}\rB;{BEN}\r",
    ],
    ids=[
        "blanks",
        "capitals",
        "sep",
        "tabs",
        "street",
        "pipes",
        "alone",
        "bare",
        "twice",
        "mark",
        "utf-16",
        "utf-16-without-a-mark",
        "dos",
        "mac",
    ],
)
def test_exports_of_other_tools_are_read(content: str | bytes, tmp_path: Path) -> None:
    assert read(tmp_path, content) == [(ANNA, "imported"), (BEN, "imported")]


def test_domains_reasons_and_wildcards_are_read(tmp_path: Path) -> None:
    assert read(tmp_path, f"Email,Reason\n*@example.net,gone\nexample.org,\n{ANNA}, asked \n") == [
        ("@example.net", "gone"),
        ("@example.org", "imported"),
        (ANNA, "asked"),
    ]
    assert read(tmp_path, "example.net\n*@example.org\n") == [
        ("@example.net", "imported"),
        ("@example.org", "imported"),
    ]


def test_the_address_column_can_be_named(tmp_path: Path) -> None:
    content = f"email,second\n{ANNA},{BEN}\n"
    assert read(tmp_path, content, "SECOND ") == [(BEN, "imported")]
    assert refused(tmp_path, content, "third") == [
        "1: there is no column 'third'; the columns are email, second"
    ]


def test_all_unreadable_lines_are_reported_together(tmp_path: Path) -> None:
    said = refused(tmp_path, f'email,n\n{ANNA},1\n,2\nanna,3\nnews*@x.test,4\n{BEN},"5\n')
    assert [words.partition(" ")[0] for words in said] == ["3:", "4:", "5:", "6:"]
    assert said[0] == "3: the address is blank"
    assert "a * stands for all before the @" in said[2]


def test_without_a_header_a_line_with_two_addresses_is_refused(tmp_path: Path) -> None:
    """As in a line pasted from a mail program: otherwise all but one would be left out silently."""
    said = refused(tmp_path, f"{ANNA}; {BEN}\n{BEN}\n")
    assert said == ["1: holds two addresses; write one a line, or a header that names the columns"]
    assert refused(tmp_path, f"1,{ANNA},{BEN}\n2,{BEN}\n")[0].startswith("1: holds two addresses")
    assert read(tmp_path, f"email,by\n{ANNA},{BEN}\n") == [(ANNA, "imported")]
    assert read(tmp_path, f"{ANNA},{ANNA.upper()},@home\n") == [(ANNA, "imported")]


@pytest.mark.parametrize("time", ["0001-01-01", "1600-01-01T00:00:00Z", "2400-01-01", "9999-12-31T23:59:59"])
def test_times_that_cannot_be_stored_are_refused(time: str, tmp_path: Path) -> None:
    said = refused(tmp_path, f"email,added_at\n{ANNA},{time}\n")
    assert said == [f"2: added_at: {time!r} is no time between 1970 and 2200"]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (
            b"email\nj\xf6rg@example.com\n",
            "2: cell 1 is not in the file's encoding; name the right one with --encoding",
        ),
        (
            b"m\xfcll,name\nx,y\n",
            "1: which column holds the addresses? Name it with --column; the columns are",
        ),
        (b"PK\x03\x04rest", "None: the workbook cannot be read: "),
        (b"a,b\n\n", "1: which column holds the addresses?"),
        (b"", "None: the file is empty"),
    ],
)
def test_files_that_are_not_such_a_list_are_refused(content: bytes, words: str, tmp_path: Path) -> None:
    (said,) = refused(tmp_path, content)
    assert said.startswith(words)


def test_workbooks_and_other_encodings_are_read(tmp_path: Path) -> None:
    rows = inline(("Name", "E-Mail"), ("Jö", ANNA), ("", ""), ("Ben", BEN))
    (tmp_path / "list.xlsx").write_bytes(workbook({SHEET: sheet(rows)}))
    entries = read_suppressions(tmp_path / "list.xlsx", NOW, "E-Mail")
    assert [entry.pattern for entry in entries] == [ANNA, BEN]
    (tmp_path / "latin.csv").write_bytes(f"email,reason\n{ANNA},J\u00f6\n".encode("cp1252"))
    (entry,) = read_suppressions(tmp_path / "latin.csv", NOW, encoding="cp1252")
    assert (entry.pattern, entry.reason) == (ANNA, "J\u00f6")
    with pytest.raises(UserError, match="--encoding: there is no encoding 'klingon'"):
        read_suppressions(tmp_path / "latin.csv", NOW, encoding="klingon")


_CELL = st.text(st.characters(codec="utf-8", exclude_characters="\0\r@"), max_size=8)


@given(
    st.lists(st.tuples(st.integers(0, 50), _CELL), min_size=1, max_size=8),
    st.sampled_from(",;\t"),
    st.sampled_from(["utf-8", "utf-8-sig", "utf-16"]),
)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_every_csv_format_of_spreadsheets_is_read(
    tmp_path: Path, rows: list[tuple[int, str]], delimiter: str, encoding: str
) -> None:
    out = io.StringIO()
    writer = csv.writer(out, delimiter=delimiter)
    writer.writerow(["Email Address", "Note", "Number"])
    writer.writerows((f"user{number}@example.com", note, number) for number, note in rows)
    found = read(tmp_path, out.getvalue().encode(encoding), "email address")
    assert [pattern for pattern, _ in found] == list(
        dict.fromkeys(f"user{number}@example.com" for number, _ in rows)
    )


def test_an_import_reports_what_it_added(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    lines = "".join(f"user{number}@example.com\n" for number in range(12))
    Path("old.csv").write_text(f"Contact\n{lines}")
    assert main(["suppress", "import", "old.csv"]) == 2
    assert "Name it with --column; the columns are Contact" in capsys.readouterr().err
    assert main(["suppress", "import", "old.csv", "--column", "contact"]) == 0
    said = capsys.readouterr().out.splitlines()
    assert said[0] == "user0@example.com: added"
    assert said[10:] == ["and 2 more", "12 added, 0 were there; 0 waiting rows are suppressed by it"]
