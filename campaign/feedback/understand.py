"""Classify a returned mail, and extract what identifies its row. Pure; any octets are valid input.

It tries, in this order: a standard report (RFC 3464, RFC 5965), a particular server's form, a mail to the
unsubscribe address, an automatic reply (RFC 3834), and a guess.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from hashlib import sha256

from campaign.feedback import dsn, plain
from campaign.feedback.guess import guessed
from campaign.feedback.mime import Fields, Part, divided, fields_of, parts
from campaign.feedback.reports import (
    AutoReply,
    Bounce,
    Complaint,
    Heard,
    NotUnderstood,
    Report,
    Unsubscribe,
)

_TOKENS = 20
_RETURNED = ("message/rfc822", "message/global", "text/rfc822-headers", "message/global-headers")
_TOKEN = re.compile(r"(?<![0-9a-z])[0-9a-f]{20}(?![0-9a-z])")
_ADDRESS = re.compile(r"[^\s<>,;:\"()]{1,256}@[^\s<>,;:\"()]{1,256}")
_MESSAGE_ID = re.compile(r"<[^<>\s]{3,250}>")
_OUTLOOK = "staff@hotmail.com"  # the sender of Outlook.com's complaints (JMRP)
_MACHINE = re.compile(r"mailer-daemon|postmaster|mail delivery (?:sub)?system", re.IGNORECASE)


def understand(mail: bytes, recipient: str = "", unsubscribe: str = "") -> Heard:
    """Return what a mail says.

    `recipient` is the envelope's, if that is known. `unsubscribe` is the campaign's `unsubscribe.mailto`, a
    template with `{{ bounce.token }}` in it: a mail to such an address unsubscribes its author.
    """
    found = parts(mail)
    whole = found[0]
    places = list(_places(whole.fields, recipient))
    text = next((part for part in found if part.type == "text/plain"), None)
    to_unsubscribe = _matches(places, unsubscribe)
    report = _report(mail, found, text, to_unsubscribe=to_unsubscribe)
    tokens = dict.fromkeys(token for place in places for token in _TOKEN.findall(place.lower()))
    return Heard(
        report=report,
        tokens=tuple(tokens)[:_TOKENS],
        message_ids=_message_ids(found, text) if isinstance(report, Bounce | Complaint) else (),
        identity=_identity(whole),
        sender=dsn.shortened(whole.fields.first("from")),
        subject=dsn.shortened(whole.fields.first("subject")),
    )


def _report(mail: bytes, found: list[Part], text: Part | None, *, to_unsubscribe: bool) -> Report:
    whole = found[0]
    for part in found:
        if part.type == "message/feedback-report":
            return _complaint(part)
        if part.type in dsn.TYPES and (failures := dsn.failures(part)):
            return Bounce(failures)
    if (complaint := _outlooks(whole, found)) is not None:
        return complaint
    if failures := plain.failures(whole, text):
        return Bounce(failures)
    if any(part.type == "message/disposition-notification" for part in found):  # RFC 8098
        return AutoReply()
    replied = whole.fields.first("auto-submitted").strip().lower().startswith("auto-replied")
    # Apple Mail's button sends a mail that claims to be `auto-replied`, like a vacation notice.
    if to_unsubscribe and (not replied or whole.fields.first("x-apple-unsubscribe")):
        return Unsubscribe(_one_address(whole.fields.first("from")))
    if _answers_by_itself(whole.fields):
        return AutoReply()
    if failures := guessed(mail):
        return Bounce(failures, guessed=True)
    return NotUnderstood()


def _complaint(part: Part) -> Complaint:
    fields = fields_of(part.octets.lstrip(b"\n"))
    # RFC 5965 3.2 and 3.3; Removal-Recipient is an older name.
    named = [*fields.every("original-rcpt-to"), *fields.every("removal-recipient")]
    kind = fields.first("feedback-type").strip().lower()
    return Complaint(kind[:40], tuple(filter(None, map(_one_address, named[:_TOKENS]))))


def _outlooks(whole: Part, found: list[Part]) -> Complaint | None:
    """Return a complaint of Outlook.com's feedback loop: our message, and a field that names the user."""
    if _one_address(whole.fields.first("from")).lower() != _OUTLOOK:
        return None
    if not whole.fields.first("subject").lower().startswith("complaint about message"):
        return None
    returned = (divided(part.octets.lstrip(b"\n"))[0] for part in found if part.type in _RETURNED)
    named = (fields.first("x-hmxmroriginalrecipient") for fields in returned)
    address = next(filter(None, map(_one_address, named)), "")
    return Complaint("abuse", (address,)) if address else None


def _answers_by_itself(fields: Fields) -> bool:
    """Whether a mail is an automatic reply. A mail from a mail server is not: it may be a bounce."""
    if _MACHINE.search(fields.first("from")):
        return False
    submitted = fields.first("auto-submitted").strip().lower()
    old = fields.first("x-autoreply") or fields.first("x-autorespond")
    return submitted.startswith("auto-") or bool(old) or "auto" in fields.first("precedence").lower()


def _places(fields: Fields, recipient: str) -> Iterator[str]:
    """Yield the addresses that a mail was delivered to, the most reliable first."""
    for value in (
        recipient,
        *(v for name in ("delivered-to", "x-original-to", "to") for v in fields.every(name)),
    ):
        yield from _ADDRESS.findall(value)[:_TOKENS]


def _matches(places: Iterable[str], template: str) -> bool:
    """Whether one of the addresses matches a template with a token in it, with or without the token."""
    if not template:
        return False
    pieces = re.split(r"\{\{-?\s*bounce\.token\s*-?\}\}", template.strip().lower())
    pattern = re.compile("[0-9a-f]{20}".join(map(re.escape, pieces)))
    return any(pattern.fullmatch(place.lower()) for place in places)


def _message_ids(found: list[Part], text: Part | None) -> tuple[str, ...]:
    """Return the Message-IDs of the messages that a report returns."""
    ids = []
    for part in found:
        if part.type in _RETURNED:
            header = part.octets.lstrip(b"\n")
            ids.append(divided(header)[0].first("message-id"))
    ids.append(plain.message_id_below(text))
    return tuple(dict.fromkeys(match[0] for text in ids if (match := _MESSAGE_ID.search(text))))


def _identity(whole: Part) -> str:
    """Return what distinguishes a report from any other: its Message-ID, or else a hash of its body.

    The header is not hashed, because each server on the way adds to it.
    """
    match = _MESSAGE_ID.search(whole.fields.first("message-id"))
    return match[0] if match is not None else sha256(whole.body).hexdigest()


def _one_address(value: str) -> str:
    """Return the address in a field, the one in angle brackets if there is one."""
    value = value.partition(";")[2] if value.lower().startswith(("rfc822;", "utf-8;")) else value
    found = _ADDRESS.findall(value.rpartition("<")[2] if "<" in value else value)
    return found[0] if found else ""
