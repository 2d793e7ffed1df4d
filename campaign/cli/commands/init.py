"""`campaign init`: create a working campaign to edit."""

from __future__ import annotations

from pathlib import Path

import click

from campaign.cli.codes import OK
from campaign.cli.output import echo

SAMPLES = ("newsletter", "mail-merge", "plain")


@click.command("init")
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
@click.option(
    "--from",
    "sample",
    type=click.Choice(SAMPLES),
    default="newsletter",
    show_default=True,
    help="What to begin with.",
)
def command(folder: Path, sample: str) -> int:
    """Create a working campaign with a list in DIR, a new or empty folder.

    It is created completely, or not at all.
    """
    import json

    from campaign import samples
    from campaign.campaignfile.schema import json_schema

    schema = json.dumps(json_schema(), indent=2, ensure_ascii=False) + "\n"
    file = samples.copy(sample, folder, {"campaign.schema.json": schema})
    echo(f"{file} is ready. Try it on this machine:")
    echo(f"  campaign rehearse {file}")
    echo("Then edit it, its list and its templates, and look at what would be sent:")
    echo(f"  campaign check {file}")
    echo(f"  campaign preview {file}")
    return OK
