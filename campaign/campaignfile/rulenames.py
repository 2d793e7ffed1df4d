"""The names of the rules of `check`, in the order of its output, for `check.ignore`.

They are here and not in `checks`, so that reading the campaign file can report a wrong one with its line.
"""

from __future__ import annotations

import difflib

RULES = (
    "nobody",
    "hidden",
    "duplicates",
    "subject",
    "blank",
    "garbled",
    "leftovers",
    "mergetags",
    "unencoded",
    "links",
    "textpart",
    "unclosed",
    "comments",
    "styles",
    "style_size",
    "media",
    "clients",
    "images",
    "sender",
    "dkim",
    "secrets",
    "unsubscribe",
    "unsubscribe_link",
    "provider",
    "attachments",
    "size",
    "clipped",
    "typos",
    "roles",
    "shares",
)
"""Each is a module in `checks/rules`."""

OTHERS = ("columns", "campaignfile")
"""The sources of warnings that are not rules: the list's header, and the campaign file itself."""


def rule_name(value: object) -> object:
    """Return the name of a rule. Raises ValueError for any other text, with the name that may be meant."""
    known = (*RULES, *OTHERS)
    if not isinstance(value, str) or value in known:
        return value
    near = difflib.get_close_matches(value.lower(), known, 1)
    hint = f"; did you mean {near[0]!r}?" if near else "; `campaign guide checks` lists them"
    raise ValueError(f"there is no rule {value[:60]!r}{hint}")
