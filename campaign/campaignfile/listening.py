"""Read the values of a campaign file that reading bounces needs.

A mail server delivers reports while the list may be being edited or a template moved. So only these values,
`name`, `ledger` and unknown keys are checked.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from campaign.campaignfile import consistency, readers
from campaign.campaignfile.bounces import Bounces
from campaign.campaignfile.explain import words
from campaign.campaignfile.identity import Identity, identify
from campaign.campaignfile.keys import unknown_key
from campaign.campaignfile.models import CampaignFile
from campaign.campaignfile.yamlmarks import Document, Places, read
from campaign.campaignfile.yamlmarks import Path as ValuePath
from campaign.errors import Problem, UserError

_IMAP: ValuePath = ("bounces", "imap")


@dataclass(frozen=True, slots=True)
class Listening:
    """The settings for reading a campaign's bounces. `mailto`: the template `unsubscribe.mailto`, or ""."""

    identity: Identity
    bounces: Bounces
    suppress: bool
    mailto: str


def listening(file: Path) -> Listening:
    """Read these settings. Raises UserError with all their problems."""
    identity = identify(file)
    document = read(identity.file)
    values = document.mapping("a campaign file begins with keys such as `name:` and `recipients:`")
    problems = [found for found in document.problems if found.path.startswith(("bounces", "suppress"))]
    known = {field.alias or name for name, field in CampaignFile.model_fields.items()}
    problems += [document.problem((k,), unknown_key((k,)), at_key=True) for k in values if k not in known]
    bounces = Bounces()
    try:
        problems += _secrets(document)
        bounces = Bounces.model_validate(values.get("bounces", {}), context={"folder": identity.folder})
    except ValidationError as error:
        problems += _problems_of(error, document)
    suppress = True
    try:
        suppress = readers.auto(values.get("suppress", "auto"))
    except ValueError as error:
        problems.append(document.problem(("suppress",), str(error)))
    if problems:
        raise UserError(*sorted(dict.fromkeys(problems), key=lambda p: (p.line or 0, p.column or 0)))
    if bounces.imap is not None:
        bounces.imap._places = Places(document, None)
    mailto = document.at(("unsubscribe", "mailto"))
    return Listening(identity, bounces, suppress, mailto if isinstance(mailto, str) else "")


def _secrets(document: Document) -> list[Problem]:
    settings = document.at(_IMAP)
    if not isinstance(settings, dict):
        return []
    literal = list(consistency.passwords(settings, _IMAP))
    for path, _ in literal:
        settings.pop(path[-1])
    found = consistency.imap(settings, has_literal=bool(literal))
    return [
        *(document.problem(path, what, at_key=True) for path, what in literal),
        *(document.problem((*_IMAP, *path), what) for path, what in found),
    ]


def _problems_of(error: ValidationError, document: Document) -> list[Problem]:
    problems = []
    for one in error.errors():
        path: ValuePath = ("bounces", *one["loc"])
        if document.has_refused(path):
            continue
        message = str(one["ctx"]["error"]) if one["type"] == "value_error" else one["msg"]
        unknown = one["type"] == "extra_forbidden"
        plain = document.plain.get(path)
        what = unknown_key(path) if unknown else words(path, one["type"], message, one["input"], plain)
        problems.append(document.problem(path, what, at_key=unknown))
    return problems
