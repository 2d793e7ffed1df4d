"""The campaign file: YAML → CampaignFile, or every problem in it at once, each with its place.

`yamlmarks` reads values and where they stand, `models` says their shape and `values` their kinds,
`consistency` what they say together; `load` here puts these in order and words what pydantic finds.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from types import UnionType
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

from campaign.campaignfile import consistency
from campaign.campaignfile.models import CampaignFile, Smtp
from campaign.campaignfile.values import absent, is_folder
from campaign.campaignfile.yamlmarks import Document, Places, dotted, read
from campaign.campaignfile.yamlmarks import Path as ValuePath
from campaign.errors import Problem, UserError
from campaign.wording import shown


def load(file: Path) -> CampaignFile:
    """Read a campaign file. Raises UserError with every problem in it, in the order of its lines."""
    file = file.absolute()
    document = read(file)
    values = _mapping(document, "a campaign file begins with keys such as `name:` and `recipients:`")
    smtp = values.get("smtp")
    shared, problems = _shared(smtp, document) if isinstance(smtp, str) else (None, [])
    problems += document.problems
    if shared is not None:
        values["smtp"] = shared.value
        problems += (replace(found, path=f"smtp.{found.path}") for found in shared.problems)
    elif isinstance(smtp, str):
        values["smtp"] = Smtp(host="localhost")  # its problems are known; the rest is read all the same
    problems += _consistency(values, document, shared)
    campaign = None
    try:
        campaign = _validate(values, file, shared)
    except _Invalid as invalid:
        problems += invalid.problems(document, shared)
    if problems or campaign is None:
        first = shown(file)
        raise UserError(
            *sorted(
                dict.fromkeys(problems), key=lambda p: (p.file != first, p.line or 0, p.column or 0, p.path)
            )
        )
    campaign._places = Places(document, shared)
    return campaign


def _shared(path: str, document: Document) -> tuple[Document | None, list[Problem]]:
    """Read the server's settings in a file of their own; None where that cannot be."""
    try:
        file = document.file.parent / Path(path).expanduser()
        if is_folder(file):
            return None, [document.problem(("smtp",), f"{path!r} is a folder, and a file is expected")]
        if file.exists():
            shared = read(file)
            _mapping(shared, "a file of SMTP settings begins with keys such as `host:`")
            return shared, []
    except UserError as error:
        return None, list(error.problems)
    except (OSError, RuntimeError, ValueError):
        return None, [document.problem(("smtp",), f"{path[:60]!r} cannot be read")]
    return None, [document.problem(("smtp",), absent(path, file))]


def _mapping(document: Document, expected: str) -> dict[str, Any]:
    if isinstance(document.value, dict):
        return document.value
    if document.problems:
        raise UserError(*document.problems)
    what = "the file is empty" if document.value is None else "this is no list of keys and values"
    raise UserError(document.problem((), f"{what}; {expected}"))


def _consistency(values: dict[str, Any], document: Document, shared: Document | None) -> list[Problem]:
    found: list[Problem] = []
    literal: set[ValuePath] = set()
    for within in ((), ("smtp",), ("unsubscribe",)):
        part = values.get(within[0]) if within else values
        if not isinstance(part, dict):
            continue
        for path, what in list(consistency.passwords(part, within)):
            found.append(_in(document, shared, path, what, at_key=True))
            part.pop(str(path[-1]))
            literal.add(within)
    rules = [
        *consistency.campaign(values, has_literal=("unsubscribe",) in literal),
        *consistency.attachments(values, document.file.parent),
    ]
    smtp = values.get("smtp")
    if isinstance(smtp, dict):
        rules += ((("smtp", *p), what) for p, what in consistency.smtp(smtp, has_literal=bool(literal)))
    for path, what in rules:
        if not _refused(document, shared, path):
            of_a_key = path[:1] in (("vars",), ("headers",))
            found.append(_in(document, shared, path, what, at_key=of_a_key))
    return found


def _refused(document: Document, shared: Document | None, path: ValuePath) -> bool:
    """Whether the reader has already said what is wrong with the value at `path`."""
    if shared is not None and path[:1] == ("smtp",):
        return shared.has_refused(path[1:])
    return document.has_refused(path)


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
            if _refused(document, smtp_document, path):
                continue
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
            values["smtp"] = Smtp.model_validate(settings, context={"folder": folder})
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


def _errors(error: ValidationError) -> list[tuple[ValuePath, str, str, object]]:
    found: list[tuple[ValuePath, str, str, object]] = []
    for one in error.errors():
        path = tuple(part for part in one["loc"] if part != "[key]")
        message = str(one["ctx"]["error"]) if one["type"] == "value_error" else one["msg"]
        found.append((path, one["type"], message, one.get("input")))
    return found


_EXPECTED = {
    "string_type": "expected text",
    "int_type": "expected a whole number",
    "bool_type": "expected true or false",
    "dict_type": "expected keys and values",
    "model_type": "expected keys and values",
    "tuple_type": "expected a list",
}


def _words(path: ValuePath, kind: str, message: str, value: object, plain: str | None) -> str:
    match kind:
        case "missing":
            return "is missing"
        case "extra_forbidden":
            return _unknown(path)
        case "string_too_short" | "too_short":
            return "is blank"
        case "string_too_long":
            return "is too long"
        case "value_error":
            expected = message
        case _ if path[-1:] == ("port",):
            expected = "expected a number from 1 to 65535"
        case "enum":
            expected = message.replace("Input should be ", "expected ").replace("'", "")
        case "greater_than_equal":
            expected = message.replace("Input should be greater than or equal to", "expected at least")
        case "less_than_equal":
            expected = message.replace("Input should be less than or equal to", "expected at most")
        case "model_type" if path in (("recipients",), ("smtp",)):
            expected = "expected the path of a file, or keys and values"
        case _:
            expected = _EXPECTED.get(kind, message)
    if not expected.startswith("expected ") or ", got " in expected:
        return expected
    return f"{expected}, got {_got(value, plain)}{_quotes(kind, value, plain)}"


def _got(value: object, plain: str | None) -> str:
    """Say what stands there, and what YAML has made of it where that surprises."""
    match value:
        case None:
            return "nothing"
        case dict():
            return "keys and values"
        case list() | tuple():
            return "a list"
        case str():
            return repr(value[:60])
        case bool():
            read = "true" if value else "false"
        case int() | float():
            read = f"{value}"
        case _:
            read = "a date"
    return read if plain is None or plain == read else f"{plain[:60]}, which YAML reads as {read}"


def _quotes(kind: str, value: object, plain: str | None) -> str:
    if kind == "string_type" and plain is not None and value is not None:
        return "; put it in quotes"
    if kind in ("int_type", "bool_type") and isinstance(value, str) and plain is None:
        numeric = value.strip().isdecimal() if kind == "int_type" else value.lower() in ("true", "false")
        return "; write it without quotes" if numeric else ""
    return ""


def _unknown(path: ValuePath) -> str:
    key = str(path[-1])
    if path == ("smtp", "smtp"):
        return "unknown key; what stands under it belongs at the left margin"
    near = difflib.get_close_matches(key, _known_keys(path[:-1]), 1)
    if near:
        return f"unknown key; did you mean {near[0]!r}?"
    homes: dict[str, ValuePath] = {
        "at the top level": (),
        **{f"under `{name}:`": (name,) for name in CampaignFile.model_fields if _known_keys((name,))},
    }
    home = next((home for home, at in homes.items() if at != path[:-1] and key in _known_keys(at)), None)
    return f"unknown key; it belongs {home}" if home else "unknown key"


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
