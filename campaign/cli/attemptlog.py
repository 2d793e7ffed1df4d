"""The file of `send --log`: a line of JSON for each attempt, each once, also where a run was killed.

All runs of a campaign can append to one file. A run that was killed may have recorded results whose lines
it had not written, or not on the disk; the next run with the same file writes them first.
"""

from __future__ import annotations

import json
import os
import threading
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from campaign.cli.output import say
from campaign.errors import Problem, Severity, UserError

if TYPE_CHECKING:
    from campaign.delivery import Result
    from campaign.ledger import Ledger
    from campaign.ledger.protocols import Claim
    from campaign.outfile import Own

_Told = tuple[object, object, object, object]  # key, address, status and time: what tells attempts apart


class AttemptLog:
    """See the module. It holds people's addresses, so it gets mode 0600.

    None of the campaign's `own` files is appended to.
    """

    def __init__(self, path: Path, own: Own) -> None:
        self._path = path
        self._own = own
        self._lock = threading.Lock()
        self._file: TextIO | None = None
        self._ledger: Ledger | None = None

    def open(self, ledger: Ledger) -> None:
        """Open the file, make it where there is none, and write what it lacks. Raises UserError."""
        from campaign.outfile import append, is_regular

        try:
            self._file = append(self._path, self._own)
            if is_regular(self._path):
                place = Path(os.path.realpath(self._path))
                self._file.buffer.write(_lacking(place, ledger))
                self._file.flush()
                ledger.note_log(place, place.stat().st_size)
                self._ledger = ledger
        except OSError as error:
            raise UserError(f"--log: {self._path} cannot be written: {error.strerror}") from None

    def complete(self) -> None:
        """All that the run has heard is written, unless that failed: the next run need not look."""
        if self._file is not None and self._ledger is not None:
            with suppress(UserError):  # a full disk: then it looks
                self._ledger.log_is_complete()

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            with suppress(OSError):
                self._file.close()

    def write(self, claim: Claim, result: Result) -> None:
        """Write an attempt's line. A full disk does not stop the campaign: the ledger has it too."""
        from campaign.ledger.attempted import Attempted
        from campaign.report.machine import attempt_line

        with self._lock:
            if self._file is None:
                return
            try:
                self._file.write(attempt_line(Attempted.of(claim, result)) + "\n")
            except OSError as error:
                what = f"{self._path} cannot be written any more: {error.strerror}; the ledger has it all"
                say(Problem(what, severity=Severity.WARNING))
                file, self._file = self._file, None
                with suppress(OSError):
                    file.close()


def _lacking(path: Path, ledger: Ledger) -> bytes:
    """Return what is to be appended to a log, so that it has all that is recorded."""
    from campaign.report.machine import attempt_line

    note = ledger.log_note
    if note is None or note.path != str(path):
        return b"\n" if _ends_within_a_line(path) else b""
    has, half = _lines(path, note.size)
    lines = (
        f"{attempt_line(attempted)}\n".encode("utf-8", "backslashreplace")
        for attempted in ledger.recorded(note)
    )
    missing = [line for line in lines if _told(line) not in has]
    # What a full disk or a lost one has cut in two is completed.
    begun = next((line for line in missing if half and line.startswith(half)), b"")
    if begun:
        missing.remove(begun)
    return (begun[len(half) :] if begun else b"\n" * bool(half)) + b"".join(missing)


def _lines(path: Path, size: int) -> tuple[set[_Told], bytes]:
    """Return which attempts a log tells of behind its first `size` octets, and a line that has no end."""
    has, half = set[_Told](), b""
    with path.open("rb") as log:
        begun_anew = log.seek(0, os.SEEK_END) < size
        log.seek(0 if begun_anew else size)
        for line in log:
            half = b"" if line.endswith(b"\n") else line
            has.add(_told(line))
    return has, half


def _told(line: bytes) -> _Told:
    """Return what tells the attempt of a line from others; of another line, nothing."""
    try:
        told = json.loads(line)
        return told["key"], told["address"], told["status"], told["time"]
    except (ValueError, LookupError, TypeError):
        return None, None, None, None


def _ends_within_a_line(path: Path) -> bool:
    with path.open("rb") as log:
        end = log.seek(0, os.SEEK_END)
        log.seek(max(0, end - 1))
        return log.read(1) not in (b"", b"\n")
