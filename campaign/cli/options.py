"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from campaign.campaignfile.location import Location

FORCE = click.option("--force", is_flag=True, help="Overwrite another file that already exists.")


class _Written(click.Path):
    """A file or folder to write. `-` is refused, as it would be a file of that name."""

    def __init__(self, *, dir_okay: bool = True) -> None:
        super().__init__(path_type=Path, dir_okay=dir_okay)

    def convert(self, value: Any, param: click.Parameter | None, context: click.Context | None) -> Any:
        if str(value) == "-":
            self.fail("'-' is not standard output here; write /dev/stdout", param, context)
        return super().convert(value, param, context)


WRITTEN = _Written()
LOG = _Written(dir_okay=False)

_CAMPAIGN = click.option(
    "--campaign", "file", type=click.Path(path_type=Path), help="A campaign file that names the ledger."
)
WAIT = "How long to wait for another process that is sending from this ledger, such as 10m; default: 0."


class _Duration(click.ParamType[float]):
    """Seconds, from texts such as 90s, 10m or 2h."""

    name = "duration"

    def convert(self, value: object, param: click.Parameter | None, context: click.Context | None) -> float:
        from campaign.campaignfile.readers import seconds

        try:
            return seconds(value)
        except ValueError as error:
            self.fail(f"{value!r}: {error}", param, context)


DURATION = _Duration()

JOBS = click.option(
    "--jobs",
    type=click.IntRange(1, 256),
    metavar="N",
    help="Render in N processes; by default in as many as there are cores.",
)


class _Location(click.ParamType["Location"]):
    """The place of a ledger: a path, or the address of a PostgreSQL database."""

    name = "path"

    def convert(
        self, value: object, param: click.Parameter | None, context: click.Context | None
    ) -> Location:
        from campaign.campaignfile.location import read_location

        try:
            return read_location(value, Path())
        except ValueError as error:
            self.fail(str(error), param, context)


LOCATION = _Location()
_LEDGER = click.option(
    "--ledger",
    type=LOCATION,
    help="The ledger, a file or postgresql://host/database; by default ledger.db in this folder.",
)


def of_a_ledger(function: click.decorators.FC) -> click.decorators.FC:
    """Add the options --campaign (as `file`) and --ledger, which name a ledger."""
    return _CAMPAIGN(_LEDGER(function))
