"""Columns that are not there, or there twice: what is said, and what is proposed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from campaign.campaignfile.load import load
from campaign.errors import Severity
from campaign.message.tokens import Secrets
from campaign.preparation import compile_campaign
from tests.folder import write_campaign
from tests.recipients.lists import Open, good, lines, refusal

GOOGLE = "Name,E-mail 1 - Type,E-mail 1 - Value,Phone 1 - Value\n"


class TestProposals:
    @pytest.mark.parametrize(
        ("text", "written"),
        [
            ("name,Contact\nAnn,a@x.test\nBen,\n", "Contact"),
            ("E-Mail,mail\nx,\na@x.test,\n", ""),
            ("E-mail Address,E-mail Type\na@x.test,SMTP\n/o=Ex/cn=ann,EX\nb@x.test,SMTP\n", "E-mail Address"),
            ("Name,E-mail 1 - Value\nAnn,a@x.test\n", "E-mail 1 - Value"),
            ("Name;#mail\nAnn;a@x.test\n", '"#mail"'),
            (
                f"{GOOGLE}Ann,* ,a@x.test ::: b@x.test,1\nBen,,b@x.test,2\n",
                "\"{{ row['E-mail 1 - Value'].split(' ::: ')[0] }}\"",
            ),
        ],
    )
    def test_the_only_column_with_addresses(self, listed: Open, text: str, written: str) -> None:
        what = refusal(lambda: listed(text))
        assert ("write `recipients.email" in what) is bool(written)
        if written:
            assert f"no column 'email'; write `recipients.email: {written}`; its columns are " in what

    def test_what_it_proposes_works(self, listed: Open) -> None:
        text = f"{GOOGLE}Ann,* ,a@x.test ::: b@x.test,1\nBen,,B@x.test,2\n"
        rows = good(listed(text, email="{{ row['E-mail 1 - Value'].split(' ::: ')[0] }}"))
        assert [(row.email, row.key) for row in rows] == [("a@x.test", "a@x.test"), ("B@x.test", "b@x.test")]

    def test_several_are_named(self, listed: Open) -> None:
        what = refusal(lambda: listed("n,Work mail,Home mail,note\nAnn,a@x.test,b@x.test,email\n"))
        assert "did you mean 'Home mail'?; there are addresses in 'Work mail' and 'Home mail'; its" in what

    def test_the_nearest_of_many_columns(self, listed: Open) -> None:
        many = ",".join(f"c{n}" for n in range(300))
        assert "did you mean 'E-Mail'?; its columns are c0, c1," in refusal(
            lambda: listed(f"{many},E-Mail\n" + "," * 300 + "x\n")
        )

    @pytest.mark.parametrize("email", ["email", "{{ row['mail'].split(' ')[0] }}"])
    def test_a_first_line_of_data_is_named(self, listed: Open, email: str) -> None:
        what = refusal(lambda: listed("Ann,a@x.test\nBen,b@x.test\n", email=email))
        said = "list.csv:1: the first line looks like data: it has the address 'a@x.test'; add a line above"
        assert said in what
        assert "\n" not in what

    def test_several_in_a_cell_have_a_remedy(self, listed: Open) -> None:
        found = lines(listed("email,n\na@x.test ::: b@x.test,1\n"))
        assert found[0].endswith(
            "; for the first of several: `recipients.email: \"{{ row['email'].split(' ::: ')[0] }}\"`"
        )

    def test_a_key_has_no_proposal_of_that_kind(self, listed: Open) -> None:
        what = refusal(lambda: listed("email,Contact\na@x.test,b@x.test\n", key="ident"))
        assert "has no column 'ident'; its columns are" in what


class TestRepeated:
    TEXT = "email,a,b,a\nann@x.test,1,2,3\n"

    def test_unused_it_is_a_warning_and_the_first_is_kept(self, listed: Open) -> None:
        listing = listed(self.TEXT)
        (warning,) = listing.warnings
        assert warning.severity is Severity.WARNING
        assert str(warning) == (
            "list.csv:1: warning: columns 2 and 4 have the same name, 'a'; nothing uses it,"
            " and the first is kept"
        )
        (row,) = good(listing)
        assert row.row == {"email": "ann@x.test", "a": "1", "b": "2"}

    @pytest.mark.parametrize(
        "settings",
        [
            {"key": "a"},
            {"key": ["email", "a"]},
            {"where": "a == '1'"},
            {"where": "row['a'] == '1'"},
            {"where": "'1' in row.values()"},
            {"name": "{{ a }}"},
            {"name": "{{ row.a }}"},
            {"email": "{{ a }}@x.test"},
            {"email": "a"},
        ],
    )
    def test_used_by_the_list_itself(self, listed: Open, settings: dict[str, object]) -> None:
        (user,) = settings
        assert refusal(lambda: listed(self.TEXT, **settings)) == (
            f"list.csv:1: columns 2 and 4 have the same name, 'a', and `recipients.{user}` uses it;"
            " give each a name of its own"
        )

    def test_many_of_one_name(self, listed: Open) -> None:
        what = refusal(lambda: listed("email" + ",a" * 900 + "\n", key="a"))
        assert "columns 2, 3, 4, 5, 6, 7 and others have the same name, 'a'" in what

    @pytest.mark.parametrize(
        "changes",
        [
            {"subject": "{{ a }}"},
            {"subject": "{% for cell in row.values() %}{{ cell }}{% endfor %}"},
            {"headers": {"X-A": "{{ row['a'] }}"}},
            {"cc": "{{ a }}@x.test"},
            {"from": "{{ a }} <news@x.test>"},
            {"attachments": ["{{ a }}.pdf"]},
            {"files": {"body.txt": "{% include 'part.txt' %}", "part.txt": "{{ a }}"}},
        ],
    )
    def test_used_by_a_message(self, used: Callable[..., None], changes: dict[str, Any]) -> None:
        assert refusal(lambda: used(**changes)) == (
            "list.csv:1: columns 2 and 4 have the same name, 'a', and a template uses it;"
            " give each a name of its own"
        )

    def test_others_may_be_used(self, used: Callable[..., None]) -> None:
        used(subject="{{ b }}", recipients={"csv": "list.csv", "where": "b == '2'", "name": "{{ b }}"})

    @pytest.fixture
    def used(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
        monkeypatch.chdir(tmp_path)

        def used(files: dict[str, str] | None = None, **changes: Any) -> None:
            file = write_campaign(Path(), {"list.csv": self.TEXT, **(files or {})}, **changes)
            compile_campaign(load(file), Secrets.placeholder())

        return used


class TestNames:
    """A name is what a person reads, however its characters are written."""

    @pytest.mark.parametrize("header", ["stra\u00dfe,f\u00fcr", "stra\u00dfe,fu\u0308r"])
    @pytest.mark.parametrize("written", ["f\u00fcr", "fu\u0308r"])
    def test_composed_and_decomposed_are_one(self, listed: Open, header: str, written: str) -> None:
        rows = good(listed(f"{header}\nx,a@x.test\n", email=written, where=f"row['{written}'] == {written}"))
        assert [row.email for row in rows] == ["a@x.test"]

    def test_two_columns_that_differ_in_nothing_seen_have_one_name(self, listed: Open) -> None:
        what = refusal(lambda: listed("f\u00fcr,fu\u0308r\na@x.test,b@x.test\n", email="f\u00fcr"))
        assert "columns 1 and 2 have the same name" in what

    @pytest.mark.parametrize("unseen", ["\ufeff", "\u200b", " \u2060 "])
    def test_what_nobody_sees_around_a_name_is_no_part_of_it(self, listed: Open, unseen: str) -> None:
        """Files that were joined have a byte order mark left in the middle."""
        assert good(listed(f"\ufeff{unseen}email{unseen},n\na@x.test,1\n"))[0].email == "a@x.test"

    def test_text_elsewhere_stays_as_it_is_written(self, listed: Open) -> None:
        rows = good(listed("email,n\na@x.test,fu\u0308r\nb@x.test,f\u00fcr\n", where="n == 'fu\u0308r'"))
        assert [row.email for row in rows] == ["a@x.test"]
