"""What a template may reach and print; values in Markdown are never Markdown."""

from __future__ import annotations

import string
from dataclasses import dataclass
from pathlib import Path

import mistune
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from jinja2 import TemplateNotFound, Undefined
from jinja2.sandbox import ImmutableSandboxedEnvironment

from campaign.errors import Problem, UserError
from campaign.templating.compiled import compile_text
from campaign.templating.loader import FolderLoader
from campaign.templating.marks import SIGNS, as_html, markup
from campaign.templating.names import ROW, Names
from campaign.templating.sandbox import (
    Environment,
    environment,
)

PLACE = Problem("", file="spring.yaml", line=7, column=10, path="subject")
_markdown = mistune.create_markdown(escape=False, plugins=["table", "strikethrough"])


def render(source: str, folder: Path, *, markdown: bool = False, **context: object) -> str:
    env = environment(folder, html=False, markdown=markdown)
    text = compile_text(source, env=env, place=PLACE, names=Names(others=frozenset(context)))
    return text.render(context)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    campaign = tmp_path / "campaign"
    campaign.mkdir()
    return campaign


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("{% for x in 'ab' %}{{ loop.index }}{{ loop.length }}{{ loop.last }}{% endfor %}", "12False22True"),
        ("{% for x in (1, 2)|map('string') %}{{ x }}{{ loop.revindex }}{% endfor %}", "1221"),
        ("{% for k, v in {'a': 1}.items() %}{{ k }}={{ v }}{% endfor %}", "a=1"),
        ("{% for x in [] %}{% else %}none{% endfor %}", "none"),
        ("{% for x in [[1, [2]]] recursive %}{{ loop(x) if x is iterable else x }}{% endfor %}", "12"),
        ("{% for x in [1, 2] %}{{ loop.cycle('a', 'b') }}{% endfor %}", "ab"),
        ("{{ [1, 2]|join(', ') ~ '!' }}{{ 7 // 2 }}{{ 7 % 2 }}{{ 2 ** 10 }}{{ 2 ** -1 }}", "1, 2!3110240.5"),
        ("{{ (1, 2)|map('string')|join('-') }}", "1-2"),
        ("{{ true }}{{ 1.5 }}", "True1.5"),
    ],
)  # fmt: skip
def test_what_templates_calculate(source: str, expected: str, folder: Path) -> None:
    assert render(source, folder) == expected


NAMES = st.sampled_from(["items", "keys", "get", "pop", "__class__", "__init__", "_own", "title", "x", ""])


@given(st.dictionaries(NAMES, st.integers()), NAMES)
def test_a_mapping_s_values_are_found_as_jinja_finds_them(mapping: dict[str, int], name: str) -> None:
    ours, stock = environment(Path(), html=False), ImmutableSandboxedEnvironment()
    one, other = ours.getattr(mapping, name), stock.getattr(mapping, name)
    assert type(one) is type(other) or isinstance(one, Undefined)
    if isinstance(one, int):
        assert one == other


@dataclass(frozen=True, slots=True)
class _Ours:
    email: str
    number: int


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("{{ name.title }}", r"title is a function; .* title\(…\)"),
        ("{{ row.items }}", r"for the value of that name write \['items'\] in place of \.items"),
        ("{% macro button() %}{% endmacro %}{{ button }}", r"button is a function"),
        ("{{ name|map('upper') }}", r"one by one; write \|join"),
        ("{{ name.encode() }}", r"octets would be printed"),
        ("{{ self }}", r"self is the template"),
        ("{{ ours }}", r"ours has several values, .* \{\{ ours\.email \}\} or \{\{ ours\.number \}\}"),
        ("{{ ours.emial }}", r"ours has no 'emial'; did you mean ours\.email\?"),
        ("{{ ours['row'] }}", r"ours has no 'row'; it has email, number"),
        ("{{ nothing }}", r"printed as None; write: \{\{ value or '' \}\}"),
    ],
)
def test_what_nobody_means_is_not_printed(source: str, words: str, folder: Path) -> None:
    with pytest.raises(UserError, match=words):
        render(source, folder, name="Ann", nothing=None, row={"items": "3"}, ours=_Ours("ann@x.test", 1))


@pytest.mark.parametrize(
    "source",
    [
        "{{ ''.__class__ }}",
        "{{ ''['__class__'] }}",
        "{{ ''|attr('__class__') }}",
        "{{ cycler.__init__.__globals__ }}",
        "{{ '{0.__class__}'.format(1) }}",
        "{{ list.append(1) }}",
        "{{ mapping.update(a=1) }}",
        "{{ self.__init__ }}",
    ],
)
def test_the_sandbox_holds(source: str, folder: Path) -> None:
    values: list[int] = []
    mapping: dict[str, int] = {}
    with pytest.raises(UserError):
        render(source, folder, list=values, mapping=mapping)
    assert not values
    assert not mapping


class TestLoader:
    """A template reads template files inside the folder, and nothing else."""

    @pytest.fixture
    def loader(self, tmp_path: Path) -> FolderLoader:
        folder = tmp_path / "campaign"
        (folder / "parts").mkdir(parents=True)
        (folder / ".git").mkdir()
        (tmp_path / "outside.txt").write_text("outside")
        (tmp_path / "campaign-2").mkdir()
        (tmp_path / "campaign-2" / "a.txt").write_text("the neighbour's")
        (folder / "body.txt.j2").write_text("Hello")
        (folder / "parts" / "foot.html").write_text("foot")
        (folder / "list.txt").write_text("email\n")
        (folder / "key.pem").write_text("key")
        (folder / ".env").write_text("secret")
        (folder / ".hidden.txt").write_text("hidden")
        (folder / ".git" / "a.txt").write_text("hidden")
        (folder / "rich.txt").write_bytes(b"{\\rtf1 Hello}")
        (folder / "ledger.db").write_text("ledger")
        (folder / "latin.txt").write_bytes(b"caf\xe9")
        (folder / "to-outside.txt").symlink_to("../outside.txt")
        (folder / "to-passwd.txt").symlink_to("/etc/passwd")
        (folder / "to-folder").symlink_to("..")
        (folder / "to-list.txt").symlink_to("list.txt")
        (folder / "to-key.txt").symlink_to("key.pem")
        (folder / "to-hidden.txt").symlink_to(".hidden.txt")
        (folder / "to-foot.txt").symlink_to("parts/foot.html")
        (folder / "to-itself.txt").symlink_to("to-itself.txt")
        (folder / "to-nothing.txt").symlink_to("nothing.txt")
        return FolderLoader(folder, private=[folder / "list.txt", folder / "key.pem"])

    @pytest.mark.parametrize(
        ("name", "source"),
        [
            ("body.txt.j2", "Hello"),
            ("parts/foot.html", "foot"),
            ("parts/../body.txt.j2", "Hello"),
            ("./body.txt.j2", "Hello"),
            ("to-foot.txt", "foot"),
            ("to-folder/campaign/body.txt.j2", "Hello"),
        ],
    )
    def test_reads(self, loader: FolderLoader, name: str, source: str) -> None:
        env = Environment(loader.folder, html=False, markdown=False, private=())
        assert loader.get_source(env, name)[0] == source

    @pytest.mark.parametrize(
        ("name", "why"),
        [
            ("../outside.txt", "outside the campaign's folder"),
            ("parts/../../outside.txt", "outside the campaign's folder"),
            ("../campaign-2/a.txt", "outside the campaign's folder"),
            ("/etc/passwd", "outside the campaign's folder"),
            ("to-outside.txt", "outside the campaign's folder"),
            ("to-passwd.txt", "outside the campaign's folder"),
            ("to-folder/outside.txt", "outside the campaign's folder"),
            ("list.txt", "not a template: the list"),
            ("to-list.txt", "not a template: the list"),
            ("to-key.txt", "not a template"),
            ("key.pem", "not a template"),
            (".env", "hidden files"),
            (".hidden.txt", "hidden files"),
            (".git/a.txt", "hidden files"),
            ("to-hidden.txt", "hidden files"),
            ("ledger.db", "ends in none of"),
            ("parts", "ends in none of"),
            ("to-nothing.txt", "there is no file"),
            ("nothing.txt", "there is no file"),
            ("to-itself.txt", "cannot be the name of a file|there is no file"),
            ("a\0.txt", "cannot be the name of a file"),
            ("a" * 5000 + ".txt", "cannot be the name of a file"),
            ("latin.txt", "not UTF-8"),
            ("rich.txt", "rich.txt is RTF, a word processor's; save it as plain text"),
            ("body.txt", r"there is no file body\.txt in .*; did you mean 'body\.txt\.j2'\?"),
            ("parts/food.html", r"there is no file parts/food\.html in .*; did you mean 'foot\.html'\?"),
            ("led.txt", r"/campaign$"),
            ("", "ends in none of"),
        ],
    )
    def test_refuses(self, loader: FolderLoader, name: str, why: str) -> None:
        env = Environment(loader.folder, html=False, markdown=False, private=())
        with pytest.raises(TemplateNotFound, match=why):
            loader.get_source(env, name)

    @pytest.mark.parametrize("verb", ["include", "extends", "import"])
    def test_a_computed_name_is_judged_too(self, loader: FolderLoader, verb: str) -> None:
        tail = " as x" if verb == "import" else ""
        source = f"{{% {verb} '../' ~ name{tail} %}}"
        with pytest.raises(UserError, match="outside the campaign's folder"):
            render(source, loader.folder, name="outside.txt")


class TestMarkdown:
    """A value that is put into Markdown is text."""

    def html(self, source: str, folder: Path, **context: object) -> str:
        rendered = render(source, folder, markdown=True, **context)
        return as_html(str(_markdown(markup(rendered)))).strip()

    def test_every_mark_has_a_sign(self) -> None:
        assert len(string.punctuation) == 32
        assert all(SIGNS.fullmatch(sign) for sign in markup(string.punctuation))
        assert markup(markup(string.punctuation)) == string.punctuation

    @pytest.mark.parametrize(
        ("source", "value", "expected"),
        [
            ("# Hi {{ v }}", "*Ann*", "<h1>Hi *Ann*</h1>"),
            ("{{ v }}", "[win](https://evil.test)", "<p>[win](https://evil.test)</p>"),
            ("{{ v }}", "# no", "<p># no</p>"),
            ("{{ v }}", "<b>&amp;</b>", "<p>&lt;b&gt;&amp;amp;&lt;/b&gt;</p>"),
            ("{{ v }}", "<https://evil.test>", "<p>&lt;https://evil.test&gt;</p>"),
            ("{{ v }}", "1. a\n2. b", "<p>1. a\n2. b</p>"),
            ("a\n{{ v }}", "===", "<p>a\n===</p>"),
            ("**{{ v }}**", "a**b", "<p><strong>a**b</strong></p>"),
            ("`{{ v }}`", "SPRING-24`*", "<p><code>SPRING-24`*</code></p>"),
            ("[go]({{ v }})", "https://a.test/?x=1&y=(2)%20z", '<p><a href="https://a.test/?x=1&amp;y=(2)%20z">go</a></p>'),
            ("[go](https://a.test/{{ v }})", 'a"b', '<p><a href="https://a.test/a&quot;b">go</a></p>'),
            ('<a href="{{ v }}">x</a>', 'https://a.test/"onclick="', '<p><a href="https://a.test/&quot;onclick=&quot;">x</a></p>'),
            ("{{ v|upper|replace('A', '*') }}", "a", "<p>*</p>"),
            ("{{ [v, v]|join('*') }}", "_", "<p>_*_</p>"),
            ("{% set x %}*{{ v }}*{% endset %}{{ x }}", "*", "<p><em>*</em></p>"),
            ("{{ v|e }}", "<", "<p>&lt;</p>"),
            ("{{ v|safe }}", "**bold**", "<p><strong>bold</strong></p>"),
            ("| a |\n|---|\n| {{ v }} |", "x | y", "x | y</td>"),
        ],
    )  # fmt: skip
    def test_values(self, source: str, value: str, expected: str, folder: Path) -> None:
        html = self.html(source, folder, v=value)
        assert html == expected or (source.startswith("|") and expected in html)

    def test_included_files_are_markdown(self, folder: Path) -> None:
        (folder / "part.md").write_text("**{{ v }}**")
        assert self.html("{% include 'part.md' %}", folder, v="*") == "<p><strong>*</strong></p>"

    @given(st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Z"]), min_size=1))
    @example("[a](b)")
    @example("\\*")
    @example("&lt;")
    def test_any_value_stays_text(self, value: str) -> None:
        if SIGNS.search(value):
            return
        env = Environment(Path(), html=False, markdown=True, private=())
        text = compile_text("x{{ v }}x", env=env, place=PLACE, names=Names(others=frozenset("v")))
        rendered = text.render({"v": value})
        page = as_html(str(_markdown(markup(rendered)))).strip()
        escaped = value.translate({ord(mark): entity for mark, entity in ESCAPES.items()})
        assert page == f"<p>x{escaped}x</p>"

    def test_a_cell_with_a_sign_is_refused(self, folder: Path) -> None:
        env = environment(folder, html=False, markdown=True)
        names = Names(("first_name",))
        text = compile_text("Hi {{ first_name }}", env=env, place=PLACE, names=names)
        row = {"first_name": "\ufdd2"}
        with pytest.raises(UserError, match=r"subject: .*'first_name' holds U\+FDD2"):
            text.render({**row, ROW: row})


ESCAPES = {"<": "&lt;", ">": "&gt;", "&": "&amp;", '"': "&quot;", "'": "&#x27;"}
