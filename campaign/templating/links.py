"""Finds what a Markdown template prints into the address of a link, where a blank would end the link.

`[pay]({{ page }})` is no link if the cell has a blank in it: CommonMark 6.3 ends an address there. So a blank
in a printed value is written as %20, as browsers write it. A text that the template made, as with a macro,
stays as it is.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from jinja2 import Environment, nodes

from campaign.templating.marks import Own, as_marks

IN_ADDRESS = "_in_address"
"""The name of the filter `in_address`, which no template can write."""

_PRINTED = "\0"  # stands for a printed value
_DEFINED = re.compile(r" {0,3}\[[^\]\n]+\]:")  # [name]: address
_BLANKS = re.compile("[\x00-\x20\x7f]")


def in_address(value: object) -> object:
    """Return a value for a link's address: its blanks and control characters are percent-encoded."""
    if not isinstance(value, str) or isinstance(value, Own):
        return value
    return _BLANKS.sub(lambda found: f"%{ord(found[0]):02X}", value.strip())


def guard_addresses(source: nodes.Template, environment: Environment) -> None:
    """Have `in_address` take each value that a parsed Markdown template prints into a link's address."""
    before = ""
    for output in _outputs(source):
        for number, child in enumerate(output.nodes):
            if isinstance(child, nodes.TemplateData):
                before = (before + as_marks(child.data)).rpartition("\n\n")[2]
                continue
            if _is_in_address(before):
                output.nodes[number] = nodes.Filter(
                    child, IN_ADDRESS, [], [], None, None, lineno=child.lineno, environment=environment
                )
            before += _PRINTED


def _outputs(node: nodes.Node) -> Iterator[nodes.Output]:
    """Yield what a template prints, in its order."""
    for child in node.iter_child_nodes():
        if isinstance(child, nodes.Output):
            yield child
        else:
            yield from _outputs(child)


def _is_in_address(before: str) -> bool:
    """Whether what follows this text of a paragraph belongs to the address of a link."""
    _, opening, address = before.rpartition("](")
    if not opening:
        defined = _DEFINED.match(before, before.rfind("\n") + 1)
        if defined is None:
            return False
        address = before[defined.end() :]
    address = address.lstrip()
    is_open = address.count("(") >= address.count(")")
    return is_open and not address.startswith("<") and not re.search(r"\s", address)
