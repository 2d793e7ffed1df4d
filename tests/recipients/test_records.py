"""Delimiters, quotes and bad records: none hides the next one."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from campaign.errors import UserError
from campaign.model import BadRow, Recipient
from campaign.recipients.records import MAX_LINE
from tests.recipients.lists import Open, delimiter_of, good, lines, opened, refusal


class TestDelimiter:
    @pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
    def test_it_is_found(self, listed: Open, delimiter: str) -> None:
        rows = [["email", "name", "note"], ["a@x.test", "A", "x,y;z|w\tv"], ["b@x.test", "B", ""]]
        text = io.StringIO()
        csv.writer(text, delimiter=delimiter).writerows(rows)
        recipients = listed(text.getvalue())
        assert delimiter_of(recipients) == delimiter
        assert [list(row.row.values()) for row in good(recipients)] == rows[1:]

    def test_numbers_with_commas_do_not_mislead(self, listed: Open) -> None:
        recipients = listed("name, first;email;sum, €\nA, B;a@x.test;1,50\nC, D;c@x.test;2,50\n")
        assert delimiter_of(recipients) == ";"

    def test_one_column(self, listed: Open) -> None:
        assert delimiter_of(listed("email\na@x.test\n")) == ","

    def test_without_the_email_column_the_even_split_decides(self, listed: Open) -> None:
        assert "write `recipients.email: mail`; its columns are mail, name (" in refusal(
            lambda: listed("mail;name\na@x.test;a,b\nb@x.test;c\n")
        )

    def test_a_row_cut_off_by_the_sample_does_not_count(self, listed: Open) -> None:
        recipients = listed("email;a\n" + "x@x.test;y\n" * 20_000)
        assert delimiter_of(recipients) == ";"

    def test_a_named_one_holds(self, listed: Open) -> None:
        recipients = listed("email;a|b\nx@x.test;y|z\n", email="email;a", delimiter="|", where="false")
        assert recipients.columns == ("email;a", "b")
        assert list(recipients) == []

    def test_another_one_is_suspected(self, listed: Open) -> None:
        what = refusal(lambda: listed("email:name\nx@x.test:y\n"))
        said = 'list.csv looks separated by :, which you must specify: write `delimiter: ":"` under'
        assert said in what

    @pytest.mark.parametrize(
        ("text", "by"), [("email;name\na@x.test;A\n", ";"), ("x\temail\nA\ta@x.test\n", "tabs")]
    )
    def test_the_wrong_one_is_corrected(self, listed: Open, text: str, by: str) -> None:
        what = refusal(lambda: listed(text, delimiter=","))
        assert "recipients.delimiter: the list " in what
        assert what.endswith(f"list.csv looks separated by {by}, and this says ','; remove it, or correct it")

    def test_a_word_of_a_column_s_name_is_no_column(self, listed: Open) -> None:
        assert "has no column 'mail'" in refusal(lambda: listed("my mail\na@x.test\n", email="mail"))


class TestBlanksBeforeQuotes:
    """`a, "b"` is what some programs write: the quotes are the cell's, and no part of it."""

    def test_they_quote(self, listed: Open) -> None:
        recipients = listed('email, "name"\nx@x.test, "Lee, Ann"\ny@x.test,  "B ""b"""\nz@x.test, 5" wide\n')
        assert [row.row["name"] for row in good(recipients)] == ["Lee, Ann", 'B "b"', '5" wide']

    def test_a_blank_that_separates_is_none_of_them(self, listed: Open) -> None:
        recipients = listed("email name\nx@x.test Ann\ny@x.test \n", delimiter=" ")
        assert [row.row["name"] for row in good(recipients)] == ["Ann", ""]


class TestBadRows:
    """Each is named with its line, and the rows around it are read."""

    @pytest.mark.parametrize(
        ("row", "what"),
        [
            ("x@x.test", "the row has 1 cell, fewer than the header's 2"),
            ("x@x.test,a,b", "the row has 3 cells, more than the header's 2; is there a delimiter in a cell"),
            ('x@x.test,"a"b', "a quote ends in the middle of a cell; put the cell in quotes, and each quote"),
            ('x@x.test,"open', "a quote opens here and is not closed, or a quote within its cell is not"),
            ("x@x.test,a\0b", "the row has a NUL character in it"),
            ("x@x.test,a\rb", "a cell contains a lone carriage return; save the list with one kind of li"),
            ("x@x.test," + "y" * 200_000, "a cell has more than 131,072 characters; is a quote not closed?"),
            ("x@x.test," + "y" * MAX_LINE, "the line has more than 1,048,576 characters"),
            ("x.test,a", "email: 'x.test' has no @"),
            (",a", "email: the address is blank"),
            ('"x@x.test, y@x.test",a', "email: 'x@x.test, y@x.test' holds two addresses; one cell, one addr"),
            ('"x@x.test\ny@x.test",a', "email: the address has a line break in it; one cell, one address: "),
            ("Ann <x@x.test>,a", "email: 'Ann <x@x.test>' holds a name; put it into a column of its own"),
            ('"<x@x.test>>",a', "email: "),
            ("x@localhost,a", "email: the domain 'localhost' has no dot"),
        ],
        ids=range(15),
    )
    @pytest.mark.parametrize("end", ["\n", "\r\n"])
    def test_it_is_named(self, listed: Open, row: str, what: str, end: str) -> None:
        text = end.join(["email,name", "a@x.test,A", row, 'b@x.test,"B, b"', "c@x.test,C", ""])
        first, bad, *others = lines(listed(text))
        after = 5 if row.count("\n") else 4
        assert first == "1: a@x.test"
        assert bad.startswith(f"2: list.csv:3: {what}")
        assert others == ["3: b@x.test", "4: c@x.test"]
        assert [row.line for row in listed(text)] == [2, 3, after, after + 1]

    def test_a_quote_that_swallows_rows_with_quotes(self, listed: Open) -> None:
        text = 'email,name\na@x.test,"open\nb@x.test,"B, b"\nc@x.test,"C""c"\nd@x.test,D\n'
        first, *others = lines(listed(text))
        assert first.startswith("1: list.csv:2: a quote opens here and is not closed, or")
        assert others == ["2: b@x.test", "3: c@x.test", "4: d@x.test"]

    def test_rows_in_a_record_with_too_many_cells_are_read(self, listed: Open) -> None:
        text = 'email,name\na@x.test,"open\nb@x.test,B\nc@x.test,",x\nd@x.test,D\n'
        first, *others = lines(listed(text))
        assert first == (
            "1: list.csv:2: the row has 3 cells, more than the header's 2;"
            " is there a delimiter in a cell without quotes?"
        )
        assert others[0] == "2: b@x.test"
        assert others[1].startswith("3: list.csv:4: a quote opens here")
        assert others[2:] == ["4: d@x.test"]

    def test_a_quote_in_a_long_list_costs_no_more_than_a_cell(self, listed: Open) -> None:
        text = 'email,name\na@x.test,"open\n' + "".join(f"p{n}@x.test,x\n" for n in range(20_000))
        first, *others = list(listed(text))
        assert isinstance(first, BadRow)
        assert first.problems[0].message.startswith("a cell has more than 131,072 characters")
        assert [row.number for row in others] == list(range(2, 20_002))
        assert all(isinstance(row, Recipient) for row in others)

    def test_a_long_line_inside_an_open_quote_is_not_lost(self, listed: Open) -> None:
        text = 'email,name\na@x.test,"open\nb@x.test,' + "y" * MAX_LINE + "\nc@x.test,C\n"
        first, second, third = lines(listed(text))
        assert first.startswith("1: list.csv:2: a quote opens here")
        assert second.startswith("2: list.csv:3: the line has more than")
        assert third == "3: c@x.test"

    def test_the_list_cannot_be_read(self, listed: Open, tmp_path: Path) -> None:
        recipients = listed("email\na@x.test\n")
        (tmp_path / "list.csv").unlink()
        (tmp_path / "list.csv").mkdir()
        assert "spring.yaml:3:8: recipients.csv: the list list.csv cannot be read: Is a directory" in refusal(
            lambda: list(recipients)
        )


# --- properties

_cells = st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters="\0") | st.sampled_from(",;\t|\"'\r\n "),
    max_size=12,
)


@given(
    rows=st.lists(st.lists(_cells, min_size=2, max_size=2), max_size=8),
    delimiter=st.sampled_from(",;\t|"),
    # Minimal quoting with bare line feeds leaves carriage returns as they are, before Python 3.13.
    written=st.sampled_from([(csv.QUOTE_MINIMAL, "\r\n"), (csv.QUOTE_ALL, "\r\n"), (csv.QUOTE_ALL, "\n")]),
    encoding=st.sampled_from(["utf-8", "utf-8-sig", "utf-16"]),
)
def test_what_is_written_is_read(
    tmp_path_factory: pytest.TempPathFactory,
    rows: list[list[str]],
    delimiter: str,
    written: tuple[Literal[0, 1], str],
    encoding: str,
) -> None:
    folder = tmp_path_factory.mktemp("list", numbered=True)
    text, starts, line = io.StringIO(newline=""), [], 2
    writer = csv.writer(text, delimiter=delimiter, quoting=written[0], lineterminator=written[1])
    writer.writerow(["x y", "email", "z"])
    table = [[first, f"p{number}@x.test", last] for number, (first, last) in enumerate(rows)]
    for cells in table:
        starts.append(line)
        writer.writerow(cells)
        line = text.getvalue().count("\n") + 1
    settings = {"encoding": "utf-16"} if encoding == "utf-16" else {}
    recipients = opened(folder, text.getvalue().encode(encoding), **settings)
    read = good(recipients)
    assert delimiter_of(recipients) == delimiter
    assert [list(row.row.values()) for row in read] == table
    assert [row.number for row in read] == list(range(1, len(table) + 1))
    assert [row.line for row in read] == starts


@given(
    at=st.integers(0, 3000),
    damage=st.binary(min_size=1, max_size=4) | st.sampled_from([b'"', b"\0", b"\r", b",", b"\n", b'","']),
    replace=st.booleans(),
)
def test_damage_hides_no_row(
    tmp_path_factory: pytest.TempPathFactory, at: int, damage: bytes, replace: bool
) -> None:
    folder = tmp_path_factory.mktemp("list", numbered=True)
    header = b"email,name,note\n"
    rows = [f'p{n:03}@x.test,"N, {n}",note {n}\n'.encode() for n in range(100)]
    whole = header + b"".join(rows)
    at = min(at, len(whole))
    octets = whole[:at] + damage + whole[at + (len(damage) if replace else 0) :]
    try:
        read = list(opened(folder, octets))
    except UserError:
        assert at < len(header)
        return
    if at < len(header):
        assert len(read) >= 99
        return
    hit = whole[:at].count(b"\n") - 1  # the row that was hit, from 0
    known = {row.email for row in read if isinstance(row, Recipient)}
    assert {n for n in range(100) if f"p{n:03}@x.test" not in known} <= {hit, hit + 1}
    assert [row.number for row in read] == list(range(1, len(read) + 1))
    assert [row.line for row in read] == sorted({row.line for row in read})


@given(octets=st.binary(max_size=300) | st.text(st.sampled_from('email,;"\n\r@.x\0é'), max_size=120))
def test_no_file_raises_anything_but_user_errors(
    tmp_path_factory: pytest.TempPathFactory, octets: bytes | str
) -> None:
    folder = tmp_path_factory.mktemp("list", numbered=True)
    try:
        for row in opened(folder, octets):
            assert isinstance(row, Recipient | BadRow)
    except UserError:
        pass
