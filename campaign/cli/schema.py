"""`campaign schema`: the JSON Schema of the campaign file, for editors."""

from __future__ import annotations

import click


@click.command("schema")
def command() -> int:
    """Print the JSON Schema of the campaign file: `campaign schema > campaign.schema.json`."""
    import json

    from campaign.campaignfile.schema import json_schema

    click.echo(json.dumps(json_schema(), indent=2, ensure_ascii=False))
    return 0
