"""Styles stand in their elements, and nothing else of the document has changed."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from campaign.errors import UserError
from campaign.message.html.inliner import Inliner
from campaign.message.html.markup import TOKEN, attributes
from campaign.message.html.sheets import SheetError, Sheets

FILES = {
    "css/app.css": "p{color:red} a:hover{color:blue}",
    "css/all.css": '@charset "utf-8"; @import "base.css"; @import url(print.css) print; p{margin:1px}',
    "css/base.css": "@import 'all.css'; p{color:green}",
    "css/print.css": "p{display:none}",
    "css/remote.css": "@import 'base.css'; @import url(https://x.test/a.css); p{x:y}",
    "css/odd.css": 'p::after{content:"</style><p>"}',
    "css/nobody.css": ".nobody{x:y}",
    "mails/near.css": "p{near:1}",
    "near.css": "p{near:0}",
}


def read(name: str) -> str:
    try:
        return FILES[name]
    except KeyError:
        raise UserError(f"there is no file {name}") from None


def inline(html: str, *folders: str) -> str:
    return Inliner(Sheets(read, [*folders, ""])).inline(html)


def styles(html: str) -> list[str]:
    return re.findall(r"<style[^>]*>.*?</style>", html, re.DOTALL)


def of(html: str, tag: str = "p") -> str:
    """The first such element's `style` attribute."""
    found = re.search(rf'<{tag}\b[^>]*? style="([^"]*)"', html)
    return found[1] if found else ""


class TestNothingElseChanges:
    @pytest.mark.parametrize(
        "html",
        [
            "<p CLASS=x>\r\n a<br/></p>",
            "<style media=print>p{x:y}</style><p>a",
            "<style type='text/x-template'>p{x:y}</style><p>a",
            "<style data-css-inline='ignore'>p{x:y}</style><p>a",
            "<!--[if !mso]><!--><style>p{x:y}</style><!--<![endif]--><p>a</p>",
            "<![if !mso]><style>p{x:y}</style><![endif]><p>a</p>",
            '<link rel="stylesheet" href="https://x.invalid/a.css"><p>a',
            '<link rel="alternate stylesheet" href="css/app.css"><link rel=icon href=a.ico><p>a',
            "<style>p{</style>",
            "<style>.nobody, #outlook a{x:y}</style><p>a",
        ],
        ids=range(10),
    )
    def test_where_nothing_can_be_inlined(self, html: str) -> None:
        assert inline(html) == html

    @pytest.mark.parametrize(
        "doctype",
        [
            '<!DOCTYPE html PUBLIC "-//W3C//DTD XHTML 1.0 Transitional//EN"'
            ' "http://www.w3.org/TR/xhtml1/DTD/xhtml1-transitional.dtd">',
            "<!doctype html>",
            "",
            '<?xml version="1.0"?>\n<!DOCTYPE html>',
        ],
        ids=range(4),
    )
    def test_the_doctype(self, doctype: str) -> None:
        table = '<TABLE Border=0><tr><td class = "x">a &nbsp;&amp; é<td Class=x />b</TABLE>'
        expected = table.replace('class = "x"', 'class = "x" style="padding:0"')
        expected = expected.replace("Class=x", 'Class=x style="padding:0"')
        assert inline(f"{doctype}<style>td{{padding:0}}</style>{table}") == doctype + expected

    def test_what_outlook_reads(self) -> None:
        html = (
            "<!--[if mso]><v:rect><![endif]--><p>a</p>"
            "<!--[if !mso]><!--><p>b</p><!--<![endif]--><![if !mso]><p>c</p><![endif]>"
        )
        assert inline(f"<style>p{{x:y}}</style>{html}") == html.replace("<p>", '<p style="x:y">')

    def test_text_that_looks_like_tags(self) -> None:
        html = "<title><p></title><script>'<p>'</script><textarea><p></textarea><!-- <p> -->1 < 2 <p>a"
        assert inline(f"<style>p{{x:y}}</style>{html}") == html[:-4] + '<p style="x:y">a'


class TestWhatIsInlined:
    def test_only_what_screens_show(self) -> None:
        kept = (
            '<style media="only screen and (max-width: 480px)">.desk{display:none}</style>'
            '<style media="print">a{display:none}</style>'
        )
        out = inline(
            f"<style>.desk{{color:red}}</style>{kept}<style media='all'>a{{x:y}}</style>"
            "<style media=screen>a{z:1}</style><p class=desk>Offer</p><a href=x>shop</a>"
        )
        assert out == f'{kept}<p class=desk style="color:red">Offer</p><a href=x style="x:y;z:1">shop</a>'

    def test_what_holds_only_under_a_condition_stays(self) -> None:
        html = inline(
            "<style>a{color:red} a:hover{color:blue} p::first-line{x:y} @media (max-width:9px){a{x:y}}"
            " p{a:b;& b{c:d}} @font-face{font-family:X;src:url(https://x.test/x.woff)}</style>"
            "<a href=x>a</a><p>b"
        )
        (left,) = styles(html)
        for kept in ("a:hover{", "p::first-line{", "@media (max-width:9px){a{x:y}}", "@font-face{", "& b{"):
            assert kept in left
        assert "{color:red}" not in left
        assert of(html, "a") == "color:red"

    @pytest.mark.parametrize(
        ("prelude", "is_given"),
        [
            ("a, a:visited", True),
            ("a:hover,a", True),
            (".x:hover > i:focus , b::before,a:link", True),
            ("p::first-line, a:before, a", True),
            ("a:visited, b", False),
            ("a, a::-x-y", False),  # browsers that do not know one selector skip the rule
            ("a, p::before b", False),
            ("a, b:::hover", False),
            ("a, b:hover(x)", False),
            ("a, b::hover", False),
        ],
    )
    def test_a_rule_stays_for_those_of_its_selectors_that_are_of_a_state(
        self, prelude: str, is_given: bool
    ) -> None:
        css = f"a{{x:1}}{prelude}{{x:2}}"
        out = inline(f"<style>{css}</style><a href=x>a</a>")
        assert of(out, "a") == ("x:1;x:2" if is_given else "x:1")
        assert styles(out) == [f"<style>{prelude}{{x:2}}</style>"]

    def test_the_cascade_decides(self) -> None:
        html = (
            "<style>p{x:1} #a{x:6} .b{x:3} p.b{x:4} .b{x:2} p:first-child{x:5;y:6}"
            " p:not(#a, .c){x:9}</style><div><p id=a class=b>a</div>"
        )
        assert of(inline(html)) == "x:1;x:3;x:2;x:4;x:5;y:6;x:6"

    def test_important_is_stronger_than_the_attribute(self) -> None:
        html = "<style>p{color:red!important;x:1} .b{x:2}</style><p class=b style='color:blue;x:3'>a"
        assert of(inline(html)) == "x:1;x:2;color:blue;x:3;color:red"

    def test_important_in_the_attribute_is_the_strongest(self) -> None:
        html = "<style>p{color:red!important}</style><p style='color:blue !important'>a"
        assert of(inline(html)) == "color:blue !important;color:red"

    def test_important_stays_beside_a_rule_that_stays(self) -> None:
        html = (
            "<style>td{color:red!important} td.b{color:blue!important}</style>"
            "<!--[if mso]><table><td><![endif]--><table><td class=b>a"
        )
        out = inline(html)
        assert styles(out) == ["<style>td{color:red!important}</style>"]
        assert of(out, "td") == "color:blue!important"

    @pytest.mark.parametrize(
        "css",
        [
            ".a{x:1!important}p,p:hover{x:2!important}",  # .a is the stronger at rest
            "#i{x:1!important}p:hover{x:2!important}",  # and #i while hovered
            "p{x:1!important}p:hover{x:2!important}",
            ".a{x:1!important}@media screen{p.a{x:2!important}}@media print{p{x:3!important}}",
            ".a{x-y:1!important}@layer z{p{x:2!important}}",
        ],
    )
    def test_important_stays_in_the_sheet_where_only_a_browser_knows_which_is_the_stronger(
        self, css: str
    ) -> None:
        out = inline(f"<style>{css}</style><p class=a id=i>a")
        assert styles(out) == [f"<style>{css}</style>"]
        assert "important" not in of(out)

    @pytest.mark.parametrize(
        ("css", "style"),
        [
            # Stronger than what stays, and weaker.
            ("p{x:1!important}p.b,i{x:2!important}p.a{x:3!important}", "x:1;x:2!important;x:3!important"),
            (".a{x:1!important}@media screen{p{x:2!important}}", "x:1!important"),
            (".a{x-y:1!important}p:hover{x:2!important}", "x-y:1"),
            ("p{x:1!important}@media screen{p{x:2!important}}", "x:1"),
            ("p,i{x:1!important}@media screen{p{x:2!important}}", "x:1"),
            ("p,i{x:1!important}p.a{x:2!important}@media screen{#i{x:3!important}}", "x:1;x:2"),
            ("@media screen{p{x:1!important}}p{x-y:2!important}", "x-y:2!important"),
            ("@media screen{p{x:1!important}}p{y:2!important}", "y:2"),
            ("@media screen{p{x:1}}p{x:2!important}", "x:2"),
            ("@layer z{p{x:1!important}}#i{x:2!important}", "x:2"),
            ("@supports (x:y){@media screen{p{x:1!important}}}#i{x:2!important}", "x:2!important"),
        ],
    )
    def test_important_stays_where_it_decides(self, css: str, style: str) -> None:
        assert of(inline(f'<style>{css}</style><p class="a b" id="i">a')) == style

    @pytest.mark.parametrize(
        ("own", "style"),
        [
            ("x:3!important", "x:0!important;x:2!important;x:3!important;x:1"),
            ("x:3", "x:3;x:1;x:0!important;x:2!important"),
        ],
    )
    def test_important_that_stays_is_weaker_than_that_of_the_attribute(self, own: str, style: str) -> None:
        css = "p{x:1!important}p.b{x:2!important}i,p{x:0!important}"
        assert of(inline(f'<style>{css}</style><p class=b style="{own}">a')) == style

    @pytest.mark.parametrize(
        ("css", "written", "style"),
        [
            ("background:#c00;background:linear-gradient(#c00,#900)", "", None),
            ("width:100px;width:calc(50% - 8px)", "", None),
            ("color:#fff;color:rgba(0,0,0,.5)", "", None),
            ("color:red", "color:#zzz", "color:red;color:#zzz"),
            ("color:red", "color:var(--x)", "color:red;color:var(--x)"),
            ("width:1px", "WIDTH:calc(1px)", "width:1px;WIDTH:calc(1px)"),
            # What every program understands replaces what is before it.
            ("color:rgba(0,0,0,.5);color:#fff", "", "color:#fff"),
            ("color:red;padding:0 1px", "padding:2em; color:Blue", "padding:2em; color:Blue"),
            ("x:y", "x:y", "x:y;x:y"),
        ],
        ids=range(9),
    )
    def test_fallbacks_stay(self, css: str, written: str, style: str | None) -> None:
        assert of(inline(f'<style>p{{{css}}}</style><p style="{written}">a')) == (style or css)

    def test_what_the_parser_implies_needs_its_rule(self) -> None:
        html = "<style>tbody{x:y} table > tr{x:z} tr{a:b}</style><table><tr><td>a</table>"
        out = inline(html)
        assert styles(out) == ["<style>tbody{x:y} table > tr{x:z}</style>"]
        assert '<table><tr style="a:b">' in out

    def test_a_tag_of_two_elements_is_given_nothing(self) -> None:
        html = "<style>b>i{x:y} i{x:z} p{a:b}</style><p>a<b><i>b</b>c</i>"
        assert inline(html) == '<style>b>i{x:y} i{x:z}</style><p style="a:b">a<b><i>b</b>c</i>'

    def test_nothing_is_given_to_what_nobody_sees(self) -> None:
        html = inline("<style>*{x:y}</style><html><head><meta name=a><title>t</title></head><body><p>a")
        assert re.findall(r"<(\w+)[^>]* style", html) == ["html", "body", "p"]

    @pytest.mark.parametrize(
        ("comment", "css"),
        [
            ('<!--[if mso]><table class="col">x<![endif]-->', ".col{x:y}"),
            ('<!--[if mso]><table class="a col">x<![endif]-->', "table .a.col{x:y}"),
            ("<!--[if mso | IE]><TABLE><![endif]-->", "b, table{x:y}"),
            ("<!--[if gte mso 9]><td id=k><![endif]-->", "td#k{x:y}"),
        ],
        ids=range(4),
    )
    def test_rules_that_comments_need_stay(self, comment: str, css: str) -> None:
        table = "<table class='a col'><tr><td id=k><b class='a col'>"
        out = inline(f"<style>{css}i{{x:z}}</style>{comment}{table}<i>")
        assert styles(out) == [f"<style>{css}</style>"]
        assert 'style="x:y"' in out
        assert "<style" not in inline(
            f"<style>{css}</style><!--[if mso]><p class=o><![endif]-->{table}<table>"
        )

    def test_a_sheet_of_which_nothing_is_left_goes(self) -> None:
        html = "<style>p{color:red}</style><style type='text/css'>\n/* a */ <!-- p{x:y} -->\n</style><p>a"
        assert inline(html) == '<p style="color:red;x:y">a'

    def test_loops_have_run_before(self) -> None:
        rows = "".join(f"<tr><td>{n}</td></tr>" for n in range(3))
        html = inline(f"<style>td{{x:y}}</style><table>{rows}</table>")
        assert html.count('<td style="x:y">') == 3


class TestAttributes:
    @pytest.mark.parametrize(
        ("tag", "styled"),
        [
            ("<p>", '<p style="x:y">'),
            ("<p/>", '<p style="x:y"/>'),
            ("<p style>", '<p style="x:y">'),
            ("<p style=''>", '<p style="x:y">'),
            ("<p style=a:b>", '<p style="x:y;a:b">'),
            ("<p a STYLE = 'a:b' c>", '<p a STYLE = "x:y;a:b" c>'),
            ("<p style='a:\"b\"'>", '<p style="x:y;a:&quot;b&quot;">'),
            ("<p style='a:&quot;b&quot;;'>", '<p style="x:y;a:&quot;b&quot;;">'),
            ('<p style="a:b" style="c:d">', '<p style="x:y;a:b" style="c:d">'),
            ("<p title='style=\"a:b\"'>", '<p title=\'style="a:b"\' style="x:y">'),
            ('<p data-style="a:b">', '<p data-style="a:b" style="x:y">'),
            ('<p title="a > b" />', '<p title="a > b" style="x:y" />'),
            ("<p title=a/>", '<p title=a/ style="x:y">'),
        ],
        ids=range(13),
    )
    def test_only_the_style_changes(self, tag: str, styled: str) -> None:
        assert inline(f"<style>p{{x:y}}</style>{tag}a") == f"{styled}a"

    @pytest.mark.parametrize(
        "attributes",
        [
            "class=a",
            "CLASS='a'",
            'x="y"class="a"',
            "x='y'CLASS=a",
            "x/class=a",
            "x=y\n\tclass = a",
            "/class=a",
        ],
        ids=range(7),
    )
    def test_a_class_is_found_wherever_browsers_find_it(self, attributes: str) -> None:
        assert inline(f"<style>.a{{x:y}}</style><p {attributes}>a").endswith(' style="x:y">a')

    @pytest.mark.parametrize("attributes", ["data-class=a", "classes=a", "x='class=a'", "x=class"])
    def test_what_only_looks_like_a_class_is_none(self, attributes: str) -> None:
        assert "style=" not in inline(f"<style>.a{{x:y}}</style><p {attributes}>a")

    @pytest.mark.parametrize(
        ("css", "style"),
        [
            ('font-family:"Open Sans",Arial', "font-family:'Open Sans',Arial"),
            ('content:"it\'s"', "content:&quot;it's&quot;"),
            ("background:url(https://x.test/?a=1&lt=2)", "background:url(https://x.test/?a=1&amp;lt=2)"),
            ("filter:progid:DX.x(a='b',c=1)", "filter:progid:DX.x(a='b',c=1)"),
        ],
        ids=range(4),
    )
    def test_values_stand_between_quotes(self, css: str, style: str) -> None:
        assert of(inline(f"<style>p{{{css}}}</style><p>a")) == style

    @pytest.mark.parametrize(
        "written",
        [
            "color #333; font-size:14px",
            "width:10px;height",
            "*zoom:1",
            "font:'a; x:y",
            "a:b}c:d",
            "x:{a}",
            ":;(",
        ],
    )
    def test_a_malformed_one_is_left_to_the_reader(self, written: str) -> None:
        assert of(inline(f'<style>p{{x:y}}</style><p style="{written}">a')) == f"x:y;{written}"

    def test_behind_a_malformed_one_nothing_is_swallowed(self) -> None:
        html = '<style>p{x:y!important}</style><p style="color #333; a:b; font:\'a; c:d">a'
        assert of(inline(html)) == "a:b;x:y"


class TestFiles:
    def test_a_linked_sheet_is_inlined(self) -> None:
        out = inline('<head><link rel="stylesheet" href="css/app.css"></head><a href=x>a</a><p>b')
        assert out == '<head><style> a:hover{color:blue}</style></head><a href=x>a</a><p style="color:red">b'

    def test_imports_stand_in_its_place(self) -> None:
        out = inline("<style>@import 'css/all.css';p{last:1}</style><p>a")
        assert of(out) == "color:green;margin:1px;last:1"
        assert re.sub(r"\s", "", styles(out)[0]) == "<style>@mediaprint{p{display:none}}</style>"

    @pytest.mark.parametrize(
        ("selector", "given"),
        [
            ("b:empty", [0, 5]),
            ("b:not(:empty)", [1, 2, 3, 4]),
            (":lang(de) b", [1, 2, 3]),
            ("b:lang(DE)", [1, 3]),
            ("b:lang(de-at)", [1]),
            ("b:lang(fr)", [2]),
            ("b:lang(d)", []),
            ("b:lang(en, fr)", [0, 2, 4]),
            ("b:not(:lang(de))", [0, 2, 4, 5]),
            ("a:any-link b", [4]),
            (":scope b", [0, 1, 2, 3, 4, 5]),
        ],
    )
    def test_what_is_asked_of_a_document_that_does_not_move(self, selector: str, given: list[int]) -> None:
        out = inline(
            f"<style>p{{a:0}} {selector}{{a:1}}</style><html lang=en><p><b n=0></b>"
            "<p lang=de-AT><b n=1>x</b><i lang=fr><b n=2> </b><i lang=de><b n=3>x</b></i></i>"
            "<p><a href=x><b n=4>x</b></a><p lang=''><b n=5><!-- x --></b>"
        )
        assert [int(n) for n in re.findall(r'<b n=(\d) style="a:1"', out)] == given
        assert not given or styles(out) == []

    def test_a_text_that_is_not_there_in_every_message_counts(self) -> None:
        inliner = Inliner(Sheets(read, [""]))
        for text, style in (("x", ""), ("", "a:1"), (" ", ""), ("y", ""), ("", "a:1")):
            assert of(inliner.inline(f"<style>p:empty{{a:1}}</style><p>{text}</p>")) == style

    @pytest.mark.parametrize(
        "before",
        ["@media (min-width:1px){p{a:b}}", "a:hover{a:b}", "@font-face{font-family:x}", "p:first-line{a:b}"],
    )
    def test_an_import_behind_other_rules_takes_none_of_them_away(self, before: str) -> None:
        """Browsers skip it; what stands above it holds."""
        out = inline(f"<style>{before}@import 'css/base.css';p{{last:1}}</style><p>a")
        assert of(out) == "last:1"
        assert before in styles(out)[0]

    @pytest.mark.parametrize(
        ("selector", "is_given"),
        [
            (":is(h1, h2) b", True),
            ("h1 :where(b, i)", True),
            ("h1 > :is( b.x , i )", True),
            ("b:is(.x, .y)", True),
            (":is(h1,h2):is(.t) :is(b)", True),
            (":is(h1, h2:first-child) b:not(.y)", True),
            (":is(h3, h4) b", False),
            ("b:is(.y)", False),
            (":is(h1 b)", True),
            ("b:is(b)", True),
            (".x:where(b, i)", True),
            ("h1 :is(:is(b, i), .y)", True),
            ("b:not(:is(.y, h2 b), .z)", True),
            ("h1:has(:is(b, i)) b", True),
            ("h1 :is(h1 b)", True),
            ("body :is(html b)", True),
            ("b:not(body :is(html i))", True),
            ("h1:has(:is(h1 b)) b", True),
            ("h1 > :is(h1 b, " + ",".join(f".y{n} i" for n in range(60)) + ")", True),
            ("b:is(i)", False),  # these stay as they are written
            ("b:is()", False),
            ("b:not(:is(.x))", False),
            ("h1:has(i) b", False),
            ("h1 :is(h2 b)", False),
        ],
    )
    def test_what_is_short_for_several_selectors(self, selector: str, is_given: bool) -> None:
        out = inline(f'<style>{selector}{{a:1}}</style><h1 class="t"><b class="x">t</b></h1>')
        assert of(out, "b") == ("a:1" if is_given else "")
        assert is_given or styles(out) == [f"<style>{selector}{{a:1}}</style>"]

    @pytest.mark.parametrize(
        "selector",
        ["h1 >", "> h1", "h1 > > p", "#2020", "[class=2a]", "p:nth-child(a)", "p:not()", "**", "p.", "p:x"],
    )
    def test_a_selector_that_is_not_valid_takes_its_rule_with_it(self, selector: str) -> None:
        for selectors in (f"p,{selector}", f"{selector},p", f"p:not({selector})"):
            html = f"<style>{selectors}{{a:1}}</style><p>a"
            assert inline(html) == html

    def test_what_is_short_has_the_weight_of_its_heaviest(self) -> None:
        head = "<style>:is(b,#none) {a:1}p b.x{a:2}:where(b.x){a:3}b{a:4}</style>"
        assert of(inline(f'{head}<p><b class="x">t</b></p>'), "b") == "a:3;a:4;a:2;a:1"

    def test_a_sheet_between_comments_stays(self) -> None:
        media = "@media (max-width:9px){p{x:z!important}}"
        assert media in inline(f"<style>/* a */p{{x:y}}{media}/* b */</style><p>a")
        assert styles(inline("<style>/* a */p{x:y}/* b */</style><p>a")) == []

    def test_layers_may_be_named_in_front_of_imports(self) -> None:
        css = "@charset 'a';@layer a, b;@import 'css/nobody.css' layer(b);@layer c;@import 'css/base.css';"
        (out,) = styles(inline(f"<style>{css}</style><p>a"))
        rest = "@layer c;@import 'css/base.css';"  # browsers skip this one
        assert out == f"<style>@layer a, b;@layer b {{\n.nobody{{x:y}}\n}}\n{rest}</style>"

    def test_an_import_into_a_layer_or_where_something_is_supported(self) -> None:
        ways = {
            "layer": "@layer {\n.nobody{x:y}\n}",
            "layer(a.b)": "@layer a.b {\n.nobody{x:y}\n}",
            "supports(display:grid)": "@supports (display:grid) {\n.nobody{x:y}\n}",
            "layer(a) supports(not (x:y)) print": "@layer a {\n@supports (not (x:y)) {\n@media print {\n"
            ".nobody{x:y}\n}\n}\n}",
            "layer(a) screen": "@layer a {\n.nobody{x:y}\n}",
        }
        for way, written in ways.items():
            (out,) = styles(inline(f"<style>@import 'css/nobody.css' {way};p{{last:1}}</style><p>a"))
            assert out == f"<style>{written}\n</style>"

    def test_a_remote_import_stays_in_front(self) -> None:
        out = inline("<link rel=stylesheet href='css/remote.css?v=2'><p>a")
        assert of(out) == "margin:1px;color:green;x:y"
        assert "".join(styles(out)).strip().startswith("<style>@import url(https://x.test/a.css);")

    def test_for_other_media_it_becomes_a_style_of_its_own(self) -> None:
        out = inline("<link rel=stylesheet media='print' href='css/app.css'><p>a")
        assert out == f'<style media="print">{FILES["css/app.css"]}</style><p>a'

    def test_it_is_looked_for_beside_the_template_first(self) -> None:
        link = "<link rel=stylesheet href=near.css><p>a"
        assert of(inline(link, "mails")) == "near:1"
        assert of(inline(link)) == "near:0"
        assert of(inline("<link rel=stylesheet href=css/app.css><p>a", "mails")) == "color:red"

    def test_it_cannot_end_its_element(self) -> None:
        assert inline("<link rel=stylesheet href=css/odd.css><p>a").count("</style>") == 1

    def test_one_that_is_missing_is_named(self) -> None:
        with pytest.raises(SheetError, match=r"there is no file css/no\.css") as caught:
            inline("<link rel=stylesheet href=css/no.css>")
        assert caught.value.written == "css/no.css"


def test_messages_of_one_template_are_styled_alike() -> None:
    inliner = Inliner(Sheets(read, [""]))
    for number in range(3):
        for count in (1, 2):
            links = f"<a href=x?{number}>{number}</a>" * count
            html = inliner.inline(f"<style>a{{x:y}} a + a{{x:z}}</style>{links}")
            assert re.findall(r' style="([^"]*)"', html) == ["x:y", "x:y;x:z"][:count]
            assert _bare(html) == _bare(links)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("<b><i>a</b>b</i>", "<b><i>a</b></i>"),  # of the first the parser makes two <i>
        ("<link rel=stylesheet href=css/base.css><p>a", "<link rel=stylesheet href=mails/near.css><p>a"),
        ("<p class=x>a", "<p class=y>a"),
        ('<p title=x>y<i c">z', '<p title="x>y<i c">z'),
        ('<p a=b"c title=x>y<i c">z', '<p a=b"c title="x>y<i c">z'),
        ("<p>a", "<p style='top:1px'>a"),
    ],
)
def test_what_differs_from_a_message_before_counts(one: str, other: str) -> None:
    inliner = Inliner(Sheets(read, [""]))
    head = "<style>b i{x:y} p{left:0} .x{x:z}</style>"
    for document in (one, other, one):
        assert inliner.inline(head + document) == inline(head + document)


_CSS = """p a .x #y * { } color:red ; @media ( ) ' " /* */ :not( , > [ ] = :hover :: !important <!-- --> \\
@import url( é \0 &"""
_HTML = """<p> </p>
<p·class=x <a·id='y'> > <table> <tr> <td·style='a:b'> <b> </b> <br/> <style> </style> <!-- -->
<!--[if·mso]> <![endif]--> <![if·x]> text < ' " = <svg> <select> <form> <title> & \0 <p·style
<link·rel=stylesheet·href=css/app.css>"""
_css = st.lists(st.sampled_from([*re.split(r"[ \n]", _CSS), " "]), max_size=25).map("".join)
_html = st.lists(st.sampled_from(re.split(r"[ \n]", _HTML)), max_size=25).map("".join)


@given(css=_css, html=_html)
def test_any_document_keeps_all_but_its_styles(css: str, html: str) -> None:
    source = f"<style>p{{color:blue}}{css}</style>{html.replace('·', ' ')}"
    assert _bare(inline(source)) == _bare(source)


_tokens = st.sampled_from(
    [one.replace("·", " ") for one in re.split(r"[ \n]", _HTML)]
    + [
        "<p>a",
        "<p>b",
        "<p> ",
        "</p>",
        "</p >",
        "<a href='?1'>a",
        "<a href=?2>b",
        '<i id="y">',
        '<i id="<">',
        "<i",
    ]
)


@given(
    css=_css,
    tokens=st.lists(_tokens, min_size=1, max_size=25),
    others=st.lists(st.tuples(st.integers(0, 24), _tokens), max_size=3),
)
def test_a_document_is_inlined_as_if_it_were_the_first(
    css: str, tokens: list[str], others: list[tuple[int, str]]
) -> None:
    inliner = Inliner(Sheets(read, [""]))
    head = f"<style>p{{color:blue}} #y{{color:red}} a + p{{top:0}}{css}</style>"
    inliner.inline(head + "".join(tokens))
    for place, other in others:
        tokens[place % len(tokens)] = other
        document = head + "".join(tokens)
        assert inliner.inline(document) == inline(document)


def _bare(html: str) -> str:
    """The document without style sheets and attributes."""
    parts = TOKEN.split(html)
    for number, token in enumerate(parts):
        if re.match(r"<(?:style|link)[\s/>]", token, re.IGNORECASE):
            parts[number] = ""
        for one in [one for one in attributes(token) if number % 2 and one.name == "style"]:
            begin = token[: one.start].lower().rindex("style")
            end = one.end + len(one.quote)
            parts[number] = token[:begin].rstrip() + token[end:]
    return re.sub(r"[ \n]", "", "".join(parts))
