"""Which declarations of an element's style keep their `!important`: those that a rule in a sheet would beat.

With it a style is stronger than all rules, and so it is left out where one of them is the stronger. The
rule then stays in the sheet too, where browsers see which is the stronger, at rest and while hovered.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from math import inf

from campaign.message.html.selectors import Specificity
from campaign.message.html.stylesheet import Declaration, Rule, Staying

Rank = tuple[float, Specificity, float]
"""How strong a rule is: the greater one wins. Weight, then its place."""

# What a shorthand sets besides what begins with its name and a hyphen.
_SHORT = {"font": ("line-height",)}


@dataclass(frozen=True, slots=True)
class Claim:
    """Properties that a rule in a sheet sets with `!important`, and how strong it is."""

    properties: frozenset[str]
    rank: Rank


def rank(specificity: Specificity, number: int) -> Rank:
    """Return how strong the rule with that number is."""
    return 0, specificity, number


def claimed(staying: Staying, first: int) -> Claim:
    """Return the claim of a rule that stays; `first` is the number of its sheet's first rule."""
    if staying.specificity is None:
        return Claim(staying.properties, (inf, (0, 0, 0), 0))
    return Claim(staying.properties, (0, staying.specificity, first + staying.behind - 0.5))


def is_disputed(rule: Rule, number: int, claims: Iterable[Claim]) -> bool:
    """Whether a rule has an `!important` that one of the claims may beat; the rule has that number."""
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
    """Return declarations that were written with `!important`, with it where it decides."""
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
    """Whether two properties are one, or one is a shorthand of the other."""
    return (
        one == other
        or one.startswith(f"{other}-")
        or other.startswith(f"{one}-")
        or other in _SHORT.get(one, ())
        or one in _SHORT.get(other, ())
    )
