"""Finds what Jinja2 leaves out of a template that extends another: all that is in no block of the parent.

A misspelt block, or a paragraph below the last one, would be missing in every message, without an error.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping

from jinja2 import nodes


def left_out(key: str, trees: Mapping[str, nodes.Template]) -> Iterator[tuple[int, str]]:
    """Yield the line of each part of the template `key` that is not shown, and a sentence.

    `trees` are parsed templates by their names. Nothing is yielded if a parent is not among them.
    """
    parents = list(_parents(key, trees))
    if not parents or parents[-1] not in trees:
        return
    known = {block.name for parent in parents for block in trees[parent].find_all(nodes.Block)}
    tree = trees[key]
    called = {node.attr for node in tree.find_all(nodes.Getattr) if node.node == nodes.Name("self", "load")}
    begun = False
    for node in tree.body:
        match node:
            case nodes.Extends():
                begun = True
            case nodes.Block(name=name) if name not in known | called:
                near = difflib.get_close_matches(name, known, 1)
                hint = (
                    f"; did you mean {near[0]!r}?"
                    if near
                    else f"; it has {', '.join(sorted(known)) or 'none'}"
                )
                yield node.lineno, f"{parents[0]} has no block {name!r}, so that it is not shown{hint}"
            case nodes.Output(nodes=parts) if begun and (shown := _first_shown(parts)) is not None:
                what = f"this is outside of the blocks that {parents[0]} shows"
                yield shown, f"{what}, and in no message; put it into one, or into a comment {{# … #}}"
            case _:
                pass


def _parents(key: str, trees: Mapping[str, nodes.Template]) -> Iterator[str]:
    """Yield the name of a template's parent, the parent's, and so on; the last one may not be in `trees`."""
    seen = {key}
    while key in trees:
        extends = [node.template for node in trees[key].body if isinstance(node, nodes.Extends)]
        if not extends:
            return
        key = extends[0].value if isinstance(extends[0], nodes.Const) else ""
        yield key
        if key in seen:
            return
        seen.add(key)


def _first_shown(parts: list[nodes.Expr]) -> int | None:
    """Return the line of the first part that is more than blanks."""
    for part in parts:
        if not isinstance(part, nodes.TemplateData):
            return part.lineno
        if part.data.strip():
            return part.lineno + part.data[: len(part.data) - len(part.data.lstrip())].count("\n")
    return None
