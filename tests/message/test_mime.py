"""Messages: parts come out as they went in, of every parser; and each rule of line and character holds."""

from __future__ import annotations

import base64
import binascii
import mimetypes
import quopri
import re
import subprocess
import warnings
from email import message_from_bytes, policy
from email.header import decode_header, make_header
from email.message import EmailMessage, Message
from pathlib import Path

import pytest
from hypothesis import Phase, example, given, settings
from hypothesis import strategies as st

from campaign.delivery import COMMAND_LINE
from campaign.message import headers, mime, transfer
from campaign.message.headers import HeaderError
from campaign.message.mime import File, Skeleton
from campaign.smtp import commands
from tests.need import need

BOUNDARY = "b0undary"
FROM = b"From: news@example.com\r\n"
SUBJECT = b"Subject: hello\r\n"
_TRAPS = [".", "..", "\n", "\r\n", "\r", " \n", "\t\n", "=", "From ", "--=_b0undary", "--=_b0undary_a--"]
_TRAPS += ["\0", "\x0b", "\x0c", "\x85", "\u2028", "ü", "ж" * 20, "😀", "x" * 75, "x" * 76, "x" * 998]
TEXTS = st.one_of(
    st.text(max_size=200),
    st.text(st.sampled_from("ab \t.=\r\n"), max_size=300),
    st.lists(st.sampled_from(_TRAPS), max_size=20).map("".join),
)
_NAMED = st.characters(exclude_categories=["Cc", "Cs", "Zl", "Zp"], exclude_characters='/<>"')
NAMES = st.text(_NAMED, min_size=1, max_size=60).filter(
    # mblaze takes digits for a part's number; the standard library strips a name.
    lambda name: name == name.strip() and not name.isdigit()
)
_UTF8 = st.text(max_size=300).map(lambda text: text.encode("utf-8", "replace"))
CONTENTS = st.binary(max_size=300) | _UTF8
FILES = st.lists(st.tuples(NAMES, CONTENTS), max_size=3)


def plain(text: str | None) -> bytes | None:
    """A text as a part."""
    return None if text is None else mime.text_part("plain", text, mime.mark_of(BOUNDARY))


def page(html: str | None) -> bytes | None:
    """A page as a part."""
    return None if html is None else mime.text_part("html", html, mime.mark_of(BOUNDARY))


def normal(text: str) -> bytes:
    """A text as it must arrive: RFC 2045 2.1's line ends, and one at its end."""
    text = re.sub("\r\n|\r", "\n", text)
    text = text if text.endswith("\n") else text + "\n"
    return text.replace("\n", "\r\n").encode("utf-8", "replace")


def checked(octets: bytes) -> bytes:
    """The rules that hold for every message: RFC 5322 2.1.1, 2.3; RFC 2045 2.7."""
    assert octets.endswith(b"\r\n")
    lines = octets.split(b"\r\n")
    assert not any(b"\r" in line or b"\n" in line or b"\0" in line for line in lines)
    assert max(map(len, lines)) <= headers.LONGEST
    assert octets.isascii()
    return octets


def leaves(message: Message) -> list[Message]:
    found = [message] if not message.is_multipart() else []
    for part in message.get_payload() if message.is_multipart() else []:
        assert isinstance(part, Message)
        found += leaves(part)
    assert not message.defects
    return found


def payload(part: Message) -> bytes:
    octets = part.get_payload(decode=True)
    assert isinstance(octets, bytes)
    return octets


@given(TEXTS)
@example("")
@example("x" * 75 + " ")
@example("x" * 74 + "\t\ny")
@example("ü" + "x" * 73 + " \n.")
@example("é" * 25 + " ")
def test_a_text_comes_out_as_it_went_in(text: str) -> None:
    encoding, octets = transfer.encode_text(text)
    checked(octets)
    lines = octets.split(b"\r\n")
    if encoding == "7bit":
        assert max(map(len, lines)) <= 78
        assert octets == normal(text)
        assert b"--=_" not in octets
        return
    assert max(map(len, lines)) <= 76
    assert b"=_" not in octets, "a delimiter could stand in it"
    if encoding == "base64":
        assert base64.b64decode(octets) == normal(text)
        return
    assert encoding == "quoted-printable"
    assert re.fullmatch(rb"(?:[\t -<>-~]|=[0-9A-F]{2}|=?\r\n)*", octets)
    assert b" \r\n" not in octets
    assert b"\t\r\n" not in octets
    assert quopri.decodestring(octets) == normal(text)


_VERBS = st.sampled_from(
    ["MAIL FROM:<x>", "mail", "DATA", "Send ", "Quit", "starttls", "xclient ", "Mailing", " RCPT", "\t "]
)


@given(st.lists(st.one_of(_VERBS, st.text(max_size=90), st.just("\n")), max_size=12).map("".join))
@example("Mail " + "x" * 70)
@example("MAIL" + " x" * 36)
@example("w" * 75 + "Data is soft-broken here")
@example("DATA")
@example("  MAIL FROM:<x>")
@example(" " * 40 + "\t Data " + "x" * 29)
def test_no_line_of_a_text_in_a_window_reads_like_a_command(text: str) -> None:
    encoding, octets = transfer.encode_text(text, hide_commands=True)
    checked(octets)
    if encoding == "base64":
        assert base64.b64decode(octets) == normal(text)
        return
    assert COMMAND_LINE.search(b"\n" + octets) is None
    if encoding == "7bit":
        assert octets == normal(text)
        return
    assert max(map(len, octets.split(b"\r\n"))) <= 76
    assert quopri.decodestring(octets) == normal(text)


def test_only_the_first_letter_of_a_command_is_encoded() -> None:
    kind, octets = transfer.encode_text("Dear Ada,\nmail me.\nMailing lists\n", hide_commands=True)
    assert (kind, octets) == ("quoted-printable", b"Dear Ada,\r\n=6Dail me.\r\nMailing lists\r\n")


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        ("plain\n.\n..\n", "7bit"),
        ("x" * 78, "7bit"),
        ("x" * 79, "quoted-printable"),
        ("Grüße aus Köln, und vieles, vieles mehr", "quoted-printable"),
        ("Привет", "base64"),
        ("the bell\a rings", "quoted-printable"),
        ("\0" * 20, "base64"),
        ("en – and – another – dash, and quite some plain text", "quoted-printable"),
        ("half \ud83d", "7bit"),
        ("see --=_b0undary", "quoted-printable"),
    ],
)
def test_the_encoding_is_chosen_by_content(text: str, encoding: str) -> None:
    assert transfer.encode_text(text, b"--=_b0undary")[0] == encoding


def test_only_short_lines_are_remembered() -> None:
    before = transfer._cached_line.cache_info().currsize
    assert len(transfer.quoted_printable(b"=" * 100_000)) > 300_000
    assert transfer._cached_line.cache_info().currsize == before


@given(st.none() | TEXTS, st.none() | TEXTS, FILES, FILES, FILES)
def test_a_message_comes_out_as_it_went_in(
    text: str | None,
    html: str | None,
    static: list[tuple[str, bytes]],
    own: list[tuple[str, bytes]],
    images: list[tuple[str, bytes]],
) -> None:
    if text is None and html is None:
        html = ""
    skeleton = Skeleton([mime.attachment(*file) for file in static], BOUNDARY)
    shown = [mime.image(name, content, f"{number}@x") for number, (name, content) in enumerate(images)]
    chunks = skeleton.assemble(
        [FROM, SUBJECT], plain(text), page(html), shown, [mime.attachment(*file) for file in own]
    )
    octets = checked(b"".join(chunks))
    # What parsers see, in their order: the text, the HTML and its images, the attachments.
    bodies = [("text/plain", text)] if text is not None else []
    bodies += [("text/html", html)] if html is not None else []
    files = (images if html is not None else []) + static + own
    for parser_policy in (policy.default, policy.compat32):
        message = message_from_bytes(octets, policy=parser_policy)
        assert message.keys()[:3] == ["MIME-Version", "From", "Subject"]
        parts = leaves(message)
        assert [(part.get_content_type(), payload(part)) for part in parts[: len(bodies)]] == [
            (kind, normal(body)) for kind, body in bodies
        ]
        assert [(part.get_filename(), payload(part)) for part in parts[len(bodies) :]] == files
        for number, part in enumerate(parts[len(bodies) :][: len(images) if html is not None else 0]):
            assert part["Content-ID"] == f"<{number}@x>"
            assert part.get_content_disposition() == "inline"


def test_the_whole_shape() -> None:
    skeleton = Skeleton([mime.attachment("a.pdf", b"%PDF")], BOUNDARY)
    chunks = skeleton.assemble(
        [FROM, SUBJECT], plain("t"), page("<p>h"), [mime.image("l.png", b"\x89PNG", "logo@x")]
    )
    message = message_from_bytes(b"".join(chunks), policy=policy.default)
    assert [part.get_content_type() for part in message.walk()] == [
        "multipart/mixed",
        "multipart/alternative",
        "text/plain",
        "multipart/related",
        "text/html",
        "image/png",
        "application/pdf",
    ]
    # RFC 2387 3.1; a slash wants quotes, RFC 2045 5.1.
    assert b'multipart/related; type="text/html";\r\n' in b"".join(chunks)


@settings(max_examples=3, phases=[Phase.generate])
@given(st.lists(CONTENTS, min_size=30, max_size=60), st.lists(NAMES, min_size=30, max_size=60), TEXTS, TEXTS)
def test_a_message_comes_out_of_mblaze(
    tmp_path_factory: pytest.TempPathFactory, contents: list[bytes], names: list[str], text: str, html: str
) -> None:
    program = need("mblaze")
    folder = tmp_path_factory.mktemp("mblaze")
    files = [mime.attachment(f"{number}.bin", content) for number, content in enumerate(contents)]
    named = [mime.attachment(name, b"x") for name in names]
    octets = b"".join(Skeleton(files, BOUNDARY).assemble([FROM, SUBJECT], plain(text), page(html), (), named))
    (folder / "m.eml").write_bytes(octets)

    def mshow(*arguments: str) -> bytes:
        return subprocess.run([program, *arguments], cwd=folder, capture_output=True, check=True).stdout

    assert mshow("-O", "./m.eml", "3").replace(b"\r\n", b"\n") == normal(text).replace(b"\r\n", b"\n")
    assert mshow("-O", "./m.eml", "4").replace(b"\r\n", b"\n") == normal(html).replace(b"\r\n", b"\n")
    listed = re.findall(r' name="(.*)"$', mshow("-t", "./m.eml").decode(), re.MULTILINE)
    assert listed == [f"{number}.bin" for number in range(len(files))] + names
    mshow("-x", "./m.eml", "*.bin")
    assert [(folder / f"{number}.bin").read_bytes() for number in range(len(files))] == contents


@pytest.mark.parametrize("name", ["Größe 7.pdf", "отчёт за март и апрель, исправленный.pdf", "报告.pdf"])
def test_a_program_that_knows_no_filename_reads_the_name_of_the_content_type(
    tmp_path: Path, name: str
) -> None:
    octets = mime.attachment(name, b"%PDF").octets
    old, found = re.subn(rb"Content-Disposition: attachment(;\r\n [^\r]*)*\r\n", b"", octets)
    assert found
    assert message_from_bytes(old, policy=policy.default).get_filename() == name
    program = need("mblaze")
    for file, part in (("old.eml", old), ("new.eml", octets)):
        (tmp_path / file).write_bytes(b"MIME-Version: 1.0\r\n" + part)
        shown = subprocess.run([program, "-t", f"./{file}"], cwd=tmp_path, capture_output=True, check=True)
        named = re.search(r' name="(.*)"', shown.stdout.decode(), re.DOTALL)
        assert named is not None
        # mblaze keeps to RFC 2047 5 (3), and shows the words as they are.
        assert str(make_header(decode_header(named[1]))) == name


def test_an_ascii_name_stands_once() -> None:
    head = mime.attachment("terms.pdf", b"%PDF").octets
    assert head.count(b"name=") == 1
    assert b'\r\n filename="terms.pdf"\r\n' in head


@given(TEXTS, TEXTS)
def test_a_dot_at_the_start_of_a_line_survives(text: str, html: str) -> None:
    octets = b"".join(
        Skeleton([], BOUNDARY).assemble([FROM, SUBJECT], plain(f".{text}"), page(f".\n..{html}"))
    )
    sent = commands.body((octets,))
    assert sent.count(b"\r\n.\r\n") == 1
    received = sent.removesuffix(b".\r\n").replace(b"\r\n.", b"\r\n")  # RFC 5321 4.5.2
    assert received == octets


ORIGINAL = b"From: a@example.com\r\nSubject: hi\r\n\r\nHello,\r\n.\r\n----=_NextPart_1\r\nbye\r\n"


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (ORIGINAL, ORIGINAL),
        (ORIGINAL.replace(b"\r\n", b"\n"), ORIGINAL),
        (ORIGINAL.removesuffix(b"\r\n"), ORIGINAL.removesuffix(b"\r\n")),
    ],
)
def test_a_7bit_message_is_attached_as_it_is(content: bytes, expected: bytes) -> None:
    octets = mime.attachment("Fwd.EML", content).octets
    head, _, body = octets.partition(b"\r\n\r\n")
    assert b"Content-Type: message/rfc822\r\nContent-Transfer-Encoding: 7bit\r\n" in head
    assert body == expected
    chunks = Skeleton([File(octets)], BOUNDARY).assemble([FROM, SUBJECT], plain("t"), None)
    part = message_from_bytes(b"".join(chunks)).get_payload(1)
    assert isinstance(part, Message)
    inner = part.get_payload(0)
    assert isinstance(inner, Message)
    assert inner.keys() == ["From", "Subject"]
    assert f"{inner.get_payload()}".encode() == expected.partition(b"\r\n\r\n")[2]


@pytest.mark.parametrize(
    "content",
    [
        ORIGINAL.replace(b"Hello", "Grüße".encode()),
        ORIGINAL + b"\0",
        ORIGINAL + b"a\rb",
        ORIGINAL + b"x" * 999,
        ORIGINAL + b"--=_b0undary_m--\r\n",
        b"\r\nno header",
        b"",
    ],
)
def test_any_other_message_is_octets(content: bytes) -> None:
    octets = mime.attachment("Fwd.eml", content).octets
    assert b"Content-Type: application/octet-stream\r\nContent-Transfer-Encoding: base64\r\n" in octets
    assert payload(message_from_bytes(octets)) == content


@pytest.mark.parametrize(
    ("name", "content", "content_type"),
    [
        ("a.PDF", b"", "application/pdf"),
        ("report.docx", b"PK", "application/vnd.openxmlformats-officedocument.wordprocessingml.document"),
        ("photo.webp", b"", "image/webp"),
        ("list.csv", "ä;b".encode(), "text/csv; charset=utf-8"),
        ("list.csv", "ä;b".encode("cp1252"), "text/csv"),
        ("list.csv.gz", b"\x1f\x8b", "application/gzip"),
        ("data:text/html,x", b"", "application/octet-stream"),
        ("pdf", b"", "application/octet-stream"),
        ("x.constructor", b"", "application/octet-stream"),
    ],
)
def test_the_content_type_is_by_name(name: str, content: bytes, content_type: str) -> None:
    octets = mime.attachment(name, content).octets
    assert octets.startswith(
        f"Content-Type: {content_type}\r\nContent-Transfer-Encoding: base64\r\n".encode()
    )
    assert payload(message_from_bytes(octets)) == content


def test_names_and_content_ids_cannot_end_their_line() -> None:
    with pytest.raises(HeaderError, match="line break"):
        mime.attachment("a\r\nBcc: b", b"")
    with pytest.raises(HeaderError, match="line break"):
        mime.image("a.png", b"", "x>\r\nBcc: b")


@pytest.mark.parametrize(
    "line",
    [
        b"Subject: x\r\nBcc: y\r\n",
        b"Subject: x\r\n\r\nbody\r\n",
        b"Subject: x\r\n\r\n",
        b"Subject: x\n",
        b"Subject: x\nBcc: y\r\n",
        b"Subject: x\rBcc: y\r\n",
        b"Subject: x",
        b" goes on\r\n",
        b"no colon\r\n",
        b"Sub ject: x\r\n",
        b"",
    ],
)
def test_a_header_that_is_not_what_was_built_is_refused(line: bytes) -> None:
    with pytest.raises(ValueError, match="other fields than were built"):
        Skeleton([], BOUNDARY).assemble([FROM, line, b"To: a@example.com\r\n"], plain("t"), None)
    with pytest.raises(ValueError, match="other fields than were built"):
        Skeleton([], BOUNDARY).assemble([line, FROM, SUBJECT], plain("t"), None)


class TestWhereTheStandardLibraryIsWrong:
    """Each case fails in `email`; ours does not. A case that begins to pass there is no loss."""

    def test_a_blank_at_the_end_makes_a_quoted_printable_line_too_long(self) -> None:
        text = "x" * 75 + " \n"
        message = EmailMessage(policy=policy.SMTP)
        message.set_content(text, cte="quoted-printable")
        assert max(map(len, message.as_bytes().split(b"\r\n"))) == 78
        octets = transfer.quoted_printable(text.encode())
        assert octets == b"x" * 75 + b"=\r\n=20\r\n"

    def test_a_lone_return_passes_through_binascii(self) -> None:
        assert binascii.b2a_qp(b"a\rb", istext=True) == b"a\rb"
        assert transfer.encode_text("a\rb = c, d, e") == ("7bit", b"a\r\nb = c, d, e\r\n")

    def test_a_name_is_taken_for_a_url_or_its_compression_for_its_content(self) -> None:
        guess = mimetypes.MimeTypes().guess_type
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            assert guess("data:text/html,x") == ("text/html", None)
        assert guess("list.csv.gz") == ("text/csv", "gzip")
