"""The JSON Schema says what loading does."""

from __future__ import annotations

import functools
import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from campaign.campaignfile.load import load
from campaign.campaignfile.schema import json_schema
from tests.campaignfile.files import FULL, MINIMAL, SAMPLES


class TestSchema:
    """The JSON Schema for editors says what the parser says."""

    @pytest.mark.parametrize("file", SAMPLES, ids=lambda file: file.parent.name)
    def test_samples(self, file: Path) -> None:
        assert list(_invalid(yaml.safe_load(file.read_text("utf-8")))) == []
        load(file)

    @pytest.mark.parametrize(
        "text", [MINIMAL, FULL, MINIMAL.replace("{host: smtp.example.com}", "smtp.yaml")]
    )
    def test_what_is_right(self, text: str) -> None:
        assert list(_invalid(yaml.safe_load(text))) == []

    @pytest.mark.parametrize(
        ("text", "at"),
        [
            ("subjct: x", "subjct"),
            ("inline_css: maybe", "inline_css"),
            ("retry: {attempts: 0}", "retry.attempts"),
            ("retry: {first_delay: soon}", "retry.first_delay"),
            ("stop_when: {refused: 20}", "stop_when.refused"),
            ("rate: 14", "rate"),
            ("rate: [14 a second]", "rate"),
            ("suppress: never", "suppress"),
            ("attachments: [{name: x}]", "attachments.0"),
            ("dkim: {domain: x, selector: y, key_file: z, algorithm: rsa}", "dkim"),
            ("smtp: {host: x, port: smtps}", "smtp"),
            ("smtp: {port: 25}", "smtp"),
            ("name: 5", "name"),
        ],
    )
    def test_what_is_wrong(self, text: str, at: str) -> None:
        values = {**yaml.safe_load(MINIMAL), **yaml.safe_load(text)}
        assert list(_invalid(values)) == [at]

    def test_required(self) -> None:
        schema = json_schema()
        assert set(schema["required"]) == {"name", "recipients", "from", "templates", "smtp"}
        assert schema["$defs"]["RecipientList"]["required"] == ["csv"]
        assert schema["$defs"]["Smtp"]["required"] == ["host"]
        assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"

    def test_every_key_is_explained(self) -> None:
        schema = json_schema()
        parts = [schema, *(part for part in schema["$defs"].values() if "properties" in part)]
        for part in parts:
            assert part["additionalProperties"] is False
            assert all(
                value.get("description") or "$ref" in value for value in part["properties"].values()
            ), part["title"]

    def test_it_is_json(self) -> None:
        assert json.loads(json.dumps(json_schema())) == json_schema()


_schema = functools.cache(json_schema)


def _invalid(value: object, part: dict[str, Any] | None = None, path: str = "") -> list[str]:
    """The dotted paths at which `value` is not what the schema says; as much of JSON Schema as ours uses."""
    schema = _schema()
    part = schema if part is None else part
    if "$ref" in part:
        part = schema["$defs"][part["$ref"].rpartition("/")[2]]
    known = {
        "$defs", "$schema", "$ref", "title", "description", "default", "type", "enum", "anyOf", "items",
        "pattern", "properties", "required", "additionalProperties", "minimum", "maximum", "minLength",
        "maxLength", "minItems",
    }  # fmt: skip
    assert set(part) <= known
    if "anyOf" in part and all(_invalid(value, option, path) for option in part["anyOf"]):
        return [path]
    types: dict[str, Any] = {
        "string": str, "object": dict, "array": list, "null": type(None), "boolean": bool,
        "integer": int, "number": (int, float),
    }  # fmt: skip
    if "type" in part and not isinstance(value, types[part["type"]]):
        return [path]
    if ("enum" in part and value not in part["enum"]) or (
        isinstance(value, str) and "pattern" in part and not re.search(part["pattern"], value)
    ):
        return [path]
    if isinstance(value, int) and not part.get("minimum", value) <= value <= part.get("maximum", value):
        return [path]
    wrong: list[str] = []
    if isinstance(value, dict) and "properties" in part:
        if not set(part.get("required", ())) <= set(value):
            return [path]
        for key, inner in value.items():
            below = f"{path}.{key}" if path else key
            known_key = key in part["properties"]
            wrong += _invalid(inner, part["properties"][key], below) if known_key else [below]
    if isinstance(value, list) and "items" in part:
        for index, inner in enumerate(value):
            wrong += _invalid(inner, part["items"], f"{path}.{index}")
    return wrong
