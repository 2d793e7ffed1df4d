"""A process that starts contents through a shared gate, with several threads, and logs each start.

    python -m tests.sending.pace.pacer LOCATION "200/second,5000/minute" THREADS SECONDS ADDRESSES

Each thread does what a connection does: it asks whether its content may leave soon, commits an intent, and
starts. At the end each start is printed, ns on the machine's steady clock, with its addresses; and on a
last line how many slots were lost, and the last guard in ns.
"""

from __future__ import annotations

import sys
import threading
import time
from functools import partial

from campaign import clock
from campaign.campaignfile.location import PostgresLocation
from campaign.campaignfile.rates import parse_window
from campaign.ledger.postgres.database import Database
from campaign.ledger.postgres.schema import NOW
from campaign.ledger.postgres.slots import PostgresSlots
from campaign.ledger.scope import Scope
from campaign.model import SECOND
from campaign.sending.pace.pacing import LocalPace
from campaign.sending.pace.sharedgate import SharedGate

SCOPE = Scope("mail.example.com", "pace")
_RUN = f"""
INSERT INTO runs (campaign, host, pid, process, server, username, started_at, heartbeat)
SELECT id, '', 0, '', %s, %s, {NOW}, {NOW} FROM campaigns RETURNING id
"""
_INTEND = "INSERT INTO attempts (run, started_at, addresses) VALUES (%s, %s, %s)"


def main() -> None:
    """Do what the module says."""
    url, rates, threads, seconds, addresses = sys.argv[1:]
    location = PostgresLocation(url=url)
    windows = [parse_window(rate) for rate in rates.split(",")]
    slots = PostgresSlots(location, SCOPE, windows)
    gate = SharedGate(LocalPace(windows), slots)
    database = Database(location)
    [(run,)] = database.rows(_RUN, (SCOPE.host, SCOPE.username))
    committing = threading.Lock()
    starts: list[tuple[int, int]] = []
    end = clock.steady() + int(float(seconds) * SECOND)

    def connection(name: int) -> None:
        number = 0
        while clock.steady() < end:
            number += 1
            size = 1 + number % int(addresses)
            with gate.book(f"{name} {number}", size) as booking:
                while delay := booking.ahead(clock.steady()):
                    if clock.steady() > end:
                        return
                    time.sleep(min(delay / SECOND, 0.25))
                while True:
                    granted, delay = booking.may_intend(clock.steady())
                    if granted:
                        break
                    if clock.steady() > end:
                        return
                    time.sleep(min(delay / SECOND, 0.25))
                began = clock.moment()
                intent = (run, began.utc + delay, size)
                with committing:
                    database.retried_while_away(partial(database.change, _INTEND, intent))
                gate.committed(clock.steady() - began.steady)
                while delay := booking.start(clock.steady()):
                    if clock.steady() > end and delay > SECOND:
                        return  # as a stopped lane does
                    time.sleep(min(delay / SECOND, 0.25))
                starts.append((clock.steady(), size))
                booking.settled()

    lanes = [threading.Thread(target=connection, args=(name,)) for name in range(int(threads))]
    for lane in lanes:
        lane.start()
    for lane in lanes:
        lane.join()
    slots.close()
    database.close()
    for at, size in starts:
        print(at, size)
    print(gate.lost, gate.guard)


if __name__ == "__main__":
    main()
