"""Recognises tags of other template languages, and says how to write them in Jinja2.

In: a template's source, and a line that Jinja2 cannot parse or that has unknown names. Out: a sentence, or ""
if nothing foreign is recognised. Taken from the languages' own references:
handlebarsjs.com/guide, shopify.github.io/liquid, pkg.go.dev/text/template, Mailchimp's "All the Merge
Tags", docs.djangoproject.com (templates/builtins), twig.symfony.com, Mailjet's "Templating Language" and
Marketo's "Tokens Overview".
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache

from jinja2.filters import FILTERS as JINJA_FILTERS

from campaign.templating.names import ROW, Names, plain

FILTERS = {
    "capitalise": "capitalize", "ceil": "round", "currency": "money", "date_format": "date",
    "downcase": "lower", "escape_once": "e", "lowercase": "lower", "size": "length", "strftime": "date",
    "strip": "trim", "strip_html": "striptags", "titlecase": "title", "titleize": "title",
    "to_currency": "money", "upcase": "upper", "uppercase": "upper", "url_encode": "urlencode",
}  # fmt: skip
"""Filters of other languages → their names in Jinja2."""

_FUNCTIONS = {
    "len": "length",
    "str": "string",
    "ucfirst": "capitalize",
    "strtoupper": "upper",
    "floatval": "float",
}
_OPERATORS_AS_FILTERS = {
    "append": "~", "plus": "+", "add": "+", "minus": "-", "times": "*", "divided_by": "/", "modulo": "%",
}  # fmt: skip
_TAG = re.compile(r"\{\{\{.*?\}\}\}|\{\{.*?\}\}|\{%.*?%\}", re.DOTALL)
_IN_TAG = re.compile(r"^\{+[%&]?[-~+]?|[-~+]?[%]?\}+$")
_BARE_COLUMN = re.compile(rf"\b{ROW}\[\s*([^\W\d][^\"'\[\]]*?)\s*\]")
_WORDS = re.compile(r"\w+(?:(?: +|-)\w+)+")
_FOREIGN = re.compile(r"[.$*%\[\]<>«»{}]")
_KEYWORDS = frozenset({"and", "or", "not", "in", "is", "if", "else", "for"})
_QUOTES = re.compile("[“”„«»‘’‚]")

# (language, inside of a tag, the same in Jinja2): \1 is a name, \2 is kept.
_PRINTED = (
    ("Handlebars", r"#each (\S+).*", r"{% for item in \1 %} … {% endfor %}"),
    ("Handlebars", r"#if (\S+).*", r"{% if \1 %} … {% endif %}"),
    ("Handlebars", r"[#^]unless (\S+).*", r"{% if not \1 %} … {% endif %}"),
    ("Handlebars", r"[#^](\S+).*", r"{% if \1 %} … {% endif %} or {% for item in \1 %} … {% endfor %}"),
    ("Handlebars", r"/each", r"{% endfor %}"),
    ("Handlebars", r"/(?:if|unless)", r"{% endif %}"),
    ("Handlebars", r"/.*", r"{% endif %} or {% endfor %}"),
    ("Handlebars", r"else|\^", r"{% else %}"),
    ("Handlebars", r"else if (\S+)", r"{% elif \1 %}"),
    ("Handlebars", r">.*", r'{% include "…" %}'),
    ("Handlebars", r"!(?:--.*|\s.*)", r"{# … #}"),
    ("Handlebars", r"@index", r"{{ loop.index0 }}"),
    ("Handlebars", r"@(?:first|last)", r"{% if loop.first %} or loop.last"),
    ("Handlebars", r"@key|this", r"{{ item }}, the loop's own name"),
    ("Handlebars", r"(?:@root\.|(?:\.\./)+|this\.|@)(\S+)", r"{{ \1 }}"),
    ("Go", r"(?:if|else if) \$?\.?(?:eq|ne|gt|lt) \$?(\.\S+) (.+)", r"{% if \1 == \2 %} … {% endif %}"),
    ("Go", r"else if \$?(\.\S+)", r"{% elif \1 %}"),
    ("Go", r"(?:if|with) \$?(\.\S+)", r"{% if \1 %} … {% endif %}"),
    ("Go", r"(?:if|with) \$(\w+)", r"{% if \1 %} … {% endif %}"),
    ("Go", r"if not \$?(\.\S+)", r"{% if not \1 %} … {% endif %}"),
    ("Go", r"range .*?\$?(\.\S+)", r"{% for item in \1 %} … {% endfor %}"),
    ("Go", r"end", r"{% endif %} or {% endfor %}"),
    ("Go", r"(?:template|block|define) .*", r'{% include "…" %}'),
    ("Go", r"printf .*", r'{{ "%s"|format(name) }}'),
    ("Go", r"\$?(\.[\w.]+)(?:\s*\|.*)?", r"{{ \1 }}"),
    ("Mailchimp", r"\*\|(\w+)\|\*", r"{{ \1 }}"),
    ("Mailjet", r"(?:var|data):([\w.]+)", r"{{ \1 }}"),
    ("Mailjet", r"(?:var|data):([\w.]+):(.+)", r"{{ \1 or \2 }}"),
    ("Marketo", r"(?:lead|company)\.(\w+(?: \w+)+)", r"{{ \1 }}"),
    ("Marketo", r"(?:lead|company)\.(\w+(?: \w+)*):default=(.*)", r'{{ \1 or "\2" }}'),
    ("a merge tag", r"(\w+)\s*,\s*fallback=(.*)", r'{{ \1 or "\2" }}'),
    ("a merge tag", r"(?:\$\{?|%|«|\[\[?|<<?)\s*([\w. -]+?)\s*(?:\}|%|»|\]\]?|>>?)?", r"{{ \1 }}"),
)
_STATEMENTS = (
    ("Liquid", r"assign (\w+) ?= ?(.*)", r"{% set \1 = \2 %}"),
    ("Liquid", r"unless (.*)", r"{% if not \1 %} … {% endif %}"),
    ("Liquid", r"endunless", r"{% endif %}"),
    ("Liquid", r"(?:elsif|elseif|else if) (.*)", r"{% elif \1 %}"),
    ("Liquid", r"(?:case|when|endcase)\b.*", r"{% if … == … %} … {% elif … %} … {% endif %}"),
    ("Liquid", r"capture (\w+)", r"{% set \1 %} … {% endset %}"),
    ("Liquid", r"endcapture", r"{% endset %}"),
    ("Liquid", r"(?:end)?comment", r"{# … #}"),
    ("Liquid", r"(?:render|section) (?:['\"](.*?)['\"]).*", r"{% include '\1' %}"),
    ("Liquid", r"for (\w+) in (\S+?) (?:limit|offset|reversed).*", r"{% for \1 in \2[:3] %}"),
    ("Liquid", r"(?:increment|decrement|cycle|tablerow|paginate)\b.*", r"{{ loop.index }} and the like"),
    ("Django", r"ifequal (\S+) (.*)", r"{% if \1 == \2 %} … {% endif %}"),
    ("Django", r"empty", r"{% else %}, inside a for"),
    ("Django", r"now .*", r"a date among `vars`"),
    ("Django", r"(?:load|url|static|trans|csrf_token)\b.*", r"nothing: it has no such tag"),
    ("Smarty", r"foreach .*", r"{% for item in … %} … {% endfor %}"),
    ("Go", r"end", r"{% endif %} or {% endfor %}"),
)
_WITH_COLON = re.compile(r"(.+?)\s*\|\s*(\w+)\s*:\s*(.*?)", re.DOTALL)
_WITH_BLANK = re.compile(r"([^|]+(?:\|[^|]+)*?)\s*\|\s*(\w+)\s+(\"[^\"]*\"|'[^']*'|\w+)")
_OPERATORS = (
    (re.compile(r"&&"), "`&&` is `and` in Jinja2"),
    (re.compile(r"\|\|"), "`||` is `or` in Jinja2"),
    (re.compile(r"\?\?"), "`a ?? b` is {{ a or b }} in Jinja2"),
    (re.compile(r"(.+?)\?(.+?):(.+)", re.DOTALL), "`a ? b : c` is {{ b if a else c }} in Jinja2"),
    (re.compile(r"!\s*\w+"), "`!` is `not` in Jinja2"),
)


def explained(source: str, line: int, names: Names, holding: str = "") -> str:
    """Return which language a tag in a line looks like, and how to write it in Jinja2; "" if unknown.

    If `holding` is given, only tags with that name are considered.
    """
    for tag in _tags(source, line):
        if holding and re.search(rf"\b{re.escape(holding)}\b", tag) is None:
            continue
        if holding and re.search(rf"\b{ROW}\[\s*{re.escape(holding)}\s*\]", tag):
            return f"a column's name stands in quotes: write {ROW}[{holding!r}]"
        message = _of_a_bare_column(tag, names) or _of_a_column(tag, names) or _of_a_language(tag, names)
        if message:
            return message
    return ""


def called(source: str, line: int, name: str) -> str:
    """Return how to write `upper(city)` in a line as a filter, if `name` is one's; else ""."""
    written = FILTERS.get(name) or _FUNCTIONS.get(name) or name
    if written not in JINJA_FILTERS and written not in ("date", "datetime", "money", "number"):
        return ""
    for tag in _tags(source, line):
        found = re.search(rf"\b{re.escape(name)}\(\s*([^(),]*?)\s*([,)])", tag)
        if found is not None and found[1]:
            return f"{name} is no function here; {written} is a filter: write {found[1]}|{written}"
    return ""


def meant_below(source: str, line: int, name: str, names: Names) -> str:
    """Return, in Jinja2, the column meant by `contact.FIRSTNAME` in a line, if `name` is `contact`."""
    for tag in _tags(source, line):
        for member in re.findall(rf"\b{re.escape(name)}\.(\w+)", tag):
            if column := column_for(member, names):
                return column
    return ""


def unclosed_comment(source: str) -> tuple[int, str] | None:
    """Return the line of an unclosed comment `{#` and a sentence, None if there is none."""
    start = source.rfind("{#")
    if start < 0 or "#}" in source[start + 2 :]:
        return None
    follows = re.match(r"\{(#[\w-]*)", source[start:])
    written = f"{{ {follows[1]}" if follows is not None else "{ #"
    what = f"`{{#` begins a comment of Jinja2, which no `#}}` ends; in CSS write a blank between: {written}"
    return source.count("\n", 0, start) + 1, what


def column_for(name: str, names: Names) -> str:
    """Return, in Jinja2, the column that another language calls `name`, "" for none.

    `.Subscriber.Name`, `contact.FIRST_NAME` and `Vor name` mean the column with the last part's letters.
    """
    last = plain(name.rpartition(".")[2] or name)
    meant = {last, *_SYNONYMS.get(last, ())}
    # The same name comes before a synonym.
    for column in sorted(names.columns, key=lambda column: plain(column) != last):
        if plain(column) in meant:
            return names.written(column)
    return ""


# Merge fields that every list of these tools has, and names of such columns in other lists.
_FIRST = ("firstname", "fname", "vorname", "first", "givenname", "prenom", "prénom", "nombre", "nome")
_LAST = ("lastname", "lname", "nachname", "last", "familyname", "surname", "nom", "apellido", "cognome")
_EMAIL = ("email", "emailaddress", "mail", "adresse", "e-mail")
_SYNONYMS = {
    name: kind
    for kind in (_FIRST, _LAST, _EMAIL)
    for name in kind
    if name not in ("first", "last", "nom", "adresse")
}


def _tags(source: str, line: int) -> Iterator[str]:
    """Yield the tags that are in a line, or reach into it."""
    for match in _TAG.finditer(source):
        first = source.count("\n", 0, match.start()) + 1
        if first > line:
            return
        if first + match[0].count("\n") >= line:
            yield match[0]


def _of_a_bare_column(tag: str, names: Names) -> str:
    """Return a hint for `{{ row[First Name] }}`: the column's name needs quotes."""
    found = _BARE_COLUMN.search(tag)
    if found is None or found[1].isidentifier():
        return ""
    return f"a column's name stands in quotes: write {ROW}[{found[1]!r}]"


def _of_a_column(tag: str, names: Names) -> str:
    """Return a hint for `{{ Vor name }}` or `{{ E-Mail }}`: a column's name that Jinja2 cannot parse."""
    inside = _inside(tag)
    if tag.startswith("{%"):
        return ""
    name, bar, rest = inside.partition("|")
    name = name.strip()
    filters = f"|{rest.strip()}" if bar and ":" not in rest else ""
    like = [column for column in names.columns if plain(column) == plain(name)]
    # If there is a column `email` too, E-Mail still means the column with exactly this name.
    like.sort(key=lambda column: (column != name, column.casefold() != name.casefold()))
    columns = [names.written(column) for column in like]
    if name and columns and not name.isidentifier() and _FOREIGN.search(name.rstrip(".")) is None:
        return f"{{{{ {name} }}}} is a column, which Jinja2 writes {{{{ {columns[0]}{filters} }}}}"
    words = _WORDS.fullmatch(name)
    if words is None or not _KEYWORDS.isdisjoint(name.split()) or re.search(r"\b\d+\b", name):
        return ""
    odd = "blank" if " " in name else "hyphen"
    known = {part for part in re.split(r"[ -]+", name) if part in names.known()}
    if odd == "hyphen" and known:
        return ""  # a subtraction
    return f"a name has no {odd} in it; a column of such a name is written {{{{ {ROW}[{name!r}]{filters} }}}}"


def _of_a_language(tag: str, names: Names) -> str:
    inside = _inside(tag)
    if _QUOTES.search(inside) and not re.search(r"«.*»", inside):
        return "typographic quotes are no quotes in Jinja2; write ' or \""
    if tag.startswith("{{{"):
        return _sentence("Handlebars", tag, f"{{{{ {_name(inside, names)}|safe }}}}")
    if tag.startswith("{{&"):
        return _sentence("Handlebars", tag, f"{{{{ {_name(inside, names)}|safe }}}}")
    for language, expression, written in _STATEMENTS if tag.startswith("{%") else _PRINTED:
        match = _compiled(expression).fullmatch(inside)
        if match is not None:
            return _sentence(language, tag, _filled(written, match, names))
    for pattern, said in _OPERATORS:
        if pattern.search(re.sub(r"'[^']*'|\"[^\"]*\"", "''", inside)):
            return said
    with_colon = _WITH_COLON.fullmatch(inside)
    if with_colon is not None and not tag.startswith("{%"):
        subject, name, arguments = with_colon.groups()
        first = re.split(r"\s*\|\s*", arguments)[0]
        operator = _OPERATORS_AS_FILTERS.get(name)
        called = f" {operator} {first}" if operator else f"|{FILTERS.get(name, name)}({first})"
        return _sentence("Liquid or Django", tag, f"{{{{ {_name(subject, names)}{called} }}}}")
    if tag.startswith("{{") and (blank := _WITH_BLANK.fullmatch(inside)) and blank[3] not in _KEYWORDS:
        return f"what a filter takes stands in brackets: {{{{ {blank[1].strip()}|{blank[2]}({blank[3]}) }}}}"
    return ""


@cache  # compiled when needed: few templates have a tag to explain
def _compiled(expression: str) -> re.Pattern[str]:
    return re.compile(expression, re.DOTALL)


def _filled(written: str, match: re.Match[str], names: Names) -> str:
    groups = match.groups()
    if groups:
        written = written.replace(r"\1", _name(groups[0] or "", names))
    return written.replace(r"\2", (groups[1] or "").strip()) if len(groups) > 1 else written


def _name(name: str, names: Names) -> str:
    """Return another language's name in Jinja2: a column, or its last part."""
    name = name.strip()
    if re.fullmatch(r"[\w. @/-]+", name) is None:
        return name
    return column_for(name.replace("/", "."), names) or name.rpartition(".")[2].lstrip("@") or name


def _sentence(language: str, tag: str, written: str) -> str:
    tag = " ".join(tag.split())
    shown = tag if len(tag) <= 60 else f"{tag[:59]}…"
    return f"{shown} looks like {language}; in Jinja2 it is {written}"


def _inside(tag: str) -> str:
    return _IN_TAG.sub("", _IN_TAG.sub("", tag, count=1)).strip()
