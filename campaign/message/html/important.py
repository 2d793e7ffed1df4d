"""Decides which inlined declarations keep `!important`: those that a rule left in a sheet would override.

With `!important` a style beats all rules, so it is dropped if one of them should win. The inlined rule then
stays in the sheet too, so that browsers find out which is stronger, at rest and while hovered.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from math import inf

from campaign.message.html.selectors import Specificity
from campaign.message.html.stylesheet import Declaration, Rule, Staying

Rank = tuple[float, Specificity, float]
"""How strong a rule is: the greater one wins. Weight, specificity, then place."""

# Properties that a shorthand sets besides those that begin with its name and a hyphen.
_SHORT = {"font": ("line-height",)}


@dataclass(frozen=True, slots=True)
class Claim:
    """Properties that a rule in a sheet sets with `!important`, and the rule's rank."""

    properties: frozenset[str]
    rank: Rank


def rank(specificity: Specificity, number: int) -> Rank:
    """Return the rank of the rule with this number."""
    return 0, specificity, number


def claimed(staying: Staying, first: int) -> Claim:
    """Return the claim of a rule that stays in a sheet; `first` is the number of the sheet's first rule."""
    if staying.specificity is None:
        return Claim(staying.properties, (inf, (0, 0, 0), 0))
    return Claim(staying.properties, (0, staying.specificity, first + staying.behind - 0.5))


def is_disputed(rule: Rule, number: int, claims: Iterable[Claim]) -> bool:
    """Whether a claim may beat an `!important` of a rule; `number` is the rule's number."""
    names = [one.name for one in rule.declarations if one.important]
    weakest = min(rank(one.specificity, number) for one in rule.selectors)
    return any(
        claim.rank > weakest and concern_one(name, its)
        for claim in claims
        for name in names
        for its in claim.properties
    )


def with_important(
    strong: Sequence[tuple[Rank, Declaration]], claims: Iterable[Claim]
) -> tuple[Declaration, ...]:
    """Return declarations that had `!important`, with it only where it matters."""
    against = [
        [claim.rank for claim in claims if any(concern_one(one.name, its) for its in claim.properties)]
        for _, one in strong
    ]
    decides = any(other < own for (own, _), others in zip(strong, against, strict=True) for other in others)
    return tuple(
        replace(one, important=decides and all(other <= own for other in others))
        for (own, one), others in zip(strong, against, strict=True)
    )


def concern_one(one: str, other: str) -> bool:
    """Whether two properties are the same, or one is a shorthand of the other."""
    return (
        one == other
        or one.startswith(f"{other}-")
        or other.startswith(f"{one}-")
        or other in _SHORT.get(one, ())
        or one in _SHORT.get(other, ())
    )
