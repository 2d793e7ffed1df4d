"""A YAML file → plain values, and the line and column of every one of them.

PyYAML keeps the last of two equal keys in silence and forgets where a value stood; so the nodes are
walked here, which keeps their marks, and refuses what a campaign file never needs: duplicate keys,
keys that are no text, tags, and aliases that multiply.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path as FilePath

import yaml

from campaign.errors import Problem, Severity, UserError
from campaign.place import shown

Path = tuple[str | int, ...]

MAX_NODES = 20_000
MAX_BYTES = 4 << 20


@dataclass(slots=True)
class Document:
    """What a file says. `marks` has the place of each value and `keys` that of its key, from 1."""

    file: FilePath
    value: object = None
    marks: dict[Path, tuple[int, int]] = field(default_factory=dict)
    keys: dict[Path, tuple[int, int]] = field(default_factory=dict)
    plain: dict[Path, str] = field(default_factory=dict)  # unquoted scalars, as written
    problems: list[Problem] = field(default_factory=list)

    def problem(self, path: Path, message: str, *, at_key: bool = False) -> Problem:
        """Return a problem at the value of `path`, or at its nearest ancestor that is written."""
        near = path
        while near and near not in self.marks:
            near = near[:-1]
        places = self.keys if at_key and near == path and near in self.keys else self.marks
        line, column = places.get(near, (1, 1))
        return Problem(message, shown(self.file), line, column, dotted(path))


class Places:
    """Where the values of a campaign file stand, for problems that are found later."""

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
        else:
            found = self._campaign.problem(parts, message)
        return Problem(message, found.file, found.line, found.column, path, severity, rule)


def dotted(path: Path) -> str:
    """Return a path as people write it: `attachments.0.path`."""
    return ".".join(str(part) for part in path)


def read(file: FilePath) -> Document:
    """Read `file`. Raises UserError where it is no YAML; duplicate keys are in `problems`."""
    name = shown(file)
    try:
        octets = file.read_bytes()
        text = octets.decode("utf-8-sig")
    except FileNotFoundError:
        raise UserError(Problem("there is no such file", name)) from None
    except IsADirectoryError:
        raise UserError(Problem("this is a folder; name the campaign file in it", name)) from None
    except OSError as error:
        raise UserError(Problem(f"the file cannot be read: {error.strerror}", name)) from None
    except UnicodeDecodeError as error:
        line = octets[: error.start].count(b"\n") + 1
        raise UserError(Problem("the file is not UTF-8; save it as UTF-8", name, line)) from None
    if len(octets) > MAX_BYTES:
        raise UserError(Problem("the file is too large to be a campaign file", name))
    document = Document(file)
    try:
        loader = yaml.SafeLoader(text)
        node = loader.get_single_node()
        if node is not None:
            document.value = _Walk(document, loader).value(node, ())
    except yaml.MarkedYAMLError as error:
        raise UserError(_syntax_problem(error, name, text)) from None
    except yaml.reader.ReaderError as error:
        line = text[: int(error.position)].count("\n") + 1
        what = f"the character U+{error.character:04X} cannot stand in YAML"
        raise UserError(Problem(what, name, line)) from None
    except RecursionError:
        raise UserError(Problem("the file is nested too deeply", name)) from None
    except ValueError as error:  # a date such as 2026-02-30
        raise UserError(Problem(f"a value cannot be read ({error}); put it in quotes", name)) from None
    return document


class _Walk:
    def __init__(self, document: Document, loader: yaml.SafeLoader) -> None:
        self._document = document
        self._loader = loader
        self._nodes = 0

    def value(self, node: yaml.Node, path: Path) -> object:
        self._nodes += 1
        if self._nodes > MAX_NODES:
            raise UserError(Problem(f"the file has more than {MAX_NODES} values", shown(self._document.file)))
        self._document.marks[path] = _place(node)
        match node:
            case yaml.MappingNode():
                return self._mapping(node, path)
            case yaml.SequenceNode():
                return [self.value(child, (*path, index)) for index, child in enumerate(node.value)]
            case _:
                if isinstance(node, yaml.ScalarNode) and node.style is None:
                    self._document.plain[path] = node.value
                return self._loader.construct_object(node)

    def _mapping(self, node: yaml.MappingNode, path: Path) -> dict[str, object]:
        mapping: dict[str, object] = {}
        first: dict[str, int] = {}
        for key_node, value_node in node.value:
            line, column = _place(key_node)
            if not isinstance(key_node, yaml.ScalarNode):
                what = "a key must be text; a value that begins with {{ must be put in quotes"
                self._add(what, line, column, path)
                continue
            key = str(key_node.value)
            if key in mapping:
                self._add(
                    f"the key stands here again; it stood first in line {first[key]}",
                    line,
                    column,
                    (*path, key),
                )
                continue
            first[key] = line
            self._document.keys[(*path, key)] = (line, column)
            mapping[key] = self.value(value_node, (*path, key))
        return mapping

    def _add(self, what: str, line: int, column: int, path: Path) -> None:
        self._document.problems.append(Problem(what, shown(self._document.file), line, column, dotted(path)))


def _place(node: yaml.Node) -> tuple[int, int]:
    return node.start_mark.line + 1, node.start_mark.column + 1


def _syntax_problem(error: yaml.MarkedYAMLError, name: str, text: str) -> Problem:
    mark = error.problem_mark or error.context_mark
    line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
    what = error.problem or error.context or "this is no YAML"
    lines = text.splitlines()
    written = lines[line - 1] if line <= len(lines) else ""
    if "\t" in written[: len(written) - len(written.lstrip())] or "'\\t'" in what:
        what += "; YAML is indented with spaces, not tabs"
    elif "{{" in written or "{%" in written:
        what += "; a value with {{ or {% in it must be put in quotes"
    elif written.count(": ") > 1:
        what += "; a value with a colon in it must be put in quotes"
    elif "%" in what or "@" in what or "`" in what:
        what += "; put the value in quotes"
    return Problem(f"this is no YAML: {what}", name, line, column)
