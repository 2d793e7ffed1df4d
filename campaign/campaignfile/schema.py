"""Generate the JSON Schema of the campaign file from its models."""

from __future__ import annotations

from typing import Any

from campaign.campaignfile.models import CampaignFile


def json_schema() -> dict[str, Any]:
    """Return the JSON Schema (draft 2020-12) of the campaign file, for editors."""
    schema = CampaignFile.model_json_schema(by_alias=True)
    text = {"type": "string"}
    for key in ("recipients", "smtp"):
        of = schema["properties"][key]
        reference = {"$ref": of["$ref"]} if "$ref" in of else of["allOf"][0]
        schema["properties"][key] = {"description": of.get("description", ""), "anyOf": [text, reference]}
    attachment = {"$ref": "#/$defs/Attachment"}
    schema["properties"]["attachments"]["items"] = {"anyOf": [text, attachment]}
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    schema["title"] = "campaign"
    return schema
