"""One row, one message: its envelope, its header and its parts, and nothing that a cell has slipped in."""

from __future__ import annotations

import hmac
from collections.abc import Callable
from datetime import UTC, datetime
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from hashlib import sha256
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from campaign.campaignfile.load import load
from campaign.campaignfile.models import CampaignFile
from campaign.errors import UserError
from campaign.message.render import Renderer
from campaign.message.tokens import Secrets
from campaign.model import Message, Recipient

DATE = datetime(2026, 3, 20, 7, 30, tzinfo=UTC)
SECRETS = Secrets(b"ledger's", b"unsubscribe's")
CELLS = {"email": "ann@x.test", "first": "Ann", "boss": "", "file": "", "note": ""}

Made = Callable[..., Renderer]


def row(number: int = 3, *, name: str = "", key: str = "", **cells: str) -> Recipient:
    every = {**CELLS, **cells}
    return Recipient(number, number + 1, key or every["email"], every["email"], name, every)


def campaign(folder: Path, **values: object) -> CampaignFile:
    for name, content in {
        "list.csv": "email\n",
        "body.txt": "Hi {{ first }}!\n",
        "body.html": "<p>Hi",
    }.items():
        if not (folder / name).exists():
            (folder / name).write_text(content)
    written = {
        "name": "spring",
        "recipients": "list.csv",
        "from": "Example News <news@example.com>",
        "subject": "News for {{ first }}",
        "templates": {"text": "body.txt"},
        "smtp": {"host": "localhost"},
        **values,
    }
    written = {key: value for key, value in written.items() if value is not None}
    (folder / "spring.yaml").write_text(yaml.safe_dump(written, sort_keys=False, allow_unicode=True))
    return load(folder / "spring.yaml")


@pytest.fixture
def made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Made:
    monkeypatch.chdir(tmp_path)

    def made(
        columns: tuple[str, ...] = tuple(CELLS), secrets: Secrets = SECRETS, **values: object
    ) -> Renderer:
        return Renderer(campaign(tmp_path, **values), columns, secrets)

    return made


def rendered(renderer: Renderer, recipient: Recipient | None = None, **more: str) -> Message:
    return renderer.render(recipient or row(), date=DATE, **more)


def octets(message: Message) -> bytes:
    return message.content


def read(message: Message) -> EmailMessage:
    found = message_from_bytes(octets(message), policy=default)
    assert isinstance(found, EmailMessage)
    return found


def fields(message: Message) -> list[str]:
    """The header's lines, unfolded."""
    head = octets(message).partition(b"\r\n\r\n")[0].decode()
    return head.replace("\r\n ", " ").split("\r\n")


def refusal(failing: Callable[[], object]) -> list[str]:
    with pytest.raises(UserError) as caught:
        failing()
    return [str(problem) for problem in caught.value.problems]


class TestHeader:
    def test_a_plain_message_is_exactly_this(self, made: Made) -> None:
        message = rendered(made(), row(name="Ann Lee"))
        assert message.message_id.endswith("@example.com>")
        assert octets(message).decode() == (
            "MIME-Version: 1.0\r\n"
            "From: Example News <news@example.com>\r\n"
            "To: Ann Lee <ann@x.test>\r\n"
            "Subject: News for Ann\r\n"
            "Date: Fri, 20 Mar 2026 07:30:00 +0000\r\n"
            f"Message-ID: {message.message_id}\r\n"
            "Content-Type: text/plain; charset=us-ascii\r\n"
            "Content-Transfer-Encoding: 7bit\r\n"
            "\r\n"
            "Hi Ann!\r\n"
        )

    def test_all_of_them_in_their_order(self, made: Made) -> None:
        message = rendered(
            made(
                cc=["boss@example.com"],
                bcc=["archive@example.com"],
                reply_to="Help <help@example.com>",
                list_id="Example News <news.example.com>",
                headers={"X-Campaign": "{{ campaign.name }}", "X-Blank": "{{ note }}"},
                unsubscribe={"mailto": "out@example.com", "url": "https://example.com/u", "one_click": True},
            )
        )
        assert [field.partition(":")[0] for field in fields(message)] == [
            "MIME-Version", "From", "To", "Cc", "Reply-To", "Subject", "Date", "Message-ID",
            "List-Unsubscribe", "List-Unsubscribe-Post", "List-ID", "X-Campaign",
            "Content-Type", "Content-Transfer-Encoding",
        ]  # fmt: skip
        assert {
            "Reply-To: Help <help@example.com>",
            "List-Unsubscribe: <https://example.com/u>, <mailto:out@example.com>",
            "List-Unsubscribe-Post: List-Unsubscribe=One-Click",
            "List-ID: Example News <news.example.com>",
            "X-Campaign: spring",
        } <= set(fields(message))

    def test_none_that_bulk_mail_needs_not(self, made: Made) -> None:
        # RFC 3834 5: Auto-Submitted marks answers and notices; a person has sent this.
        names = {field.partition(":")[0].lower() for field in fields(rendered(made()))}
        assert not names & {"auto-submitted", "precedence", "sender", "bcc", "feedback-id", "x-mailer"}

    @pytest.mark.parametrize(
        ("given", "field"),
        [
            ("news.example.com", "List-ID: <news.example.com>"),
            ('"News, weekly" <news.example.com>', 'List-ID: "News, weekly" <news.example.com>'),
            ("Käse <news.example.com>", "List-ID: =?utf-8?b?S8Okc2U=?= <news.example.com>"),
            ("{{ first }} <{{ first|lower }}.example.com>", "List-ID: Ann <ann.example.com>"),
        ],
    )
    def test_list_id(self, made: Made, given: str, field: str) -> None:
        assert field in fields(rendered(made(list_id=given)))

    def test_a_list_id_that_is_none(self, made: Made) -> None:
        (what,) = refusal(lambda: rendered(made(list_id="<{{ note }}>")))
        assert "list_id: '<>' has no identifier such as news.example.com (row 3, line 4 of the list)" in what

    def test_a_blank_subject_is_a_blank_field(self, made: Made) -> None:
        assert "Subject: " in fields(rendered(made(subject="{{ note }}")))

    def test_a_subject_from_a_file(self, made: Made, tmp_path: Path) -> None:
        (tmp_path / "subject.j2").write_text("\n{% if first %}For {{ first }} & you{% endif %}\n\n")
        renderer = made(subject=None, templates={"subject": "subject.j2", "text": "body.txt"})
        assert "Subject: For Ann & you" in fields(rendered(renderer))

    @pytest.mark.parametrize(
        "name", ["Zoë Müller", 'Smith, "Jo" \\ Jane', "=?utf-8?q?x?=", "漢字" * 5, "a@b, c"]
    )
    def test_names_are_read_as_they_are(self, made: Made, name: str) -> None:
        (address,) = read(rendered(made(), row(name=name)))["To"].addresses
        assert (address.display_name, address.addr_spec) == (name, "ann@x.test")


class TestIdentity:
    def test_the_message_id_is_the_same_in_every_run(self, made: Made) -> None:
        one, two = rendered(made()), made(subject="Other").render(row(9), date=datetime.now(UTC))
        assert one.message_id == two.message_id

    def test_another_key_campaign_or_ledger_has_another(self, made: Made) -> None:
        ids = {
            rendered(made()).message_id,
            rendered(made(), row(key="other")).message_id,
            rendered(made(name="autumn")).message_id,
            rendered(made(secrets=Secrets(b"other", b""))).message_id,
        }
        assert len(ids) == 4

    def test_it_stands_at_the_sender_s_domain(self, made: Made) -> None:
        message = rendered(made(**{"from": "news@{{ first|lower }}.KÖLN.example"}))
        assert message.message_id.endswith("@ann.xn--kln-sna.example>")

    def test_the_bounce_token_makes_verp(self, made: Made) -> None:
        renderer = made(envelope_from="bounces+{{ bounce.token }}@example.com")
        senders = [rendered(renderer, row(key=key)).envelope.sender for key in ("a", "b", "a")]
        assert senders[0] == senders[2] != senders[1]
        local = senders[0].partition("@")[0]
        assert len(local) == len("bounces+") + 20
        assert local.removeprefix("bounces+").isalnum()

    @pytest.mark.parametrize("given", ["out+{{ bounce.token }}", "{{ note }}", "a@x.test, b@x.test"])
    def test_an_envelope_from_that_is_none(self, made: Made, given: str) -> None:
        (what,) = refusal(lambda: rendered(made(envelope_from=given)))
        assert "envelope_from: " in what

    def test_the_null_path(self, made: Made) -> None:
        assert rendered(made(envelope_from="<>")).envelope.sender == ""


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


class TestUnsubscribe:
    URL = "https://example.com/u/{{ unsubscribe.token }}"

    def test_the_token_is_what_their_server_computes(self, made: Made) -> None:
        token = hmac.new(b"unsubscribe's", b"ann@x.test", sha256).hexdigest()
        renderer = made(unsubscribe={"url": self.URL, "secret_env": "S", "one_click": True})
        found = fields(rendered(renderer, row(key="another", name="Ann")))
        assert f"List-Unsubscribe: <https://example.com/u/{token}>" in found
        assert "List-Unsubscribe-Post: List-Unsubscribe=One-Click" in found

    def test_the_templates_see_the_same(self, made: Made, tmp_path: Path) -> None:
        (tmp_path / "body.txt").write_text("{{ unsubscribe.url }} {{ unsubscribe.mailto }}\n")
        renderer = made(unsubscribe={"url": self.URL, "mailto": "out@example.com", "secret_env": "S"})
        token = hmac.new(b"unsubscribe's", b"ann@x.test", sha256).hexdigest()
        text, _ = renderer.parts(row())
        assert text == f"https://example.com/u/{token} out@example.com\n"

    def test_a_long_address_stays_on_one_line(self, made: Made) -> None:
        url = "https://example.com/u/" + "a" * 600
        assert b"List-Unsubscribe: <" + url.encode() + b">\r\n" in octets(
            rendered(made(unsubscribe={"url": url}))
        )

    @pytest.mark.parametrize(
        ("mailto", "link"),
        [
            ("out+spring@example.com", "out+spring@example.com"),
            ("out@KÖLN.example", "out@xn--kln-sna.example"),
            ("jürgen%1@example.com", "j%C3%BCrgen%251@example.com"),
        ],
    )
    def test_mailto_alone(self, made: Made, mailto: str, link: str) -> None:
        found = fields(rendered(made(unsubscribe={"mailto": mailto})))
        assert f"List-Unsubscribe: <mailto:{link}>" in found
        assert not any(field.startswith("List-Unsubscribe-Post") for field in found)

    def test_mailto_is_an_address(self, made: Made) -> None:
        (what,) = refusal(lambda: made(unsubscribe={"mailto": "out+{{ first }}@example.com"}))
        assert "unsubscribe.mailto: " in what

    def test_a_page_that_is_blank_for_a_row(self, made: Made) -> None:
        (what,) = refusal(lambda: rendered(made(unsubscribe={"url": "{{ note }}"})))
        assert "unsubscribe.url: is blank, and there is no mailto (row 3, line 4 of the list)" in what
        found = fields(rendered(made(unsubscribe={"url": "{{ note }}", "mailto": "out@example.com"})))
        assert "List-Unsubscribe: <mailto:out@example.com>" in found

    @pytest.mark.parametrize("cell", ["a b", "a>", "a\r\nBcc: x@x.test", "ü", 'a"', "a\\b"])
    def test_a_page_with_what_belongs_into_none(self, made: Made, cell: str) -> None:
        (what,) = refusal(
            lambda: rendered(made(unsubscribe={"url": "https://x.test/{{ note }}"}), row(note=cell))
        )
        assert "is not a web address; percent-encode values with |urlencode (row 3, line 4" in what
        encoded = made(unsubscribe={"url": "https://x.test/{{ note|urlencode }}"})
        assert b"\r\nList-Unsubscribe: <https://x.test/a" in octets(rendered(encoded, row(note="a\r\nb")))

    def test_a_token_in_a_body_needs_a_secret(self, made: Made, tmp_path: Path) -> None:
        (tmp_path / "body.txt").write_text("{{ unsubscribe.token }}")
        (what,) = refusal(lambda: made(unsubscribe={"url": "https://x.test/"}))
        assert "unsubscribe: a template shows unsubscribe.token, which needs a secret" in what

    def test_without_it_templates_have_no_such_name(self, made: Made, tmp_path: Path) -> None:
        (tmp_path / "body.txt").write_text("\n{{ unsubscribe.url }}")
        (what,) = refusal(lambda: made())
        assert what.startswith("body.txt:2: 'unsubscribe' is not defined")


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
            unsubscribe={"url": TestUnsubscribe.URL, "secret_env": "S"},
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

    def test_both_are_made_from_markdown(self, made: Made, tmp_path: Path) -> None:
        (tmp_path / "body.md").write_text("Hi **{{ first }}**!\n")
        renderer = made(templates={"markdown": "body.md"}, vars={"lang": "de"}, subject="A & B")
        text, html = renderer.parts(row(first="*Ann*"))
        assert text == "Hi *Ann*!\n"
        assert html is not None
        assert '<html lang="de">' in html
        assert "<title>A &amp; B</title>" in html
        assert "<strong>*Ann*</strong>" in html

    def test_mjml(self, made: Made, tmp_path: Path) -> None:
        pytest.importorskip("mrml")
        column = "<mj-section><mj-column><mj-text>Hi {{ first }}</mj-text></mj-column></mj-section>"
        (tmp_path / "body.mjml").write_text(f"<mjml><mj-body>{column}</mj-body></mjml>")
        text, html = made(templates={"mjml": "body.mjml"}).parts(row(first="<Ann>"))
        assert text == "Hi <Ann>\n"
        assert "Hi &lt;Ann&gt;" in (html or "")

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
        (tmp_path / "body.txt").write_text("Hi\n\n{{ 1 // (note|int) }}")
        (what,) = refusal(lambda: rendered(made()))
        assert what.startswith("body.txt:3: the template cannot do this: ")
        assert what.endswith("(row 3, line 4 of the list)")
        (tmp_path / "body.txt").write_text("\n{{ row[first] }}")
        (what,) = refusal(lambda: rendered(made()))
        assert what.startswith("body.txt:2: ")
        assert "the list's columns are email, first, boss, file, note (row 3, line 4 of the list)" in what

    def test_everything_wrong_is_said_at_once(self, made: Made, tmp_path: Path) -> None:
        (tmp_path / "body.txt").write_text("{{ a }}")
        found = refusal(lambda: made(subject="{{ b }}", reply_to="{{ c }}", headers={"X-A": "{{ d }}"}))
        assert len(found) == 4


class TestAttachments:
    @pytest.fixture(autouse=True)
    def _files(self, tmp_path: Path) -> None:
        (tmp_path / "files").mkdir()
        (tmp_path / "files" / "7.pdf").write_bytes(b"%PDF-7")
        (tmp_path / "terms.pdf").write_bytes(b"%PDF-terms")

    def files(self, message: Message) -> dict[str | None, bytes]:
        return {
            part.get_filename(): part.get_payload(decode=True) or b""  # type: ignore[misc]
            for part in read(message).iter_attachments()
        }

    def test_static_and_per_row_with_names(self, made: Made) -> None:
        renderer = made(
            attachments=[
                "terms.pdf",
                {"path": "files/{{ file }}.pdf", "name": "Größe {{ file }}/{{ first }}.pdf"},
            ]
        )
        assert self.files(rendered(renderer, row(file="7"))) == {
            "terms.pdf": b"%PDF-terms",
            "Größe 7_Ann.pdf": b"%PDF-7",
        }

    def test_a_blank_path_is_no_attachment(self, made: Made) -> None:
        renderer = made(attachments=["{% if file %}files/{{ file }}.pdf{% endif %}"])
        assert self.files(rendered(renderer, row(file="7"))) == {"7.pdf": b"%PDF-7"}
        assert self.files(rendered(renderer)) == {}

    @pytest.mark.parametrize(
        ("cell", "what"),
        [
            ("../../etc/passwd", "lies outside of attachments_root (.)"),
            ("/etc/passwd", "lies outside of attachments_root (.)"),
            ("list.csv", "is not for recipients: it is the list, the ledger, or a secret"),
            ("spring.yaml", "is not for recipients: it is the list, the ledger, or a secret"),
            ("link.pdf", "lies outside of attachments_root (.)"),
            ("no.pdf", "there is no file 'no.pdf' in ."),
            ("a\0b", "a path has a NUL character in it"),
            ("files/7.pdf\r\nBcc: x@x.test", "there is no file"),
            (".env", "is hidden"),
        ],
        ids=range(9),
    )
    def test_hostile_paths(self, made: Made, tmp_path: Path, cell: str, what: str) -> None:
        (tmp_path / "link.pdf").symlink_to("/etc/hostname")
        (tmp_path / ".env").write_text("SMTP_PASSWORD=x")
        (said,) = refusal(lambda: rendered(made(attachments=["{{ file }}"]), row(file=cell)))
        assert "attachments, entry 1: " in said
        assert what in said
        assert said.endswith("; look at the column file (row 3, line 4 of the list)")

    def test_a_hostile_name(self, made: Made) -> None:
        renderer = made(attachments=[{"path": "terms.pdf", "name": "{{ note }}"}])
        (said,) = refusal(lambda: rendered(renderer, row(note="a\r\nX-Evil: 1")))
        assert "attachments, entry 1: filename holds a line break" in said
        assert "look at the column note" in said
        assert self.files(rendered(renderer, row(note='../a "b".pdf'))) == {'.._a "b".pdf': b"%PDF-terms"}


HOSTILE = ["a\r\nBcc: evil@x.test", "a\nb", "a\rb", "a\x85b", "a\u2028b", "a\u2029b", "a\0b", "\r\n\r\nbody"]
SOURCES: dict[str, dict[str, object]] = {
    "subject": {"subject": "x{{ note }}x"},
    "from": {"from": "x{{ note }}x <news@example.com>"},
    "reply_to": {"reply_to": "x{{ note }} <help@example.com>"},
    "cc, entry 1": {"cc": ["x{{ note }} <c@example.com>"]},
    "headers.X-A": {"headers": {"X-A": "x{{ note }}x"}},
    "list_id": {"list_id": "x{{ note }}x <a.example.com>"},
    "envelope_from": {"envelope_from": "x{{ note }}x@example.com"},
    "bcc, entry 1": {"bcc": ["x{{ note }}x@example.com"]},
}


class TestHostileCells:
    @pytest.mark.parametrize("cell", HOSTILE)
    @pytest.mark.parametrize("source", SOURCES)
    def test_no_cell_makes_a_header(self, made: Made, source: str, cell: str) -> None:
        (said,) = refusal(lambda: rendered(made(**SOURCES[source]), row(note=cell)))
        assert said.startswith("spring.yaml:")
        assert f"{source}: " in said
        assert "; look at the column note (row 3, line 4 of the list)" in said
        assert "\n" not in said
        assert "\r" not in said

    @pytest.mark.parametrize("cell", HOSTILE)
    def test_nor_does_a_name(self, made: Made, cell: str) -> None:
        (said,) = refusal(lambda: rendered(made(), row(name=f"Ann {cell} Lee", note=cell, boss="b\nc")))
        assert "recipients.name: To holds a " in said
        assert "; look at the column note (row 3, line 4 of the list)" in said

    @given(cell=st.text(max_size=20), source=st.sampled_from(sorted(SOURCES)))
    def test_whatever_it_holds(
        self, tmp_path_factory: pytest.TempPathFactory, cell: str, source: str
    ) -> None:
        folder = tmp_path_factory.mktemp("campaign")
        renderer = Renderer(campaign(folder, **SOURCES[source]), tuple(CELLS), SECRETS)
        plain = [field.partition(":")[0] for field in fields(rendered(renderer, row(note="y")))]
        try:
            message = rendered(renderer, row(note=cell))
        except UserError:
            return
        assert [field.partition(":")[0] for field in fields(message)] == plain
        assert octets(message).count(b"\n") == octets(message).count(b"\r\n")

    def test_what_looks_encoded_stays_what_it_is(self, made: Made) -> None:
        cell = "=?utf-8?b?QmNjOiBldmlsQHgudGVzdA==?="
        message = rendered(
            made(subject="{{ note }}", headers={"X-A": "{{ note }}"}), row(note=cell, name=cell)
        )
        assert read(message)["Subject"] == cell
        assert read(message)["X-A"] == cell
        assert read(message)["To"].addresses[0].display_name == cell
        assert cell.encode() not in octets(message)

    def test_two_addresses_in_a_cell_are_no_copy(self, made: Made) -> None:
        (said,) = refusal(lambda: rendered(made(cc=["{{ boss }}"]), row(boss="a@x.test, b@x.test")))
        assert "cc, entry 1: 'a@x.test, b@x.test' holds two addresses" in said
        assert "look at the column boss" in said


class TestDigest:
    @pytest.fixture
    def digest(self, made: Made, tmp_path: Path) -> Callable[..., str]:
        (tmp_path / "logo.png").write_bytes(b"logo")
        (tmp_path / "terms.pdf").write_bytes(b"terms")
        (tmp_path / "part.html").write_text("part")
        (tmp_path / "body.html").write_text("<img src=logo.png>{% include 'part.html' %}")

        def digest(**values: object) -> str:
            given = {"templates": {"html": "body.html"}, "attachments": ["terms.pdf"], **values}
            return made(**given).digest

        return digest

    @pytest.mark.parametrize(
        "values",
        [
            {"smtp": {"host": "smtp.example.com", "connections": 3}},
            {"rate": "1/second"},
            {"retry": {"attempts": 2}},
            {"ledger": "other.db"},
            {"stop_when": {"refused": "50%"}},
            {"suppress": "off"},
        ],
    )
    def test_it_is_the_same_for_the_way(self, digest: Callable[..., str], values: dict[str, object]) -> None:
        assert digest(**values) == digest()

    @pytest.mark.parametrize(
        "values",
        [
            {"subject": "Other"},
            {"from": "Other <news@example.com>"},
            {"reply_to": "help@example.com"},
            {"cc": ["c@example.com"]},
            {"vars": {"a": {1: 2, "b": [3]}}},
            {"headers": {"X-A": "1"}},
            {"list_id": "a.example.com"},
            {"inline_css": False},
            {"attachments": []},
            {"attachments": [{"path": "terms.pdf", "name": "t.pdf"}]},
            {"unsubscribe": {"mailto": "out@example.com"}},
            {"templates": {"html": "body.html", "text": "body.txt"}},
            {"recipients": {"csv": "list.csv", "name": "{{ first }}"}},
        ],
        ids=lambda values: next(iter(values)),
    )
    def test_it_is_another_for_the_content(
        self, digest: Callable[..., str], tmp_path: Path, values: dict[str, object]
    ) -> None:
        (tmp_path / "list.csv").write_text("email,first\n")
        assert digest(**values) != digest()
        assert digest(**values) == digest(**values)

    @pytest.mark.parametrize("file", ["logo.png", "terms.pdf", "part.html", "body.html"])
    def test_it_is_another_for_a_file_s_content(
        self, digest: Callable[..., str], tmp_path: Path, file: str
    ) -> None:
        before = digest()
        with (tmp_path / file).open("a") as opened:
            opened.write("more")
        assert digest() != before
