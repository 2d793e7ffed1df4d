"""Whatever a template costs, it ends with a sentence: the kernel keeps the limits, and C code is in them."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import pytest

from campaign.errors import Problem, UserError
from campaign.templating.names import Names
from campaign.templating.processes import limits
from campaign.templating.processes.pool import Pool
from campaign.templating.processes.work import Made, Opened, Row

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="the kernel's limits are set where it forks")

PLACE = Problem("", file="spring.yaml", line=7, column=10, path="subject")
TOO_MUCH = (
    "too much work|needs more than 512 MB|gives more than 10,000,000|without end|too deeply|Exceeds the limit"
    "|cannot do this|too big|has ended twice"
)


@dataclass(frozen=True)
class One:
    """The task of rendering one template."""

    source: str
    folder: Path

    @property
    def modules(self) -> tuple[str, ...]:
        return ("campaign.templating.compiled", "campaign.templating.sandbox")

    def open(self) -> Opened:
        from campaign.templating.compiled import compile_text
        from campaign.templating.sandbox import environment

        env = environment(self.folder, html=False)
        text = compile_text(self.source, env=env, place=PLACE, names=Names())

        def make(row: Row) -> Made:
            return Made(text.render({}))

        return Made(None), make


def grown(start: str, step: str) -> str:
    """A template that makes ns.x of `step` sixty-four times."""
    turn = f"{{% set ns.x = {step} %}}"
    return f"{{% set ns = namespace(x={start}) %}}{{% for i in range(64) %}}{turn}{{% endfor %}}"


# Two lists that no comparison of them comes to an end with.
NESTED = (
    "{% set ns = namespace(x=[1], y=[1]) %}{% for i in range(60) %}"
    "{% set ns.x = [ns.x, ns.x] %}{% set ns.y = [ns.y, ns.y] %}{% endfor %}"
    "{% set a = ns.x %}{% set b = ns.y %}"
)
COSTLY = {
    "text times a number": "{{ 'a' * 300000000 }}",
    "number times a text": "{{ 300000000 * 'a' }}",
    "list times a number": "{{ ([1] * 300000000)|length }}",
    "list in a list, printed": "{{ ([range(99999)|list] * 99999)|pprint }}",
    "doubling lists": "{% set a = [1] %}" + "{% set a = [a, a] %}" * 40 + "{{ a|pprint }}",
    "doubling empty lists": "{% set a = [] %}" + "{% set a = [a, a] %}" * 40 + "{{ a|tojson ~ '' }}",
    "percent with a width": "{{ '%999999999d' % 1 }}",
    "format filter": "{{ '%999999999d'|format(1) }}",
    "format method": "{{ '{:>999999999}'.format(1) }}",
    "format_map": "{{ '{a:>999999999}'.format_map({'a': 1}) }}",
    "center filter": "{{ 'a'|center(999999999) }}",
    "zfill": "{{ 'a'.zfill(999999999) }}",
    "expandtabs": "{{ '\t'.expandtabs(999999999) }}",
    "replace filter": "{{ ('a' * 1000000)|replace('a', 'b' * 1000000) }}",
    "translate": "{{ ('a' * 100000).translate({97: 'b' * 100000}) }}",
    "join filter": "{{ ([1] * 100000)|join('x' * 100000) }}",
    "join method": "{{ ('x' * 100000).join(['a'] * 100000) }}",
    "join of long texts": "{{ ''.join(['a' * 1000] * 200000) }}",
    "indent": "{{ ('a\n' * 100000)|indent(99999) }}",
    "batch": "{{ [1]|batch(300000000, 'x')|list }}",
    "slice": "{{ [1]|slice(300000000)|list }}",
    "tojson": "{{ [1]|tojson(indent=300000000) }}",
    "map of center": "{{ range(99999)|map('center', 99999)|list }}",
    "sum of lists": "{{ ([[1]] * 99999)|sum(start=[]) }}",
    "doubling with ~": grown("'a'", "ns.x ~ ns.x"),
    "doubling with +": grown("'a'", "ns.x + ns.x"),
    "squaring": grown("3", "ns.x * ns.x"),
    "power": "{{ 10 ** 100000000 }}",
    "division": "{{ (10 ** 30000) ** 2 // 7 }}",
    "loop in a loop in a loop": "{% for a in range(9999) %}" * 3 + "{% endfor %}" * 3,
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
    "parentheses": "{{ " + "(" * 3000 + "1" + ")" * 3000 + " }}",
    "a long sum": "{{ " + "1+" * 5000 + "1 }}",
    "blocks in blocks": "{% if 1 %}" * 120 + "{% endif %}" * 120,
    "comparison": "{% set ns = namespace(x=[1], y=[1]) %}{% for i in range(60) %}"
    "{% set ns.x = [ns.x, ns.x] %}{% set ns.y = [ns.y, ns.y] %}{% endfor %}{{ ns.x == ns.y }}",
    "min": NESTED + "{{ [a, b]|min }}",
    "sort": NESTED + "{{ [a, b]|sort|length }}",
    "hash": "{% set ns = namespace(x=(1,)) %}{% for i in range(60) %}{% set ns.x = (ns.x, ns.x) %}"
    "{% endfor %}"
    "{{ {ns.x: 1}|length }}",
    "tojson of nested": NESTED + "{{ a|tojson|length }}",
    "pprint of nested": NESTED + "{{ a|pprint|length }}",
    "format of nested": NESTED + "{{ '{0[0]}'.format(a)|length }}",
    "format_map of nested": NESTED + "{{ '{a}'.format_map({'a': a})|length }}",
    "title of long": "{% set x = 'ab ' * 30000000 %}"
    "{% for i in range(99) %}{% set y = x|title %}{% endfor %}",
    "punycode": "{% set x %}{% for i in range(2000, 55000) %}{{ '%c' % i }}{% endfor %}{% endset %}"
    "{{ x.encode('punycode')|length }}",
    "deep macros": "{% macro f(n) %}"
    "{% if n %}{{ f(n - 1) }}{{ f(n - 1) }}{% endif %}{% endmacro %}{{ f(99) }}",
    "huge range": "{{ range(999999999)|list|length }}",
    "a constant": "{{ 'a' * 3000000000 }}",
    "a constant list": "{{ [[0] * 90000000] * 9 }}",
    "a constant power": "{{ 9 ** (9 ** 9) }}",
    "a constant condition": "{% if 'a' * 3000000000 == 'b' %}{% endif %}",
    "a constant comparison": "{{ 'a' * 300000000 ~ 'b' == 'c' * 300000000 }}",
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "includes-itself.txt").write_text("{% include 'includes-itself.txt' %}")
    (tmp_path / "extends-itself.txt").write_text("{% extends 'extends-itself.txt' %}")
    (tmp_path / "imports-itself.txt").write_text("{% import 'imports-itself.txt' as x %}")
    (tmp_path / "empty.txt").write_text("")
    return tmp_path


@pytest.mark.parametrize("source", COSTLY.values(), ids=COSTLY.keys())
def test_too_much_is_a_sentence(source: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "SECONDS", 1)
    with pytest.raises(UserError, match=TOO_MUCH) as caught:
        Pool(One(source, folder)).ask(())
    assert "spring.yaml:7:10" in str(caught.value) or "itself.txt" in str(caught.value)


def test_the_limit_is_five_seconds(folder: Path) -> None:
    with pytest.raises(UserError, match=r"too much work: more than 5 s of processor time"):
        Pool(One(COSTLY["comparison"], folder)).ask(())


def test_a_long_letter_is_no_trouble(folder: Path) -> None:
    source = (
        "{% macro line(n) %}{{ ('Item ' ~ n)|upper|replace('I', 'i') }}: {{ '%8.2f' % n }}.{% endmacro %}"
        "{% for n in range(20000) %}{{ line(n) }}\n{% endfor %}{{ range(20000)|sum }}"
    )
    assert str(Pool(One(source, folder)).ask(()).head).endswith("iTEM 19999: 19999.00.\n199990000")


def test_where_the_kernel_bounds_no_memory_sizes_are_looked_at(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from campaign.templating import sandbox
    from campaign.templating.compiled import compile_text

    monkeypatch.setattr(sandbox, "is_memory_limited", False)
    env = sandbox.environment(folder, html=False)
    for source in ("{{ 'a' * 300000000 }}", "{{ 300000000 * [1] }}", "{{ 10 ** 100000000 }}"):
        with pytest.raises(UserError, match="makes too much of one value"):
            compile_text(source, env=env, place=PLACE, names=Names()).render({})
    text = compile_text("{{ 'a' * 3 }}{{ 2 ** 10 }}{{ 2 * 3 }}", env=env, place=PLACE, names=Names())
    assert text.render({}) == "aaa10246"
