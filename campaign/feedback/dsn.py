"""Parse delivery status notifications: the status part of a report → a Failure for each recipient.

RFC 3464, and RFC 6533 for addresses that are not ASCII. If the status is only 5.0.0, as Exim writes it, the
enhanced status code in the receiving server's answer decides. It also decides if only the status says that
the address is dead.
"""

from __future__ import annotations

import re

from campaign.delivery import EnhancedCode
from campaign.feedback.mime import Fields, Part, fields_of
from campaign.feedback.reports import Failure
from campaign.verdict import DEAD

TYPES = ("message/delivery-status", "message/global-delivery-status")

_ACTIONS = ("failed", "delayed", "delivered", "relayed", "expanded")  # RFC 3464 2.3.3
# SendGrid's word for a mail that it has tried for too long.
_MEANT = {"expired": "failed"}
_RECIPIENTS = 200  # recipients that are read from one report
_WORDS = 300  # characters of a server's answer
_CODE = re.compile(r"\b([245])\.([0-9]{1,3})\.([0-9]{1,3})\b")
# After the reply code, and in every line of a long reply; some servers add a # or brackets.
_CODE_IN_REPLY = re.compile(r"(?:^|\b[245][0-9][0-9][ -])[ (#\[]{0,3}([245])\.([0-9]{1,3})\.([0-9]{1,3})\b")
_UTF8 = re.compile(r"\\x\{([0-9A-Fa-f]{1,6})\}")  # RFC 6533 3
_BLANK_LINES = re.compile(r"\n[ \t]*\n")


def failures(status: Part) -> tuple[Failure, ...]:
    """Return what a status part says about each recipient that has one of the standard's actions."""
    # The first block is about the message; some servers forget the blank line after it.
    blocks = (fields_of(block.encode()) for block in _BLANK_LINES.split(status.text)[:_RECIPIENTS])
    return tuple(failure for failure in map(_failure, blocks) if failure.action in _ACTIONS)


def code_in(words: str) -> EnhancedCode | None:
    """Return the enhanced status code after the reply code in a server's answer."""
    return _code(_CODE_IN_REPLY.search(words.strip()[:_WORDS]))


def shortened(words: str) -> str:
    """Return a server's answer on one line, printable, and not too long."""
    return " ".join("".join(c if c.isprintable() else " " for c in words[:2000]).split())[:_WORDS]


def _failure(block: Fields) -> Failure:
    kind, _, diagnostic = block.first("diagnostic-code").partition(";")
    if not diagnostic:
        kind, diagnostic = "", kind
    code = _code(_CODE.search(block.first("status")[:40]))
    if kind.strip().lower() in ("smtp", ""):
        code = _surer(code, code_in(diagnostic))
    action = re.split(r"[^a-z]", block.first("action").strip().lower())[0]
    return Failure(
        action=_MEANT.get(action, action),
        code=code,
        words=shortened(diagnostic),
        original=_address(block.first("original-recipient")),
        final=_address(block.first("final-recipient")),
    )


def _surer(status: EnhancedCode | None, answer: EnhancedCode | None) -> EnhancedCode | None:
    """Return the code that decides: the status, or the one in the receiving server's answer.

    A status that says that the address is dead yields to an answer that says something else: Sendmail
    writes 5.1.1 for anything that is refused at RCPT, such as a blocklist or a full mailbox.
    """
    if answer is None or status is None or status[1:] == (0, 0):
        return answer or status
    return answer if status in DEAD and answer[1:] != (0, 0) else status


def _code(match: re.Match[str] | None) -> EnhancedCode | None:
    return None if match is None else EnhancedCode(int(match[1]), int(match[2]), int(match[3]))


def _address(value: str) -> str:
    """Return the address after its type, such as `rfc822;`."""
    kind, separator, address = value.partition(";")
    address = (address if separator else kind).strip()
    if kind.strip().lower() == "utf-8":
        address = _UTF8.sub(lambda match: _character(int(match[1], 16)), address)
    return address.strip("<> \t")[:400]


def _character(code: int) -> str:
    return chr(code) if code < 0x110000 and not 0xD800 <= code < 0xE000 else "\ufffd"
