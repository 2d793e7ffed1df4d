"""Remove the wrong keys from a campaign file, so that the rest can be checked too.

    values, {"smtp.port", "nme"} → values without `smtp` and `nme`, and stand-ins for required keys

Other parts may depend on a removed key. If the list does, only the templates are checked; if the templates
do, only the list: a mistake is reported once, without its consequences.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any

from campaign.campaignfile.models import BodyTemplates, CampaignFile, RecipientList

_STAND_INS: dict[str, object] = {
    "name": "campaign",
    "from": "sender@example.com",
    "subject": "subject",
    "smtp": {"host": "localhost"},
}
_NAMED_IN_TEMPLATES = {"unsubscribe", "vars"}
_TOGETHER = ({"attachments", "attachments_root"}, {"from", "sender"})
_READING = {"csv", "sheet", "encoding", "delimiter"}
"""The keys of `recipients` that decide how its columns are read."""


class Judged(Enum):
    """How much of a list can be checked: nothing, only its columns, or its rows too."""

    NOTHING = auto()
    COLUMNS = auto()
    ROWS = auto()


@dataclass(frozen=True, slots=True)
class Remainder:
    """The rest of a campaign file; a list that cannot be checked is replaced by a stand-in."""

    values: dict[str, Any]
    judged: Judged


def without(values: Mapping[str, Any], wrong: Collection[str], stand_in: str) -> Remainder | None:
    """Return `values` without the keys at the dotted paths `wrong`; None if nothing can be checked.

    If the templates depend on these keys, or there is no valid body, only the list is kept. `stand_in` is
    the path of a file that replaces the list.
    """
    known = {field.alias or name for name, field in CampaignFile.model_fields.items()}
    keys = {path.split(".")[0] for path in wrong}
    if "" in keys:
        return None
    judged = _judged(wrong, RecipientList.model_fields.keys() - known)
    for together in _TOGETHER:
        if keys & together:
            keys |= together
    kept = {key: value for key, value in values.items() if key not in keys and value is not None}
    bodies = _bodies(values.get("templates"), wrong)
    kept["templates"] = bodies or BodyTemplates()
    if not bodies or keys & _NAMED_IN_TEMPLATES:
        if judged is not Judged.ROWS:
            return None
        if "vars" in keys and isinstance(values.get("recipients"), dict):
            return None  # `where`, `name` and `email` may use them
        kept = {key: kept[key] for key in ("recipients", "vars") if key in kept}
        kept["templates"] = BodyTemplates()
    stand_ins = {key: value for key, value in _STAND_INS.items() if key not in kept}
    if bodies.get("subject") is not None:
        stand_ins.pop("subject", None)
    if judged is not Judged.ROWS:
        given = values.get("recipients")
        settings = given if isinstance(given, dict) and judged is Judged.COLUMNS else {"csv": stand_in}
        kept["recipients"] = {key: value for key, value in settings.items() if key in _READING}
    return Remainder({key: value for key, value in (stand_ins | kept).items() if key in known}, judged)


def _judged(wrong: Collection[str], of_the_list: Collection[str]) -> Judged:
    """Return how much of the list can be checked without `wrong`; `of_the_list`: keys of `recipients` only.

    A `where:` at the left margin is meant for `recipients:`.
    """
    paths = [path.split(".") for path in wrong]
    settings = [[*path, ""][1] for path in paths if path[0] == "recipients"]
    settings += [path[0] for path in paths if path[0] in of_the_list]
    if not settings:
        return Judged.ROWS
    return Judged.NOTHING if _READING & set(settings) or "" in settings else Judged.COLUMNS


def _bodies(templates: object, wrong: Collection[str]) -> dict[str, Any]:
    """Return the valid ones of `templates`, or {} if none of them is a body."""
    if not isinstance(templates, dict) or "templates" in wrong:
        return {}
    given = {name: file for name, file in templates.items() if file is not None}
    good = {name: file for name, file in given.items() if f"templates.{name}" not in wrong}
    return good if good.keys() - {"subject"} else {}
