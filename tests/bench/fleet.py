"""`python -m tests.bench.fleet N`: begin the campaign of this folder, and have N workers send it.

CAMPAIGN_LEDGER names its database. What is timed ends when all of them have ended. The last line says
how many seconds of a processor went into this process, which no user has.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time

import psycopg

CAMPAIGN = [sys.executable, "-m", "campaign"]
_LOOK = 0.05  # seconds
_STATE = "SELECT state FROM campaign.campaigns"


def main() -> None:
    """Do what the module says; the exit code is the highest of all."""
    commands = [[*CAMPAIGN, "work", "campaign.yaml", "--quiet"] for _ in range(int(sys.argv[1]))]
    watching = subprocess.Popen([*CAMPAIGN, "send", "campaign.yaml", "--yes", "--new-ledger"])
    with psycopg.connect(os.environ["CAMPAIGN_LEDGER"], autocommit=True) as connection:
        while watching.poll() is None and connection.execute(_STATE).fetchall() != [("sending",)]:
            time.sleep(_LOOK)
    processes = [watching, *(subprocess.Popen(command) for command in commands)]
    code = max(process.wait() for process in processes)
    print(time.process_time())
    sys.exit(code)


if __name__ == "__main__":
    main()
