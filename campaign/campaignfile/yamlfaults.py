"""Explain YAML syntax errors: find the real place of the mistake, and say what to write.

PyYAML reports the place where it gave up. That is often one or more lines after the mistake: an unclosed
quote, a key without a colon, a line with another indentation than those above it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import suppress

import yaml

from campaign.errors import Problem

_OPENING = (
    yaml.BlockMappingStartToken, yaml.BlockSequenceStartToken, yaml.FlowMappingStartToken,
    yaml.FlowSequenceStartToken,
)  # fmt: skip
_CLOSING = yaml.BlockEndToken, yaml.FlowMappingEndToken, yaml.FlowSequenceEndToken


_LONG_KEY = re.compile(r"[^\s{},]{1025,}:(?:\s|$)")
_ODD_QUOTE = re.compile(r"(?:^|[:\-\[{,])\s*([“”„«»‘’‚])")
_TOO_LONG = "this is not valid YAML: a key has at most 1,024 characters"


def deepest(text: str, most: int) -> tuple[int, int]:
    """Return the place where brackets, lists and keys are nested more than `most` levels deep."""
    depth = 0
    for token in _tokens(text):
        depth += isinstance(token, _OPENING)
        depth -= isinstance(token, _CLOSING)
        if depth > most:
            return _at(token.start_mark)
    return 1, 1


def syntax_problem(error: yaml.MarkedYAMLError, name: str, text: str) -> Problem:
    """Return the problem of the file `name` with the content `text`."""
    mark = error.problem_mark or error.context_mark
    what = error.problem or error.context or "this cannot be read"
    context = error.context or ""
    if "found another document" in what:
        return Problem("a second document begins here; one file holds one campaign", name, *_at(mark))
    if "end of stream" in what and "quoted scalar" in context:
        return Problem("the quote that opens here is not closed", name, *_at(error.context_mark))
    if "stream end" in what and "flow" in context:
        return Problem("the bracket that opens here is not closed", name, *_at(error.context_mark))
    if (alias := _alias(error)) is not None:
        return Problem(f"this is not valid YAML: {alias}", name, *_at(mark))
    line, column = _at(mark)
    if (quote := _quote(text, mark)) is not None:
        return Problem(quote[0], name, *_at(quote[1]))
    lines = text.splitlines()
    written = lines[line - 1] if line <= len(lines) else ""
    if "got ':'" in what and _LONG_KEY.search(written):
        return Problem(_TOO_LONG, name, line, column)
    if "could not find expected ':'" in what and error.context_mark is not None:
        above, place = lines[error.context_mark.line], _at(error.context_mark)
        return Problem(_TOO_LONG if _LONG_KEY.search(above) else _no_colon(above), name, *place)
    if "mapping values" in what and (key := _without_colon(lines, line)):
        return Problem(_no_colon(lines[key - 1]), name, key, _indent(lines[key - 1]) + 1)
    if (indented := _indented(lines, line, column, what)) is not None:
        return Problem(indented[0], name, indented[1], 1)
    opened = error.context_mark.line + 1 if error.context_mark is not None else line
    if "escape" in what and "names no character" not in what:
        what += "; a backslash in double quotes begins an escape: put the value in single quotes"
    elif "\t" in written[: len(written) - len(written.lstrip())] or "'\\t'" in what:
        what += "; YAML is indented with spaces, not tabs"
    elif (odd := _ODD_QUOTE.search(written)) is not None:
        what += f"; {odd[1]} is no quote in YAML: write \" or '"
    elif "{{" in written or "{%" in written:
        what += "; a value with {{ or {% in it must be put in quotes"
    elif "flow" in context and opened < line:
        what += f"; is the bracket that opens in line {opened} closed, and no comma missing?"
    elif written.count(": ") > 1:
        what += "; a value with a colon in it must be put in quotes"
    elif "%" in what or "@" in what or "`" in what or "*" in written or "&" in written:
        what += "; put the value in quotes"
    elif "mapping values" in what:
        what += "; is the line indented too far?"
    elif "expected a comment" in what or re.search(r":\s+\[[^\[\]]*\]\s+[^\s#]", written):
        what += "; put the value in quotes"
    return Problem(f"this is not valid YAML: {what}", name, line, column)


def _quote(text: str, mark: yaml.Mark | None) -> tuple[str, yaml.Mark] | None:
    """Return a message that a quoted value ends just before `mark`, and the place where it opens."""
    quoted = None
    for token in _tokens(text):
        if mark is not None and token.start_mark.index >= mark.index:
            break
        if isinstance(token, yaml.ScalarToken) and not token.plain and token.style in ("'", '"'):
            quoted = token
    if quoted is None or mark is None:
        return None
    begins, ends, between = quoted.start_mark, quoted.end_mark, text[quoted.end_mark.index : mark.index]
    if between.strip(" "):
        return None
    if begins.line < ends.line:
        return f"the quote that opens here is not closed: it runs on into line {ends.line + 1}", begins
    if between and _within_brackets(text, mark):
        return None  # a comma may be missing
    other = "single" if quoted.style == '"' else "double"
    ended = f"the value ends at the quote in column {ends.column}"
    return f"{ended}; put a value with such a quote in {other} quotes", begins


def _within_brackets(text: str, mark: yaml.Mark) -> bool:
    """Whether a place is between `[` or `{` and its end."""
    depth = 0
    for token in _tokens(text):
        if token.start_mark.index >= mark.index:
            break
        depth += isinstance(token, yaml.FlowSequenceStartToken | yaml.FlowMappingStartToken)
        depth -= isinstance(token, yaml.FlowSequenceEndToken | yaml.FlowMappingEndToken)
    return depth > 0


def _without_colon(lines: list[str], line: int) -> int:
    """Return the line above that is meant as a key but has no valid colon, or 0."""
    above, *before = [number for number in range(line - 1, 0, -1) if _has_content(lines[number - 1])][:2] or [
        0
    ]
    if not above or line > len(lines) or _indent(lines[above - 1]) != _indent(lines[line - 1]):
        return 0
    text, outer = lines[above - 1].strip(), lines[before[0] - 1].rstrip() if before else ":"
    begins = outer.endswith(":") or _indent(outer) >= _indent(lines[above - 1])
    return 0 if not begins or re.search(r":(?:[ \t]|$)", text) or text[0] in "-'\"{[" else above


def _no_colon(line: str) -> str:
    if ":\u00a0" in line:
        missing = "the space after the colon is a no-break space (U+00A0)"
    else:
        missing = f"there is no {'space after the colon' if ':' in line else 'colon after the key'}"
    return f"this is not valid YAML: {missing}; write `key: value`"


def _tokens(text: str) -> Iterator[yaml.Token]:
    """Yield the tokens before the first mistake."""
    with suppress(yaml.MarkedYAMLError, ValueError, OverflowError):  # the last two for "\UFFFFFFFF"
        yield from yaml.scan(text, Loader=yaml.SafeLoader)


def _alias(error: yaml.MarkedYAMLError) -> str | None:
    """Return what is wrong with an anchor or an alias; a text may look like one."""
    if named := re.fullmatch("found undefined alias '(.*)'", error.problem or ""):
        what = f"no value has the anchor &{named[1]}"
        return f"{what}; a text that begins with * must be put in quotes"
    if named := re.search("duplicate anchor '(.*)'", error.context or ""):
        first = error.context_mark.line + 1 if error.context_mark is not None else 1
        what = f"&{named[1]} is defined again; it was first defined in line {first}"
        return f"{what}; a text that begins with & must be put in quotes"
    return None


def _indented(lines: list[str], line: int, column: int, what: str) -> tuple[str, int] | None:
    """Return a message that a line has another indentation than those above it, and its number from 1."""
    above = next((number for number in range(line - 1, 0, -1) if _has_content(lines[number - 1])), 0)
    if not above or line > len(lines) or "\t" in lines[line - 1] + lines[above - 1]:
        return None
    here, there = _indent(lines[line - 1]), _indent(lines[above - 1])
    if "<document start>" in what and there > here:
        return "this line is indented, and those below it are not; begin it at the left margin", above
    behind, other = _behind_dash(lines[above - 1]), "the one above it"
    if behind > there:
        there, other = behind, "the key behind the - above it"
    if re.search("but found '<block (?:mapping|sequence) start>'", what) and here < there:
        more = f"this line is indented by {here}, and {other} by {there}"
    elif "mapping values" in what and here > there and ": " not in lines[line - 1][: column - 1]:
        more = f"this line is indented by {here}, further than {other} ({there})"
    else:
        return None
    return f"this is not valid YAML: {more}; lines that belong together begin in one column", line


def _has_content(line: str) -> bool:
    return bool(line.strip()) and not line.lstrip().startswith("#")


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip(" "))


def _behind_dash(line: str) -> int:
    """Return the column, from 0, where the content of a line begins, behind the `-` of an entry."""
    return len(line) - len(re.sub("^ *(?:- +)*", "", line))


def _at(mark: yaml.Mark | None) -> tuple[int, int]:
    return (mark.line + 1, mark.column + 1) if mark is not None else (1, 1)
