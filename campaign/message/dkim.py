"""Makes DKIM signatures (RFC 6376; Ed25519 by RFC 8463): a header field in front of the message.

    signer = load_signer("example.com", "s1", Path("dkim.pem"), None)
    message = [signer.sign(chunks, now), *chunks]

Canonicalisation is relaxed/relaxed over the whole body, without l=. A chunk is rewritten only if its white
space requires it, so that most of the time goes into the signature itself.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

from campaign.address import AddressError, domain_of, parse_address
from campaign.campaignfile.models import DkimAlgorithm
from campaign.campaignfile.octets import MOST_OF_A_KEY, PRIVATE_KEY, read_file
from campaign.errors import Problem, Severity, UserError
from campaign.wording import shown

# RFC 6376 5.4.1, in the order of h=. What receivers act on counts only if it is signed: RFC 8058 4 for
# List-Unsubscribe-Post, RFC 9477 for CFBL-*, support.google.com/mail/answer/6254652 for Feedback-ID.
_SIGNED = (
    "From",
    "Sender",
    "To",
    "Cc",
    "Subject",
    "Date",
    "Message-ID",
    "Reply-To",
    "In-Reply-To",
    "References",
    "MIME-Version",
    "Content-Type",
    "Content-Transfer-Encoding",
    "List-Unsubscribe",
    "List-Unsubscribe-Post",
    "List-ID",
    "List-Help",
    "List-Subscribe",
    "List-Post",
    "List-Owner",
    "List-Archive",
    "Feedback-ID",
    "CFBL-Address",
    "CFBL-Feedback-ID",
)
# RFC 6376 8.15: listed once more than they occur, so that an added field breaks the signature.
_CLOSED = frozenset({"From", "To", "Cc", "Subject", "Date", "Reply-To", "Content-Type"})
_PLACES = {name.lower().encode(): name for name in _SIGNED}
_LABEL = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9])?")  # of a selector, RFC 6376 3.1
_BEGIN = re.compile(rb"-----BEGIN ([A-Z0-9 ]+)-----")
_SPACE = b" \t\r\n"
_BLANK = (b" ", b"\t", b"\r", b"\n")
_NOT_OURS = "the DKIM key is neither RSA nor Ed25519, and receivers verify no others"
_PADDING, _SHA256 = PKCS1v15(), SHA256()
_WIDTH = 74
_LEAST, _RECOMMENDED, _MOST = 1024, 2048, 4096  # bits of RSA, RFC 8301 3.2


@dataclass(frozen=True, slots=True)
class Signer:
    """A private key with its domain and selector. `warnings` are about the key. Thread-safe."""

    domain: str
    selector: str
    algorithm: DkimAlgorithm
    warnings: tuple[Problem, ...]
    _key: RSAPrivateKey | Ed25519PrivateKey = field(repr=False)

    def sign(self, chunks: Sequence[bytes], now: int | None = None) -> bytes:
        """Return the DKIM-Signature field of a message, folded and ending in CRLF.

        `chunks` together are the message, with CRLF line ends only. `now` is t=, in seconds since 1970.
        Raises ValueError for a message without a From field (RFC 6376 5.4).
        """
        head, body = _split(chunks)
        names, lines = _select(head)
        tags = ["v=1;", f" a={self.algorithm};", " c=relaxed/relaxed;", f" d={self.domain};"]
        tags.append(f" s={self.selector};")
        if now is not None:
            tags.append(f" t={now};")
        tags += [f" h={names[0]}:", *(f"{name}:" for name in names[1:-1]), f"{names[-1]};"]
        tags.append(f" bh={_base64(_body_hash(body))};")
        unsigned = f"DKIM-Signature: {_folded(tags)}\r\n b="
        lines.append(_relaxed(unsigned.replace("\r\n", "").encode("ascii")))
        signature = _base64(self._signature(b"\r\n".join(lines)))
        pieces = [signature[at : at + _WIDTH - 2] for at in range(0, len(signature), _WIDTH - 2)]
        return (unsigned + "\r\n ".join(pieces) + "\r\n").encode("ascii")

    @property
    def record_name(self) -> str:
        """The name at which the public key is published (RFC 6376 3.6.2.1)."""
        return f"{self.selector}._domainkey.{self.domain}"

    @property
    def public_key(self) -> str:
        """The public key as the value of `p=` in that record (RFC 6376 3.6.1, RFC 8463 4)."""
        public = self._key.public_key()
        if isinstance(public, Ed25519PublicKey):
            return _base64(public.public_bytes_raw())
        return _base64(public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo))

    @property
    def kind(self) -> str:
        """The kind of key as the value of `k=` in that record."""
        return "rsa" if self.algorithm is DkimAlgorithm.RSA_SHA256 else "ed25519"

    @property
    def record(self) -> str:
        """The TXT record to publish there."""
        return f"v=DKIM1; k={self.kind}; p={self.public_key}"

    def _signature(self, octets: bytes) -> bytes:
        if isinstance(self._key, RSAPrivateKey):
            return self._key.sign(octets, _PADDING, _SHA256)
        return self._key.sign(sha256(octets).digest())  # RFC 8463 3


def load_signer(domain: str, selector: str, key_file: Path, algorithm: str | None) -> Signer:
    """Return a signer with the PEM key in a file.

    `algorithm` is checked against the key, or derived from it if None. Raises UserError with every problem
    of the arguments.
    """
    problems: list[Problem] = []
    try:
        domain = domain_of(parse_address(f"dkim@{domain}"))
    except AddressError as error:
        problems.append(Problem(str(error), path="dkim.domain"))
    if not all(_LABEL.fullmatch(label) for label in selector.split(".")):
        what = f"{selector!r} is not a selector: use letters, digits and hyphens, such as s1"
        problems.append(Problem(what, path="dkim.selector"))
    configured = None
    try:
        configured = DkimAlgorithm(algorithm) if algorithm is not None else None
    except ValueError:
        what = f"there is no algorithm {algorithm!r}; write {' or '.join(DkimAlgorithm)}"
        problems.append(Problem(what, path="dkim.algorithm"))
    file = shown(key_file)
    try:
        key = _read_key(key_file)
    except UserError as error:
        raise UserError(*problems, *error.problems) from None
    actual, warnings = DkimAlgorithm.ED25519_SHA256, []
    if isinstance(key, RSAPrivateKey):
        actual = DkimAlgorithm.RSA_SHA256
        if key.key_size < _LEAST:
            what = f"the DKIM key has {key.key_size} bits, and receivers ignore keys of less than {_LEAST}"
            problems.append(Problem(f"{what}; make one of {_RECOMMENDED}", file))
        elif not _RECOMMENDED <= key.key_size <= _MOST:
            often = (
                "some receivers consider that weak"
                if key.key_size < _MOST
                else "not all receivers accept that"
            )
            what = f"the DKIM key has {key.key_size} bits, and {often}; make one of {_RECOMMENDED}"
            warnings.append(Problem(what, file, severity=Severity.WARNING))
    if configured not in (None, actual):
        problems.append(Problem(f"the DKIM key is for {actual}, and `algorithm` says {configured}", file))
    if problems:
        raise UserError(*problems)
    return Signer(domain, selector, actual, tuple(warnings), key)


def _read_key(file: Path) -> RSAPrivateKey | Ed25519PrivateKey:
    """Return the private key in a file. Raises UserError with one problem that reveals nothing of the key."""
    try:
        octets = read_file(file, MOST_OF_A_KEY)
    except OSError as error:
        raise UserError(Problem(f"the DKIM key cannot be read: {error.strerror}", shown(file))) from None
    if len(PRIVATE_KEY.findall(octets)) > 1:
        raise UserError(Problem("the file has more than one private key; name a file with one", shown(file)))
    try:
        key = load_pem_private_key(octets, None)
    except TypeError:
        what = "the DKIM key is encrypted; write it without its passphrase: openssl pkey -in KEY -out FILE"
    except UnsupportedAlgorithm:
        what = _NOT_OURS
    except ValueError:
        what = _why_no_key(octets)
    else:
        if isinstance(key, RSAPrivateKey | Ed25519PrivateKey):
            return key
        what = _NOT_OURS
    raise UserError(Problem(what, shown(file))) from None


def _why_no_key(octets: bytes) -> str:
    begin = _BEGIN.search(octets)
    if begin is None:
        return "the DKIM key is not a PEM file, which begins with -----BEGIN PRIVATE KEY-----"
    label = begin[1].decode("ascii")
    if label.endswith("PUBLIC KEY"):
        return "this is the public key, which belongs in the DNS; name the private key's file"
    if label == "CERTIFICATE":
        return "this is a certificate; name the private key's file"
    if label.startswith("OPENSSH"):
        return "the DKIM key is in OpenSSH's own format; make one with openssl genpkey"
    return "the DKIM key is damaged: there is no private key between its first and last line"


def _split(chunks: Sequence[bytes]) -> tuple[bytes, list[bytes]]:
    """Return a message's header without its last CRLF, and the chunks of its body."""
    begun = b""
    for number, chunk in enumerate(chunks):
        begun += chunk
        head, end, rest = begun.partition(b"\r\n\r\n")
        if end:
            return head, [rest, *chunks[number + 1 :]]
    return begun.removesuffix(b"\r\n"), []


def _select(head: bytes) -> tuple[list[str], list[bytes]]:
    """Return the names for h= and the canonical fields to sign, both in order."""
    found: dict[str, list[bytes]] = {}
    for one in head.replace(b"\r\n ", b" ").replace(b"\r\n\t", b" ").split(b"\r\n"):
        name = _PLACES.get(one[: one.find(b":")].lower())
        if name is not None:
            found.setdefault(name, []).append(_relaxed(one))
    if "From" not in found:
        raise ValueError("a message without From cannot be signed")
    names: list[str] = []
    lines: list[bytes] = []
    for name in _SIGNED:
        fields = found.get(name, [])
        lines += reversed(fields)  # RFC 6376 5.4.2: from the bottom up
        names += [name] * (len(fields) + (name in _CLOSED))
    return names, lines


def _relaxed(one: bytes) -> bytes:
    """Return an unfolded field in relaxed canonical form (RFC 6376 3.4.2)."""
    name, _, value = one.partition(b":")
    return name.lower() + b":" + _narrowed(value.strip(b" \t"))


def _body_hash(chunks: Iterable[bytes]) -> bytes:
    """Return the SHA-256 of a body in relaxed canonical form (RFC 6376 3.4.4)."""
    digest, empty = sha256(), True
    held = b""  # trailing white space: the next octet decides whether it is kept
    for chunk in chunks:
        if held != b"\r\n" or chunk.startswith(_BLANK):
            chunk, held = held + chunk, b""
        kept = chunk.rstrip(_SPACE)
        if kept:
            digest.update(held)
            digest.update(_narrowed(kept))
            held, empty = b"", False
        held += chunk[len(kept) :]
    if not empty:
        digest.update(b"\r\n")
    return digest.digest()


def _narrowed(octets: bytes) -> bytes:
    """Replace each run of blanks and tabs by one blank, and drop it before a line end."""
    first, *rest = octets.replace(b"\t", b" ").split(b"  ")
    if rest:
        first = b" ".join([first, *filter(None, [piece.lstrip(b" ") for piece in rest])])
    return first.replace(b" \r\n", b"\r\n")


def _folded(pieces: Iterable[str]) -> str:
    lines = [""]
    for piece in pieces:
        if len(lines[-1]) + len(piece) > _WIDTH - len("DKIM-Signature: ") * (len(lines) == 1):
            lines.append("")
        lines[-1] += piece if lines[-1] else piece.lstrip(" ")
    return "\r\n ".join(lines)


def _base64(octets: bytes) -> str:
    return base64.b64encode(octets).decode("ascii")
