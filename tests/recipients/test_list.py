"""A list: its header, its rows, keys, names and `where`."""

from __future__ import annotations

import json

import pytest

from campaign.errors import Severity
from campaign.model import BadRow, Recipient
from campaign.recipients.header import MAX_COLUMNS
from campaign.recipients.records import MAX_LINE
from tests.recipients.lists import Open, good, lines, refusal


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

    @pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
    @pytest.mark.parametrize("last", [True, False])
    def test_line_ends(self, listed: Open, end: str, last: bool) -> None:
        text = end.join(["email,name", "a@x.test,A", "b@x.test,B"]) + end * last
        assert [(row.line, row.row["name"]) for row in good(listed(text))] == [(2, "A"), (3, "B")]

    def test_lines_that_end_as_of_old_on_macs(self, listed: Open) -> None:
        text = 'sep=;\rname; "email"\rA, B;a@x.test\rC;c\rD;d@x.test;\r"open;e@x.test\rF;f@x.test\r'
        listing = listed(text, encoding="mac_roman")
        assert listing.columns == ("name", "email")
        first, *bad, last = lines(listing)
        assert (first, last) == ("1: a@x.test", "5: f@x.test")
        assert [row.split(": ")[1] for row in bad] == ["list.csv:4", "list.csv:5", "list.csv:6"]

    def test_a_line_feed_in_a_cell_of_such_a_list(self, listed: Open) -> None:
        filled = "".join(f"p{n}@x.test,{'x' * 60}\r" for n in range(1000))
        *_, quoted, bad, last = lines(
            listed(f'email,name\r{filled}a@x.test,"1\n2"\rb@x.test,1\n2\rc@x.test,\r')
        )
        assert (quoted, last) == ("1001: a@x.test", "1003: c@x.test")
        assert bad.startswith("1002: list.csv:1003: a cell contains a lone line feed; save the list with one")

    @pytest.mark.parametrize("end", ["\r\n\x1a", "\x1a", "\r\n\x1a\x1a\x1a"])
    @pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "cp850"])
    def test_a_ctrl_z_that_ends_it_is_dropped(self, listed: Open, end: str, encoding: str) -> None:
        text = f"email,name\r\na@x.test,A\x1a\r\nb@x.test,B{end}"
        assert [row.row["name"] for row in good(listed(text.encode(encoding), encoding=encoding))] == [
            "A\x1a",
            "B",
        ]

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


class TestHeader:
    @pytest.mark.parametrize(
        ("text", "what"),
        [
            ("", "list.csv: the list is empty; its first row names the columns"),
            ("\n \n,,\n", "list.csv: the list is empty; its first row names the columns"),
            (
                "email,name,email\n",
                "list.csv:1: columns 1 and 3 have the same name, 'email', and `recipients.email`",
            ),
            (
                "email,name, email \n",
                "list.csv:1: columns 1 and 3 have the same name, 'email', and `recipients.em",
            ),
            ("email,,name\na@x.test,A,B\n", "list.csv:1: column 2 has no name in the header"),
            ("\nemail,name,\na@x.test,A,B\n", "list.csv:2: column 3 has no name in the header"),
            ('email,"name\na@x.test,A\n', "list.csv:1: the header cannot be read: a quote opens here and is"),
            ("email\rx@x.test\n", "list.csv:1: the header cannot be read: a cell contains a lone carriage"),
            ("e\0mail\n", "list.csv:1: the header is not UTF-8"),
            ("email" + ",a" * MAX_COLUMNS, f"list.csv:1: the header has more than {MAX_COLUMNS} columns"),
            ("email,x" + "," * MAX_LINE, "list.csv:1: the header cannot be read: the line has more than"),
        ],
        ids=range(11),
    )
    def test_what_is_wrong_with_it(self, listed: Open, text: str, what: str) -> None:
        assert refusal(lambda: listed(text)).startswith(what)

    @pytest.mark.parametrize(
        ("text", "kind"),
        [
            ("<html><table><tr><td>email</td></tr>", "a web page (HTML)"),
            ("\r\n  <TABLE border=1>\r\n<tr><th>email</th>", "a web page (HTML)"),
            ("<?xml version='1.0'?><Workbook/>", "an XML file"),
            ("%PDF-1.7\n%âãÏÓ\n", "a PDF"),
            ("BEGIN:VCARD\r\nVERSION:3.0\r\n", "a file of contacts (vCard)"),
            ('[\n  {"email": "a@x.test"}]', "a JSON file"),
        ],
    )
    def test_what_is_no_list(self, listed: Open, text: str, kind: str) -> None:
        program = "export the list as CSV or .xlsx, or save it as such with a spreadsheet"
        assert refusal(lambda: listed(text)) == f"list.csv:1: this is {kind}; {program}"

    @pytest.mark.parametrize("first", ["<email>", "{email}", "[id]", '"<b>name</b>"'])
    def test_what_is_a_list_all_the_same(self, listed: Open, first: str) -> None:
        assert good(listed(f"{first},email\n1,a@x.test\n"))

    def test_everything_at_once(self, listed: Open) -> None:
        what = refusal(lambda: listed("email,,a,\na@x.test,1,2,3\n"))
        assert what.splitlines() == [
            "list.csv:1: column 2 has no name in the header",
            "list.csv:1: column 4 has no name in the header",
        ]

    @pytest.mark.parametrize("text", ["email,name,,\n{},A,,\n", ",email,,name\n,{}, ,A\n"])
    def test_columns_without_name_and_cells_are_none(self, listed: Open, text: str) -> None:
        listing = listed(text.format("a@x.test"))
        assert listing.columns == ("email", "name")
        assert [dict(row.row) for row in listing] == [{"email": "a@x.test", "name": "A"}]

    def test_a_cell_under_no_name_far_below_is_its_rows_fault(self, listed: Open) -> None:
        rows = [*(f"u{n}@x.test,A," for n in range(200)), "v@x.test,A,!", "w@x.test,A"]
        *_, stray, short = listed("email,name,\n" + "\n".join(rows) + "\n")
        assert isinstance(stray, BadRow)
        assert "'!' is in column 3, which has no name in the header" in str(stray.problems[0])
        assert isinstance(short, BadRow)
        assert "the row has 2 cells, fewer than the header's 3" in str(short.problems[0])

    @pytest.mark.parametrize("first", ["sep=;", "SEP=;\r", '"sep=;"', "\ufeffsep=;"])
    def test_a_line_that_names_the_delimiter_is_skipped(self, listed: Open, first: str) -> None:
        listing = listed(f"{first}\nemail;name\na@x.test;B, C\n")
        assert listing.columns == ("email", "name")
        assert [(row.number, row.line, row.row["name"]) for row in listing] == [(1, 3, "B, C")]

    @pytest.mark.parametrize(
        ("text", "line"),
        [
            ("Members of 2026\nemail,name\na@x.test,A\n", 2),
            ("Members of 2026,\nemail,name\na@x.test,A\n", 2),
            ("Members;\n;\nEmail;name\na@x.test;A\n", 3),
        ],
    )
    def test_a_title_above_it(self, listed: Open, text: str, line: int) -> None:
        what = refusal(lambda: listed(text))
        above = "the line" if line == 2 else "the lines"
        assert what == f"list.csv:{line}: this line looks like the header; remove {above} above it"

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
            f"list.csv:1: warning: the column '{name}' has a reserved name; in templates write row['{name}']"
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
        assert [row.key for row in rows] == ["ann@x.test", "straße@xn--bcher-kva.example"]
        assert [row.email for row in rows] == ["ANN@x.test", "Straße@xn--bcher-kva.example"]

    def test_another_column_is_trimmed(self, listed: Open) -> None:
        assert [row.key for row in good(listed("email,id\na@x.test, A7 \n", key="id"))] == ["A7"]

    def test_keys_are_composed_and_otherwise_as_written(self, listed: Open) -> None:
        """One name may be written in two ways (NFC and NFD); 007 and 7 are two."""
        for key, wanted in (("id", "Zo\u00eb"), (["id", "email"], '["Zo\u00eb", "a@x.test"]')):
            for written in ("Zo\u00eb", "Zoe\u0308"):
                (row,) = good(listed(f"email,id\na@x.test,{written}\n", key=key))
                assert row.key == wanted
        rows = good(listed("email,id\na@x.test,007\nb@x.test,7\nc@x.test,A\nd@x.test,a\n", key="id"))
        assert [row.key for row in rows] == ["007", "7", "A", "a"]

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


def test_a_row_that_is_not_there_and_one_that_gets_no_mail(listed: Open) -> None:
    recipients = listed("email,n\na@x.test,1\nb@x.test,2\nc@x.test,3\n", where="n != '2'")
    assert recipients.row(3).email == "c@x.test"
    assert refusal(lambda: recipients.row(2)).endswith("row 2 is left out by `where`: it gets no mail")
    assert refusal(lambda: recipients.row(9)).endswith("there is no row 9: the list has 3 rows")
