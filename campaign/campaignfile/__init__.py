"""The campaign file: YAML → CampaignFile, or every problem in it at once, each with its place.

`yamlmarks` reads values and where they stand, `models` says their shape, `consistency` what they say
together, and `load` here puts the three in order and words what pydantic finds.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import UnionType
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

from campaign.campaignfile import consistency
from campaign.campaignfile.models import (
    Attachment,
    AuthMechanism,
    Bodies,
    CampaignFile,
    Dkim,
    RecipientList,
    Security,
    Smtp,
    Unsubscribe,
)
from campaign.campaignfile.secret import SecretSource
from campaign.campaignfile.yamlmarks import Document, Places, dotted, read
from campaign.campaignfile.yamlmarks import Path as ValuePath
from campaign.errors import Problem, UserError

__all__ = [
    "Attachment",
    "AuthMechanism",
    "Bodies",
    "CampaignFile",
    "Dkim",
    "RecipientList",
    "SecretSource",
    "Security",
    "Smtp",
    "Unsubscribe",
    "json_schema",
    "load",
]


def load(file: Path) -> CampaignFile:
    """Read a campaign file. Raises UserError with every problem in it, in the order of its lines."""
    file = file.absolute()
    document = read(file)
    values = _mapping(document, "a campaign file begins with keys such as `name:` and `recipients:`")
    problems = list(document.problems)
    smtp_document, smtp = None, values.get("smtp")
    if isinstance(smtp, str):
        try:
            smtp_document = read(file.parent / smtp)
            values["smtp"] = _mapping(
                smtp_document, "a file of SMTP settings begins with keys such as `host:`"
            )
            problems += smtp_document.problems
        except UserError as error:
            problems.append(
                document.problem(("smtp",), "; ".join(str(problem) for problem in error.problems))
            )
            del values["smtp"]
    problems += _consistency(values, document, smtp_document)
    campaign = None
    try:
        campaign = _validate(values, file, smtp_document)
    except _Invalid as invalid:
        problems += invalid.problems(document, smtp_document)
        if isinstance(smtp, str) and "smtp" not in values:
            problems = [p for p in problems if not (p.path == "smtp" and "missing" in p.message)]
    if problems or campaign is None:
        raise UserError(
            *sorted(set(problems), key=lambda p: (p.file or "", p.line or 0, p.column or 0, p.path))
        )
    campaign._places = Places(document, smtp_document)
    return campaign


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


def _mapping(document: Document, expected: str) -> dict[str, Any]:
    if isinstance(document.value, dict):
        return document.value
    what = "the file is empty" if document.value is None else "this is no list of keys and values"
    raise UserError(*document.problems, document.problem((), f"{what}; {expected}"))


def _consistency(values: dict[str, Any], document: Document, smtp_document: Document | None) -> list[Problem]:
    found = [document.problem(path, what) for path, what in consistency.campaign(values)]
    found += [document.problem(p, what) for p, what in consistency.attachments(values, document.file.parent)]
    for within in ((), ("smtp",), ("unsubscribe",)):
        part = values.get(within[0]) if within else values
        if not isinstance(part, dict):
            continue
        for path, what in list(consistency.passwords(part, within)):
            found.append(_in(document, smtp_document, path, what, at_key=True))
            part.pop(str(path[-1]))
    smtp = values.get("smtp")
    if isinstance(smtp, dict):
        found += [_in(document, smtp_document, ("smtp", *p), what) for p, what in consistency.smtp(smtp)]
    return found


def _in(
    document: Document, smtp_document: Document | None, path: ValuePath, what: str, *, at_key: bool = False
) -> Problem:
    """Return a problem in the file in which the value stands."""
    if smtp_document is not None and path[:1] == ("smtp",):
        found = smtp_document.problem(path[1:], what, at_key=at_key)
        return Problem(what, found.file, found.line, found.column, dotted(path))
    return document.problem(path, what, at_key=at_key)


class _Invalid(Exception):
    """What pydantic found: (path, kind of error, what is wrong, the value)."""

    def __init__(self, found: list[tuple[ValuePath, str, str, object]]) -> None:
        self.found = found

    def problems(self, document: Document, smtp_document: Document | None) -> Iterable[Problem]:
        for path, kind, message, value in self.found:
            holder = smtp_document if smtp_document is not None and path[:1] == ("smtp",) else document
            plain = holder.plain.get(path[1:] if holder is smtp_document else path)
            what = _words(path, kind, message, value, plain)
            yield _in(document, smtp_document, path, what, at_key=kind == "extra_forbidden")


def _validate(values: dict[str, Any], file: Path, smtp_document: Document | None) -> CampaignFile:
    found: list[tuple[ValuePath, str, str, object]] = []
    values = dict(values)
    # The server's settings have their own folder where they stand in a file of their own.
    settings = values.get("smtp")
    if isinstance(settings, dict):
        folder = smtp_document.file.parent if smtp_document is not None else file.parent
        try:
            values["smtp"] = Smtp.model_validate(_with_defaults(settings), context={"folder": folder})
        except ValidationError as error:
            found += [(("smtp", *path), kind, what, value) for path, kind, what, value in _errors(error)]
            values["smtp"] = Smtp(host="localhost")
    try:
        campaign = CampaignFile.model_validate(values, context={"folder": file.parent})
    except ValidationError as error:
        found += _errors(error)
    if found:
        raise _Invalid(found)
    return campaign


def _with_defaults(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Port and security say each other's default."""
    settings = dict(settings)
    if "security" not in settings:
        settings["security"] = "tls" if settings.get("port") == 465 else "starttls"
    if "port" not in settings:
        settings["port"] = 465 if settings["security"] == "tls" else 587
    return settings


def _errors(error: ValidationError) -> list[tuple[ValuePath, str, str, object]]:
    found: list[tuple[ValuePath, str, str, object]] = []
    for one in error.errors():
        # Pydantic puts the tried types of a union into the path; ours have no such keys.
        path = tuple(part for part in one["loc"] if not (isinstance(part, str) and "[" in part))
        message = str(one["ctx"]["error"]) if one["type"] == "value_error" else one["msg"]
        found.append((path, one["type"], message, one.get("input")))
    return found


_EXPECTED = {
    "string_type": "expected text",
    "int_type": "expected a whole number",
    "int_parsing": "expected a whole number",
    "int_from_float": "expected a whole number",
    "bool_type": "expected true or false",
    "bool_parsing": "expected true or false",
    "dict_type": "expected keys and values",
    "model_type": "expected keys and values",
    "model_attributes_type": "expected keys and values",
    "tuple_type": "expected a list",
    "list_type": "expected a list",
}


def _words(path: ValuePath, kind: str, message: str, value: object, plain: str | None) -> str:
    match kind:
        case "missing":
            return "is missing"
        case "extra_forbidden":
            near = difflib.get_close_matches(str(path[-1]), _known_keys(path[:-1]), 1)
            return "unknown key" + (f"; did you mean {near[0]!r}?" if near else "")
        case "value_error":
            return f"{message}{_got(value, plain)}" if "got" not in message else message
        case "enum":
            expected = message.replace("Input should be ", "expected ").replace("'", "")
        case "greater_than_equal" | "less_than_equal":
            expected = f"expected a number {'from 1 to 65535' if path[-1:] == ('port',) else message[16:]}"
        case "string_too_short" | "string_too_long" | "too_short":
            return "is blank" if "short" in kind else "is too long"
        case _:
            expected = _EXPECTED.get(kind, message)
    return expected + _got(value, plain)


def _got(value: object, plain: str | None) -> str:
    """Say what stands there, and what YAML has made of it where that surprises."""
    if value is None:
        return ", got nothing"
    if isinstance(value, dict):
        return ", got keys and values; a value that begins with {{ must be put in quotes"
    if isinstance(value, list):
        return ", got a list"
    if plain is not None and not isinstance(value, str) and plain != str(value):
        return f", got {value!r}: YAML reads an unquoted {plain} so; put it in quotes"
    shown = str(value) if not isinstance(value, str) else value
    return f", got {shown[:60]!r}"


def _known_keys(path: ValuePath) -> list[str]:
    """Return the keys that may stand at `path`."""
    model: type[BaseModel] = CampaignFile
    for part in path:
        if isinstance(part, int):
            continue
        field = next((f for n, f in model.model_fields.items() if (f.alias or n) == part), None)
        kinds = _models(field.annotation) if field is not None else []
        if not kinds:
            return []
        model = kinds[0]
    return [field.alias or name for name, field in model.model_fields.items()]


def _models(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    if isinstance(annotation, UnionType) or get_args(annotation):
        return [model for argument in get_args(annotation) for model in _models(argument)]
    return []
