"""Says what is missing when a template uses a value that is not there, and which name may be meant.

A missing value is no mistake while only `is defined` or `default` look at it, so the sentence is made when it
is used.
"""

from __future__ import annotations

import difflib

from jinja2 import StrictUndefined
from jinja2.environment import TemplateModule


class Missing(StrictUndefined):
    """A value that is not there; using it is an error."""

    __slots__ = ()

    @property
    def _undefined_message(self) -> str:
        value, name = self._undefined_obj, self._undefined_name
        if self._undefined_hint or not isinstance(name, str):
            return super()._undefined_message
        if isinstance(value, TemplateModule):
            made = [known for known in vars(value) if not known.startswith("_")]
            what = f"{value.__name__} has no {name!r}"
            return what + (_near(name, made) or f"; it has {', '.join(made) or 'nothing'}")
        near = _near(name, [key for key in value if isinstance(key, str)]) if type(value) is dict else ""
        return f"nothing is named {name!r} here{near}" if near else super()._undefined_message


def _near(name: str, known: list[str]) -> str:
    near = difflib.get_close_matches(name, known, 1)
    return f"; did you mean {near[0]!r}?" if near else ""
