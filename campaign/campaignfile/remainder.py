"""What is left of a campaign file when its wrong keys are taken out, so that the rest can be judged too.

    values, {"smtp.port", "nme"} → values without `smtp` and `nme`, stand-ins for what must be there

A key that is taken out may be what another part depends on. Where the list depends on it nothing is
left, and where templates do, the list alone: a mistake is told once, and not by what follows from it.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
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


def without(values: Mapping[str, Any], wrong: Collection[str]) -> dict[str, Any] | None:
    """Return `values` without the keys at the dotted paths `wrong`; None if the list depends on them.

    Of a file whose templates depend on them, or that has no good body, the list is kept, and no template.
    """
    known = {field.alias or name for name, field in CampaignFile.model_fields.items()}
    keys = {path.split(".")[0] for path in wrong}
    # `where:` at the left margin is meant to stand under `recipients:`.
    if not keys.isdisjoint({"", "recipients"} | (RecipientList.model_fields.keys() - known)):
        return None
    for together in _TOGETHER:
        if keys & together:
            keys |= together
    kept = {key: value for key, value in values.items() if key not in keys}
    bodies = _bodies(values.get("templates"), wrong)
    kept["templates"] = bodies or BodyTemplates()
    if not bodies or keys & _NAMED_IN_TEMPLATES:
        if "vars" in keys and isinstance(values.get("recipients"), dict):
            return None  # `where`, `name` and `email` may show them
        kept = {key: kept[key] for key in ("recipients", "vars") if key in kept}
        kept["templates"] = BodyTemplates()
    stand_ins = {key: value for key, value in _STAND_INS.items() if key not in kept}
    if "subject" in bodies:
        stand_ins.pop("subject", None)
    return {key: value for key, value in (stand_ins | kept).items() if key in known}


def _bodies(templates: object, wrong: Collection[str]) -> dict[str, Any]:
    """Return the good ones of `templates`, {} if no body is among them."""
    if not isinstance(templates, dict) or "templates" in wrong:
        return {}
    good = {name: file for name, file in templates.items() if f"templates.{name}" not in wrong}
    return good if good.keys() - {"subject"} else {}
