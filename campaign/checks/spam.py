"""Score messages with SpamAssassin, if it is installed.

Only its local rules are run (`-L`): a message that was never sent has no servers to look up.
https://spamassassin.apache.org/full/4.0.x/doc/spamassassin-run.html
"""

from __future__ import annotations

import re
import secrets
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass

from campaign.errors import UserError
from campaign.model import Recipient

MOST = 10
"""The most messages that are judged, spread over the list: each takes about a tenth of a second."""

_TIMEOUT = 300  # seconds for all of them
_STATUS = re.compile(r"^X-Spam-Status:.*?score=(-?[0-9.]+)\s+required=(-?[0-9.]+)", re.MULTILINE | re.DOTALL)
_HIT = re.compile(r"^\s*\*\s+(-?[0-9.]+)\s+([A-Z][A-Z0-9_]+)\s+(.*)$")
_MORE = re.compile(r"^\s*\*\s+(\S.*)$")
_INFORMATIONAL = 0.05  # points; rules with fewer are informational


@dataclass(frozen=True, slots=True)
class Hit:
    """A rule that matched, and its points; positive points mean spam."""

    points: float
    rule: str
    description: str


@dataclass(frozen=True, slots=True)
class Judgement:
    """The score of one message. From `required` points on, it is spam."""

    points: float
    required: float
    hits: tuple[Hit, ...]

    @property
    def is_spam(self) -> bool:
        """Whether SpamAssassin calls it spam."""
        return self.points >= self.required


class Sample:
    """Rows spread evenly over a list of unknown length; at most twice MOST are in memory at a time."""

    def __init__(self) -> None:
        self._step = 1
        self._seen = 0
        self._kept: list[Recipient] = []

    def see(self, recipient: Recipient) -> None:
        """Add the next row that has a message."""
        if self._seen % self._step == 0:
            if len(self._kept) == 2 * MOST:
                self._kept = self._kept[::2]
                self._step *= 2
            if self._seen % self._step == 0:
                self._kept.append(recipient)
        self._seen += 1

    def chosen(self) -> list[Recipient]:
        """Return at most MOST rows, in list order."""
        count = min(MOST, len(self._kept))
        return [self._kept[place * len(self._kept) // count] for place in range(count)]


def program() -> str | None:
    """Return the path of SpamAssassin's program, or None if it is not installed."""
    return shutil.which("spamassassin")


def judge(messages: Sequence[bytes], spamassassin: str) -> list[Judgement]:
    """Return the judgement of each message, in order. Raises UserError if the program fails."""
    mark = secrets.token_hex(8)  # no message can contain it
    mailbox = b"".join(
        b"From %s-%d@localhost Thu Jan  1 00:00:00 1970\n" % (mark.encode(), number)
        + _quoted(message.replace(b"\r\n", b"\n"))
        + b"\n"
        for number, message in enumerate(messages)
    )
    arguments = [spamassassin, "-L", "-x", "-t", "--mbox", "--cf=add_header all Report _REPORT_"]
    try:
        ran = subprocess.run(  # noqa: S603  # a program of the person's own, with our arguments
            arguments, input=mailbox, capture_output=True, timeout=_TIMEOUT, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise UserError(f"{spamassassin} could not be run: {error}") from None
    # SpamAssassin returns them in any order.
    begin = re.compile(rf"^From {mark}-([0-9]+)@localhost.*\n", re.MULTILINE)
    pieces = begin.split(ran.stdout.decode("utf-8", "replace"))
    heads = {
        int(number): text.partition("\n\n")[0]
        for number, text in zip(pieces[1::2], pieces[2::2], strict=True)
    }
    found = [_judgement(heads.get(number, "")) for number in range(len(messages))]
    if ran.returncode != 0 or None in found:
        said = ran.stderr.decode("utf-8", "replace").strip()[-300:]
        raise UserError(f"{spamassassin} failed: {said or f'exit code {ran.returncode}'}")
    return [one for one in found if one is not None]


def _quoted(message: bytes) -> bytes:
    """Escape lines that an mbox parser takes for the beginning of the next message."""
    return re.sub(rb"^(>*From )", rb">\1", message, flags=re.MULTILINE)


def _judgement(head: str) -> Judgement | None:
    status = _STATUS.search(head)
    if status is None:
        return None
    hits: list[Hit] = []
    for line in head.partition("X-Spam-Report:")[2].split("\n"):
        hit, more = _HIT.match(line), _MORE.match(line)
        if hit is not None:
            hits.append(Hit(float(hit[1]), hit[2], hit[3].strip()))
        elif hits and more is not None:
            last = hits.pop()
            hits.append(Hit(last.points, last.rule, f"{last.description} {more[1].strip()}"))
    counting = [hit for hit in hits if abs(hit.points) >= _INFORMATIONAL]
    ordered = tuple(sorted(counting, key=lambda hit: -hit.points))
    return Judgement(float(status[1]), float(status[2]), ordered)
