"""Write the file of `send --log`: a JSON line for each attempt, each exactly once, even if a run is killed.

All runs of a campaign can append to the same file. A killed run may have recorded results in the ledger
without their lines reaching the disk; the next run with the same file writes these lines first.
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

_AttemptId = tuple[object, object, object, object]  # key, address, status and time identify an attempt


class AttemptLog:
    """The log file. It contains people's addresses, so it gets mode 0600.

    It must not be one of the campaign's `own` files.
    """

    def __init__(self, path: Path, own: Own) -> None:
        self._path = path
        self._own = own
        self._lock = threading.Lock()
        self._file: TextIO | None = None
        self._ledger: Ledger | None = None

    def open(self, ledger: Ledger) -> None:
        """Open or create the file, and write the lines that it lacks. Raises UserError."""
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
        """Record that all lines are written, unless that failed, so that the next run need not compare."""
        if self._file is not None and self._ledger is not None:
            with suppress(UserError):  # if the disk is full, the next run compares
                self._ledger.remove_log_note()

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            with suppress(OSError):
                self._file.close()

    def write(self, claim: Claim, result: Result) -> None:
        """Write an attempt's line. A full disk does not stop the campaign: the ledger has the result too."""
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
    """Return what must be appended to a log so that it has all attempts of the ledger."""
    from campaign.report.machine import attempt_line

    note = ledger.log_note
    if note is None or note.path != str(path):
        return b"\n" if _ends_within_a_line(path) else b""
    has, half = _lines(path, note.size)
    lines = (
        f"{attempt_line(attempted)}\n".encode("utf-8", "backslashreplace")
        for attempted in ledger.recorded_attempts(note)
    )
    missing = [line for line in lines if _attempt_id(line) not in has]
    # A full or lost disk may have cut a line in two: it is completed.
    begun = next((line for line in missing if half and line.startswith(half)), b"")
    if begun:
        missing.remove(begun)
    return (begun[len(half) :] if begun else b"\n" * bool(half)) + b"".join(missing)


def _lines(path: Path, size: int) -> tuple[set[_AttemptId], bytes]:
    """Return the attempts in a log after its first `size` octets, and an incomplete last line."""
    has, half = set[_AttemptId](), b""
    with path.open("rb") as log:
        begun_anew = log.seek(0, os.SEEK_END) < size
        log.seek(0 if begun_anew else size)
        for line in log:
            half = b"" if line.endswith(b"\n") else line
            has.add(_attempt_id(line))
    return has, half


def _attempt_id(line: bytes) -> _AttemptId:
    """Return what identifies the attempt of a line; all None for any other line."""
    try:
        entry = json.loads(line)
        return entry["key"], entry["address"], entry["status"], entry["time"]
    except (ValueError, LookupError, TypeError):
        return None, None, None, None


def _ends_within_a_line(path: Path) -> bool:
    with path.open("rb") as log:
        end = log.seek(0, os.SEEK_END)
        log.seek(max(0, end - 1))
        return log.read(1) not in (b"", b"\n")
