"""Finds what a Markdown template prints where the value decides what Markdown makes of the marks around it.

`[pay]({{ page }})` is no link if the cell has a blank in it: CommonMark 6.3 ends an address there. So a blank
in a printed value is written as %20, as browsers write it. `{{ year }}. It was …` would be a numbered list
(CommonMark 5.2), so BLANK (`marks`) is put before such a number. A text that the template made, as with a
macro, stays as it is, save for blanks in an address without a title.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from jinja2 import Environment, nodes

from campaign.templating.marks import Own, as_marks, as_sign, unnumbered

IN_ADDRESS, BEFORE_DOT = "in address", "before dot"
"""The names of the filters `in_address` and `before_dot`, which no template can write."""

_PRINTED = "\0"  # stands for a printed value
_CODE_OR_BRACKET = re.compile(
    r"\\[!-/:-@\[-`{-~]"  # an escaped mark
    r"|^ {0,3}(?P<fence>```+|~~~+)[^`\n]*\n(?s:.*?)(?:^ {0,3}(?P=fence)|\Z)"
    r"|(?<!`)(?P<ticks>`+)(?!`)(?s:.*?)(?<!`)(?P=ticks)(?!`)"
    r"|^ {0,3}\[(?P<label>[^\]\n\0]+)\]:"  # [label]: address
    r"|\]\(|[\[\]]|\n[ \t]*\n",
    re.MULTILINE,
)
_ADDRESS = re.compile(r"\s*+(?!<)(?>(?:[^\s()]|\([^\s()]*+\))*)(?=\s*+[)\"'(])")
_DEFINED = re.compile(r"[ \t]*+\n?[ \t]*+(?!<)\S++")
_BLANKS = re.compile("[\x00-\x20\x7f]")
_TITLE = re.compile(f"[{as_sign('()')}{as_sign(chr(34))}{as_sign(chr(39))}]")


def in_address(value: object) -> object:
    """Return a value for a link's address: its blanks and control characters are percent-encoded."""
    if not isinstance(value, str) or (isinstance(value, Own) and _TITLE.search(value)):
        return value
    encoded = _BLANKS.sub(lambda found: f"%{ord(found[0]):02X}", value.strip())
    return Own(encoded) if isinstance(value, Own) else encoded


def before_dot(value: object) -> object:
    """Return a value that a dot or a bracket may follow: what is a number there begins no list."""
    return unnumbered(value) if isinstance(value, str) and not isinstance(value, Own) else value


def guard_values(source: nodes.Template, environment: Environment) -> None:
    """Have `in_address` or `before_dot` take each value that a parsed Markdown template prints there."""
    runs: list[list[nodes.Output]] = [[]]
    _collect(source, runs[0], runs)
    texts = ["".join(_marks(child) for output in run for child in output.nodes) for run in runs]
    everything = "\n\n".join(texts)
    for run, text in zip(runs, texts, strict=True):
        addresses = set(_in_addresses(text, everything))
        at = -1
        for output in run:
            end = at + sum(len(_marks(child)) for child in output.nodes)
            for number, child in enumerate(output.nodes):
                at += len(_marks(child))
                if isinstance(child, nodes.TemplateData):
                    continue
                follows = re.compile(rf"{_PRINTED}*+([.)]?)").match(text, at)
                assert follows is not None  # noqa: S101
                # Behind what the last value of an output prints, a branch of an `if` may be left out.
                may_be_number = bool(follows[1]) or (run is runs[0] and follows.end() > end)
                name = IN_ADDRESS if at in addresses else BEFORE_DOT if may_be_number else ""
                if name:
                    output.nodes[number] = nodes.Filter(
                        child, name, [], [], None, None, lineno=child.lineno, environment=environment
                    )


def _collect(node: nodes.Node, run: list[nodes.Output], runs: list[list[nodes.Output]]) -> None:
    """Add what a template prints, in its order, to `run`, and what a macro or a `set` holds to other runs."""
    for child in node.iter_child_nodes():
        if isinstance(child, nodes.Output):
            run.append(child)
        elif isinstance(child, nodes.Macro | nodes.CallBlock | nodes.AssignBlock):
            runs.append([])
            _collect(child, runs[-1], runs)
        else:
            _collect(child, run, runs)


def _marks(child: nodes.Node) -> str:
    return as_marks(child.data) if isinstance(child, nodes.TemplateData) else _PRINTED


def _in_addresses(text: str, everything: str) -> Iterator[int]:
    """Yield the position of each value in an address of a link in `text`, which is a part of `everything`."""
    opened = position = 0
    while found := _CODE_OR_BRACKET.search(text, position):
        address = None
        match found[0]:
            case "[":
                opened += 1
            case "]":
                opened = max(0, opened - 1)
            case "](":
                address = _ADDRESS.match(text, found.end()) if opened else None
                opened = max(0, opened - 1)
            case blank if blank.isspace():
                opened = 0
            case _ if found["label"] and _refers(found["label"], everything):
                address = _DEFINED.match(text, found.end())
        position = found.end()
        if address is not None:
            position = address.end()
            yield from (at for at in range(*address.span()) if text[at] == _PRINTED)


def _refers(label: str, text: str) -> bool:
    """Whether a link in the text refers to a label; else `[Note]: {{ note }}` may be meant as text."""
    return re.search(rf"\[{re.escape(label)}\](?!:)", text, re.IGNORECASE) is not None
