"""Explains syntax errors in templates: the line of the mistake, what is missing, and how to write it.

In: a source that Jinja2 refuses, and its message. The message names tokens of its parser, and the line where
it gave up; a person needs the tag that was opened and not closed.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator
from dataclasses import dataclass

_OPENING = re.compile(r"\{\{|\{%|\{#")
_CLOSING = {"{{": "}}", "{%": "%}", "{#": "#}"}
# Text in quotes may hold anything; what opens another tag cannot stand in one.
_INSIDE = {
    opening: re.compile(
        rf"""((?>(?:"[^"]*+"|'[^']*+'|(?!{re.escape(closing)}|\{{[{{%]).)*))({re.escape(closing)})?""",
        re.DOTALL,
    )
    for opening, closing in _CLOSING.items()
}
_WORD = re.compile(r"[-+]?\s*(\w+)\s*(.*?)\s*[-+]?", re.DOTALL)
_BLOCKS = ("if", "for", "block", "macro", "call", "filter", "with", "raw", "autoescape")
_BRANCHES = {"elif": ("if",), "else": ("if", "for")}
_TAGS = (
    *_BLOCKS,
    *(f"end{name}" for name in (*_BLOCKS, "set")),
    *_BRANCHES,
    "set",
    "include",
    "extends",
    "import",
    "from",
)
_TOKENS = {"end of print statement": "}}", "end of statement block": "%}", "begin of statement block": "{%"}
_ASSIGNED = re.compile(r"(?<![=!<>~])=(?![=])")
_SET_BLOCK = re.compile(r"[-+]?\s*set\s+\w+\s*(?:\|.*)?", re.DOTALL)
_STRING = re.compile(r"\"[^\"]*\"|'[^']*'")
_BRACKETS = {")": "(", "]": "[", "}": "{"}
_BRACKET = re.compile(r"unexpected '.', expected '([)\]}])'")
_COMPARISONS = {"===": "==", "!==": "!=", "=>": ">=", "=<": "<=", "<>": "!="}
_CAPITALS = re.compile(r"\b(?:AND|OR|NOT|IN|IS)\b")
_SIGNS = {"&&": "and", "||": "or", "<>": "!=", "===": "=="}
_SIGN = re.compile("|".join(map(re.escape, _SIGNS)))
_DATE = re.compile(r"\b[0-9]{4}-[0-9]{2}-[0-9]{2}\b")
_IN_PARENTHESES = re.compile(r"\([^()]*\)")
_LONGEST = 50  # characters of a tag that are shown


@dataclass(frozen=True, slots=True)
class _Tag:
    """A closed tag: `kind` is its opening, `inside` its content."""

    kind: str
    line: int
    inside: str

    @property
    def written(self) -> str:
        """The tag as shown to people."""
        return _shortened(f"{self.kind} {self.inside.strip()} {_CLOSING[self.kind]}")

    @property
    def name(self) -> str:
        """A statement's first word."""
        found = _WORD.fullmatch(self.inside.strip())
        return found[1] if found is not None and self.kind == "{%" else ""


def assigns(expression: str) -> bool:
    """Whether an expression contains a `=` that does not name an argument."""
    return _ASSIGNED.search(_IN_PARENTHESES.sub("", _STRING.sub("", expression))) is not None


def not_jinja(expression: str) -> str:
    """Return a hint at what Jinja2 writes otherwise: `AND`, `&&`, a date without quotes; "" for none."""
    bare = _STRING.sub("''", expression)
    if (word := _CAPITALS.search(bare)) is not None:
        return f"; write `{word[0].lower()}` in small letters"
    if (sign := _SIGN.search(bare)) is not None:
        return f"; `{sign[0]}` is written `{_SIGNS[sign[0]]}`"
    if (date := _DATE.search(bare)) is not None:
        return f"; put a date in quotes: '{date[0]}'"
    return ""


def fault(source: str, line: int, words: str) -> tuple[int, str]:
    """Return the line of a mistake, and a sentence; `line` and `words` are Jinja2's."""
    tags: list[_Tag] = []
    for found in _tags(source):
        if not isinstance(found, _Tag):
            return found
        tags.append(found)
    unknown = ((tag.line, what) for tag in tags if (what := _no_statement(tag)))
    return (
        next(unknown, None)
        or _unbalanced(tags)
        or _misspelt(tags, line)
        or (line, _in_words(words, tags, line))
    )


def _tags(source: str) -> Iterator[_Tag | tuple[int, str]]:
    """Yield the tags, up to the first unclosed one: for that, its line and a sentence."""
    at = 0
    while (opening := _OPENING.search(source, at)) is not None:
        kind, line = opening[0], source.count("\n", 0, opening.start()) + 1
        if kind == "{#":
            end = source.find("#}", opening.end())
            at = end + 2 if end >= 0 else len(source)
            continue
        match = _INSIDE[kind].match(source, opening.end())
        assert match is not None  # noqa: S101  (it may be empty)
        if match[2] is None:
            yield line, _unclosed(kind, source[opening.end() : _end_of_tag(source, opening.end())])
            return
        tag = _Tag(kind, line, match[1])
        yield tag
        at = match.end()
        if tag.name == "raw":
            ends = re.compile(r"\{%[-+]?\s*endraw").search(source, at)
            at = ends.start() if ends is not None else len(source)


def _end_of_tag(source: str, begin: int) -> int:
    """Return where an unclosed tag seems to end: at the end of its line, or at the next tag."""
    following = re.compile(r"\n|\{[{%#]").search(source, begin)
    return following.start() if following is not None else len(source)


def _unclosed(kind: str, inside: str) -> str:
    closing = _CLOSING[kind]
    other = "%}" if closing == "}}" else "}}"
    if other in inside:
        written = _shortened(f"{kind}{inside.partition(other)[0]}{other}")
        return f"`{written}` ends with `{other}`; write `{closing}`"
    written = _shortened(f"{kind}{inside.rstrip()}")
    if _has_open_quote(inside):
        return f"`{written}` has a quote that is not closed"
    if inside.rstrip().endswith(closing[-1]):
        return f"`{written}` ends with one `{closing[-1]}`; write `{closing}`"
    return f"`{written}` is not closed; write `{closing}` behind it"


def _has_open_quote(inside: str) -> bool:
    return re.search("[\"']", _STRING.sub("", inside)) is not None


def _unbalanced(tags: list[_Tag]) -> tuple[int, str] | None:
    """Return the first statement that ends a block that is not open, or a block that is never ended."""
    opened: list[_Tag] = []
    for tag in tags:
        name = tag.name
        if name in _BLOCKS or (name == "set" and _SET_BLOCK.fullmatch(tag.inside)):
            opened.append(tag)
        elif name in _BRANCHES:
            if not opened or opened[-1].name not in _BRANCHES[name]:
                return tag.line, _closes_nothing(tag, opened, *_BRANCHES[name])
        elif name.startswith("end") and name in _TAGS:
            if not opened or opened[-1].name != name[3:]:
                return tag.line, _closes_nothing(tag, opened, name[3:])
            opened.pop()
    if opened:
        last = opened[-1]
        return last.line, f"`{last.written}` is not closed: `{{% end{last.name} %}}` is missing"
    return None


def _closes_nothing(tag: _Tag, opened: list[_Tag], *of: str) -> str:
    if not opened:
        openings = " or ".join(f"`{{% {name} … %}}`" for name in of)
        return f"`{tag.written}` belongs to no {openings} above it"
    last = opened[-1]
    lacks = f"`{last.written}` of line {last.line} lacks its `{{% end{last.name} %}}`"
    return f"`{tag.written}` stands where {lacks}"


def _misspelt(tags: list[_Tag], line: int) -> tuple[int, str] | None:
    """Return the first tag, from Jinja2's line on, with a wrong comparison or another mistake."""
    for tag in tags:
        if tag.line + tag.inside.count("\n") < line:
            continue
        message = _no_comparison(tag)
        if not message and _has_open_quote(tag.inside):
            message = f"`{tag.written}` has a quote that is not closed"
        if not message and not tag.inside.strip():
            message = f"there is nothing in `{tag.written}`"
        if message:
            return tag.line, message
    return None


def _no_statement(tag: _Tag) -> str:
    if tag.kind != "{%" or not tag.name or tag.name in _TAGS:
        return ""
    what, joined = f"`{tag.written}` is no statement of Jinja2", "".join(tag.inside.split())
    if joined in _TAGS:  # {% end if %}
        return f"{what}; write `{{% {joined} %}}`"
    near = difflib.get_close_matches(tag.name, _TAGS, 1)
    return f"{what}; did you mean {near[0]!r}?" if near else what


def _no_comparison(tag: _Tag) -> str:
    bare = _STRING.sub("''", tag.inside)
    for wrong, right in _COMPARISONS.items():
        if wrong in bare:
            return f"`{wrong}` is written `{right}` (in `{tag.written}`)"
    while (without := _IN_PARENTHESES.sub("", bare)) != bare:  # where `=` names an argument
        bare = without
    if _ASSIGNED.search(bare) is None:
        return ""
    if tag.kind == "{{":
        setting = f"to set a value write `{{% set {tag.inside.strip()} %}}`"
        return f"`{tag.written}` prints nothing: {setting}, to compare `==`"
    return f"`=` compares nothing: write `==` (in `{tag.written}`)" if tag.name in ("if", "elif") else ""


def _in_words(words: str, tags: list[_Tag], line: int) -> str:
    """Return Jinja2's message with its tokens as they are written, and the tag that it is about."""
    for token, mark in _TOKENS.items():
        words = words.replace(f"'{token}'", f"`{mark}`")
    words = _BRACKET.sub(lambda found: f"`{_BRACKETS[found[1]]}` is not closed", words)
    words = re.sub("^unexpected (`[%}]}`)", r"something is missing before \1", words)
    words = words.replace("expected token ", "expected ").rstrip(".")
    words = f"{words[:1].lower()}{words[1:]}"
    about = next((tag for tag in tags if tag.line <= line <= tag.line + tag.inside.count("\n")), None)
    return f"{words} (in `{about.written}`){not_jinja(about.inside)}" if about is not None else words


def _shortened(written: str) -> str:
    written = " ".join(written.split())
    return written if len(written) <= _LONGEST else f"{written[: _LONGEST - 1]}…"
