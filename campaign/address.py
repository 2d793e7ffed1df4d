"""Parse and normalise mail addresses: one addr-spec, or one mailbox with its display name (RFC 5322 3.4).

Domains become lower-case A-labels by IDNA 2008 (RFC 5891), with the `idna` package: the standard library's
codec turns straße.de into strasse.de, which has another owner. The result is cached, since most lists have
few domains. A local part keeps its case, loses quotes that it does not need, and is composed (NFC), so
that each mailbox has one form. Reserved domains such as .test are valid: the server decides whether a
domain can receive mail.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from functools import cache, lru_cache

MAX_LOCAL = 64  # RFC 5321 4.5.3.1.1, in octets
MAX_ADDRESS = 254  # RFC 5321 4.5.3.1.3: a path of 256 octets, less its angle brackets

_LONGEST = 1000  # characters of the input: a domain may be longer as written than as sent
_ATEXT = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~\u0080-\U0010FFFF-]"  # RFC 6531 3.3 adds all of UTF-8
_DOT_ATOM = rf"{_ATEXT}+(?:\.{_ATEXT}+)*"
_QUOTED = r'"(?:[ !#-\[\]-~\u0080-\U0010FFFF]|\\[ -~])+"'
# Controls, separators that break lines, bidirectional marks, and lone surrogates.
_FORBIDDEN = r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]"
_ENDINGS = {",": "a comma", ";": "a semicolon", ":": "a colon"}
_CALLED = {
    **_ENDINGS, "_": "an underscore", "/": "a slash", "'": "an apostrophe", '"': "a quotation mark",
    "\t": "a tab", "\0": "a NUL", **dict.fromkeys("\n\r\x85\u2028\u2029", "a line break"),
}  # fmt: skip
_INVISIBLE = frozenset({"Cf", "Co", "Zs"})  # format marks, private use, spaces


class AddressError(ValueError):
    """The text is not a valid address; the message says why, for the user."""


@dataclass(frozen=True, slots=True)
class Mailbox:
    """A display name, "" for none, and a normalised addr-spec."""

    name: str
    address: str


@cache
def _pattern(pattern: str) -> re.Pattern[str]:
    """Compile a pattern on first use, since that takes as long as importing this module."""
    return re.compile(pattern)


def parse_address(text: str) -> str:
    """Return the one addr-spec in `text`, normalised, without white space and `< >` around it.

    Raises AddressError.
    """
    address = text.strip()
    if address.startswith("<") and address.endswith(">") and "<" not in address[1:]:
        address = address[1:-1].strip()
    if not address:
        raise AddressError("the address is blank")
    forbidden = _pattern(_FORBIDDEN).search(address)
    if forbidden is not None:
        hint = "one cell, one address" if _called(forbidden[0]) == "a line break" else "take it out"
        raise AddressError(f"the address has {_called(forbidden[0])} in it; {hint}: {_quote(address)}")
    if len(address) > _LONGEST:
        raise AddressError(f"the address has more than {MAX_ADDRESS} bytes: {_quote(address)}")
    if address[-1] in _ENDINGS and "@" in address:
        raise AddressError(f"{_quote(address)} ends in {_ENDINGS[address[-1]]}; take it off")
    written, at, domain = address.rpartition("@")
    if not at:
        raise AddressError(f"{_quote(address)} has no @")
    local = _local(written)
    if local is None:
        raise AddressError(_why_not_local(address, written))
    if len(local.encode()) > MAX_LOCAL:
        raise AddressError(f"the part before the @ has more than {MAX_LOCAL} bytes: {_quote(address)}")
    normalised = f"{local}@{_domain(domain)}"
    if len(normalised.encode()) > MAX_ADDRESS:
        raise AddressError(f"the address has more than {MAX_ADDRESS} bytes: {_quote(address)}")
    return normalised


def parse_mailbox(text: str) -> Mailbox:
    """Parse `Example News <news@example.com>`, `"Smith, Jane" <jane@example.com>` or a bare address.

    Raises AddressError.
    """
    whole = text.strip()
    if not whole.endswith(">"):
        try:
            return Mailbox("", parse_address(whole))
        except AddressError:
            if "<" not in whole or whole[-1] in _ENDINGS:
                raise
            raise AddressError(f"{_quote(whole)} has a < and does not end in >") from None
    name, bracket, address = whole[:-1].rpartition("<")
    name = name.rstrip()
    if not bracket:
        raise AddressError(f"{_quote(whole)} has a > and no <")
    if len(name) > 1 and name.startswith('"') and name.endswith('"'):
        name = re.sub(r"\\(.)", r"\1", name[1:-1])
    elif "<" in name or ("@" in name and re.search("[,;]", name)):
        raise AddressError(f"{_quote(whole)} holds two addresses, and one is expected")
    forbidden = _pattern(_FORBIDDEN).search(name)
    if forbidden is not None:
        raise AddressError(f"the name has {_called(forbidden[0])} in it; take it out: {_quote(name)}")
    return Mailbox(name, parse_address(address))


def needs_smtputf8(address: str) -> bool:
    """Whether the address needs SMTPUTF8 (RFC 6531), because its local part is not ASCII."""
    return not address.isascii()


def fold(address: str) -> str:
    """Return the form by which two addresses are compared: composed (NFC) and in lower case.

    Case folding would be too coarse: straße@ and strasse@ are two people.
    """
    address = address.strip()
    return address.lower() if address.isascii() else unicodedata.normalize("NFC", address).lower()


def fold_of_version_1(address: str) -> str:
    """Return the form by which ledgers of schema 1 compared addresses."""
    return address.strip().casefold()


def domain_of(address: str) -> str:
    """Return the domain of a normalised address."""
    return address.rpartition("@")[2]


def domain_in(mailbox: str) -> str:
    """Return the domain part of a mailbox template, in lower case; it may contain a `{{ … }}`."""
    return mailbox.strip().removesuffix(">").rpartition("@")[2].strip().lower()


def display_domain(domain: str) -> str:
    """Return a domain for display: U-labels instead of A-labels."""
    import idna  # slow to load, and many commands read no address

    try:
        return idna.decode(domain)
    except idna.IDNAError:
        return domain


def display_address(address: str) -> str:
    """Return an address for display: its domain in U-labels instead of A-labels."""
    local, at, domain = address.rpartition("@")
    return f"{local}{at}{display_domain(domain)}"


@lru_cache(maxsize=10_000)
def _domain(domain: str) -> str:
    if domain.startswith("["):
        raise AddressError(f"{_quote(domain)} is an address literal; write the domain's name")
    if not domain:
        raise AddressError("there is nothing after the @")
    if re.search(r"\s", domain):
        raise AddressError(f"the domain {_quote(domain)} has white space in it")
    import idna

    try:
        encoded = idna.encode(domain, uts46=True, transitional=False).decode().lower()
    except (idna.IDNAError, UnicodeError) as error:
        raise AddressError(f"{_quote(domain)} is no domain: {_why_not_domain(domain, error)}") from None
    if encoded.endswith("."):
        raise AddressError(f"the domain {_quote(domain)} ends in a dot")
    if "." not in encoded:
        raise AddressError(f"the domain {_quote(domain)} has no dot: a name such as example.com is expected")
    # RFC 3696 2: a top-level domain is never all digits; this is an IPv4 address.
    if encoded.rpartition(".")[2].isdigit():
        raise AddressError(f"{_quote(domain)} is a number; write the domain's name")
    return encoded


def _local(written: str) -> str | None:
    """Return a local part in its one normalised form, or None if it is invalid."""
    if not written.isascii():
        written = unicodedata.normalize("NFC", written)  # RFC 6532 3.1
        kinds = {unicodedata.category(character) for character in written if character != " "}
        if kinds & _INVISIBLE or unicodedata.category(written[0]).startswith("M"):
            return None
    if _pattern(_DOT_ATOM).fullmatch(written) is not None:
        return written
    if _pattern(_QUOTED).fullmatch(written) is None:
        return None
    # RFC 5321 4.1.2: all quoted forms are equivalent; the sender writes the one with fewest quotes.
    content = re.sub(r"\\(.)", r"\1", written[1:-1])
    if _pattern(_DOT_ATOM).fullmatch(content) is not None:
        return content
    return '"' + re.sub(r'(["\\])', r"\\\1", content) + '"'


def _quote(text: str) -> str:
    """Return text in quotes, shortened if it is long, with the names of invisible characters in brackets."""
    text = text if len(text) <= 80 else f"{text[:79]}…"
    return repr("".join(c if c.isprintable() else f"[{_called(c)}]" for c in text))


def _why_not_domain(domain: str, error: Exception) -> str:
    odd = next((c for c in domain if not (c in ".-" or unicodedata.category(c)[0] in "LMN")), None)
    if odd is not None:
        return f"it has {_called(odd)} in it, and a domain has letters, digits and hyphens"
    if domain.startswith(".") or ".." in domain:
        return "it has one dot too many"
    labels = domain.split(".")
    if any(label.startswith("-") or label.endswith("-") for label in labels):
        return "a part of it begins or ends with a hyphen"
    if "too long" in str(error):
        return "it is too long, or a part of it between two dots is"
    what = (
        "it has two hyphens as its third and fourth character"
        if any(label[2:4] == "--" for label in labels)
        else ""
    )
    return what or "it mixes characters that no domain mixes"


def _called(character: str) -> str:
    """Return the name of a character, in words."""
    if character in _CALLED:
        return _CALLED[character]
    if character.isprintable():
        return repr(character)
    name = unicodedata.name(character, "").lower()
    kinds = {"Cc": "a control character", "Cs": "half a character"}
    unnamed = kinds.get(unicodedata.category(character), "a character that cannot be shown")
    return f"an invisible character ({name})" if name else unnamed


def _why_not_local(address: str, local: str) -> str:
    quoted = _quote(address)
    if not local:
        return f"there is nothing before the @ in {quoted}"
    if "@" in local and re.search(r"[,;\s]", local):
        return f"{quoted} holds two addresses; one cell, one address"
    if "@" in local:
        return f"{quoted} has more than one @"
    if "<" in address:
        return f"{quoted} holds a name; put it into a column of its own and name it in `recipients.name`"
    if local.lower().startswith("mailto:"):
        return f"{quoted} begins with mailto:; write the address alone"
    if re.search(r"\s", local):
        return f"{quoted} has white space in it"
    hidden = next((c for c in local if unicodedata.category(c) in _INVISIBLE), None)
    if hidden is not None:
        return f"{quoted} has {_called(hidden)} in it; take it out"
    if local.startswith(".") or local.endswith(".") or ".." in local:
        where = "two dots in a row" if ".." in local else "a dot at the beginning or the end"
        what = f"{quoted} has {where}, before the @"
        if not _pattern(_QUOTED).fullmatch(f'"{local}"'):
            return what
        return f'{what}; if that is how it is written, put that part in quotes: "{local[:MAX_LOCAL]}"@…'
    return f"{quoted} has a character before the @ that no address has"
