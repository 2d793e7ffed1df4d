"""The header fields of one message, and nothing that a cell has slipped into them."""

from __future__ import annotations

import hmac
from hashlib import sha256
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from campaign.errors import UserError
from campaign.message.render import Renderer
from tests.message.rendering import (
    CELLS,
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


class TestUnsubscribe:
    def test_the_token_is_what_their_server_computes(self, made: Made) -> None:
        token = hmac.new(b"unsubscribe's", b"ann@x.test", sha256).hexdigest()
        renderer = made(unsubscribe={"url": UNSUBSCRIBE_URL, "secret_env": "S", "one_click": True})
        found = fields(rendered(renderer, row(key="another", name="Ann")))
        assert f"List-Unsubscribe: <https://example.com/u/{token}>" in found
        assert "List-Unsubscribe-Post: List-Unsubscribe=One-Click" in found

    def test_the_templates_see_the_same(self, made: Made, tmp_path: Path) -> None:
        (tmp_path / "body.txt").write_text("{{ unsubscribe.url }} {{ unsubscribe.mailto }}\n")
        renderer = made(unsubscribe={"url": UNSUBSCRIBE_URL, "mailto": "out@example.com", "secret_env": "S"})
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

    def test_mailto_may_hold_the_row_s_token(self, made: Made, tmp_path: Path) -> None:
        (tmp_path / "body.txt").write_text("{{ unsubscribe.mailto }}\n")
        renderer = made(unsubscribe={"mailto": "leave+{{ bounce.token }}@example.com"})
        message = rendered(renderer)
        assert len(message.bounce_token) == 20
        link = f"leave+{message.bounce_token}@example.com"
        assert f"List-Unsubscribe: <mailto:{link}>" in fields(message)
        assert octets(message).endswith(f"{link}\r\n".encode())
        # A test message takes nobody off the list.
        assert message.bounce_token.encode() not in octets(rendered(renderer, test_to="me@example.com"))

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
        assert what == "body.txt:2: 'unsubscribe' is not defined; the campaign file has no `unsubscribe:`"


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
