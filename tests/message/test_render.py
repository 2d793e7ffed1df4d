"""One row, one message: its envelope, its parts, and test messages."""

from __future__ import annotations

import hmac
from functools import partial
from hashlib import sha256
from pathlib import Path

import pytest

from campaign.delivery import Message
from campaign.errors import UserError
from campaign.message.drafts import Looked
from campaign.message.render import Renderer
from tests.message.rendering import (
    CELLS,
    DATE,
    SECRETS,
    UNSUBSCRIBE_URL,
    Made,
    campaign,
    fields,
    octets,
    read,
    refusal,
    rendered,
    row,
)
from tests.message.test_calendar import INVITE


class TestEnvelope:
    def test_from_is_the_sender_by_default(self, made: Made) -> None:
        envelope = rendered(made()).envelope
        assert (envelope.sender, envelope.recipients, envelope.smtputf8) == (
            "news@example.com",
            ("ann@x.test",),
            False,
        )

    def test_copies_join_it_and_bcc_only_it(self, made: Made) -> None:
        message = rendered(
            made(cc=["Boss <{{ boss }}>", "c@x.test"], bcc="b@x.test"), row(boss="boss@x.test")
        )
        assert message.envelope.recipients == ("ann@x.test", "boss@x.test", "c@x.test", "b@x.test")
        assert "Cc: Boss <boss@x.test>, c@x.test" in fields(message)
        assert b"b@x.test" not in octets(message)

    def test_a_blank_copy_is_left_out(self, made: Made) -> None:
        message = rendered(made(cc=["{{ boss }}"], bcc=[" {{ boss }} "]))
        assert message.envelope.recipients == ("ann@x.test",)
        assert not any(field.startswith("Cc") for field in fields(message))

    def test_an_address_is_in_it_once(self, made: Made) -> None:
        message = rendered(made(cc=["ANN@X.test", "b@x.test"], bcc=["B@x.test", "c@x.test"]))
        assert message.envelope.recipients == ("ann@x.test", "b@x.test", "c@x.test")

    @pytest.mark.parametrize(
        "values",
        [
            {"from": "jürgen@example.com"},
            {"envelope_from": "jürgen@example.com"},
            {"reply_to": "jürgen@example.com"},
            {"cc": ["jürgen@example.com"]},
            {"bcc": ["jürgen@example.com"]},
        ],
        ids=lambda values: next(iter(values)),
    )
    def test_what_needs_smtputf8(self, made: Made, values: dict[str, object]) -> None:
        assert rendered(made(**values)).envelope.smtputf8

    def test_what_does_not(self, made: Made) -> None:
        renderer = made(
            subject="Ünï", **{"from": "Jürgen <j@köln.example>"}, reply_to="Jürgen <j@köln.example>"
        )
        assert not rendered(renderer, row(name="Zoë")).envelope.smtputf8
        assert rendered(made(), row(email="jürgen@x.test")).envelope.smtputf8


class TestTestCopies:
    def test_it_goes_to_one_and_is_marked(self, made: Made) -> None:
        renderer = made(cc=["c@x.test"], bcc=["b@x.test"], envelope_from="b+{{ bounce.token }}@example.com")
        real, test = rendered(renderer), rendered(renderer, row(name="Ann"), test_to="me@example.com")
        assert test.envelope.recipients == ("me@example.com",)
        assert "Subject: [Test] News for Ann" in fields(test)
        assert "To: me@example.com" in fields(test)
        assert not any(field.startswith("Cc") for field in fields(test))
        assert test.message_id.startswith("<test.")
        assert test.message_id != real.message_id
        assert octets(test).partition(b"\r\n\r\n")[2] == octets(real).partition(b"\r\n\r\n")[2]

    def test_two_have_two_ids(self, made: Made) -> None:
        renderer = made()
        later = DATE.replace(second=1)
        ids = {renderer.render(row(), date=date, test_to="me@x.test").message_id for date in (DATE, later)}
        assert len(ids) == 2

    def test_its_tokens_are_the_tester_s(self, made: Made) -> None:
        renderer = made(
            envelope_from="b+{{ bounce.token }}@example.com",
            unsubscribe={"url": UNSUBSCRIBE_URL, "secret_env": "S"},
        )
        token = hmac.new(b"unsubscribe's", b"me@x.test", sha256).hexdigest()
        test = rendered(renderer, row(), test_to="me@x.test")
        assert f"List-Unsubscribe: <https://example.com/u/{token}>" in fields(test)
        assert test.envelope.sender != rendered(renderer).envelope.sender


class TestParts:
    def test_blanks_around_a_cell_are_dropped(self, made: Made, tmp_path: Path) -> None:
        (tmp_path / "body.md").write_text("Dear {{ first }}, **{{ row['first'] }}**.\n")
        renderer = made(templates={"markdown": "body.md"})
        text, html = renderer.parts(row(first="\tAnn \u00a0"))
        assert text == "Dear Ann, Ann.\n"
        assert "Dear Ann, <strong>Ann</strong>." in (html or "")

    def parts(self, message: Message) -> list[str]:
        return [part.get_content_type() for part in read(message).walk()]

    def test_text_is_made_from_html(self, made: Made, tmp_path: Path) -> None:
        (tmp_path / "body.html").write_text(
            "<style>.x{display:none}</style><p>Hi {{ first }}<p class=x>hidden"
        )
        message = rendered(made(templates={"html": "body.html"}), row(first="<Ann>"))
        assert self.parts(message) == ["multipart/alternative", "text/plain", "text/html"]
        text, html = read(message).iter_parts()
        assert text.get_content() == "Hi <Ann>\r\n"
        assert "Hi &lt;Ann&gt;" in html.get_content()

    @pytest.mark.parametrize("source", ["{{ note }}", "{{ row.note }}", "{{ row['note']|upper|lower }}"])
    def test_no_value_makes_code_by_its_blanks(self, source: str, made: Made, tmp_path: Path) -> None:
        (tmp_path / "body.md").write_text(f"x {source}\n\n    {{{{ note }}}}\n", "utf-8")
        renderer = made(templates={"markdown": "body.md"})
        html = renderer.parts(row(note="a\r\n\r\n\tb\n\n    c"))[1] or ""
        assert "<p>x a</p>\n<p>b</p>\n<p>c</p>\n<pre><code>a" in html

    def test_both_are_made_from_markdown(self, made: Made, tmp_path: Path) -> None:
        (tmp_path / "body.md").write_text("Hi **{{ first }}**!\n")
        renderer = made(templates={"markdown": "body.md"}, vars={"lang": "de"}, subject="A & B")
        text, html = renderer.parts(row(first="*Ann*"))
        assert text == "Hi *Ann*!\n"
        assert html is not None
        assert '<html lang="de">' in html
        assert "<title>A &amp; B</title>" in html
        assert "<strong>*Ann*</strong>" in html

    def test_a_sheet_that_a_value_names_is_read_for_each_row(self, made: Made, tmp_path: Path) -> None:
        (tmp_path / "Ann.css").write_text("p{color:red}")
        (tmp_path / "body.html").write_text("<p>\n<link rel=stylesheet href='{{ first }}.css'>")
        renderer = made(templates={"html": "body.html"})
        assert renderer.parts(row(first="Ann"))[1] == '<p style="color:red">\n'
        (only,) = refusal(lambda: renderer.parts(row(first="Ben")))
        assert "body.html: there is no file Ben.css in the campaign's folder" in only

    def test_mjml(self, made: Made, tmp_path: Path) -> None:
        pytest.importorskip("mrml")
        column = "<mj-section><mj-column><mj-text>Hi {{ first }}</mj-text></mj-column></mj-section>"
        (tmp_path / "body.mjml").write_text(f"<mjml><mj-body>{column}</mj-body></mjml>")
        text, html = made(templates={"mjml": "body.mjml"}).parts(row(first="<Ann>"))
        assert text == "Hi <Ann>\n"
        assert "Hi &lt;Ann&gt;" in (html or "")

    def test_mistakes_in_mjml_are_named_at_its_lines(self, made: Made, tmp_path: Path) -> None:
        column = "<mj-column>\n<mj-text>A</mj-text>\n<mj-text>{{ PRINTED }}</mj-text></mj-column>"
        page = f"<mjml><mj-body><mj-section>{column}</mj-section></mj-body></mjml>"
        (tmp_path / "body.mjml").write_text(page.replace("PRINTED", "frist"))
        (only,) = refusal(lambda: made(templates={"mjml": "body.mjml"}))
        assert only.startswith("body.mjml:3: 'frist' is not defined")
        (tmp_path / "body.mjml").write_text(page.replace("PRINTED", "1 / (first|int)"))
        (only,) = refusal(lambda: rendered(made(templates={"mjml": "body.mjml"})))
        assert only.startswith("body.mjml:3: first: 'Ann' is no number")
        (tmp_path / "body.mjml").write_text(page.replace("PRINTED", "first"))
        assert made(templates={"mjml": "body.mjml"}).shown["first"].line == 3

    def test_mjml_includes_are_read_inside_the_folder_only(self, made: Made, tmp_path: Path) -> None:
        (tmp_path / "out.mjml").write_text("<mj-text>A</mj-text>")
        (tmp_path / "sub").mkdir()
        (tmp_path / "sub/body.mjml").write_text(
            "<mjml><mj-body>\n<mj-include path='../out' /></mj-body></mjml>"
        )
        values = campaign(tmp_path / "sub", templates={"mjml": "body.mjml"})
        only = refusal(lambda: Renderer(values, tuple(CELLS), SECRETS))[0]
        assert only.startswith("sub/body.mjml:2: ../out.mjml lies outside the campaign's folder")

    def test_mjml_is_read_inside_the_folder_only(self, made: Made, tmp_path: Path) -> None:
        (tmp_path / "sub").mkdir()
        (tmp_path / "sub" / "list.csv").write_text("email\n")
        (tmp_path / "sub" / "body.txt").write_text("Hi")
        (tmp_path / "body.mjml").write_text("<mjml></mjml>")
        values = campaign(tmp_path / "sub", templates={"mjml": "../body.mjml"})
        (what,) = refusal(lambda: Renderer(values, tuple(CELLS), SECRETS))
        assert "templates.mjml: ../body.mjml lies outside the campaign's folder" in what

    def test_images_and_attachments(self, made: Made, tmp_path: Path) -> None:
        (tmp_path / "logo.png").write_bytes(b"\x89PNG")
        (tmp_path / "terms.pdf").write_bytes(b"%PDF-terms")
        (tmp_path / "body.html").write_text("<img src=logo.png>")
        renderer = made(templates={"html": "body.html", "text": "body.txt"}, attachments=["terms.pdf"])
        message = rendered(renderer)
        assert self.parts(message) == [
            "multipart/mixed", "multipart/alternative", "text/plain", "multipart/related", "text/html",
            "image/png", "application/pdf",
        ]  # fmt: skip

    @pytest.mark.parametrize(
        ("source", "line"),
        [
            (
                "Hi\n{{ frist }}",
                "body.txt:2: 'frist' is not defined; did you mean 'first'?; the list's columns",
            ),
            ("{{ first", "body.txt:1: template syntax: "),
            ("\n\n{{ first|uper }}", "body.txt:3: no filter is named 'uper'; did you mean 'upper'?"),
            ("{% include 'no.txt' %}", "body.txt:1: there is no file no.txt in the campaign's folder"),
        ],
        ids=range(4),
    )
    def test_errors_before_any_row(self, made: Made, tmp_path: Path, source: str, line: str) -> None:
        (tmp_path / "body.txt").write_text(source)
        (what,) = refusal(made)
        assert what.startswith(line)

    def test_errors_of_a_row_name_template_line_and_row(self, made: Made, tmp_path: Path) -> None:
        (tmp_path / "body.txt").write_text("Hi\n\n{{ 1 // (note|length) }}")
        (what,) = refusal(lambda: rendered(made()))
        assert what.startswith("body.txt:3: the template cannot do this: ")
        assert what.endswith("(row 3, line 4 of the list)")
        (tmp_path / "body.txt").write_text("\n{{ row[first ~ 1] }}")
        (what,) = refusal(lambda: rendered(made()))
        assert what.startswith("body.txt:2: ")
        assert "the list's columns are email, first, boss, file, note (row 3, line 4 of the list)" in what

    def test_everything_wrong_is_said_at_once(self, made: Made, tmp_path: Path) -> None:
        (tmp_path / "body.txt").write_text("{{ a }}")
        found = refusal(lambda: made(subject="{{ b }}", reply_to="{{ c }}", headers={"X-A": "{{ d }}"}))
        assert len(found) == 4


class TestLooking:
    """What is told of a message that stays where it was made is what it has."""

    @pytest.mark.parametrize(
        "values",
        [
            {},
            {"attachments": ["{{ file }}"]},
            {"attachments": ["terms.txt", {"path": "{{ file }}", "name": "{{ first }}.txt"}]},
            {"attachments": [{"each": "{{ [file, 'terms.txt'] }}", "path": "{{ item }}"}]},
            {"templates": {"html": "images.html"}, "attachments": ["terms.txt"]},
            {"cc": ["{{ boss }}"], "bcc": ["b@x.test", "ann@x.test"], "list_id": "<news.example.com>"},
            {"from": "{{ first }} <news@{{ note }}.example.com>", "reply_to": ["{{ boss }}", "a@x.test"]},
            {"unsubscribe": {"url": UNSUBSCRIBE_URL, "one_click": True, "secret_env": "S"}},
            {"calendar": "tea.ics"},
            {"calendar": "tea.ics", "attachments": ["terms.txt", "{{ file }}"]},
        ],
    )
    def test_its_size_and_its_addresses(self, made: Made, tmp_path: Path, values: dict[str, object]) -> None:
        (tmp_path / "a.pdf").write_bytes(b"%PDF" * 500)
        (tmp_path / "terms.txt").write_text("terms\n")
        (tmp_path / "dot.png").write_bytes(b"\x89PNG" * 99)
        (tmp_path / "images.html").write_text('<img src="dot.png"><style>p{color:red}</style><p>{{ first }}')
        (tmp_path / "tea.ics").write_text(INVITE)
        renderer = made(**values)
        rows = [row(file="a.pdf", boss="boss@x.test", note="x"), row(4, name="Jörg", first="Jörg", note="é")]
        for recipient, looked in renderer.look(rows):
            assert isinstance(looked, Looked)
            message = rendered(renderer, recipient)
            assert looked.size == message.size
            assert looked.addresses == len(message.envelope.recipients)
            assert looked.smtputf8 == message.envelope.smtputf8

    def test_what_is_wrong_with_it_is_the_same(self, made: Made, tmp_path: Path) -> None:
        renderer = made(
            attachments=["{{ file }}"], cc=["{{ boss }}", "c@x.test"], headers={"X-Note": "{{ note }}"}
        )
        rows = [row(boss="b@@x.test"), row(file="none.pdf"), row(note="a\nb"), row()]
        seen = [looked for _, looked in renderer.look(rows)]
        assert not isinstance(seen[-1], UserError)
        for recipient, error in zip(rows[:-1], seen[:-1], strict=True):
            assert isinstance(error, UserError)
            assert [str(one) for one in error.problems] == refusal(partial(rendered, renderer, recipient))

    def test_more_addresses_than_the_rate_lets_through(self, made: Made) -> None:
        ((_, error),) = made(cc=["c@x.test"], rate="1/minute").look([row()])
        assert isinstance(error, UserError)
        assert "goes to 2 addresses at once, more than the rate allows" in str(error)

    def test_a_file_that_changes_between_the_look_and_the_message(self, made: Made, tmp_path: Path) -> None:
        (tmp_path / "a.pdf").write_bytes(b"%PDF")
        renderer = made(attachments=["{{ file }}"])
        ((_, looked),) = renderer.look([row(file="a.pdf")])
        assert isinstance(looked, Looked)
        (tmp_path / "a.pdf").write_bytes(b"%PDF, and more")
        (said,) = refusal(lambda: rendered(renderer, row(file="a.pdf")))
        assert "a.pdf is gone, or has changed since the plan was made" in said
