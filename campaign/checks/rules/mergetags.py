"""Merge tags of other programs, and bare placeholders that name a column: they are mailed as they are.

`*|FNAME|*` (Mailchimp), `%recipient.name%` (Mailgun), `%%name%%` (Marketing Cloud), `[name,fallback=you]`
(Campaign Monitor), `{contactfield=name}` (Mautic), `<%= name %>` and other unambiguous tags are reported
everywhere: in subject, header, text and HTML. So is `${name}`, unless the name is in capitals, as in shells,
and the list has no such column. `{name}`, `[name]`, `$name`, `<<name>>`, `«name»`, `%name%`, `##name##`,
`@@name@@` and similar ones are reported only if the list has such a column, or if they name something that
every list has (a first name, an unsubscribe link; in braces, a name or an address): brackets and quotation
marks have other uses too.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from functools import lru_cache
from html import unescape
from itertools import chain

from campaign.checks.checked import Checked
from campaign.checks.finding import Finding
from campaign.checks.rule import Rule
from campaign.checks.seen import Seen
from campaign.errors import Problem
from campaign.model import Recipient
from campaign.templating.dialects import column_for
from campaign.templating.names import Names, plain

_FIELD = r"[^\W\d_][\w .-]{0,40}"
# The language, if it is certain; a text that every such tag contains; and an expression for the tag with its
# name, which is only searched for in lines with that text. Each expression begins with one character and an
# assertion: a search for one character is a hundred times faster than for two.
_TAGS = tuple(
    (language, has, re.compile(pattern))
    for language, has, pattern in (
        ("Mailchimp", "*|", r"\*(?<!\w\*)\|([A-Za-z][\w:]*)\|\*(?!\w)"),
        ("Mailgun", "%recipient", r"%(?=r)recipient(?:\.(\w+))?%"),
        ("Marketing Cloud", "%%", rf"%(?=%)%=?({_FIELD})=?%%"),
        ("Campaign Monitor", "fallback=", r"\[(?=\w)(\w+)\s*,\s*fallback=[^\]]*\]"),
        ("Mautic", "{contactfield=", r"\{(?=c)contactfield=(\w+)(?:\|[^}]*)?\}"),
        ("ERB", "<%", r"<(?=%)%=?\s*([\w.@]+)\s*%>"),
        ("ERB", "&lt;%", r"&(?=lt;%)lt;%=?\s*([\w.@]+)\s*%&gt;"),
        ("PHP", "<?", r"<(?=\?)\?(?:=|php\s+echo)\s*\$?(\w+)[\s;]*\?>"),
        ("PHP", "&lt;?", r"&(?=lt;\?)lt;\?(?:=|php\s+echo)\s*\$?(\w+)[\s;]*\?&gt;"),
        ("Salesforce", "{!", r"\{(?=!)!(\w+\.\w+)\}"),
        ("Mailjet", "[[data:", r"\[(?=\[d)\[data:(\w+)(?::[^\]<]*)?\]\]"),
        ("Mailjet", "[[var:", r"\[(?=\[v)\[var:(\w+)(?::[^\]<]*)?\]\]"),
        ("Constant Contact", " OR ", r"\[(?=\[)\[([^\W\d]\w*) OR [^\]<]*\]\]"),
        ("AcyMailing", "{subtag:", r"\{(?=s)subtag:(\w+)[^}<]*\}"),
        ("Word", "MERGEFIELD", r"\{(?=\s*M)\s*MERGEFIELD\s+\"?([\w-]+(?: [\w-]+)*)\"?\s*(?:\\[^}<]*)?\}"),
        ("", "${", rf"\$(?=\{{)\{{({_FIELD})\}}"),
        ("", "{", rf"\{{(?<![{{$#%]\{{)({_FIELD})\}}(?!\}})"),
        ("", "<<", rf"<(?=<)<({_FIELD})>>"),
        ("", "&lt;&lt;", rf"&(?=lt;&)lt;&lt;({_FIELD})&gt;&gt;"),
        ("", "«", rf"«\s?({_FIELD}?)\s?»"),
        ("", "[[", rf"\[(?=\[)\[({_FIELD})\]\]"),
        ("", "[", rf"\[(?<!\[\[)({_FIELD})\](?![\](])"),
        ("", "%", rf"%(?<!%%)({_FIELD})%(?!%)"),
        ("", "{$", rf"\{{(?=\$)\$({_FIELD})\}}"),
        ("", "#{", rf"#(?=\{{)\{{({_FIELD})\}}"),
        ("", "$", rf"\$(?=[^\W\d_])(?<![\w{{]\$)({_FIELD})\$"),
        ("", "$", r"\$(?=[^\W\d_])(?<![\w{]\$)(\w+)(?![\w$]|[\s;]*\?(?:>|&gt;))"),
        ("", "__", rf"_(?=_)_({_FIELD}?)__"),
        ("", "##", rf"#(?=#)#({_FIELD})##"),
        ("", "@@", rf"@(?=@)@({_FIELD})@@"),
    )
)
_REACHING = (">>", "fallback=", "{contactfield=")  # stand in tags that may have a `<` in them
_COMMON = frozenset(
    {
        "firstname", "fname", "lastname", "lname", "fullname", "vorname", "nachname", "prenom", "anrede",
        "unsubscribe", "unsubscribelink", "unsubscribeurl", "unsub", "abmeldelink", "optoutlink",
        "webversion", "viewinbrowser", "recipientname", "recipientemail", "subscriberemail",
    }
)  # fmt: skip
_COMMON_IN_BRACES = frozenset({"name", "email", "emailaddress"})
_IN_BRACES = re.compile(r"[$#]?\{.*\}")
_MOST_KNOWN = 4096  # lines and pieces
_LEAVING = frozenset(
    {"unsubscribe", "unsubscribelink", "unsubscribeurl", "unsub", "abmeldelink", "optoutlink"}
)


class Check(Rule):
    """Reports merge tags of other programs, and bare placeholders."""

    def __init__(self, checked: Checked, name: str) -> None:
        super().__init__(checked, name)
        self._names = Names(checked.content.columns)
        self._judged = lru_cache(maxsize=512)(self._judge)
        self._without = _Without()

    def see(self, recipient: Recipient, message: Seen) -> Iterator[Finding]:
        pieces = message.page.pieces if message.page is not None else []
        if self._without.have(message.headers.values(), message.lines, pieces):
            return
        body = message.page.body if message.page is not None else ""
        lines = [*message.headers.values(), *message.lines, *body.split("\n")]
        for tag, name, language in dict.fromkeys(chain.from_iterable(map(_tags, lines))):
            problem = self._judged(tag, name, language)
            if problem is not None:
                yield self.find(problem)

    def _judge(self, tag: str, name: str, language: str) -> Problem | None:
        column = column_for(name, self._names)
        if not language and not column and not _is_common(tag, plain(name)):
            return None
        like = f"looks like {language} and" if language else "is not Jinja2 and"
        if column:
            write = f"write {{{{ {column} }}}}"
        elif plain(name) in _LEAVING:
            write = "write {{ unsubscribe.url }}"
        else:
            write = "write a column's name between {{ and }}"
        return self.at(self._place(tag), f"{unescape(tag)} {like} is mailed as it is; {write}")

    def _place(self, tag: str) -> Problem:
        found = self.checked.sources.place(tag)
        return (
            found if found is not None else self.checked.sources.template("html", "mjml", "markdown", "text")
        )


def _is_common(tag: str, name: str) -> bool:
    """Whether a tag that names no column is a placeholder all the same."""
    if name in _COMMON or (name in _COMMON_IN_BRACES and _IN_BRACES.fullmatch(tag)):
        return True
    return tag.startswith("${") and not tag.isupper()


class _Without:
    """Lines and pieces of HTML that are known to contain no tag; most are the same in all messages."""

    def __init__(self) -> None:
        self._known: set[str] = set()

    def have(self, *groups: Iterable[str]) -> bool:
        """Whether none of these contains a tag; pieces of HTML lack the `<` before them."""
        new = [text for group in groups for text in group if text not in self._known]
        together = "<" + "<".join(new)
        if any(map(together.__contains__, _REACHING)):  # a tag may reach from one piece into another
            return False
        if any(has in together and pattern.search(together) for _, has, pattern in _TAGS):
            return False
        if len(self._known) >= _MOST_KNOWN:
            self._known.clear()
        self._known.update(new)
        return True


@lru_cache(maxsize=4096)
def _tags(line: str) -> tuple[tuple[str, str, str], ...]:
    """Return each tag of a line, with its name and its language."""
    return tuple(
        (match[0], (match[1] or "name").strip(), language)
        for language, has, pattern in _TAGS
        if has in line
        for match in pattern.finditer(line)
    )
