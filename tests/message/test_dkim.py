"""DKIM: what we sign verifies, by two verifiers of other families; what was changed does not."""

from __future__ import annotations

import base64
import re
import shutil
import subprocess
from collections.abc import Callable
from functools import cache
from itertools import pairwise
from pathlib import Path

import dkim  # type: ignore[import-untyped]
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed448
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    KeySerializationEncryption,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from campaign.address import Mailbox
from campaign.errors import Severity, UserError
from campaign.message import headers, mime
from campaign.message.dkim import Signer, load_signer
from tests.message.rendering import Made, refusal

NOW = 1_700_000_000
SELECTORS = ("rsa", "ed25519")
MESSAGE = (
    b"From: News <news@example.com>\r\nTo: a@example.com\r\nSubject: What is\r\n  new  \r\n"
    b"Message-ID: <1@example.com>\r\n\r\nHello\r\n"
)
_LINES = [b"", b" ", b"\t", b"a  b", b"a \t ", b" a", b".", b"=20", b"x" * 80, "é".encode(), b"--=_b"]
BODIES = st.lists(st.sampled_from(_LINES).map(lambda line: line + b"\r\n"), max_size=20).map(b"".join)
_WORDS = [b" ", b"\t", b"\r\n ", b"\r\n\t", b"a", b"b:", b"<a@example.com>", "é".encode()]
_VALUES = st.lists(st.sampled_from(_WORDS), max_size=12).map(b"".join)
_NAMES = ["To", "CC", "Subject", "Date", "message-id", "Reply-To", "MIME-Version", "Content-Type", "X-Other"]
_NAMES += ["Content-Transfer-Encoding", "List-Unsubscribe", "List-Unsubscribe-Post", "List-ID", "Sender"]
_NAMES += ["Feedback-ID", "List-Help", "References"]
_BLANK_LINES = re.compile(rb"(?:\r\n[ \t]+)+(?=\r\n|$)")  # which no header has, RFC 5322 3.2.2


def _field(name: str, value: bytes) -> bytes:
    return name.encode() + b": x" + _BLANK_LINES.sub(b"", value) + b"\r\n"


FIELDS = st.lists(st.builds(_field, st.sampled_from(_NAMES), _VALUES), max_size=12).map(b"".join)
MESSAGES = st.builds(
    lambda fields, body: b"From: a@example.com\r\n" + fields + b"\r\n" + body, FIELDS, BODIES
)


@cache
def key_of(selector: str) -> RSAPrivateKey | Ed25519PrivateKey:
    return generate_private_key(65537, 2048) if selector == "rsa" else Ed25519PrivateKey.generate()


def pem(key: PrivateKeyTypes, encryption: KeySerializationEncryption | None = None) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption or NoEncryption())


def record(selector: str) -> str:
    """The key's record in the DNS: RFC 6376 3.6.1, RFC 8463 4.2."""
    public = key_of(selector).public_key()
    octets = public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    if selector == "ed25519":
        octets = public.public_bytes(Encoding.Raw, PublicFormat.Raw)
    return f"v=DKIM1; k={selector}; p={base64.b64encode(octets).decode()}"


def lookup(name: bytes | str, timeout: int = 5) -> bytes:
    name = name.decode() if isinstance(name, bytes) else name
    return record(name.partition("._domainkey.example.com")[0]).encode()


def verifies(message: bytes) -> bool:
    return bool(dkim.verify(message, dnsfunc=lookup))


@pytest.fixture(scope="module")
def signers(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Signer]:
    folder = tmp_path_factory.mktemp("keys")
    found = {}
    for selector in SELECTORS:
        (folder / selector).write_bytes(pem(key_of(selector)))
        found[selector] = load_signer("example.com", selector, folder / selector, None)
        assert found[selector].warnings == ()
    return found


@pytest.mark.parametrize("selector", SELECTORS)
@given(message=MESSAGES, cuts=st.lists(st.integers(0, 600), max_size=8))
def test_any_message_verifies_however_it_is_cut(
    signers: dict[str, Signer], selector: str, message: bytes, cuts: list[int]
) -> None:
    field = signers[selector].sign([message], NOW)
    assert verifies(field + message)
    ends = [0, *sorted(cuts), len(message) + 600]
    assert signers[selector].sign([message[at:end] for at, end in pairwise(ends)], NOW) == field


@pytest.mark.parametrize("body", [b"", b"\r\n", b"\r\n\r\n", b" \r\n\t\r\n", b"a \r\n\r\n \r\n"])
def test_the_ends_of_bodies(signers: dict[str, Signer], body: bytes) -> None:
    message = b"From: a@example.com\r\n\r\n" + body
    assert verifies(signers["rsa"].sign([message], NOW) + message)


def test_a_header_alone(signers: dict[str, Signer]) -> None:
    message = b"From: a@example.com\r\nSubject: x\r\n"
    assert verifies(signers["rsa"].sign([message], NOW) + message + b"\r\n")
    with pytest.raises(ValueError, match="without From"):
        signers["rsa"].sign([b"Subject: x\r\n\r\nFrom: a@example.com\r\n"], NOW)


@settings(max_examples=3, phases=[Phase.generate])
@given(messages=st.lists(MESSAGES, min_size=20, max_size=40))
def test_any_message_verifies_with_opendkim(
    signers: dict[str, Signer], tmp_path_factory: pytest.TempPathFactory, messages: list[bytes]
) -> None:
    program = shutil.which("opendkim", path="/usr/sbin:/usr/local/sbin:/usr/bin:/usr/local/bin")
    if program is None:
        pytest.skip("needs opendkim: apt-get install opendkim")
    folder = tmp_path_factory.mktemp("opendkim")
    records = "".join(f"{selector}._domainkey.example.com {record(selector)}\n" for selector in SELECTORS)
    (folder / "keys").write_text(records)
    (folder / "conf").write_text(f"TestPublicKeys {folder}/keys\nMode v\nSyslog no\n")
    files = []
    for number, message in enumerate(messages):
        for selector, signer in signers.items():
            files.append(str(folder / f"{number}-{selector}"))
            Path(files[-1]).write_bytes(signer.sign([message], NOW) + message)
    run = subprocess.run(
        [program, "-x", folder / "conf", "-t", ",".join(files)], capture_output=True, text=True, check=False
    )
    for file in files:
        assert re.search(rf"^opendkim: {file}: verification .* succeeded$", run.stdout, re.MULTILINE), (
            Path(file).read_bytes(),
            run.stderr,
        )


@pytest.mark.parametrize("name", ["From", "To", "Cc", "Subject", "Date", "Reply-To", "Content-Type"])
def test_a_field_more_breaks_the_signature(signers: dict[str, Signer], name: str) -> None:
    field = signers["rsa"].sign([MESSAGE], NOW)
    assert verifies(field + MESSAGE)
    assert not verifies(f"{name}: x@example.com\r\n".encode() + field + MESSAGE)
    assert not verifies(field + MESSAGE.replace(b"\r\n\r\n", f"\r\n{name}: x\r\n\r\n".encode(), 1))


@pytest.mark.parametrize("name", ["Feedback-ID", "CFBL-Address", "List-Help", "List-Post", "In-Reply-To"])
def test_what_receivers_act_on_is_signed(signers: dict[str, Signer], name: str) -> None:
    message = MESSAGE.replace(b"\r\n\r\n", f"\r\n{name}: one\r\n\r\n".encode(), 1)
    field = signers["rsa"].sign([message], NOW)
    assert verifies(field + message)
    assert not verifies(field + message.replace(b": one", b": another"))
    assert not verifies(field + MESSAGE)


def test_a_changed_body_or_field_breaks_the_signature(signers: dict[str, Signer]) -> None:
    field = signers["ed25519"].sign([MESSAGE], NOW)
    assert verifies(field + MESSAGE)
    assert not verifies(field + MESSAGE + b"more\r\n")
    assert not verifies(field + MESSAGE.replace(b"Hello", b"Hallo"))
    assert not verifies(field + MESSAGE.replace(b"new", b"old"))


def test_the_field_is_folded_and_says_what_it_signs(signers: dict[str, Signer]) -> None:
    skeleton = mime.Skeleton([mime.attachment("a.pdf", bytes(300))], "b")
    lines = [
        headers.mailboxes("From", [Mailbox("Zoë", "news@example.com")]),
        headers.mailboxes("Sender", [Mailbox("", "desk@example.com")]),
        headers.exact("List-Unsubscribe", f"<https://example.com/{'x' * 200}>"),
        headers.exact("List-Unsubscribe-Post", "List-Unsubscribe=One-Click"),
        headers.exact("List-ID", "<news.example.com>"),
        headers.text("X-Campaign", "spring"),
        headers.text("Subject", "Grüße " * 20),
    ]
    mark = mime.mark_of("b")
    text, html = (
        mime.text_part("plain", "Hi  there\n\n", mark),
        mime.text_part("html", "<p>\thi \n", mark),
    )
    chunks = skeleton.assemble(lines, text, html)
    for signer in signers.values():
        field = signer.sign(chunks, NOW)
        assert verifies(field + b"".join(chunks))
        lines = field.split(b"\r\n")
        assert lines.pop() == b""
        assert max(map(len, lines)) <= 76
        assert all(line.startswith(b" ") for line in lines[1:])
        tags = dict(tag.strip().split("=", 1) for tag in "".join(map(bytes.decode, lines))[16:].split(";"))
        assert list(tags) == ["v", "a", "c", "d", "s", "t", "h", "bh", "b"]
        assert (tags["c"], tags["t"], tags["d"]) == ("relaxed/relaxed", str(NOW), "example.com")
        expected = (
            "From From Sender To Cc Subject Subject Date Reply-To MIME-Version Content-Type Content-Type"
        )
        expected += " List-Unsubscribe List-Unsubscribe-Post List-ID"
        assert tags["h"].replace(" ", "").split(":") == expected.split()
        assert b" t=" not in signer.sign(chunks)
        assert verifies(signer.sign(chunks) + b"".join(chunks))


def _openssl(bits: int) -> bytes:
    """The library itself makes no weak keys any more."""
    program = shutil.which("openssl")
    if program is None:
        pytest.skip("needs openssl: apt-get install openssl")
    return subprocess.run([program, "genrsa", str(bits)], capture_output=True, check=True).stdout


def _rsa() -> RSAPrivateKey:
    key = key_of("rsa")
    assert isinstance(key, RSAPrivateKey)
    return key


def _public(shape: PublicFormat) -> bytes:
    return _rsa().public_key().public_bytes(Encoding.PEM, shape)


def _private(encoding: Encoding, shape: PrivateFormat) -> bytes:
    return _rsa().private_bytes(encoding, shape, NoEncryption())


BAD_KEYS: list[tuple[str, Callable[[], bytes]]] = [
    ("not a PEM file", lambda: b""),
    ("more than one private key", lambda: 2 * _private(Encoding.PEM, PrivateFormat.PKCS8)),
    ("not a PEM file", lambda: _private(Encoding.DER, PrivateFormat.PKCS8)),
    ("encrypted", lambda: pem(_rsa(), BestAvailableEncryption(b"secret"))),
    ("public key", lambda: _public(PublicFormat.SubjectPublicKeyInfo)),
    ("public key", lambda: _public(PublicFormat.PKCS1)),
    ("certificate", lambda: b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"),
    ("OpenSSH", lambda: _private(Encoding.PEM, PrivateFormat.OpenSSH)),
    ("damaged", lambda: pem(_rsa())[:300]),
    ("neither RSA nor", lambda: pem(ec.generate_private_key(ec.SECP256R1()))),
    ("neither RSA nor", lambda: pem(ed448.Ed448PrivateKey.generate())),
    ("has 768 bits", lambda: _openssl(768)),
]


@pytest.mark.parametrize(("what", "make"), BAD_KEYS)
def test_a_key_that_cannot_sign_is_explained(tmp_path: Path, what: str, make: Callable[[], bytes]) -> None:
    (tmp_path / "dkim.pem").write_bytes(make())
    with pytest.raises(UserError, match=what) as caught:
        load_signer("example.com", "s1", tmp_path / "dkim.pem", None)
    (problem,) = caught.value.problems
    assert problem.file == str(tmp_path / "dkim.pem")


def test_every_problem_is_said_at_once(tmp_path: Path) -> None:
    with pytest.raises(UserError) as caught:
        load_signer("exa mple.com", "s1;", tmp_path / "none.pem", "rsa-sha1")
    paths = [problem.path for problem in caught.value.problems]
    assert paths == ["dkim.domain", "dkim.selector", "dkim.algorithm", ""]
    assert "No such file" in caught.value.problems[3].message


def test_what_is_wrong_has_its_place_in_the_campaign_file(made: Made, tmp_path: Path) -> None:
    (tmp_path / "dkim.pem").write_bytes(pem(key_of("ed25519")))
    wrong = {"domain": "x", "selector": "a b", "key_file": "dkim.pem"}
    told = refusal(lambda: made(dkim=wrong))
    places = [re.match(r"[\w.-]+\.yaml:[0-9]+:[0-9]+: (dkim\.\w+): ", one) for one in told]
    assert [place and place[1] for place in places] == ["dkim.domain", "dkim.selector"]


@pytest.mark.parametrize(("key", "algorithm"), [("rsa", "ed25519-sha256"), ("ed25519", "rsa-sha256")])
def test_the_algorithm_is_the_key_s(tmp_path: Path, key: str, algorithm: str) -> None:
    (tmp_path / "dkim.pem").write_bytes(pem(key_of(key)))
    with pytest.raises(UserError, match=f"and `algorithm` says {algorithm}"):
        load_signer("example.com", "s1", tmp_path / "dkim.pem", algorithm)


@pytest.mark.parametrize(("bits", "why"), [(1024, "consider that weak"), (4160, "not all receivers")])
def test_an_odd_length_is_a_warning(tmp_path: Path, bits: int, why: str) -> None:
    (tmp_path / "dkim.pem").write_bytes(_openssl(bits))
    signer = load_signer("example.com", "s1", tmp_path / "dkim.pem", "rsa-sha256")
    (warning,) = signer.warnings
    assert warning.severity is Severity.WARNING
    assert why in warning.message


def test_a_signer_is_known_by_its_domain_and_never_shows_its_key(tmp_path: Path) -> None:
    (tmp_path / "dkim.pem").write_bytes(pem(key_of("ed25519")))
    signer = load_signer("Köln.example", "s1", tmp_path / "dkim.pem", None)
    assert signer.domain == "xn--kln-sna.example"
    assert "key" not in repr(signer).lower()
