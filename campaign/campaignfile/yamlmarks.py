"""Read a YAML file as plain values, with the line and column of each.

PyYAML silently keeps the last of two equal keys, and loses the places of values. So this module walks the
nodes, which have marks, and refuses what a campaign file never needs: duplicate keys, keys that are not
text, tags, merge keys, and aliases that multiply.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path as FilePath
from typing import Any, TypeAlias

import yaml

from campaign.campaignfile.octets import read_file
from campaign.campaignfile.yamlfaults import deepest, syntax_problem
from campaign.errors import Problem, Severity, UserError
from campaign.wording import shown

Path = tuple[str | int, ...]

MAX_NODES = 20_000
MAX_BYTES = 1 << 20
MAX_NUMBER = 100  # characters of a number without quotes
MAX_DEPTH = 100

_Loader: TypeAlias = "yaml.SafeLoader | yaml.CSafeLoader"
_TAG = "tag:yaml.org,2002:"
_TAGS = {_TAG + name for name in ("map", "seq", "str", "null", "bool", "int", "float", "timestamp", "value")}
_CUT = re.compile(r"[ \t]+(#[^\s#].{0,39})")  # in a real comment, people write a space after the #
_ANCHOR = re.compile(r"&([^\s,\[\]{}]+)|!(?=\s)")
_VARIABLE = re.compile(r"\$\{[A-Za-z_]\w*\}|\$[A-Z_][A-Z0-9_]+\b")
_READ = {"subject", "from", "sender", "reply_to", "cc", "bcc", "preheader", "vars", "headers", "attachments"}
_OF_OTHERS = (
    "_env",
    "_command",
    "where",
    "texts",
)  # keys whose values may name variables, or be said to readers
_SURROGATE = re.compile("[\ud800-\udfff]")


@dataclass(slots=True)
class Document:
    """The content of a file. `marks` has the place of each value and `keys` that of its key, from 1.

    `refused` are the values that `problems` already reports: further problems about them would be noise.
    """

    file: FilePath
    value: object = None
    marks: dict[Path, tuple[int, int]] = field(default_factory=dict)
    keys: dict[Path, tuple[int, int]] = field(default_factory=dict)
    plain: dict[Path, str] = field(default_factory=dict)  # unquoted scalars, as written
    cut: dict[Path, str] = field(default_factory=dict)  # the comments after them
    begun: dict[Path, str] = field(default_factory=dict)  # the YAML syntax at their beginning
    problems: list[Problem] = field(default_factory=list)
    refused: set[Path] = field(default_factory=set)

    def problem(self, path: Path, message: str, *, at_key: bool = False) -> Problem:
        """Return a problem at the value of `path`, or at its nearest ancestor that is written."""
        near = path
        while near and near not in self.marks:
            near = near[:-1]
        if path and isinstance(path[-1], int) and near == path[:-1] and isinstance(self.at(near), str):
            path = path[:-1]  # a single value may be written instead of a list
        places = self.keys if at_key and near == path and near in self.keys else self.marks
        line, column = places.get(near, (1, 1))
        return Problem(message, shown(self.file), line, column, dotted(path))

    def mapping(self, expected: str) -> dict[str, Any]:
        """Return the keys and values of the file. Raises UserError with `expected` if it has none."""
        if isinstance(self.value, dict):
            return self.value
        if self.problems:
            raise UserError(*self.problems)
        what = "the file is empty" if self.value is None else "this is not a set of keys and values"
        raise UserError(self.problem((), f"{what}; {expected}"))

    def at(self, path: Path) -> object:
        """Return the value at `path`, or None."""
        value = self.value
        for part in path:
            try:
                value = value[part]  # type: ignore[index]
            except (KeyError, IndexError, TypeError):
                return None
        return value

    def has_refused(self, path: Path) -> bool:
        """Whether the value at `path`, or one that contains it, was refused."""
        return any(path[:length] in self.refused for length in range(1, len(path) + 1))


class Places:
    """The places of a campaign file's values, for problems that are found later."""

    def __init__(self, campaign: Document, smtp: Document | None) -> None:
        self._campaign = campaign
        self._smtp = smtp

    @property
    def file(self) -> FilePath:
        """The campaign file."""
        return self._campaign.file

    def problem(
        self, path: str, message: str, severity: Severity = Severity.ERROR, rule: str = ""
    ) -> Problem:
        """Return a problem at the dotted `path`, or at its nearest ancestor that is written."""
        parts: Path = tuple(int(part) if part.isdigit() else part for part in path.split(".") if part)
        if self._smtp is not None and parts[:1] == ("smtp",):
            found = self._smtp.problem(parts[1:], message)
            found = replace(found, path=dotted(("smtp", *parts[1:])))
        else:
            found = self._campaign.problem(parts, message)
            if parts and parts[:1] not in self._campaign.marks:  # it is not in the file: no line
                found = replace(found, line=None, column=None)
        return replace(found, severity=severity, rule=rule)

    def rewritten(self) -> Iterator[tuple[str, str]]:
        """Yield the numbers in `vars` that print differently than they are written, such as 18.00."""
        for path, written in self._campaign.plain.items():
            value = self._campaign.at(path)
            number = isinstance(value, int | float) and not isinstance(value, bool)
            if path[0] == "vars" and number and written != str(value):
                yield dotted(path), f"YAML reads {written} as {value}; put it in quotes to keep it as it is"

    def cut_off(self) -> Iterator[tuple[str, str]]:
        """Yield the visible texts of which YAML keeps only a part, such as `Offer #5` and `&co news`."""
        for path, begun in self._campaign.begun.items():
            if path[0] in _READ:
                yield dotted(path), f"YAML takes {begun!r} for syntax; put the value in quotes"
        for path, cut in self._campaign.cut.items():
            if path[0] in _READ:
                what = f"YAML takes {cut!r} for a comment; put the value in quotes"
                yield dotted(path), f"{what}, or write a space after the #"

    def unreplaced(self) -> Iterator[tuple[str, str]]:
        """Yield the settings that name a variable of the environment, such as ${SMTP_HOST}."""
        smtp = [(("smtp", *path), self._smtp.at(path)) for path in self._smtp.marks] if self._smtp else []
        own = [(path, self._campaign.at(path)) for path in self._campaign.marks]
        for path, value in (*own, *smtp):
            named = _VARIABLE.search(value) if isinstance(value, str) else None
            if named and path[0] not in _READ and not any(str(key).endswith(_OF_OTHERS) for key in path):
                what = "environment variables are not replaced in a campaign file; write the value instead of"
                yield dotted(path), f"{what} {named[0]}"


def dotted(path: Path) -> str:
    """Return a path in dotted form, entries from 0: `attachments.0.path`."""
    return ".".join(str(part) for part in path)


def read(file: FilePath) -> Document:
    """Read `file`. Raises UserError if it is not YAML; other problems are in the document."""
    name = shown(file)
    try:
        octets = read_file(file, MAX_BYTES)
        text = octets.decode("utf-8-sig")
    except FileNotFoundError:
        raise UserError(
            Problem("there is no such file; name a campaign file, or make one: `campaign init DIR`", name)
        ) from None
    except IsADirectoryError:
        raise UserError(Problem("this is a folder; name the campaign file in it", name)) from None
    except UnicodeDecodeError as error:
        before = octets[: error.start].decode("utf-8-sig", "ignore")
        raise UserError(Problem("the file is not UTF-8; save it as UTF-8", name, *_end(before))) from None
    except (OSError, ValueError) as error:  # no permission, a name too long, a NUL in it
        why = error.strerror if isinstance(error, OSError) else error
        raise UserError(Problem(f"the file cannot be read: {why}", name)) from None
    document = Document(file)
    try:
        loader, node = _composed(text)
        if node is not None:
            document.value = _Walk(document, loader, text).value(node, ())
    except yaml.MarkedYAMLError as error:
        raise UserError(syntax_problem(error, name, text)) from None
    except yaml.reader.ReaderError as error:
        if error.character == 0:  # every other octet of UTF-16
            what = "the file holds a NUL, as UTF-16 does; save it as UTF-8"
            raise UserError(Problem(what, name, 1, 1)) from None
        what = f"the character U+{error.character:04X} cannot stand in YAML"
        raise UserError(Problem(what, name, *_end(text[: int(error.position)]))) from None
    except RecursionError:
        raise UserError(Problem(_DEEP, name, *deepest(text, MAX_DEPTH))) from None
    return document


def _composed(text: str) -> tuple[_Loader, yaml.Node | None]:
    """Return the loader and the document's nodes. Raises YAMLError.

    libyaml is ten times as fast; PyYAML's own reader gives better errors.
    """
    if yaml.__with_libyaml__:
        with suppress(yaml.YAMLError):
            fast = yaml.CSafeLoader(text)
            return fast, fast.get_single_node()
    loader = yaml.SafeLoader(text)
    try:
        return loader, loader.get_single_node()
    except (ValueError, OverflowError):  # "\UFFFFFFFF", which PyYAML gives to chr()
        what = "a \\U escape names no character"
        raise yaml.MarkedYAMLError(problem=what, problem_mark=loader.get_mark()) from None


_DEEP = "here the file is nested too deeply"


class _Walk:
    def __init__(self, document: Document, loader: _Loader, text: str) -> None:
        self._document = document
        self._loader = loader
        self._text = text
        self._nodes = 0

    def value(self, node: yaml.Node, path: Path) -> object:
        self._nodes += 1
        if self._nodes > MAX_NODES:
            what = f"the file has more than {MAX_NODES:,} values; does an alias (*name) repeat them?"
            raise UserError(Problem(what, shown(self._document.file), *_place(node)))
        if len(path) > MAX_DEPTH:
            what = (
                f"{_DEEP}; does an alias (*name) refer to a value that contains it?"
                if "*" in self._text
                else _DEEP
            )
            raise UserError(Problem(what, shown(self._document.file), *_place(node)))
        self._document.marks[path] = _place(node)
        if isinstance(node, yaml.ScalarNode) and (begun := self._begun(node)):
            if not node.value:
                return self._refuse(f"YAML takes {begun!r} for syntax; put it in quotes", node, path)
            self._document.begun[path] = begun
        if node.tag not in _TAGS:
            tag = node.tag.replace(_TAG, "!!")
            return self._refuse(f"the tag {tag} is not supported here; remove it", node, path)
        match node:
            case yaml.MappingNode():
                return self._mapping(node, path)
            case yaml.SequenceNode():
                return [self.value(child, (*path, index)) for index, child in enumerate(node.value)]
            case _:
                return self._scalar(node, path)

    def _scalar(self, node: yaml.Node, path: Path) -> object:
        if isinstance(node, yaml.ScalarNode) and not node.style:  # None in Python, "" in libyaml
            self._document.plain[path] = node.value
            if (cut := _CUT.match(self._text, node.end_mark.index)) is not None:
                self._document.cut[path] = cut[1]
        if node.tag in (_TAG + "int", _TAG + "float") and len(node.value) > MAX_NUMBER:
            # Base 60 (1:59:59) takes time that grows with the square of its parts.
            what = f"a number of {len(node.value):,} characters is too long; put it in quotes"
            return self._refuse(what, node, path)
        if node.tag == _TAG + "value":  # a lone =, which PyYAML resolves and cannot construct
            return node.value
        try:
            value: object = self._loader.construct_object(node)
        except ValueError as error:  # a date such as 2026-02-30
            return self._refuse(f"{node.value[:60]!r} cannot be read ({error}); put it in quotes", node, path)
        except (KeyError, AttributeError, TypeError):  # `!!bool maybe`: PyYAML looks up what it expects
            tag = node.tag.replace(_TAG, "!!")
            return self._refuse(f"the tag {tag} does not fit its value; leave it out", node, path)
        if isinstance(value, str) and _SURROGATE.search(value):
            try:  # "\ud83d\ude00", as JSON writes one character
                value = value.encode("utf-16", "surrogatepass").decode("utf-16")
            except UnicodeDecodeError:
                return self._refuse("a \\u escape names half a character; write the character", node, path)
        return value

    def _mapping(self, node: yaml.MappingNode, path: Path) -> object:
        mapping: dict[str, object] = {}
        first: dict[str, int] = {}
        for key_node, value_node in node.value:
            if not isinstance(key_node, yaml.ScalarNode):
                if node.flow_style and isinstance(key_node, yaml.MappingNode):
                    return self._refuse(self._unquoted(node), node, path)
                self._add("a key must be text", key_node, path)
                continue
            key = str(key_node.value)
            where = (*path, key)
            if key_node.tag == _TAG + "merge":
                self._add("merge keys are not supported here; write out the keys", key_node, where)
                continue
            if not key_node.style and key != key.strip():
                blank = next(one for one in key if one.isspace())
                what = f"there is a space that YAML does not recognise (U+{ord(blank):04X}) next to this key"
                self._add(f"{what}; write plain spaces", key_node, path)
                continue
            if key in mapping:
                what = f"duplicate key; it was first set in line {first[key]}"
                self._add(what, key_node, where)
                continue
            first[key], column = _place(key_node)
            self._document.keys[where] = (first[key], column)
            mapping[key] = self.value(value_node, where)
        return mapping

    def _begun(self, node: yaml.Node) -> str:
        """Return YAML syntax at the beginning of a value, such as `&co`, that is probably meant as text."""
        found = _ANCHOR.match(self._text, node.start_mark.index)
        if found is None or (found[1] and re.search(rf"\*{re.escape(found[1])}(?![\w-])", self._text)):
            return ""
        return found[0]

    def _unquoted(self, node: yaml.Node) -> str:
        """Refuse a mapping within a mapping: it is a template expression without quotes."""
        written = self._text[node.start_mark.index : node.end_mark.index]
        quote = "'" if '"' in written else '"'
        what = "a value that begins with {{ must be put in quotes"
        whole = len(written) <= 60 and "\n" not in written and quote not in written
        return f"{what}: {quote}{written}{quote}" if whole else what

    def _refuse(self, what: str, node: yaml.Node, path: Path) -> object:
        """Record the problem, and return None instead of the value."""
        self._add(what, node, path)
        self._document.refused.add(path)
        return None

    def _add(self, what: str, node: yaml.Node, path: Path) -> None:
        file = shown(self._document.file)
        self._document.problems.append(Problem(what, file, *_place(node), dotted(path)))


def _place(node: yaml.Node) -> tuple[int, int]:
    return node.start_mark.line + 1, node.start_mark.column + 1


def _end(text: str) -> tuple[int, int]:
    """Return the line and column after `text`."""
    return text.count("\n") + 1, len(text) - text.rfind("\n")
