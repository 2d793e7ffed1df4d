"""Workers that share a ledger in PostgreSQL, beside one process whose ledger is a file.

What PostgreSQL computes is in the figures. On two processors more workers are no faster: what more
machines give is shown where the line is slow.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path
from statistics import median

import psycopg
import yaml

from tests.bench.measure import Took, processor_of, run
from tests.bench.place import CAMPAIGN, PYTHON, Place
from tests.bench.turns import Comparison, Contender, in_turns
from tests.need import need
from tests.servers.postgresql import PostgreSQL
from tests.servers.proxy import delayed

_COMMITS = "SELECT sum(xact_commit)::bigint FROM pg_stat_database"
_SENDING = "SELECT (max(started_at) - min(started_at)) / 1e9 FROM campaign.attempts"
_WRITTEN = "SELECT wal_sync FROM pg_stat_wal"  # each is waited for by one commit or more


def workers(place: Place) -> Iterator[Comparison]:
    """One, two and four workers, on loopback and at 20 ms."""
    quick = place.quick
    with _served() as server:
        yield _compare(
            place, server, 0, 4, 300 if quick else 10_000, [1, 2] if quick else [1, 2, 4],
            "two workers: wall <= 1.33 times, processor <= 1.5 times the file's",
        )  # fmt: skip
        yield _compare(
            place, server, 20, 1, 100 if quick else 1200, [1, 2] if quick else [1, 2, 4],
            "two workers: sending alone <= 0.59 times that of one",
        )  # fmt: skip


@contextmanager
def _served() -> Iterator[PostgreSQL]:
    server = PostgreSQL(need("postgres").resolve().parent)
    try:
        yield server
    finally:
        server.remove()


@dataclass
class _Costs:
    """What PostgreSQL has done in each round: seconds of processors, transactions, waits for the disk.

    `sending`: seconds from the first start of a message to the last.
    """

    processor: list[float] = field(default_factory=list)
    commits: list[int] = field(default_factory=list)
    waits: list[int] = field(default_factory=list)
    sending: list[float] = field(default_factory=list)

    def words(self, count: int) -> str:
        return (
            f"{median(self.sending) / count * 1000:.1f} ms of sending alone,"
            f" {median(self.processor) / count * 1000:.2f} ms of PostgreSQL,"
            f" {median(self.commits) / count:.2f} transactions,"
            f" {median(self.waits) / count:.2f} waits for the disk"
        )


def _compare(
    place: Place,
    server: PostgreSQL,
    milliseconds: int,
    connections: int,
    count: int,
    fleets: list[int],
    wanted: str,
) -> Comparison:
    costs = {number: _Costs() for number in fleets}
    line = delayed(place.server.port, milliseconds / 2000) if milliseconds else nullcontext(place.server.port)
    with line as port:
        contenders = [_alone(place, count, port, connections)]
        contenders += [_fleet(place, server, count, port, connections, n, costs[n]) for n in fleets]
        words = f"workers, {milliseconds} ms, {connections} connection{'s' if connections > 1 else ''} each"
        found = in_turns(words, contenders, place.rounds, wanted=wanted)
    notes = [f"{_name(number)}, a message: {costs[number].words(count)}" for number in fleets]
    return replace(found, notes=tuple(notes))


def _name(number: int) -> str:
    return f"{number} worker{'s' if number > 1 else ''}"


def _alone(place: Place, count: int, port: int, connections: int) -> Contender:
    folder = place.newsletter(count, port=port, connections=connections)

    def send() -> Took:
        for file in folder.glob("ledger.db*"):
            file.unlink()
        place.server.arrived()
        command = [*CAMPAIGN, "send", "campaign.yaml", "--yes", "--new-ledger"]
        return run(command, folder, env=place.env)

    return Contender("one process, ledger in a file", count, send, lambda took: place.server.arrived())


def _fleet(
    place: Place, server: PostgreSQL, count: int, port: int, connections: int, number: int, costs: _Costs
) -> Contender:
    folder = place.newsletter(count, port=port, connections=connections)
    _share(folder)

    def send() -> Took:
        ledger = server.ledger()
        env = {
            **place.env,
            "CAMPAIGN_LEDGER": ledger.url,
            "CAMPAIGN_ACCOUNTS": str(folder / "accounts.yaml"),
        }
        place.server.arrived()
        before = _so_far(server)
        took = run([*PYTHON, "-m", "tests.bench.fleet", str(number)], folder, env=env)
        processor, commits, waits = (now - then for now, then in zip(_so_far(server), before, strict=True))
        costs.processor.append(processor)
        costs.commits.append(int(commits))
        costs.waits.append(int(waits))
        with psycopg.connect(ledger.address) as connection:
            costs.sending.append(float(connection.execute(_SENDING).fetchall()[0][0]))
        server.drop(ledger)
        harness = float(took.output.splitlines()[-1])
        return replace(took, processor=took.processor - harness + processor)

    return Contender(_name(number), count, send, lambda took: place.server.arrived())


def _share(folder: Path) -> None:
    """Let workers send the campaign of a folder, with its own account."""
    file = folder / "campaign.yaml"
    campaign = yaml.safe_load(file.read_text("utf-8"))
    smtp = campaign["smtp"]
    campaign |= {"ledger": {"postgresql_env": "CAMPAIGN_LEDGER"}, "workers": {}}
    file.write_text(yaml.safe_dump(campaign, allow_unicode=True), "utf-8")
    account = f"{smtp['username']}@{smtp['host']}"
    (folder / "accounts.yaml").write_text(yaml.safe_dump({"accounts": {account: {"smtp": smtp}}}))


def _so_far(server: PostgreSQL) -> tuple[float, float, float]:
    """Return what PostgreSQL has done since it was started."""
    with psycopg.connect(server.location("postgres").address) as connection:
        [(commits,)] = connection.execute(_COMMITS).fetchall()
        [(waits,)] = connection.execute(_WRITTEN).fetchall()
    return processor_of(server.pid), commits, waits
