"""`campaign init`: a working campaign to edit."""

from __future__ import annotations

from pathlib import Path

import click

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
    """Make a working campaign in DIR, a new folder, with its list beside it."""
    import json

    from campaign import samples
    from campaign.campaignfile.schema import json_schema

    file = samples.copy(sample, folder)
    schema = json.dumps(json_schema(), indent=2, ensure_ascii=False)
    (folder / "campaign.schema.json").write_text(schema + "\n", "utf-8")
    click.echo(f"{file} is ready. Try it on this machine:")
    click.echo(f"  campaign rehearse {file}")
    click.echo("Then edit it, its list and its templates, and look at what would be sent:")
    click.echo(f"  campaign check {file}")
    click.echo(f"  campaign preview {file}")
    return 0
