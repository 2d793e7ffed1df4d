"""Load a campaign file as a CampaignFile, or raise all its problems together, each with its place.

`yamlmarks` reads the values with their lines and columns, `models` and `values` validate them,
`consistency` checks several values together, and `explain` words pydantic's errors; `load` calls these in
order. Commands that do not send use `identity` instead.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from campaign.campaignfile import consistency
from campaign.campaignfile.explain import words
from campaign.campaignfile.keys import meant_key, unknown_key
from campaign.campaignfile.models import CampaignFile, Smtp
from campaign.campaignfile.octets import read_file
from campaign.campaignfile.readers import absent, is_folder
from campaign.campaignfile.remainder import Judged, without
from campaign.campaignfile.spelling import similar
from campaign.campaignfile.yamlmarks import MAX_BYTES, Document, Places, dotted, read
from campaign.campaignfile.yamlmarks import Path as ValuePath
from campaign.errors import Problem, UserError
from campaign.wording import shown


class Unsound(UserError):
    """The problems of a campaign file. `rest` is the campaign without the wrong keys, for further checks.

    `judged` says how much of its list can be checked.
    """

    def __init__(self, *problems: Problem, rest: CampaignFile | None, judged: Judged) -> None:
        super().__init__(*problems)
        self.rest = rest
        self.judged = judged


def load(file: Path) -> CampaignFile:
    """Read a campaign file. Raises Unsound with every problem in it, in the order of its lines.

    Raises UserError if it is not YAML, or cannot be read.
    """
    file = file.absolute()
    document = read(file)
    values = document.mapping("a campaign file begins with keys such as `name:` and `recipients:`")
    smtp = values.get("smtp")
    shared, problems = _shared(smtp, document) if isinstance(smtp, str) else (None, [])
    problems += document.problems
    if shared is not None:
        values["smtp"] = shared.value
        problems += (replace(found, path=f"smtp.{found.path}") for found in shared.problems)
    elif isinstance(smtp, str):
        values["smtp"] = Smtp(host="localhost")  # its problems are known; this lets the rest be checked
    problems += _consistency(values, document, shared)
    campaign = None
    meant: set[str] = set()
    try:
        campaign = _validate(values, file, shared)
    except _Invalid as invalid:
        meant = invalid.meant
        problems += invalid.problems(document, shared)
        problems = [one for one in problems if not _follows(one, meant)]
    places = Places(document, shared)
    for path, what in places.unreplaced():
        problems = [one for one in problems if not f"{one.path}.".startswith(f"{path}.")]
        problems.append(places.problem(path, what))
    if problems or campaign is None:
        first = shown(file)
        rest, judged = _rest(values, {*meant, *(problem.path for problem in problems)}, file, shared)
        raise Unsound(
            *sorted(
                dict.fromkeys(problems), key=lambda p: (p.file != first, p.line or 0, p.column or 0, p.path)
            ),
            rest=_placed(rest, places) if rest is not None else None,
            judged=judged,
        )
    return _placed(campaign, places)


def _follows(problem: Problem, meant: set[str]) -> bool:
    """Whether a problem follows from a misspelling of a key in `meant`: `subjet:` is only one mistake."""
    if problem.path == "templates":  # of which one is a body
        return any(key.startswith("templates.") for key in meant)
    return problem.path in meant and problem.message.startswith("is missing")


def _placed(campaign: CampaignFile, places: Places) -> CampaignFile:
    """Give a campaign and its parts the places of their values."""
    campaign._places = campaign.smtp._places = places
    for part in (campaign.unsubscribe, campaign.bounces.imap):
        if part is not None:
            part._places = places
    return campaign


def _rest(
    values: dict[str, Any], wrong: set[str], file: Path, shared: Document | None
) -> tuple[CampaignFile | None, Judged]:
    """Return the campaign without its wrong keys, or None if that cannot be checked."""
    left = without(values, wrong, str(file))
    if left is not None:
        with suppress(_Invalid):
            return _validate(left.values, file, shared), left.judged
    return None, Judged.NOTHING


def _shared(path: str, document: Document) -> tuple[Document | None, list[Problem]]:
    """Read the server's settings from a separate file; None if that is impossible.

    The path may lead to any file, even a secret: nothing of a file that is not ours is shown.
    """
    foreign = f"{path!r} holds no SMTP settings: it has no `host:`"
    try:
        file = document.file.parent / Path(path).expanduser()
        if is_folder(file):
            return None, [document.problem(("smtp",), f"{path!r} is a folder; a file is expected")]
        if file.exists():
            shared = read(file)
            settings = shared.mapping("a file of SMTP settings begins with keys such as `host:`")
            if settings and not settings.keys() & {*Smtp.model_fields, "smtp"}:
                return None, [document.problem(("smtp",), foreign)]
            return shared, []
    except UserError as error:
        return None, list(error.problems) if _is_ours(file) else [document.problem(("smtp",), foreign)]
    except (OSError, RuntimeError, ValueError):
        return None, [document.problem(("smtp",), f"{path[:60]!r} cannot be read")]
    return None, [document.problem(("smtp",), absent(path, file) + similar(file))]


def _is_ours(file: Path) -> bool:
    """Whether errors may show content of a file that is not YAML, or cannot be read."""
    try:
        octets = read_file(file, MAX_BYTES)
        return (
            not re.sub(rb"#.*", b"", octets).strip()
            or re.search(rb"^host\s*:", octets, re.MULTILINE) is not None
        )
    except OSError:
        return True


def _consistency(values: dict[str, Any], document: Document, shared: Document | None) -> list[Problem]:
    found: list[Problem] = []
    literal: set[ValuePath] = set()
    for within in ((), ("smtp",), ("unsubscribe",), ("bounces", "imap")):
        part: object = values
        for key in within:
            part = part.get(key) if isinstance(part, dict) else None
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
    bounces = values.get("bounces")
    if isinstance(bounces, dict) and isinstance(bounces.get("imap"), dict):
        found_in = consistency.imap(bounces["imap"], has_literal=("bounces", "imap") in literal)
        rules += (((*("bounces", "imap"), *p), what) for p, what in found_in)
    for path, what in rules:
        if not _refused(document, shared, path):
            of_a_key = path[:1] in (("vars",), ("headers",))
            found.append(_in(document, shared, path, what, at_key=of_a_key))
    return found


def _refused(document: Document, shared: Document | None, path: ValuePath) -> bool:
    """Whether reading the YAML has already reported the value at `path`."""
    if shared is not None and path[:1] == ("smtp",):
        return shared.has_refused(path[1:])
    return document.has_refused(path)


def _in(
    document: Document, smtp_document: Document | None, path: ValuePath, what: str, *, at_key: bool = False
) -> Problem:
    """Return a problem in the file that contains the value."""
    if smtp_document is not None and path[:1] == ("smtp",):
        found = smtp_document.problem(path[1:], what, at_key=at_key)
        return Problem(what, found.file, found.line, found.column, dotted(path))
    return document.problem(path, what, at_key=at_key)


class _Invalid(Exception):
    """The errors that pydantic found: (path, kind of error, message, value)."""

    def __init__(self, found: list[tuple[ValuePath, str, str, object]]) -> None:
        self.found = found

    @property
    def meant(self) -> set[str]:
        """The dotted keys that unknown ones are similar to."""
        unknown = (path for path, kind, _, _ in self.found if kind == "extra_forbidden")
        return {dotted((*path[:-1], near)) for path in unknown if (near := meant_key(path))}

    def problems(self, document: Document, smtp_document: Document | None) -> Iterable[Problem]:
        for path, kind, message, value in self.found:
            if _refused(document, smtp_document, path):
                continue
            holder = smtp_document if smtp_document is not None and path[:1] == ("smtp",) else document
            plain = holder.plain.get(path[1:] if holder is smtp_document else path)
            unknown = kind == "extra_forbidden"
            what = unknown_key(path) if unknown else words(path, kind, message, value, plain)
            yield _in(document, smtp_document, path, what, at_key=unknown)


def _validate(values: dict[str, Any], file: Path, smtp_document: Document | None) -> CampaignFile:
    found: list[tuple[ValuePath, str, str, object]] = []
    values = dict(values)
    # If the server's settings are in a separate file, their paths are relative to its folder.
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
