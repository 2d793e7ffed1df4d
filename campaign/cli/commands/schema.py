"""`campaign schema`: print the JSON Schema of the campaign file, for editors."""

from __future__ import annotations

import click

from campaign.cli.codes import OK
from campaign.cli.output import echo_json


@click.command("schema")
def command() -> int:
    """Print the JSON Schema of the campaign file: `campaign schema > campaign.schema.json`."""
    from campaign.campaignfile.schema import json_schema

    echo_json(json_schema())
    return OK
