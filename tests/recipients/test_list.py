"""The list is read strictly: what is wrong with a row is said, and hides no other row."""

from __future__ import annotations

import codecs
import csv
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from campaign.campaignfile.load import load
from campaign.errors import Severity, UserError
from campaign.model import BadRow, Recipient
from campaign.recipients.list import MAX_COLUMNS, Recipients
from campaign.recipients.records import MAX_LINE

Open = Callable[..., Recipients]


def opened(folder: Path, octets: bytes | str, *, var: object = "", **settings: object) -> Recipients:
    """The campaign in `folder` with such a list and such `recipients`."""
    (folder / "list.csv").write_bytes(octets.encode() if isinstance(octets, str) else octets)
    (folder / "body.txt").write_text("Hi")
    values = {
        "name": "spring",
        "recipients": {"csv": "list.csv", **settings},
        "from": "news@example.com",
        "subject": "News",
        "templates": {"text": "body.txt"},
        "smtp": {"host": "localhost"},
        **({"vars": {str(var): "x"}} if var else {}),
    }
    (folder / "spring.yaml").write_text(yaml.safe_dump(values, sort_keys=False))
    return Recipients(load(folder / "spring.yaml"))


@pytest.fixture
def listed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Open:
    monkeypatch.chdir(tmp_path)

    def listed(octets: bytes | str, **settings: object) -> Recipients:
        return opened(tmp_path, octets, **settings)

    return listed


def good(recipients: Recipients) -> list[Recipient]:
    rows = list(recipients)
    assert all(isinstance(row, Recipient) for row in rows), rows
    return [row for row in rows if isinstance(row, Recipient)]


def lines(recipients: Recipients) -> list[str]:
    """Each row as a person is told of it: `1: ann@x.test`, or what is wrong."""
    return [
        f"{row.number}: {row.email}" if isinstance(row, Recipient) else f"{row.number}: {row.problems[0]}"
        for row in recipients
    ]


def refusal(failing: Callable[[], object]) -> str:
    with pytest.raises(UserError) as caught:
        failing()
    return str(caught.value)


class TestGoodLists:
    def test_a_row_has_its_number_line_key_address_and_cells(self, listed: Open) -> None:
        recipients = listed("email,first name\nAnn@KÖLN.example, Ann \n\n ,\nbob@x.test,\n")
        assert recipients.columns == ("email", "first name")
        ann, bob = good(recipients)
        assert ann == Recipient(
            1,
            2,
            "ann@xn--kln-sna.example",
            "Ann@xn--kln-sna.example",
            "",
            {"email": "Ann@KÖLN.example", "first name": " Ann "},
        )
        assert (bob.number, bob.line, bob.row["first name"]) == (2, 5, "")

    def test_it_can_be_read_again(self, listed: Open) -> None:
        recipients = listed("email\na@x.test\nb@x.test\n")
        assert good(recipients) == good(recipients)

    @pytest.mark.parametrize("end", ["\n", "\r\n"])
    @pytest.mark.parametrize("last", [True, False])
    def test_line_ends(self, listed: Open, end: str, last: bool) -> None:
        text = end.join(["email,name", "a@x.test,A", "b@x.test,B"]) + end * last
        assert [row.row["name"] for row in good(listed(text))] == ["A", "B"]

    def test_blank_rows_are_none(self, listed: Open) -> None:
        recipients = listed("\n  \nemail,name\n\na@x.test,A\n,\n  ,\t\n\n\nb@x.test,B\n,\n,\n\n")
        assert [(row.number, row.line) for row in good(recipients)] == [(1, 5), (2, 10)]

    def test_cells_of_several_lines_and_quotes(self, listed: Open) -> None:
        text = 'email,note\r\na@x.test,"two\r\nlines, ""quoted"""\r\nb@x.test,5" wide\r\n'
        ann, bob = good(listed(text))
        assert ann.row["note"] == 'two\r\nlines, "quoted"'
        assert (bob.line, bob.row["note"]) == (4, '5" wide')

    def test_separators_that_are_no_line_ends(self, listed: Open) -> None:
        (row,) = good(listed("email,note\na@x.test,one\u2028two\x85three\x0bfour\n"))
        assert row.row["note"] == "one\u2028two\x85three\x0bfour"

    def test_position_goes_from_nothing_to_all(self, listed: Open) -> None:
        recipients = listed("email\n" + "".join(f"p{n}@x.test\n" for n in range(3000)))
        seen = [recipients.position for _ in recipients]
        assert seen[0] == 0
        assert seen == sorted(seen)
        assert recipients.size * 0.7 < seen[-1] <= recipients.size


class TestDelimiter:
    @pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
    def test_it_is_found(self, listed: Open, delimiter: str) -> None:
        rows = [["email", "name", "note"], ["a@x.test", "A", "x,y;z|w\tv"], ["b@x.test", "B", ""]]
        text = io.StringIO()
        csv.writer(text, delimiter=delimiter).writerows(rows)
        recipients = listed(text.getvalue())
        assert recipients.delimiter == delimiter
        assert [list(row.row.values()) for row in good(recipients)] == rows[1:]

    def test_numbers_with_commas_do_not_mislead(self, listed: Open) -> None:
        recipients = listed("name, first;email;sum, €\nA, B;a@x.test;1,50\nC, D;c@x.test;2,50\n")
        assert recipients.delimiter == ";"

    def test_one_column(self, listed: Open) -> None:
        assert listed("email\na@x.test\n").delimiter == ","

    def test_without_the_email_column_the_even_split_decides(self, listed: Open) -> None:
        assert "did you mean 'mail'?; its columns are mail, name (" in refusal(
            lambda: listed("mail;name\na@x.test;a,b\nb@x.test;c\n")
        )

    def test_a_row_cut_off_by_the_sample_does_not_count(self, listed: Open) -> None:
        recipients = listed("email;a\n" + "x@x.test;y\n" * 20_000)
        assert recipients.delimiter == ";"

    def test_a_named_one_holds(self, listed: Open) -> None:
        recipients = listed("email;a|b\nx@x.test;y|z\n", email="email;a", delimiter="|", where="false")
        assert recipients.columns == ("email;a", "b")
        assert list(recipients) == []

    def test_the_wrong_one_is_suspected(self, listed: Open) -> None:
        what = refusal(lambda: listed("email:name\nx@x.test:y\n"))
        assert "its columns are email:name. If they are one by mistake, name the `delimiter`" in what


class TestEncoding:
    TEXT = "email,name\na@x.test,Zoë\n"

    def test_utf_8_with_its_mark(self, listed: Open) -> None:
        recipients = listed(codecs.BOM_UTF8 + self.TEXT.encode())
        assert recipients.columns == ("email", "name")
        assert good(recipients)[0].row["name"] == "Zoë"

    @pytest.mark.parametrize(
        ("named", "octets"),
        [
            ("cp1252", TEXT.encode("cp1252")),
            ("Latin-1", TEXT.encode("latin-1")),
            ("utf-8-sig", TEXT.encode()),
            ("utf-16", TEXT.encode("utf-16")),
            ("utf-16", codecs.BOM_UTF16_BE + TEXT.encode("utf-16-be")),
            ("utf-16-le", TEXT.encode("utf-16-le")),
            ("utf-16-le", TEXT.encode("utf-16")),
            ("utf-16-be", codecs.BOM_UTF16_BE + TEXT.encode("utf-16-be")),
            ("utf-32", TEXT.encode("utf-32")),
            ("cp500", TEXT.encode("cp500")),
        ],
    )
    def test_a_named_one(self, listed: Open, named: str, octets: bytes) -> None:
        assert good(listed(octets, encoding=named))[0].row["name"] == "Zoë"

    def test_a_line_feed_s_octet_in_another_character_ends_no_line(self, listed: Open) -> None:
        text = "email,name\r\na@x.test,ਊ੊\u0a0d\u0d0a Ċ\r\n"
        (row,) = good(listed(text.encode("utf-16"), encoding="utf-16"))
        assert row.row["name"] == "ਊ੊\u0a0d\u0d0a Ċ"

    @pytest.mark.parametrize(
        ("octets", "named", "mark"),
        [
            (TEXT.encode("utf-16"), None, "utf-16"),
            (TEXT.encode("utf-32"), None, "utf-32"),
            (TEXT.encode("utf-8-sig"), "cp1252", "utf-8"),
            (TEXT.encode("utf-16"), "utf-32", "utf-16"),
        ],
    )
    def test_a_mark_that_says_otherwise(
        self, listed: Open, octets: bytes, named: str | None, mark: str
    ) -> None:
        what = refusal(lambda: listed(octets, **({"encoding": named} if named else {})))
        assert what == f"list.csv: the list is {mark.upper()}; write `encoding: {mark}`, or save it as UTF-8"

    @pytest.mark.parametrize("name", ["utf-9", "base64", "rot13", "idna", "punycode", "undefined", "x" * 99])
    def test_a_name_that_is_none(self, listed: Open, name: str) -> None:
        what = refusal(lambda: listed(self.TEXT, encoding=name))
        assert what == (
            f"spring.yaml:4:13: recipients.encoding: there is no encoding {name!r};"
            " write one such as utf-8 or cp1252"
        )

    @pytest.mark.parametrize("end", ["\n", ""])
    def test_octets_of_another_name_their_row(self, listed: Open, end: str) -> None:
        text = f"email,name\na@x.test,Ann\nb@x.test,Zoë\nc@x.test,José{end}"
        assert lines(listed(text.encode("cp1252"))) == [
            "1: a@x.test",
            "2: list.csv:3: name is not UTF-8; save the list as UTF-8,"
            " or name its encoding with `recipients.encoding`, such as cp1252",
            "3: list.csv:4: name is not UTF-8; save the list as UTF-8,"
            " or name its encoding with `recipients.encoding`, such as cp1252",
        ]

    def test_half_a_character_at_the_end_of_utf_16(self, listed: Open) -> None:
        first, second = lines(listed((self.TEXT + "b@x.test,B").encode("utf-16") + b"x", encoding="utf-16"))
        assert first == "1: a@x.test"
        assert second.startswith("2: list.csv:3: name is not UTF-16")

    @pytest.mark.parametrize("named", ["cp1252", "latin-1", "mac-roman", "cp850", "iso8859-15", "koi8-r"])
    def test_utf_8_under_another_name(self, listed: Open, named: str) -> None:
        text = "email,name\na@x.test,Ann\nb@x.test,Zoë\nc@x.test,Bo\n"
        first, wrong, third = lines(listed(text.encode(), encoding=named))
        assert (first, third) == ("1: a@x.test", "3: c@x.test")
        assert wrong.startswith("2: list.csv:3: ")
        assert wrong.endswith(
            " is 'Zoë' in UTF-8; if the list is UTF-8, take `recipients.encoding` away,"
            " and else name the right one"
        )

    def test_utf_8_that_is_nothing_in_the_encoding_named(self, listed: Open) -> None:
        (wrong,) = lines(listed("email,name\na@x.test,Íris\n".encode(), encoding="cp1252"))
        assert wrong == (
            "1: list.csv:2: name is not CP1252;"
            " if the list is UTF-8, take `recipients.encoding` away, and else name the right one"
        )

    def test_utf_8_under_another_name_in_the_header(self, listed: Open) -> None:
        what = refusal(lambda: listed("email,Größe\n".encode(), encoding="cp1252"))
        assert what.startswith("list.csv:1: the header has 'emailGröße' in UTF-8")

    @pytest.mark.parametrize(
        ("named", "name"),
        [
            ("cp1252", "Zoë Ælfgifu Öğ".replace("ğ", "g")),
            ("cp1251", "Фёдор Рёбров"),
            ("koi8-r", "Жанна Ёлкина"),
            ("iso8859-7", "Ιωάννης"),
            ("cp1256", "سعاد"),
            ("shift_jis", "山田太郎"),
            ("cp932", "ﾔﾏﾀﾞ"),
            ("gb18030", "联通 王小明"),
            ("big5", "陳大文"),
            ("euc-kr", "김민수"),
            ("iso2022_jp", "山田"),
        ],
    )
    def test_what_is_rightly_named_is_read(self, listed: Open, named: str, name: str) -> None:
        text = f"email,name\na@x.test,{name}\n"
        assert good(listed(text.encode(named), encoding=named))[0].row["name"] == name

    def test_in_the_header(self, listed: Open) -> None:
        what = refusal(lambda: listed("email,Größe\n".encode("cp1252")))
        assert what.startswith("list.csv:1: the header is not UTF-8; save the list as UTF-8")

    @pytest.mark.parametrize("octets", [b"PK\x03\x04rest", b"\xd0\xcf\x11\xe0\xa1\xb1"])
    def test_a_workbook(self, listed: Open, octets: bytes) -> None:
        assert refusal(lambda: listed(octets)) == "list.csv: the list is a workbook; save it as CSV"


class TestHeader:
    @pytest.mark.parametrize(
        ("text", "what"),
        [
            ("", "list.csv: the list is empty; its first row names the columns"),
            ("\n \n,,\n", "list.csv: the list is empty; its first row names the columns"),
            ("email,name,email\n", "list.csv:1: two columns are named 'email'"),
            ("email,name, email \n", "list.csv:1: two columns are named 'email'"),
            ("email,,name\n", "list.csv:1: column 2 has no name in the header"),
            ("\nemail,name,\n", "list.csv:2: column 3 has no name in the header"),
            ('email,"name\na@x.test,A\n', "list.csv:1: the header cannot be read: a quote opens here and is"),
            ("email\rx@x.test\r", "list.csv:1: the header cannot be read: a lone carriage return stands in"),
            ("e\0mail\n", "list.csv:1: the header is not UTF-8"),
            ("email" + ",a" * MAX_COLUMNS, f"list.csv:1: the header has more than {MAX_COLUMNS} columns"),
            ("email,x" + "," * MAX_LINE, "list.csv:1: the header cannot be read: the line has more than"),
        ],
        ids=range(11),
    )
    def test_what_is_wrong_with_it(self, listed: Open, text: str, what: str) -> None:
        assert refusal(lambda: listed(text)).startswith(what)

    def test_everything_at_once(self, listed: Open) -> None:
        what = refusal(lambda: listed("email,,a,a\n"))
        assert what.splitlines() == [
            "list.csv:1: column 2 has no name in the header",
            "list.csv:1: two columns are named 'a'",
        ]

    def test_alone_it_is_a_list_of_nobody(self, listed: Open) -> None:
        assert list(listed("email,name\n")) == []
        assert list(listed("email,name")) == []

    @pytest.mark.parametrize(
        ("header", "near"), [("E-Mail", "E-Mail"), ("EMAIL", "EMAIL"), ("mail", "mail"), ("Emial", "Emial")]
    )
    def test_did_you_mean(self, listed: Open, header: str, near: str) -> None:
        what = refusal(lambda: listed(f"{header},city\n"))
        assert what == (
            f"spring.yaml:3:3: recipients.email: the list has no column 'email'; did you mean {near!r}?;"
            f" its columns are {header}, city (list.csv)"
        )

    def test_a_key_that_is_no_column(self, listed: Open) -> None:
        what = refusal(lambda: listed("email,member_no\n", key=["email", "member"]))
        assert "recipients.key: the list has no column 'member'; did you mean 'member_no'?" in what

    @pytest.mark.parametrize("name", ["row", "campaign", "recipient", "unsubscribe", "bounce"])
    def test_a_column_with_a_name_of_ours_is_a_warning(self, listed: Open, name: str) -> None:
        (warning,) = listed(f"email,{name}\n").warnings
        assert warning.severity is Severity.WARNING
        assert str(warning) == (
            f"list.csv:1: warning: the column '{name}' has a name that is ours;"
            f" in templates write row['{name}']"
        )

    def test_a_name_that_is_a_column_and_a_var(self, listed: Open) -> None:
        what = refusal(lambda: listed("email,product\n", var="product"))
        assert "vars.product: the list has a column 'product' too; give one of them another name" in what

    def test_all_that_is_wrong_with_it_and_with_the_settings_at_once(self, listed: Open) -> None:
        what = refusal(lambda: listed("mail,plan\n", where="pln == 'pro'", name="{{ nme }}", key="id"))
        for place in ("recipients.email", "recipients.key", "recipients.where", "recipients.name"):
            assert place in what


class TestWhere:
    TEXT = "email,plan\na@x.test,pro\nb@x.test,free\nc@x.test,pro\n"

    def test_rows_left_out_count(self, listed: Open) -> None:
        rows = good(listed(self.TEXT, where="plan == 'pro'"))
        assert [(row.number, row.line, row.email) for row in rows] == [(1, 2, "a@x.test"), (3, 4, "c@x.test")]

    def test_blanks_around_a_cell_do_not_count(self, listed: Open) -> None:
        (only,) = good(listed("email,plan\na@x.test, pro \nb@x.test,p ro\n", where="plan == 'pro'"))
        assert (only.email, only.row["plan"]) == ("a@x.test", " pro ")

    def test_a_column_by_any_name_and_a_var(self, listed: Open) -> None:
        recipients = listed("email,the plan\na@x.test,x\nb@x.test,y\n", where="row['the plan'] == v", var="v")
        assert [row.email for row in good(recipients)] == ["a@x.test"]

    def test_a_typo_is_an_error(self, listed: Open) -> None:
        what = refusal(lambda: listed(self.TEXT, where="pln == 'pro'"))
        assert what.startswith(
            "spring.yaml:4:10: recipients.where: 'pln' is not defined; did you mean 'plan'?"
        )

    def test_neither_true_nor_false_is_an_error(self, listed: Open) -> None:
        (first, *_) = lines(listed(self.TEXT, where="plan"))
        assert first.startswith(
            "1: list.csv:2: recipients.where: the condition gives 'pro', which is neither"
        )

    def test_who_is_left_out_may_have_no_address(self, listed: Open) -> None:
        assert lines(listed("email,ok\n,no\nx,no\na@x.test,yes\n", where="ok == 'yes'")) == ["3: a@x.test"]


class TestKeyAndName:
    def test_an_address_is_trimmed_and_folded(self, listed: Open) -> None:
        rows = good(listed("email\n  ANN@X.test \nStraße@bücher.example\n"))
        assert [row.key for row in rows] == ["ann@x.test", "strasse@xn--bcher-kva.example"]
        assert [row.email for row in rows] == ["ANN@x.test", "Straße@xn--bcher-kva.example"]

    def test_another_column_is_trimmed(self, listed: Open) -> None:
        assert [row.key for row in good(listed("email,id\na@x.test, A7 \n", key="id"))] == ["A7"]

    def test_several_are_a_json_list(self, listed: Open) -> None:
        (row,) = good(listed("email,id\nA@x.test, Ä7 \n", key=["id", "email"]))
        assert row.key == '["Ä7", "a@x.test"]'
        assert json.loads(row.key) == ["Ä7", "a@x.test"]

    def test_a_blank_one_is_an_error(self, listed: Open) -> None:
        assert lines(listed("email,id\na@x.test,\nb@x.test,1\n", key=["email", "id"])) == [
            "1: list.csv:2: the key is blank (email, id)",
            "2: b@x.test",
        ]

    def test_a_bad_row_keeps_the_key_that_it_has(self, listed: Open) -> None:
        def keys(text: str, **settings: object) -> list[str]:
            return [row.key for row in listed(text, **settings)]

        assert keys("email,id\nx,7\n", key="id") == ["7"]
        assert keys("email,id\nx,7\n", key=["id", "email"]) == [""]
        assert keys("email,id\nA@x.test,7\n", name="{{ id + 1 }}") == ["a@x.test"]
        assert keys("email,id\nx\n", key="id") == [""]

    def test_the_name_is_a_template(self, listed: Open) -> None:
        rows = good(
            listed("email,first,last\na@x.test,Ann,Lee\nb@x.test,,\n", name="{{ first }} {{ row['last'] }}")
        )
        assert [row.name for row in rows] == ["Ann Lee", ""]

    def test_a_name_that_fails_names_the_row(self, listed: Open) -> None:
        (only,) = lines(listed("email,n\na@x.test,0\n", name="{{ 1 // (n|int) }}"))
        assert only.startswith("1: list.csv:2: recipients.name: the template cannot do this")

    def test_a_name_with_an_unknown_column(self, listed: Open) -> None:
        what = refusal(lambda: listed("email,first\n", name="{{ frist }}"))
        assert "recipients.name: 'frist' is not defined; did you mean 'first'?" in what


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
            ("x@x.test,a\rb", "a lone carriage return stands in a cell; save the list with the usual line"),
            ("x@x.test," + "y" * 200_000, "a cell has more than 131,072 characters; is a quote not closed?"),
            ("x@x.test," + "y" * MAX_LINE, "the line has more than 1,048,576 characters"),
            ("x.test,a", "email: 'x.test' has no @"),
            (",a", "email: the address is blank"),
            ('"x@x.test, y@x.test",a', "email: 'x@x.test, y@x.test' holds two addresses; one cell, one addr"),
            ('"x@x.test\ny@x.test",a', "email: the address holds the control character U+000A"),
            ("Ann <x@x.test>,a", "email: 'Ann <x@x.test>' holds a name; put it into a column of its own"),
            ('"<x@x.test>",a', "email: "),
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
        assert "list.csv: the list cannot be read: Is a directory" in refusal(lambda: list(recipients))


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
    assert recipients.delimiter == delimiter
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
