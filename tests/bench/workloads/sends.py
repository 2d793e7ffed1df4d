"""The whole send, from the command to its end, beside the peers, to a real Postfix that discards."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path

from tests.bench.measure import Took, run
from tests.bench.peers.job import HOST, PASSWORD, USER, Messages, read
from tests.bench.place import BESIDE, CAMPAIGN, PYTHON, Place
from tests.bench.turns import Comparison, Contender, in_turns
from tests.servers.proxy import delayed

STDLIB, AIO = "smtplib + EmailMessage", "aiosmtplib"
MODULES = {
    STDLIB: "stdlib",
    AIO: "asynchronous",
    "redmail": "red_mail",
    "python-emails": "python_emails",
    "yagmail": "yag_mail",
}
MAILMERGE, SMTP_SOURCE = "mailmerge", "smtp-source (C, no TLS, ready messages)"
# Our own, with so many messages unanswered.
WINDOWS = {"campaign": 1, "campaign, window: 8": 8, "campaign, window: 32": 32}
_MEGABYTE = random.Random(2).randbytes(1 << 20)


def sends(place: Place) -> Iterator[Comparison]:
    """Whole sends at 0, 20 and 80 ms of round trip, over one and eight connections.

    Where a line is slow, who needs several round trips for a message sends fewer of them, and eight
    connections send as many more as it takes for the start not to count: the figures are for each message.
    """
    quick = place.quick
    everybody = [*list(MODULES)[1:], MAILMERGE, SMTP_SOURCE]
    # Each has its start in its figures, ours the longest: so few messages say little of it.
    count = 1000 if quick else 2000
    yield _compare(
        place, 0, 1, {"campaign": count, STDLIB: count, **dict.fromkeys(everybody, 200 if quick else count)},
        wanted="wall >= 4.5 times smtplib's and >= 6 times mailmerge's, processor >= 4 times smtplib's",
    )  # fmt: skip
    yield _compare(place, 0, 8, {"campaign": count, AIO: count, SMTP_SOURCE: count})
    few = 30 if quick else 200
    yield _compare(place, 20, 1, {"campaign": 5 * few, STDLIB: few, AIO: few}, "wall >= 3.6 times smtplib's")
    yield _compare(
        place, 20, 8, {"campaign": 50 * few, STDLIB: few, AIO: 4 * few}, "wall >= 24 times smtplib's"
    )
    if not quick:
        yield _compare(place, 80, 1, {"campaign": few, STDLIB: few // 4, AIO: few // 4})
        yield _compare(place, 80, 8, {"campaign": 4 * few, STDLIB: few // 4, AIO: 2 * few})


def windows(place: Place) -> Iterator[Comparison]:
    """Our own sends over one session, 20 ms away, with one message unanswered and with more."""
    few = 100 if place.quick else 300
    counts = {"campaign": few, "campaign, window: 8": 10 * few, "campaign, window: 32": 10 * few}
    yield _compare(place, 20, 1, counts, "wall >= 6 times window 1's")


def attachments(place: Place) -> Iterator[Comparison]:
    """A megabyte attached, the same for everybody."""
    count = 30 if place.quick else 500
    peers = [STDLIB] if place.quick else [STDLIB, "redmail", MAILMERGE]
    counts = {"campaign": count, **dict.fromkeys(peers, count)}
    yield _compare(place, 0, 1, counts, attachment=_MEGABYTE)


def _compare(
    place: Place,
    milliseconds: int,
    connections: int,
    counts: dict[str, int],
    wanted: str = "",
    attachment: bytes = b"",
) -> Comparison:
    line = delayed(place.server.port, milliseconds / 2000) if milliseconds else nullcontext(place.server.port)
    with line as port:
        contenders = [
            _contender(place, name, count, port, connections, attachment) for name, count in counts.items()
        ]
        words = f"send, {milliseconds} ms, {connections} connection{'s' if connections > 1 else ''}"
        words += ", 1 MB attached" if attachment else ""
        return in_turns(words, contenders, place.rounds, wanted=wanted)


def _contender(
    place: Place, name: str, count: int, port: int, connections: int, attachment: bytes
) -> Contender:
    folder = place.newsletter(
        count, port=port, connections=connections, attachment=attachment, window=WINDOWS.get(name, 1)
    )
    given = ""
    command: list[str | Path] = []
    if name in WINDOWS:
        command = [*CAMPAIGN, "send", "campaign.yaml", "--yes", "--new-ledger"]
    elif name == MAILMERGE:
        conf = f"[smtp_server]\nhost = {HOST}\nport = {port}\nsecurity = STARTTLS\nusername = {USER}\n"
        (folder / "mailmerge.conf").write_text(conf)
        command = [BESIDE / "mailmerge", "--no-dry-run", "--no-limit", "--template", "mailmerge.txt"]
        command += ["--database", "list.csv", "--config", "mailmerge.conf"]
        given = f"{PASSWORD}\n"
    elif name == SMTP_SOURCE:
        job = read(folder, port, connections)
        ready = folder / "ready.eml"
        ready.write_bytes(Messages(job).of(job.rows[0]).as_bytes())
        command = ["/usr/sbin/smtp-source", "-d", "-N", "-s", str(connections), "-m", str(count)]
        command += ["-f", USER, "-t", "user@example.test", "-F", ready, f"{HOST}:{port}"]
    else:
        command = [*PYTHON, "-m", f"tests.bench.peers.{MODULES[name]}", folder, str(port), str(connections)]

    def send() -> Took:
        for file in folder.glob("ledger.db*"):
            file.unlink()
        place.server.arrived()  # what came before is not counted
        return run(command, folder, env=place.env, given=given)

    return Contender(name, count, send, lambda took: place.server.arrived())
