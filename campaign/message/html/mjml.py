"""Converts MJML to an HTML template, once for a campaign, with mrml (the extra `campaign[mjml]`).

For the conversion, words replace Jinja2's tags and Outlook's conditional comments, which mrml would read as
elements; they are put back afterwards. A block between MJML elements belongs in `<mj-raw>`, as MJML's own
documentation says. Every mistake is reported at its line of the MJML. To make that possible for mistakes that
Jinja2 finds in the HTML, each tag gets a line break after its opening: so it begins a line of the HTML, and
for that line the line of the MJML is known.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace

from campaign.errors import Problem, UserError
from campaign.message.html.markup import RAW, START, TOKEN, VOID, attributes
from campaign.message.html.mjml_source import Read, Source, read_source

_MARKS = re.compile(r"\{\{.*?\}\}|\{%.*?%\}|\{#.*?#\}", re.DOTALL)
_OPENING = re.compile(r"\{[{%][-+]?")
_PROLOG = re.compile(r"\s*(?:<\?xml\b[^>]*>\s*)?(?:<!doctype\b[^>]*>)?", re.IGNORECASE)
# `<!--[if !mso]><!-->` and its end hide nothing from others; what stands between them is MJML.
_CONDITIONAL = re.compile(
    r"<!--\[if [^\]]*\]>(?:<!)?-->|<!--\[if [^\]]*\]><!-- -->|<!--<!\[endif\]-->"
    r"|<!--\[if (?:(?!-->).)*<!\[endif\]-->",
    re.DOTALL | re.IGNORECASE,
)
_RAW = re.compile(r"\{%[-+]?\s*(raw|endraw)\b")
_WORD = re.compile(r"qjinja([0-9]+)q")
# mrml writes HTML attributes like Rust strings; characters that it would escape are replaced by words.
_ESCAPED = re.compile(r"[^ !#-\[\]-~]")
_BLANK = re.compile(r"[\n\r\t]")
_PLACE = re.compile(r" in root template(?: at position ([0-9]+):([0-9]+))?")
_TAG = re.compile(r"<!--.*?-->|<(mj(?:ml|-[a-zA-Z-]*))", re.DOTALL)
_NAMES = """accordion accordion-element accordion-text accordion-title all attributes body breakpoint
button carousel carousel-image class column divider font group head hero image include navbar navbar-link
preview raw section social social-element spacer style table text title wrapper"""
_ELEMENTS = {"mjml", *(f"mj-{name}" for name in _NAMES.split())}
_NOT_CONVERTED = {"mj-html-attributes", "mj-selector", "mj-html-attribute"}


@dataclass(frozen=True, slots=True)
class Converted:
    """An HTML template. `places` are (line, MJML file, MJML line) for some of its lines, in order.

    `sources` are the texts of the MJML files, by path from the campaign's folder.
    """

    html: str
    places: tuple[tuple[int, str, int], ...]
    sources: dict[str, str]

    def at_source(self, problem: Problem) -> Problem:
        """Return a problem of the HTML template with its place in the MJML."""
        problem = replace(problem, path="")
        before = [place for place in self.places if place[0] <= (problem.line or 0)]
        if not before:
            return replace(problem, line=None)
        line, file, there = before[-1]
        return replace(problem, file=file, line=there + (problem.line or line) - line)


def to_html(name: str, read: Read) -> Converted:
    """Return the HTML template for the MJML template at a path from the campaign's folder.

    Raises UserError with every problem, at its file and line.
    """
    texts: dict[str, str] = {}

    def noting(name: str) -> tuple[str, str]:
        text, file = read(name)
        texts[name] = text
        return text, file

    source = read_source(name, noting)
    try:
        import mrml
    except ImportError:
        what = "templates.mjml needs an extra package: pip install 'campaign[mjml]'"
        raise UserError(Problem(what, source.place(0)[0])) from None
    if unknown := list(_unknown(source)):
        raise UserError(*unknown)
    hidden = _Hidden(source.text)
    try:
        html = str(mrml.to_html(hidden.text).content)
    except OSError as error:
        raise UserError(_refused(str(error), hidden, source)) from None
    lost = list(_lost(html, hidden, source))
    if lost:
        raise UserError(*lost)
    return Converted(*hidden.revealed(html, source), texts)


class _Hidden:
    """A text with words in place of Jinja's tags, and of all else that mrml would change.

    `words` are what each replaces, and the offset of that: first the `marks` of Jinja, then conditional
    comments up to `needed`, then characters in attributes.
    """

    def __init__(self, text: str) -> None:
        self.words: list[tuple[str, int]] = []
        at = 0
        parts = []
        for mark in _MARKS.finditer(text):
            parts += [text[at : mark.start()], self._word(mark[0], mark.start())]
            at = mark.end()
        hidden = "".join([*parts, text[at:]])
        self.marks = len(self.words)
        prolog = _PROLOG.match(hidden)
        begin = prolog.end() if prolog else 0
        self.text = re.sub(r"[^\n]", " ", hidden[:begin]) + hidden[begin:]
        hidden = _CONDITIONAL.sub(self._comment, self.text)
        self.needed = len(self.words)
        tokens = TOKEN.split(hidden)
        tokens[1::2] = map(self._plain, tokens[1::2])
        self.text = "".join(tokens)

    def before(self, offset: int) -> int:
        """Convert an offset in UTF-8 octets of the hidden text to one in the original text."""
        shown = self.text.encode()[:offset].decode(errors="replace")
        return len(_WORD.sub(lambda word: self.words[int(word[1])][0], shown))

    def revealed(self, html: str, source: Source) -> tuple[str, tuple[tuple[int, str, int], ...]]:
        """Return HTML with the tags put back, and the places of their lines."""
        parts: list[str] = []
        places = []
        at, line, is_raw = 0, 1, False
        for word in _WORD.finditer(html):
            meant, offset = self.words[int(word[1])]
            parts.append(html[at : word.start()])
            opening = _OPENING.match(meant) if int(word[1]) < self.marks else None
            raw = _RAW.match(meant) if opening is not None else None
            is_raw = raw[1] == "raw" if raw else is_raw
            if opening is not None and (raw or not is_raw):
                line += parts[-1].count("\n") + 1
                places.append((line, *source.place(offset)))
                meant = f"{opening[0]}\n{meant[opening.end() :]}"
                line += meant.count("\n") - 1
            else:
                line += parts[-1].count("\n") + meant.count("\n")
            parts.append(meant)
            at = word.end()
        return "".join([*parts, html[at:]]), tuple(places)

    def _comment(self, found: re.Match[str]) -> str:
        """Return words for a comment, of which those for Jinja's marks stay what they are."""
        offset = self.before(len(self.text[: found.start()].encode()))
        texts = re.split("(qjinja[0-9]+q)", found[0])
        return "".join(
            text if number % 2 else self._word(text, offset) for number, text in enumerate(texts) if text
        )

    def _word(self, meant: str, offset: int) -> str:
        self.words.append((meant, offset))
        return f"qjinja{len(self.words) - 1}q"

    def _plain(self, token: str) -> str:
        """Return a tag without line breaks in values, and with words for what mrml would escape."""
        parts = []
        at = 0
        for one in attributes(token):
            value = _BLANK.sub(" ", token[one.start : one.end])
            value = _ESCAPED.sub(lambda found: self._word(found[0].replace('"', "&quot;"), 0), value)
            parts += [token[at : one.start], value]
            at = one.end
        return "".join([*parts, token[at:]])


def _unknown(source: Source) -> Iterator[Problem]:
    for tag in _TAG.finditer(_MARKS.sub(lambda mark: " " * len(mark[0]), source.text)):
        name = tag[1]
        if not name or name in _ELEMENTS:
            continue
        if name in _NOT_CONVERTED:
            what = f"<{name}> is not converted here; write the attributes into the elements"
        else:
            near = difflib.get_close_matches(name, _ELEMENTS, 1)
            what = f"MJML has no <{name}>" + (f"; did you mean <{near[0]}>?" if near else "")
        yield Problem(what, *source.place(tag.start()))


def _refused(said: str, hidden: _Hidden, source: Source) -> Problem:
    """Return mrml's error as a problem, with its place and the tag that it is about."""
    place = _PLACE.search(said)
    what = f"this is not MJML: {_PLACE.sub('', said)}"
    if place is None or not place[1]:
        what, at = _not_xml(source.text) or (what, len(source.text))
        return Problem(what, *source.place(at))
    start, end = int(place[1]), int(place[2])
    tag = " ".join(hidden.text.encode()[start:end].decode(errors="replace").split())
    if (word := _WORD.match(tag)) is not None:
        meant, at = hidden.words[int(word[1])]
        return Problem(f"MJML has no place for {meant[:60]} here", *source.place(at))
    named = f": <{tag}>" if re.fullmatch(r"[\w-]+", tag) else ""
    return Problem(f"{what}{named}", *source.place(hidden.before(start)))


def _not_xml(text: str) -> tuple[str, int] | None:
    """Return the first thing that HTML allows and MJML does not, with its offset; mrml does not say."""
    left: list[tuple[str, int]] = []
    at = 0
    text = _MARKS.sub(lambda mark: "x" * len(mark[0]), text)
    for number, token in enumerate(TOKEN.split(text)):
        if number % 2 == 0 and "<" in token:
            return "a < that begins no tag is &lt; in MJML", at + token.index("<")
        begun = START.match(token) if number % 2 else None
        for one in attributes(token) if begun else ():
            if one.assigned and not one.quote:
                return f'the value of {one.name} needs quotes in MJML: {one.name}="…"', at + one.start
        name = begun[1].lower() if begun else token[2:-1].strip().lower()
        if begun and name not in (*VOID, *RAW) and not begun[0].endswith("/>"):
            left.append((name, at))
        elif number % 2 and token[:2] == "</":
            if not left or left[-1][0] != name:
                return (f"</{name}> closes nothing", at) if not left else _not_closed(*left[-1])
            left.pop()
        at += len(token)
    return _not_closed(*left[-1]) if left else None


def _not_closed(name: str, at: int) -> tuple[str, int]:
    return f"<{name}> is not closed, and MJML needs that", at


def _lost(html: str, hidden: _Hidden, source: Source) -> Iterator[Problem]:
    there = {int(word) for word in _WORD.findall(html)}
    for number, (mark, offset) in enumerate(hidden.words[: hidden.needed]):
        if number not in there and mark[:2] != "{#":
            what = f"{mark[:60]} is lost: MJML has no place for it here, or calculates with this value"
            yield Problem(what, *source.place(offset))
