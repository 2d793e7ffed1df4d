"""Parse the two kinds of plain-text bounces that have a fixed form: qmail's, and Exim's older one.

qmail: QSBMF (cr.yp.to/proto/qsbmf.txt), a paragraph for each recipient that begins with `<address>:`. Exim
lists failed recipients in X-Failed-Recipients, and the reason in an indented paragraph below each address.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from campaign.delivery import EnhancedCode
from campaign.feedback.dsn import code_in, shortened
from campaign.feedback.mime import Part, fields_of
from campaign.feedback.reports import Failure

_MOST = 64 * 1024  # characters of a text
_RECIPIENTS = 200
_QMAIL = re.compile(r"^Hi\. This is the |^-{3,6} ?Below this line is a copy of the message", re.MULTILINE)
_QMAIL_RECIPIENT = re.compile(r"^<([^<>\s]{3,320})>:[ \t]*\n((?:.+(?:\n|\Z))*)", re.MULTILINE)
_QMAIL_CODE = re.compile(r"#([245])\.([0-9]{1,3})\.([0-9]{1,3})\b")
# The line between the explanation and the returned message.
_COPY = re.compile(r"^-{3,6} ?(?:Below this line is a copy of the message|This is a copy of )", re.MULTILINE)


def failures(mail: Part, text: Part | None) -> tuple[Failure, ...]:
    """Return the failures in a mail of one of these forms; nothing if it has neither."""
    whole = text.text[:_MOST] if text is not None else ""
    words = _before_copy(whole)
    failed = mail.fields.first("x-failed-recipients")
    if failed:
        names = [name.strip() for name in failed.split(",")[:_RECIPIENTS]]
        return tuple(_exim([name for name in names if name], words))
    if _QMAIL.search(whole):
        found = list(_QMAIL_RECIPIENT.finditer(words))[:_RECIPIENTS]
        return tuple(_qmail(match[1], match[2]) for match in found)
    return ()


def message_id_below(text: Part | None) -> str:
    """Return the Message-ID of the returned message below the explanation, or ""."""
    whole = text.text[:_MOST] if text is not None else ""
    copy = _COPY.search(whole)
    if copy is None:
        return ""
    below = whole[copy.start() :].partition("\n")[2].lstrip("\n")
    return fields_of(below.partition("\n\n")[0].encode()).first("message-id")


def _before_copy(whole: str) -> str:
    copy = _COPY.search(whole)
    return whole if copy is None else whole[: copy.start()]


def _qmail(address: str, reason: str) -> Failure:
    match = _QMAIL_CODE.search(reason)
    code = EnhancedCode(int(match[1]), int(match[2]), int(match[3])) if match is not None else None
    return Failure("failed", code or code_in(reason), shortened(reason), final=address)


def _exim(names: list[str], words: str) -> Iterator[Failure]:
    lines = words.split("\n")
    places = {line.strip().strip("<>:"): number for number, line in reversed(list(enumerate(lines)))}
    for name in names:
        said = " ".join(_paragraph(lines, places[name] + 1)) if name in places else ""
        yield Failure("failed", _last_code(said), shortened(said), final=name[:400])


def _paragraph(lines: list[str], start: int) -> Iterator[str]:
    """Yield the lines from `start` on until a blank one, at most 50."""
    for line in lines[start : start + 50]:
        if not line.strip():
            return
        yield line.strip()


def _last_code(said: str) -> EnhancedCode | None:
    """Return the enhanced status code in the answer, which follows the name of the server."""
    answer = re.search(r"\b[245][0-9][0-9][ -][ (#\[]{0,3}[245]\.[0-9]", said)
    return code_in(said[answer.start() :]) if answer is not None else None
