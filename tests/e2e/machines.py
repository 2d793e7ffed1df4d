"""A campaign folder with a ledger in PostgreSQL, and workers that send the campaign."""

from __future__ import annotations

import subprocess
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

import psycopg
import yaml

from campaign.campaignfile.location import PostgresLocation
from tests.e2e.folder import CampaignFolder
from tests.servers.postfix import Postfix


class Machines(CampaignFolder):
    """A campaign that `send` begins and `work` sends; each machine has its own accounts."""

    def __init__(self, folder: Path, server: Postfix, place: PostgresLocation, **changes: Any) -> None:
        self.place = place
        super().__init__(folder, server, **{"ledger": place.url, "workers": {}, **changes})
        self.accounts(smtp=self.campaign["smtp"])

    @property
    def campaign(self) -> dict[str, Any]:
        """The content of the campaign file."""
        values: dict[str, Any] = yaml.safe_load((self.folder / "campaign.yaml").read_text())
        return values

    def accounts(self, name: str = "localhost", **values: Any) -> None:
        """Write the workers' file of accounts."""
        file = self.folder / "accounts.yaml"
        file.write_text(yaml.safe_dump({"accounts": {name: values}}))
        self.env["CAMPAIGN_ACCOUNTS"] = str(file)

    def rows(self, query: str, *parameters: object) -> list[tuple[Any, ...]]:
        """Query the database."""
        with psycopg.connect(self.place.address, options="-c search_path=campaign") as connection:
            return connection.execute(query.replace("?", "%s").encode(), parameters).fetchall()

    def change(self, statement: str, *parameters: object) -> None:
        """Change the database."""
        with psycopg.connect(self.place.address, options="-c search_path=campaign") as connection:
            connection.execute(statement.encode(), parameters)

    def begin(self, *arguments: str) -> None:
        """Begin the campaign and leave it to workers; the process that watches it is ended."""
        watching = self.start("send", "campaign.yaml", "--yes", *arguments)
        self.wait_until_sending(watching)
        watching.terminate()
        out, err = watching.communicate(timeout=30)
        assert watching.returncode == 5, f"{out} {err} {watching.returncode}"
        assert "campaign stop campaign.yaml" in out

    def wait_until_sending(self, watching: subprocess.Popen[str]) -> None:
        """Wait until the campaign is handed over."""
        from tests.e2e.folder import until

        until(lambda: watching.poll() is not None or self.state() == "sending", timeout=600)
        assert watching.poll() is None, watching.communicate()

    def state(self) -> str:
        """Return the campaign's state."""
        found: list[tuple[Any, ...]] = []
        with suppress(psycopg.errors.UndefinedTable):
            found = self.rows("SELECT state FROM campaigns")
        return str(found[0][0]) if found else ""

    def why(self) -> str:
        """Return why the campaign was paused or stopped."""
        [(why,)] = self.rows("SELECT why FROM campaigns")
        return str(why)

    def workers(self, count: int, *arguments: str) -> list[subprocess.Popen[str]]:
        """Start this many workers."""
        return [self.start("work", "campaign.yaml", *arguments) for _ in range(count)]


def ended(processes: Iterable[subprocess.Popen[str]], timeout: float = 120) -> list[int]:
    """Wait for processes, and return their exit codes."""
    codes = []
    for process in processes:
        out, err = process.communicate(timeout=timeout)
        assert "Traceback" not in err, err
        codes.append(process.returncode)
        print(out, err)  # pytest shows it where a test fails
    return codes
