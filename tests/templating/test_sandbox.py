"""What a template may read and how much work it may make; values in Markdown are never Markdown."""

from __future__ import annotations

import string
import threading
import time
from pathlib import Path

import mistune
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from jinja2 import TemplateNotFound
from jinja2.exceptions import SecurityError

from campaign.errors import Problem, UserError
from campaign.templating import budget
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


def grown(start: str, step: str) -> str:
    """A template that makes ns.x of `step` sixty-four times."""
    turn = f"{{% set ns.x = {step} %}}"
    return f"{{% set ns = namespace(x={start}) %}}{{% for i in range(64) %}}{turn}{{% endfor %}}"


TOO_MUCH = "too much work|more than|without end|too deeply|Exceeds the limit"
COSTLY = {
    "text times a number": "{{ 'a' * 300000000 }}",
    "number times a text": "{{ 300000000 * 'a' }}",
    "list times a number": "{{ ([1] * 300000000)|length }}",
    "list in a list, printed": "{{ [range(99999)|list] * 99999 }}",
    "doubling lists": "{% set a = [1] %}" + "{% set a = [a, a] %}" * 40 + "{{ a }}",
    "doubling empty lists": "{% set a = [] %}" + "{% set a = [a, a] %}" * 40 + "{{ a ~ '' }}",
    "percent with a width": "{{ '%999999999d' % 1 }}",
    "percent with a width argument": "{{ '%*d' % (999999999, 1) }}",
    "format filter": "{{ '%999999999d'|format(1) }}",
    "format method": "{{ '{:>999999999}'.format(1) }}",
    "format method, width argument": "{{ '{:>{}}'.format(1, 999999999) }}",
    "format_map": "{{ '{a:>999999999}'.format_map({'a': 1}) }}",
    "center filter": "{{ 'a'|center(999999999) }}",
    "center method": "{{ 'a'.center(999999999) }}",
    "zfill": "{{ 'a'.zfill(999999999) }}",
    "expandtabs": "{{ '\t'.expandtabs(999999999) }}",
    "replace filter": "{{ ('a' * 1000000)|replace('a', 'b' * 1000000) }}",
    "replace method": "{{ ('a' * 1000000).replace('a', 'b' * 1000000) }}",
    "translate": "{{ ('a' * 100000).translate({97: 'b' * 100000}) }}",
    "join filter": "{{ ([1] * 100000)|join('x' * 100000) }}",
    "join method": "{{ ('x' * 100000).join(['a'] * 100000) }}",
    "join of long texts": "{{ ''.join(['a' * 1000] * 200000) }}",
    "indent": "{{ ('a\n' * 100000)|indent(99999) }}",
    "wordwrap": "{{ ('ab ' * 1000000)|wordwrap(1, wrapstring='x' * 10000) }}",
    "batch": "{{ [1]|batch(300000000, 'x')|list }}",
    "slice": "{{ [1]|slice(300000000)|list }}",
    "round": "{{ 1.5|round(300000000) }}",
    "tojson": "{{ [1]|tojson(indent=300000000) }}",
    "map of center": "{{ range(99999)|map('center', 99999)|list }}",
    "sum of lists": "{{ ([[1]] * 99999)|sum(start=[]) }}",
    "doubling with ~": grown("'a'", "ns.x ~ ns.x"),
    "doubling with +": grown("'a'", "ns.x + ns.x"),
    "squaring": grown("3", "ns.x * ns.x"),
    "power": "{{ 10 ** 100000000 }}",
    "division": "{{ (10 ** 30000) ** 2 // 7 }}",
    "loop in a loop in a loop": "{% for a in range(9999) %}" * 3 + "{% endfor %}" * 3,
    "loops over constants": "{% for a in [1, 2, 3, 4, 5, 6, 7, 8, 9] %}" * 12 + "{% endfor %}" * 12,
    "filtered loop": "{% for i in range(99999) if range(99999)|sum == 0 %}{% endfor %}",
    "recursive loop": "{% set r = range(9999)|list %}"
    "{% for a in r recursive %}{{ loop(r) if loop.depth < 9 }}{% endfor %}",
    "endless recursive loop": "{% for a in [1] recursive %}{{ loop([1]) }}{% endfor %}",
    "endless macro": "{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}",
    "doubling macro": "{% macro f(n) %}{{ f(n - 1) ~ f(n - 1) if n }}{% endmacro %}{{ f(60) }}",
    "endless include": "{% include 'includes-itself.txt' %}",
    "endless extends": "{% extends 'extends-itself.txt' %}",
    "endless import": "{% import 'imports-itself.txt' as x %}",
    "many includes": "{% for a in 'a' * 999999 %}{% include 'empty.txt' %}{% endfor %}",
    "much output": "{% for a in range(99999) %}{{ 'x' * 150 }}{% endfor %}",
    "much output in a block": "{% set x %}{% for a in range(99999) %}{{ 'x' * 150 }}{% endfor %}{% endset %}",
    "parentheses": "{{ " + "(" * 3000 + "1" + ")" * 3000 + " }}",
    "a long sum": "{{ " + "1+" * 5000 + "1 }}",
    "blocks in blocks": "{% if 1 %}" * 120 + "{% endif %}" * 120,
    "a long number": "{{ " + "9" * 5000 + " }}",
}
# Each turn is cheap for the budget and slow for the processor.
SLOW = {
    "sum": "r|sum",
    "in": "'x' in r",
    "equal": "r == s",
    "slice": "r[1:]|length",
    "sort": "(r|sort)|length",
    "upper": "text.upper()|length",
    "upper filter": "(text|upper)|length",
    "count": "text.count('b')",
    "map": "(range(99999)|map('string')|list)|length",
    "fromkeys": "dict.fromkeys(r)|length",
    "pprint": "(r|pprint)|length",
    "printed": "r",
    "percent": "'%s' % r",
    "concatenated": "(r ~ '')|length",
    "found": "r.index(99998)",
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    campaign = tmp_path / "campaign"
    campaign.mkdir()
    (campaign / "includes-itself.txt").write_text("{% include 'includes-itself.txt' %}")
    (campaign / "extends-itself.txt").write_text("{% extends 'extends-itself.txt' %}")
    (campaign / "imports-itself.txt").write_text("{% import 'imports-itself.txt' as x %}")
    (campaign / "empty.txt").write_text("")
    return campaign


@pytest.mark.parametrize("source", COSTLY.values(), ids=COSTLY.keys())
def test_too_much_work_is_a_sentence(source: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(budget, "SECONDS", 0.3)
    began = time.thread_time()
    with pytest.raises(UserError, match=TOO_MUCH):
        render(source, folder)
    assert time.thread_time() - began < 15


@pytest.mark.parametrize("expression", SLOW.values(), ids=SLOW.keys())
def test_many_slow_turns_end(expression: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(budget, "SECONDS", 0.2)
    source = (
        "{% set r = range(99999)|list %}{% set s = range(99999)|list %}{% set text = 'a' * 900000 %}"
        f"{{% for i in range(99999) %}}{{% set x %}}{{{{ {expression} }}}}{{% endset %}}{{% endfor %}}"
    )
    began = time.thread_time()
    with pytest.raises(UserError, match=TOO_MUCH):
        render(source, folder)
    assert time.thread_time() - began < 15


def test_a_long_letter_is_within_the_budget(folder: Path) -> None:
    rows = [{"name": f"Item {n}", "price": n} for n in range(5000)]
    source = (
        "{% macro line(row) %}{{ row.name|upper|replace('I', 'i') }}: {{ '%8.2f' % row.price }}"
        "{{ loop_end }}{% endmacro %}{% for row in rows %}{{ line(row) }}\n{% endfor %}"
        "{{ rows|sum(attribute='price') }}"
    )
    assert render(source, folder, rows=rows, loop_end=".").endswith("iTEM 4999:  4999.00.\n12497500")


def test_the_budget_is_refilled_for_each_rendering(folder: Path) -> None:
    env = environment(folder, html=False)
    source = "{{ ('a' * 9000000)|length }}"
    text = compile_text(source, env=env, place=PLACE, names=Names())
    assert [text.render({}) for _ in range(5)] == ["9000000"] * 5


def test_each_thread_has_its_own_budget(folder: Path) -> None:
    env = environment(folder, html=False)
    text = compile_text("{{ ('a' * 9000000)|length }}", env=env, place=PLACE, names=Names())
    env.budget.refill()
    env.budget.spend(budget.BUDGET - 1)
    results: list[str] = []
    thread = threading.Thread(target=lambda: results.append(text.render({})))
    thread.start()
    thread.join()
    assert results == ["9000000"]
    with pytest.raises(SecurityError):
        env.budget.spend(2)


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
        (grown("1", "ns.x + i") + "{{ ns.x }}", "2017"),
        ("{{ true }}{{ 1.5 }}{{ [1] }}", "True1.5[1]"),
    ],
)  # fmt: skip
def test_what_is_metered_still_works(source: str, expected: str, folder: Path) -> None:
    assert render(source, folder) == expected


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("{{ name.title }}", r"title is a function; .* title\(…\)"),
        ("{% macro button() %}{% endmacro %}{{ button }}", r"button is a function"),
        ("{{ nothing }}", r"printed as None; write: \{\{ value or '' \}\}"),
    ],
)
def test_what_nobody_means_is_not_printed(source: str, words: str, folder: Path) -> None:
    with pytest.raises(UserError, match=words):
        render(source, folder, name="Ann", nothing=None)


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
