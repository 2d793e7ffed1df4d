"""Header fields: what went in comes out, of every parser; and each rule of line and character holds."""

from __future__ import annotations

import base64
import re
import subprocess
import tempfile
from collections.abc import Callable, Iterable
from email import message_from_bytes, policy
from email.header import decode_header
from email.message import EmailMessage
from email.parser import Parser
from email.utils import collapse_rfc2231_value, formataddr, getaddresses, unquote
from itertools import accumulate
from pathlib import Path

import pytest
from hypothesis import Phase, example, given, settings
from hypothesis import strategies as st

from campaign.address import Mailbox, parse_address
from campaign.message import headers
from campaign.message.headers import HeaderError
from tests.need import need

GRAPHEMES = (
    "👨‍👩‍👧‍👦",  # joined by zero width joiners
    "👩🏽‍💻",
    "🇩🇪",
    "🏴\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f",  # a flag spelt with tags
    "e\u0301\u0323",
    "1\ufe0f\u20e3",
    "\u1112\u1161\u11ab",  # Hangul, taken apart
    "한\u11ab",
    "ก\u0e33",
    "ษิ",
    "ی\u200c",
    "ﾊ\uff9f",
)
_TRAPS = (
    " ",
    "  ",
    "=?utf-8?q?a?=",
    "=?",
    "?=",
    "=",
    "_",
    '"',
    "\\",
    "'",
    "%41",
    ",",
    ";",
    "<a@b.c>",
    "(c)",
    "@",
)
_PLAIN = st.characters(exclude_categories=["Cc", "Cs", "Zl", "Zp"])
TEXTS = st.one_of(
    st.text(_PLAIN, max_size=200),
    st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=300),
    st.lists(
        st.one_of(st.sampled_from((*_TRAPS, *GRAPHEMES)), st.text(_PLAIN, max_size=30)), max_size=30
    ).map("".join),
)
FIELDS = st.from_regex(r"X-[A-Za-z0-9-]{1,48}", fullmatch=True) | st.just("Subject")
_ATOM = st.text(st.sampled_from("abcXYZ019!#$%&'*+/=?^_`{|}~-"), min_size=1, max_size=20)
_LOCAL = st.one_of(
    st.lists(_ATOM, min_size=1, max_size=3).map(".".join).filter(lambda local: "=?" not in local),
    st.just('"Jane, Ann"'),
    st.just("x" * 64),
)
_DOMAIN = st.sampled_from(["example.com", "xn--kln-sna.example", ".".join(["label" * 10] * 3) + ".example"])
ADDRESSES = st.builds("{}@{}".format, _LOCAL, _DOMAIN)
NAMES = TEXTS.map(str.strip)  # as the renderer and `parse_mailbox` make them
BOXES = st.lists(st.builds(Mailbox, NAMES, ADDRESSES), min_size=1, max_size=6)
FORBIDDEN = [*map(chr, [*range(32), *range(127, 160), 0x2028, 0x2029, 0xD800, 0xDFFF])]

# A process for each batch: shrinking would start a thousand.
BATCH = settings(max_examples=5, phases=[Phase.generate])

_ENCODED_WORD = re.compile(r"=\?utf-8\?([bq])\?([!->@-~]*)\?=")


def unfolded(field: bytes) -> str:
    """The field's body, after the rules that hold for every field: RFC 5322 2.1.1, 2.2, 2.2.3."""
    assert field.endswith(b"\r\n")
    lines = field[:-2].decode().split("\r\n")
    assert not any("\r" in line or "\n" in line for line in lines)
    assert all(len(line.encode()) <= headers.LONGEST for line in lines)
    assert all(line[0] in " \t" and line.strip(" \t") for line in lines[1:])
    for line in lines:
        if "=?utf-8?" in line:
            assert len(line) <= 76, "RFC 2047 2"
    name, colon, body = "".join(lines).partition(":")
    assert colon == ":"
    assert re.fullmatch("[!-9;-~]+", name)
    return body[1:]


def strictly(field: bytes) -> str:
    """An unstructured field read by RFC 2047, each encoded word by itself."""
    body = unfolded(field)
    if "=?" not in body:
        return body
    decoded = []
    for word in body.split(" "):
        assert len(word) <= 75, "RFC 2047 2"
        match = _ENCODED_WORD.fullmatch(word)
        assert match, word
        octets = base64.b64decode(match[2], validate=True) if match[1] == "b" else _q(match[2])
        decoded.append(octets.decode())  # a split character would not decode
    return "".join(decoded)


def _q(word: str) -> bytes:
    return re.sub(rb"=([0-9A-F]{2})", lambda m: bytes([int(m[1], 16)]), word.replace("_", " ").encode())


def modern(field: bytes) -> EmailMessage:
    return Parser(EmailMessage, policy=policy.default).parsestr(field.decode() + "\r\n")


def legacy(value: str) -> str:
    """What the standard library's older half makes of a raw value."""
    parts = decode_header(value.replace("\r\n", ""))
    return "".join(p if isinstance(p, str) else p.decode(charset or "ascii") for p, charset in parts)


def mblaze(fields: Iterable[bytes], *options: str) -> list[str]:
    """One line of mblaze's output for each field, all from one process."""
    program = need("mblaze").with_name("mhdr")
    with tempfile.TemporaryDirectory() as folder:
        files = []
        for number, field in enumerate(fields):
            files.append(Path(folder, str(number)))
            files[-1].write_bytes(field + b"\r\n")
        run = subprocess.run([program, *options, *files], capture_output=True, check=False)
    return run.stdout.decode().split("\n")[:-1]


@given(FIELDS, TEXTS)
@example("Subject", "👨🏻‍👩🏻‍👧🏻‍👦🏻")
@example("X" * 50, "😀" * 20)
@example("Subject", "e" + "\u0301" * 100)
@example("Subject", "x" * 2000)
@example("Subject", "a " * 800)
def test_text_comes_out_as_it_went_in(name: str, value: str) -> None:
    field = headers.text(name, value)
    assert strictly(field) == value
    message = modern(field)
    assert message[name] == value
    assert not message.defects
    assert message.keys() == [name]
    assert legacy(message_from_bytes(field + b"\r\n")[name]) == value


@BATCH
@given(st.lists(TEXTS.map(lambda text: text.strip(" ") + "."), min_size=100, max_size=300))
def test_text_comes_out_of_mblaze(values: list[str]) -> None:
    fields = [headers.text("Subject", value) for value in values]
    for value, shown in zip(values, mblaze(fields, "-d", "-h", "subject"), strict=True):
        assert shown == value


def test_a_name_stands_alone_only_where_no_word_fits_behind_it() -> None:
    assert headers.text("X" * 76, "ü") == b"X" * 76 + b":\r\n =?utf-8?b?w7w=?=\r\n"
    assert headers.text("X" * 40, "ü" * 20).startswith(b"X" * 40 + b": =?utf-8?b?")
    assert headers.text("Subject", "x" * 900) == b"Subject: " + b"x" * 900 + b"\r\n"


@given(st.lists(st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1), min_size=1))
def test_ascii_is_folded_at_white_space_only(words: list[str]) -> None:
    value = " ".join(words).replace("=?", "=")
    lines = headers.text("Subject", value).split(b"\r\n")
    assert "".join(map(bytes.decode, lines)) == f"Subject: {value}"
    assert all(len(line) <= 76 or line.count(b" ") == 1 for line in lines)


@pytest.mark.parametrize("grapheme", GRAPHEMES)
@pytest.mark.parametrize("padding", ["a", "ж"])
def test_an_encoded_word_never_splits_a_grapheme(grapheme: str, padding: str) -> None:
    for before in range(70):
        value = padding * before + grapheme * 12
        words = [strictly(b"X: " + word + b"\r\n") for word in headers.text("X", value).split()[1:]]
        assert "".join(words) == value
        for end in accumulate(map(len, words)):
            assert end <= before or (end - before) % len(grapheme) == 0


@given(st.text(st.sampled_from("aжЖ漢😀 "), min_size=30))
@example("aaaaЖЖЖaЖaЖaЖ" + 11 * "漢" + "aaaaaa")  # no cut of the second word is without padding
def test_a_word_of_base64_is_padded_only_at_the_end(value: str) -> None:
    """GMime reads nothing behind the padding."""
    for field in (headers.text("Subject", value), headers.mailboxes("To", [Mailbox(value, "a@b.test")])):
        assert not re.search(rb"\?b\?[^?]*=\?=\s+=\?utf-8\?b", field)


def test_two_flags_are_two_graphemes() -> None:
    words = headers.text("Subject", "🇩🇪🇫🇷" * 10).split()[1:]
    assert all(len(strictly(b"X: " + word + b"\r\n")) % 2 == 0 for word in words)


@pytest.mark.parametrize("character", FORBIDDEN, ids=lambda character: f"U+{ord(character):04X}")
def test_what_could_end_a_line_is_refused_everywhere(character: str) -> None:
    calls: list[Callable[[str], object]] = [
        lambda value: headers.text("Subject", value),
        lambda value: headers.exact("List-ID", value),
        lambda value: headers.mailboxes("To", [Mailbox(value, "a@example.com")]),
        lambda value: headers.mailboxes("To", [Mailbox("", value)]),
        lambda value: headers.parameter("filename", value),
    ]
    for call in calls:
        for value in (character, f"a{character}b", f"ä{character}", f"{character}Bcc: x@example.com"):
            with pytest.raises(HeaderError, match=rf"U\+{ord(character):04X}"):
                call(value)


@given(st.sampled_from(["To", "Reply-To"]), BOXES)
@example("To", [Mailbox("ü", "x" * 64 + "@" + "y" * 180 + ".example"), Mailbox("", "a@example.com")])
@example("To", [Mailbox("w" * 72, "a@example.com"), Mailbox("w" * 71 + ",", "a@example.com")])
def test_mailboxes_come_out_as_they_went_in(name: str, boxes: list[Mailbox]) -> None:
    field = headers.mailboxes(name, boxes)
    unfolded(field)
    message = modern(field)
    # The standard library's newer half makes one blank of several, and one between encoded words.
    blanks = re.compile(r"\s+") if field.count(b"=?utf-8") < 2 else re.compile(".+")
    shown = message[name].addresses
    assert [(blanks.sub(" ", a.display_name), a.addr_spec) for a in shown] == [
        (blanks.sub(" ", box.name), box.address) for box in boxes
    ]
    assert not message[name].defects
    raw = message_from_bytes(field + b"\r\n")[name].replace("\r\n", "")
    assert [(legacy(n), a) for n, a in getaddresses([raw])] == [(box.name, box.address) for box in boxes]


@BATCH
@given(st.lists(st.builds(Mailbox, NAMES, ADDRESSES), min_size=50, max_size=200))
def test_mailboxes_come_out_of_mblaze(boxes: list[Mailbox]) -> None:
    fields = [headers.mailboxes("To", [box]) for box in boxes]
    for box, shown in zip(boxes, mblaze(fields, "-d", "-h", "to"), strict=True):
        quoted = '"' + re.sub(r'(["\\])', r"\\\1", box.name) + '"'
        shapes = [f"{name} <{box.address}>" for name in (box.name, quoted)]
        assert shown in (shapes if box.name else [box.address])


@given(
    st.text(_PLAIN, max_size=20),
    st.text(
        st.characters(min_codepoint=0x80, exclude_categories=["Cc", "Cs", "Zl", "Zp", "Zs"]),
        min_size=1,
        max_size=20,
    ),
)
def test_an_address_beyond_ascii_stays_raw(name: str, local: str) -> None:
    field = headers.mailboxes("To", [Mailbox(name, f"{local}@example.com")])
    assert f"{local}@example.com".encode() in field
    assert modern(field)["To"].addresses[0].addr_spec == f"{local}@example.com"


def test_a_display_name_is_quoted_only_where_it_must_be() -> None:
    field = headers.mailboxes(
        "To", [Mailbox(" Jane Doe ", "j@example.com"), Mailbox('J. "X" \\', "k@example.com")]
    )
    assert field == b'To: Jane Doe <j@example.com>, "J. \\"X\\" \\\\" <k@example.com>\r\n'
    assert headers.mailboxes("To", [Mailbox("  ", "j@example.com")]) == b"To: j@example.com\r\n"
    with pytest.raises(HeaderError, match="no address"):
        headers.mailboxes("Cc", [])


def test_urls_are_never_broken() -> None:
    url = f"<https://example.com/u?x==?y&{'z' * 300}>, <mailto:unsubscribe@example.com>"
    assert headers.exact("List-Unsubscribe", url) == f"List-Unsubscribe: {url}\r\n".encode()
    with pytest.raises(HeaderError, match="ASCII"):
        headers.exact("List-ID", "<käse.example.com>")
    assert headers.exact("X", "y" * 995)
    with pytest.raises(HeaderError, match="longer than 998"):
        headers.exact("X", "y" * 996)


@given(TEXTS)
@example("it's 100% [final] v1.0.pdf")
@example("x" * 62 + ".pdf")
@example("ж" * 1200)
def test_a_parameter_comes_out_as_it_went_in(value: str) -> None:
    field = f"Content-Disposition: attachment{headers.parameter('filename', value)}\r\n".encode()
    unfolded(field)
    assert max(map(len, field.split(b"\r\n"))) <= 76
    assert field.isascii()
    assert modern(field)["Content-Disposition"].params["filename"] == value
    if unquote(value) == value:  # which the library's older half does twice
        found = message_from_bytes(field + b"\r\n").get_param("filename", header="content-disposition")
        assert found is not None
        assert collapse_rfc2231_value(found) == value
    for piece in re.findall(rb"\*=(?:utf-8'')?([^;\r]*)", field):
        re.sub(rb"%([0-9A-F]{2})", lambda m: bytes([int(m[1], 16)]), piece).decode()


@given(TEXTS)
@example("Größe.pdf")
@example("ж" * 200)
@example("x" * 70 + ".pdf")
@example('a "b".pdf')
def test_the_name_in_words_is_the_name(value: str) -> None:
    words = headers.name_in_words(value)
    if f'filename="{value}"' in headers.parameter("filename", value):
        assert words == ""
        return
    field = f"Content-Type: application/pdf{words}\r\n".encode()
    start, _, quoted = unfolded(field).partition('; name="')
    assert (start, quoted[-1]) == ("application/pdf", '"')
    assert strictly(f"X: {quoted[:-1]}\r\n".replace("?= =?", "?=\r\n =?").encode()) == value
    assert modern(field)["Content-Type"].params["name"] == value


class TestWhereTheStandardLibraryIsWrong:
    """Each case fails in `email`; ours does not. A case that begins to pass there is no loss."""

    def test_a_long_list_unsubscribe_becomes_an_encoded_word(self) -> None:
        value = f"<https://example.com/u/{'x' * 90}>"
        message = EmailMessage(policy=policy.SMTP)
        message["List-Unsubscribe"] = value
        assert b"=?utf-8?" in message.as_bytes()
        assert headers.exact("List-Unsubscribe", value).count(b"\r\n") == 1

    def test_a_domain_becomes_an_encoded_word(self) -> None:
        message = EmailMessage(policy=policy.SMTP)
        message["To"] = "a@uni-köln.de"
        assert b"=?utf-8?" in message.as_bytes()
        field = headers.mailboxes("To", [Mailbox("", parse_address("a@uni-köln.de"))])
        assert field == b"To: a@xn--uni-kln-e1a.de\r\n"

    def test_what_looks_like_an_encoded_word_is_decoded(self) -> None:
        value = "=?utf-8?q?Bcc?= and =?utf-8?b?QmNj?="
        message = EmailMessage(policy=policy.SMTP)
        message["Subject"] = value
        assert message["Subject"] != value
        assert modern(headers.text("Subject", value))["Subject"] == value

    def test_formataddr_makes_words_too_long(self) -> None:
        name = "Große Straße " * 10
        assert max(map(len, formataddr((name, "a@example.com")).split())) > 75
        assert max(map(len, headers.mailboxes("To", [Mailbox(name, "a@example.com")]).split())) <= 75
