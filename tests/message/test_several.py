"""Several of one kind: files and copies from one cell, mailboxes in Reply-To; and a Sender beside From."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.message.rendering import Made, fields, octets, read, refusal, rendered, row

FILES = {"path": "att/{{ item }}", "each": "{{ file.split(';') }}"}
COPIES = [{"each": "{{ boss.split(';') }}"}]


class TestFiles:
    @pytest.fixture(autouse=True)
    def _files(self, tmp_path: Path) -> None:
        (tmp_path / "att").mkdir()
        for name in ("a.pdf", "b.pdf", "ü.txt"):
            (tmp_path / "att" / name).write_text(f"this is {name}")

    def names(self, made: Made, cell: str, **values: object) -> list[str | None]:
        message = rendered(made(attachments=[{**FILES, **values}]), row(file=cell))
        return [part.get_filename() for part in read(message).iter_attachments()]

    @pytest.mark.parametrize(
        ("cell", "names"),
        [
            ("a.pdf", ["a.pdf"]),
            ("b.pdf;a.pdf", ["b.pdf", "a.pdf"]),
            (" a.pdf ;; ü.txt;", ["a.pdf", "ü.txt"]),
            ("", []),
            (" ; ", []),
        ],
    )
    def test_each_item_names_a_file_and_a_blank_one_none(
        self, made: Made, cell: str, names: list[str]
    ) -> None:
        assert self.names(made, cell) == names

    def test_their_content(self, made: Made) -> None:
        parts = read(rendered(made(attachments=[FILES]), row(file="a.pdf;b.pdf"))).iter_attachments()
        assert [part.get_payload(decode=True) for part in parts] == [b"this is a.pdf", b"this is b.pdf"]

    def test_each_has_a_name_of_its_own(self, made: Made) -> None:
        name = "{{ first }} {{ item }}"
        assert self.names(made, "a.pdf;b.pdf", name=name) == ["Ann a.pdf", "Ann b.pdf"]
        assert self.names(made, "a.pdf;b.pdf", name="all.pdf") == ["all.pdf", "all.pdf"]

    @pytest.mark.parametrize(
        "each",
        [
            "{{ file.split(';')|map('trim') }}",
            "{{ file.split(';')|reject('equalto', '')|list }}",
            "{{ [file, 'b.pdf'] }}",
            "{{ (file, note) if file else [] }}",
        ],
    )
    def test_any_expression_that_gives_texts(self, made: Made, each: str) -> None:
        assert self.names(made, "a.pdf", each=each)[0] == "a.pdf"

    @pytest.mark.parametrize(
        ("each", "said"),
        [
            ("{{ file }}", "the template gives 'a.pdf', and not a list of texts, such as"),
            ("{{ [none] }}", "the template gives [None], and not a list of texts"),
            ("{{ {'a': file} }}", "the template gives {'a': 'a.pdf'}, and not a list of texts"),
            ("{{ 5 }}", "the template gives 5, and not a list of texts"),
            ("{{ range(101) }}", "gives more than 100 items"),
            ("a.pdf", "expected one expression that gives a list of texts"),
            ("{{ file }}{{ file }}", "expected one expression that gives a list of texts"),
            ("{% if file %}{{ file }}{% endif %}", "expected one expression that gives a list of texts"),
            ("{{ fil.split(';') }}", "'fil' is not defined; did you mean 'file'?"),
            ("{{ file.split( }}", "template syntax"),
            ("{{ file.splitt(';') }}", "a cell is text, and file has no 'splitt'"),
        ],
    )
    def test_anything_else_is_a_sentence(self, made: Made, each: str, said: str) -> None:
        (told,) = refusal(lambda: self.names(made, "a.pdf", each=each))
        assert "attachments, entry 1, each: " in told
        assert said in told

    def test_what_is_wrong_names_row_column_and_file(self, made: Made) -> None:
        (told,) = refusal(lambda: self.names(made, "a.pdf;no.pdf"))
        assert "attachments, entry 1: there is no file 'att/no.pdf'" in told
        assert told.endswith("; look at the column file (row 3, line 4 of the list)")

    @pytest.mark.parametrize("cell", ["a.pdf;../../etc/passwd", "a.pdf;../list.csv", "a.pdf;../spring.yaml"])
    def test_no_item_leads_out_of_the_folder(self, made: Made, cell: str) -> None:
        (told,) = refusal(lambda: self.names(made, cell))
        assert "lies outside of" in told or "is not for recipients" in told

    def test_item_is_known_beside_each_alone(self, made: Made) -> None:
        (told,) = refusal(lambda: made(attachments=["att/{{ item }}"]))
        assert "'item' is not defined" in told
        (told,) = refusal(lambda: made(attachments=[FILES], subject="{{ item }}"))
        assert "'item' is not defined" in told

    def test_a_file_that_changes_after_the_plan_is_told(self, made: Made, tmp_path: Path) -> None:
        renderer = made(attachments=[FILES])
        both = row(file="a.pdf;b.pdf")
        rendered(renderer, both)
        (tmp_path / "att" / "b.pdf").write_text("this is another one")
        (told,) = refusal(lambda: rendered(renderer, both))
        assert "att/a.pdf or att/b.pdf is gone, or has changed since the plan was made" in told

    def test_they_are_known_before_they_are_read(self, made: Made, tmp_path: Path) -> None:
        renderer = made(attachments=[FILES])
        (found,) = renderer.attached([row(file="a.pdf; b.pdf")])
        assert found == [tmp_path / "att" / "a.pdf", tmp_path / "att" / "b.pdf"]
        assert renderer.files_named_by == {0: frozenset({"file"})}
        assert "file" in renderer.columns

    def test_the_digest_covers_each(self, made: Made) -> None:
        digest = made(attachments=[FILES]).digest
        other = {**FILES, "each": "{{ file.split(',') }}"}
        assert made(attachments=[other]).digest != digest
        assert made(attachments=["att/{{ file }}"]).digest != digest


class TestCopies:
    def test_several_from_one_cell(self, made: Made) -> None:
        message = rendered(made(cc=COPIES), row(boss="Bo <b@x.test>; c@x.test ;"))
        assert "Cc: Bo <b@x.test>, c@x.test" in fields(message)
        assert message.envelope.recipients == ("ann@x.test", "b@x.test", "c@x.test")

    def test_bcc_alike(self, made: Made) -> None:
        message = rendered(made(bcc=["x@x.test", *COPIES]), row(boss="b@x.test;c@x.test"))
        assert message.envelope.recipients == ("ann@x.test", "x@x.test", "b@x.test", "c@x.test")
        assert b"c@x.test" not in octets(message)

    def test_a_blank_cell_is_no_copy(self, made: Made) -> None:
        message = rendered(made(cc=COPIES))
        assert message.envelope.recipients == ("ann@x.test",)
        assert read(message)["Cc"] is None

    def test_a_plain_cell_stays_one_address(self, made: Made) -> None:
        (told,) = refusal(lambda: rendered(made(cc=["{{ boss }}"]), row(boss="b@x.test; c@x.test")))
        assert "cc, entry 1: " in told
        assert "look at the column boss (row 3, line 4 of the list)" in told

    def test_one_that_is_no_address(self, made: Made) -> None:
        (told,) = refusal(lambda: rendered(made(cc=COPIES), row(boss="b@x.test; nobody")))
        assert "cc, entry 1, each: 'nobody'" in told
        assert told.endswith("; look at the column boss (row 3, line 4 of the list)")

    def test_a_line_break_in_an_item_adds_no_field(self, made: Made) -> None:
        cell = "b@x.test;c@x.test\r\nBcc: e@x.test"
        (told,) = refusal(lambda: rendered(made(cc=COPIES), row(boss=cell)))
        assert "cc, entry 1, each: " in told

    def test_more_at_once_than_the_rate_allows(self, made: Made) -> None:
        renderer = made(cc=COPIES, rate="2/minute")
        assert len(rendered(renderer, row(boss="b@x.test")).envelope.recipients) == 2
        (told,) = refusal(lambda: rendered(renderer, row(boss="b@x.test;c@x.test")))
        assert "rate: the message goes to 3 addresses at once, more than the rate allows (row 3" in told

    def test_the_digest_covers_them(self, made: Made) -> None:
        other = [{"each": "{{ boss.split(',') }}"}]
        assert len({made(cc=given).digest for given in ([], COPIES, other, ["{{ boss }}"])}) == 4


class TestReplyTo:
    def test_several_mailboxes_in_one_field(self, made: Made) -> None:
        renderer = made(reply_to=["Help <help@example.com>", "{{ boss }}"])
        assert "Reply-To: Help <help@example.com>, b@x.test" in fields(
            rendered(renderer, row(boss="b@x.test"))
        )
        assert "Reply-To: Help <help@example.com>" in fields(rendered(renderer))

    def test_one_of_them_that_is_no_address(self, made: Made) -> None:
        renderer = made(reply_to=["help@example.com", "{{ boss }}"])
        (told,) = refusal(lambda: rendered(renderer, row(boss="b@x.test, c@x.test")))
        assert "reply_to, entry 2: " in told
        assert "look at the column boss" in told

    def test_none_of_them(self, made: Made) -> None:
        (told,) = refusal(lambda: rendered(made(reply_to=["{{ boss }}"])))
        assert "reply_to: Reply-To has no address (row 3" in told

    def test_one_text_and_one_in_a_list_are_the_same_field(self, made: Made) -> None:
        one, listed = (made(reply_to=given) for given in ("a@x.test", ["a@x.test"]))
        assert octets(rendered(one)) == octets(rendered(listed))


class TestSender:
    def test_it_stands_beside_from(self, made: Made) -> None:
        message = rendered(made(sender="{{ first }} at the desk <desk@example.com>"))
        assert fields(message)[1:3] == [
            "From: Example News <news@example.com>",
            "Sender: Ann at the desk <desk@example.com>",
        ]
        assert message.envelope.sender == "news@example.com"

    def test_the_author_is_not_named_twice(self, made: Made) -> None:
        assert read(rendered(made(sender="Desk <news@EXAMPLE.com>")))["Sender"] is None

    def test_it_is_one_mailbox(self, made: Made) -> None:
        (told,) = refusal(lambda: rendered(made(sender="{{ boss }}"), row(boss="a@x.test, b@x.test")))
        assert "sender: 'a@x.test, b@x.test' holds two addresses" in told
        assert "look at the column boss" in told
        (told,) = refusal(lambda: rendered(made(sender="x{{ note }} <a@x.test>"), row(note="\r\nBcc: b")))
        assert "sender: " in told

    def test_the_digest_covers_it(self, made: Made) -> None:
        assert made(sender="desk@example.com").digest != made().digest
