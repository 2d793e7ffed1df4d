"""The list's own templates: an address that is made from cells, and what `where` knows of the recipient."""

from __future__ import annotations

import pytest

from tests.recipients.lists import Open, good, lines, refusal

SPLIT = "{{ row['E-mail 1 - Value'].split(' ::: ')[0] }}"
CONTACTS = "Name,E-mail 1 - Value\nAnn,Ann@x.test ::: a@y.test\nBen, ben@x.test \n"


class TestEmail:
    def test_the_key_is_the_address_it_gives_folded(self, listed: Open) -> None:
        rows = good(listed(CONTACTS, email=SPLIT))
        assert [(row.key, row.email) for row in rows] == [
            ("ann@x.test", "Ann@x.test"),
            ("ben@x.test", "ben@x.test"),
        ]

    def test_another_key_may_be_named(self, listed: Open) -> None:
        rows = good(listed(CONTACTS, email=SPLIT, key="Name"))
        assert [row.key for row in rows] == ["Ann", "Ben"]

    def test_the_template_itself_may_be_part_of_the_key(self, listed: Open) -> None:
        rows = good(listed(CONTACTS, email=SPLIT, key=[SPLIT, "Name"]))
        assert [row.key for row in rows] == ['["ann@x.test", "Ann"]', '["ben@x.test", "Ben"]']

    @pytest.mark.parametrize(
        "email",
        ["{{ first|lower }}@x.test", "{% if mail %}{{ mail }}{% else %}{{ first|lower }}@x.test{% endif %}"],
    )
    def test_it_may_do_what_templates_do(self, listed: Open, email: str) -> None:
        rows = good(listed("first,mail\nAnn,\n", email=email, where="first != ''", name="{{ first }}"))
        assert [(row.email, row.name) for row in rows] == [("ann@x.test", "Ann")]

    def test_vars_and_the_number_are_there(self, listed: Open) -> None:
        rows = good(listed("first\nAnn\nBen\n", email="{{ v }}{{ recipient.number }}@x.test", var="v"))
        assert [row.email for row in rows] == ["x1@x.test", "x2@x.test"]

    def test_what_it_gives_must_be_an_address(self, listed: Open) -> None:
        first, second, third = lines(listed("m,n\na@x.test,1\nnobody,2\n,3\n", email="{{ m }}"))
        assert first == "1: a@x.test"
        assert second == "2: list.csv:3: recipients.email: 'nobody' has no @"
        assert third.startswith("3: list.csv:4: recipients.email: ")

    def test_a_fault_in_a_row_is_that_row_s(self, listed: Open) -> None:
        first, second = lines(listed("m,n\na@x.test,0\nb@x.test,1\n", email="{{ 1 // (n|int) }}{{ m }}"))
        assert first.startswith("1: list.csv:2: recipients.email: the template cannot do this: ")
        assert second == "2: 1b@x.test"

    def test_faults_of_name_and_email_are_both_told(self, listed: Open) -> None:
        bad = "{{ 1 // (n|int) }}"
        (only,) = lines(listed("n\n0\n", email=bad, name=bad))
        assert "recipients.name: " in only
        assert "recipients.email: " in only

    def test_its_columns_are_checked_before_any_row(self, listed: Open) -> None:
        what = refusal(lambda: listed(CONTACTS, email="{{ row['E-mail 1 - Vale'] }}"))
        assert what.startswith("spring.yaml:4:10: recipients.email: the list has no column 'E-mail 1 - Vale'")
        assert "did you mean 'E-mail 1 - Value'?" in what


class TestNumber:
    TEXT = "email\n" + "".join(f"p{n}@x.test\n" for n in range(1, 6))

    def test_where_knows_the_rows_number(self, listed: Open) -> None:
        rows = good(listed(self.TEXT, where="recipient.number is even"))
        assert [(row.number, row.email) for row in rows] == [(2, "p2@x.test"), (4, "p4@x.test")]

    def test_and_so_does_the_name(self, listed: Open) -> None:
        rows = good(listed(self.TEXT, name="No. {{ recipient.number }}"))
        assert [row.name for row in rows][-1] == "No. 5"

    def test_more_is_not_known_yet(self, listed: Open) -> None:
        (first, *_) = lines(listed(self.TEXT, where="recipient.email == 'p2@x.test'"))
        assert first.startswith("1: list.csv:2: recipients.where: ")

    def test_a_column_of_that_name_is_reached_through_the_row(self, listed: Open) -> None:
        rows = good(listed("email,recipient\na@x.test,yes\nb@x.test,no\n", where="row.recipient == 'yes'"))
        assert [row.email for row in rows] == ["a@x.test"]


def test_a_column_s_name_is_nobody_s_name(listed: Open) -> None:
    """`name: first` without braces would address everybody as `first`."""
    what = refusal(lambda: listed("email,first\na@x.test,Ann\n", name="first"))
    assert what.endswith("""'first' would be everybody's name; to show the column, write "{{ first }}\"""")
    assert good(listed("email,first\na@x.test,Ann\n", name="Friend"))[0].name == "Friend"
