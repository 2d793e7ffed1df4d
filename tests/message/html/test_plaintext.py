"""What a person reads who sees no HTML: all of the words in their order, and nothing that was hidden."""

from __future__ import annotations

import re
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from campaign.message.html.plaintext import from_html
from campaign.message.html.textlines import WIDTH, columns


@pytest.mark.parametrize(
    ("html", "text"),
    [
        ("", "\n"),
        ("Hello", "Hello\n"),
        ("<p>One\n  and</p><p>two</p>", "One and\n\ntwo\n"),
        ("<div>One</div><div>two</div>", "One\ntwo\n"),
        ("One<br>two<br/>three", "One\ntwo\nthree\n"),
        ("One<br><br>two<BR ><br><br>three", "One\n\ntwo\n\nthree\n"),
        ("a <b>b</b> <i> c</i>d", "a b cd\n"),
        ("<p>One</p><hr><p>two</p>", f"One\n\n{'-' * WIDTH}\n\ntwo\n"),
        ("&lt;b&gt; &amp; &eacute; &#8364; &hellip; AT&T", "<b> & é € … AT&T\n"),
        ("1 < 2 and 3 > 2", "1 < 2 and 3 > 2\n"),
        ("10&nbsp;% of&shy;ten", "10\xa0% often\n"),
        ("<blockquote><p>Said</p><p>so</p></blockquote>After", "> Said\n\n> so\n\nAfter\n"),
        ("<pre>\nif a:\n\n    b\n</pre>c", "if a:\n\n    b\n\nc\n"),
        ("<dl><dt>A<dd>one<dt>B<dd>two</dl>", "A\none\nB\ntwo\n"),
        ("19<sup>99</sup> €, 5<sup>,99</sup> €, 10<sup>-3</sup> m<sup>2</sup>", "19⁹⁹ €, 5,99 €, 10⁻³ m²\n"),
        ("H<sub>2</sub>O, 1<sup>st</sup> X<sup>®</sup><sup> </sup>.", "H₂O, 1st X® .\n"),
        ("a<sup>1<br>2</sup><p>b<sup>3", "a1\n2\n\nb³\n"),
        ("She said <q>go</q>.", 'She said "go".\n'),
    ],
    ids=range(18),
)
def test_blocks_and_words(html: str, text: str) -> None:
    assert from_html(html) == text


@pytest.mark.parametrize(
    ("html", "text"),
    [
        ("<h1>News</h1><p>Hi</p>", "News\n====\n\nHi\n"),
        ("<p>A</p><h2>Small <b>b</b></h2>B", "A\n\nSmall b\n-------\n\nB\n"),
        ("<h4>Plain</h4>B", "Plain\n\nB\n"),
        ("<h1>One<br>three</h1>", "One\nthree\n=====\n"),
        ("<h2>新聞</h2>", "新聞\n----\n"),
        ("<h1><img src=x></h1>B", "B\n"),
        (f"<h2>{'word ' * 30}</h2>", f"{('word ' * 14).strip()}\n" * 2 + "word word\n" + "-" * 69 + "\n"),
        ("<blockquote><h3>A</h3></blockquote>", "> A\n> -\n"),
    ],
    ids=range(8),
)
def test_headings(html: str, text: str) -> None:
    assert from_html(html) == text


@pytest.mark.parametrize(
    ("html", "text"),
    [
        ("<p>So:</p><ul><li>One</li><li>two</li></ul>After", "So:\n\n- One\n- two\n\nAfter\n"),
        ("<ul><li>One<li>two</ul>", "- One\n- two\n"),
        ("<ol><li>One<li>two</ol>", "1. One\n2. two\n"),
        ('<ol start="9"><li>One<li>two</ol>', "9. One\n10. two\n"),
        ('<ol start="x"><li>One</ol>', "1. One\n"),
        (
            '<ol><li>One<li value="7">two<li>three<li value="x">four</ol>',
            "1. One\n7. two\n8. three\n9. four\n",
        ),
        (
            "<ul><li>A<ul><li>B<ol><li>C</li></ol></li></ul></li><li>D</li></ul>",
            "- A\n  - B\n    1. C\n\n- D\n",
        ),
        ("<ul><li><ul><li>B</ul></ul>", "  - B\n"),
        ("<ul><li></li></ul><p>After</p>", "After\n"),
        ("<li>Alone", "- Alone\n"),
        (
            f"<ul><li>{'word ' * 20}</ul>",
            "- " + ("word " * 14).strip() + "\n  " + ("word " * 6).strip() + "\n",
        ),
        ("<ul><li><p>A</p><p>B</p></li></ul>", "- A\n\n  B\n"),
    ],
    ids=range(12),
)
def test_lists(html: str, text: str) -> None:
    assert from_html(html) == text


@pytest.mark.parametrize(
    ("html", "text"),
    [
        ("<ol type=A><li>x<li>y</ol>", "A. x\nB. y\n"),
        ("<ol type=a start=26><li>x<li>y</ol>", "z. x\naa. y\n"),
        ("<ol TYPE='i' start=3><li>x<li value=9>y<li>z</ol>", "iii. x\nix. y\nx. z\n"),
        ("<ol type=I start=3999><li>x<li>y</ol>", "MMMCMXCIX. x\n4000. y\n"),
        ("<ol type=a start=-1><li>x<li>y<li>z</ol>", "-1. x\n0. y\na. z\n"),
        ("<ol start=' 3rd'><li>x</ol>", "3. x\n"),
        ("<ol start=99999999999999999999><li>x</ol>", "1. x\n"),
        ("<ol><li type=a>x<li>y</ol>", "a. x\n2. y\n"),
        ("<ol reversed><li>x<li>y</ol>", "2. x\n1. y\n"),
        ("<ol reversed start=9><li>x<li value=4>y<li>z</ol>", "9. x\n4. y\n3. z\n"),
        ("<ol reversed><li>x<ol><li>a<li>b</ol><li>y</ol>", "2. x\n  1. a\n  2. b\n\n1. y\n"),
        ("<ol reversed><li>x<ol reversed><li>a<li>b</ol>", "1. x\n  2. a\n  1. b\n"),
        ("<ol style='list-style: upper-roman inside'><li>x</ol>", "I. x\n"),
        ("<ol><li style='list-style-type:lower-latin'>x<li>y</ol>", "a. x\n2. y\n"),
        ("<ul style='list-style-type:decimal'><li>x</ul>", "1. x\n"),
        ("<ol style='list-style:none'><li>x</ol>", "- x\n"),
    ],
    ids=range(16),
)
def test_items_are_counted_as_browsers_do(html: str, text: str) -> None:
    assert from_html(html) == text


LONG = "word " * 20


@pytest.mark.parametrize(
    ("html", "text"),
    [
        ("<p style='white-space:pre-line'>Dear\n  Ann,\n\n\nhello </p>B", "Dear\nAnn,\n\nhello\n\nB\n"),
        ("<p style='WHITE-SPACE : pre-line'>a\r\nb\rc</p>", "a\nb\nc\n"),
        ("<p style='white-space:pre-wrap'>a\n  b  c\nd</p>", "a\n  b  c\nd\n"),
        ("<p style='white-space:pre'>a\n  b  c\nd</p>", "a\n  b  c\nd\n"),
        ("<p style='white-space:nowrap'>a\n  b  c</p>", "a b c\n"),
        ("<div style='white-space:pre-line'><b>a\nb</b><p style='white-space:normal'>c\nd</p>e\nf</div>g\nh",
         "a\nb\n\nc d\n\ne\nf\ng h\n"),
        ("<table style='white-space:pre-line'><tr><td>a\nb</table>", "a\nb\n"),
        ("<pre style='white-space:normal'>a\n b</pre>", "a b\n"),
        ("<ul><li style='white-space:pre-line'>a\nb</ul>", "- a\n  b\n"),
        ("<ul><li><pre>a\n b</pre></ul>", "- a\n   b\n"),
        ("<div style='white-space:pre-wrap'><div>a</div><div>b</div></div>", "a\nb\n"),
        (f"<p style='white-space:pre-line'>{LONG}", f"{('word ' * 14).strip()}\n{('word ' * 6).strip()}\n"),
        (f"<p style='white-space:pre'>{LONG}", f"{LONG.strip()}\n"),
    ],
    ids=range(13),
)  # fmt: skip
def test_line_ends_stay_where_the_style_says_so(html: str, text: str) -> None:
    assert from_html(html) == text


@pytest.mark.parametrize(
    ("html", "text"),
    [
        ('<a href="https://x.test/a?b=1&amp;c=2">Read</a>.', "Read <https://x.test/a?b=1&c=2>.\n"),
        ("<a href='https://x.test/'>x.test</a>", "x.test\n"),
        ("<a href=https://x.test/a>https://x.test/a</a>", "https://x.test/a\n"),
        ('<a href="mailto:ann@x.test">Ann</a>', "Ann <ann@x.test>\n"),
        ('<a href="mailto:ann@x.test">ann@x.test</a>', "ann@x.test\n"),
        ('<a href="tel:+49123">+49123</a>', "+49123\n"),
        ('<a href="#top">Top</a> <a name="top">here</a> <a href="{{">x</a>', "Top here x\n"),
        ('<a href="javascript:alert(1)">x</a>', "x\n"),
        ('<a href="https://x.test/"><img alt="Our  logo"></a>', "Our logo <https://x.test/>\n"),
        ('<a href="https://x.test/a"><img></a>', "<https://x.test/a>\n"),
        ('A<a href="https://x.test/a"> </a><a href="https://x.test/b"></a>B', "A B\n"),
        ('<a href="mailto:">x</a> <a href="tel:">y</a> <a href="http://">z</a>', "x y z\n"),
        ('<a href="mailto:a@b.test?subject=Hi%20there">Write</a>', "Write <a@b.test>\n"),
        ('<a href="mailto:a%2Bb@x.test?subject=Hi">a+b@x.test</a>', "a+b@x.test\n"),
        ('<a href="mailto:?subject=Hi">Share</a>', "Share\n"),
        ('<a href="tel:+49%20123">Call</a>', "Call <+49 123>\n"),
        (
            '<img usemap="#m" alt="Shops"><map name=m><area href="https://x.test/a" alt="A">'
            '<area href="https://x.test/b"><area alt="C"></map>',
            "Shops A <https://x.test/a> <https://x.test/b> C\n",
        ),
        ('<a href="https://x.test/a"><h2>Title</h2></a>B', "Title\n-----\n\n<https://x.test/a>B\n"),
        (
            "<a href=https://a.test/x><img alt=A></a><a href=https://b.test/x><img alt=B></a>",
            "A <https://a.test/x> B <https://b.test/x>\n",
        ),
        ('<a href="https://a.test/x?\n\ta=b c">A</a>', "A <https://a.test/x?a=b%20c>\n"),
        # HTML 13.2.5.73: without a semicolon, these are no references.
        (
            '<a href="https://a.test/?a=1&region=eu&times=2&copy=3&notit;&para">A</a>',
            "A <https://a.test/?a=1&region=eu&times=2&copy=3&notit;¶>\n",
        ),
        (
            '<a href="https://a.test/?a&amp;copy=&lt;&#38;&#x26;&reg;">A</a>',
            "A <https://a.test/?a&copy=<&&®>\n",
        ),
    ],
    ids=range(22),
)
def test_links(html: str, text: str) -> None:
    assert from_html(html) == text


def test_a_summary_is_a_line() -> None:
    assert from_html("a<details><summary>More</summary>b</details>c") == "a\nMore\nb\nc\n"


@pytest.mark.parametrize(
    ("html", "text"),
    [
        (
            "<table><tr><th>Day<th>Talk</tr><tr><td>Mon</td><td>SMTP</td></tr></table>",
            "Day  Talk\nMon  SMTP\n",
        ),
        ("<table><tr><td><td>B<td><tr><td>C</table>", "B\nC\n"),
        (
            "<table><tr><td>Logo</td><td><table><tr><td>A</td><td>B</td></tr><tr><td>C</td></tr></table></td>"
            "<td>End</td></tr></table>",
            "Logo\n\nA  B\nC\n\nEnd\n",
        ),
        # A row is a line, whatever stands in its cells.
        ("<table><tr><td><p>Service</p></td><td><p>$ 19.99</p></td></tr></table>", "Service  $ 19.99\n"),
        ("<table><tr><td>A<br>B<td><div>C</div><div>D</div></table>", "A B  C D\n"),
        ("<table><tr><td><p>A<td><p>B<tr><td><p>C<td><p>D</table>E", "A  B\nC  D\n\nE\n"),
        ("<table><tr><td>A</td><td><table><tr><td>5 €</td></tr></table></td></tr></table>", "A  5 €\n"),
        ("<table><tr><td><p>A</div></p></td><td></td><td>&nbsp;</td><td>B</td></tr></table>", "A  B\n"),
        (
            f"<table><tr><td><p>{'word ' * 20}</p></td><td>9 €</td></tr></table>",
            f"{('word ' * 14).strip()}\n{'word ' * 6} 9 €\n",
        ),
        # What is a layout and no row of values stands below each other.
        (
            f"<table><tr><td><p>{'left ' * 20}</p></td><td><p>{'right ' * 15}</p></td></tr></table>",
            f"{('left ' * 14).strip()}\n{('left ' * 6).strip()}\n\n"
            f"{('right ' * 12).strip()}\n{('right ' * 3).strip()}\n",
        ),
        (
            "<table><tr><td><h2>A</h2><p>a</p></td><td><h2>B</h2><p>b</p></td></tr></table>",
            "A\n-\n\na\n\nB\n-\n\nb\n",
        ),
        ("<table><tr><td><ul><li>A<li>B</ul></td><td>C</td></tr></table>", "- A\n- B\n\nC\n"),
        ("<ul><li><table><tr><td>A<td>B<tr><td>C</table><li>D</ul>", "- A  B\n  C\n\n- D\n"),
        ("<blockquote><table><tr><td><p>A<td>B</table></blockquote>", "> A  B\n"),
    ],
    ids=range(14),
)
def test_tables_are_read_in_order(html: str, text: str) -> None:
    assert from_html(html) == text


@pytest.mark.parametrize(
    ("html", "text"),
    [
        ("<s>10</s> 5 €", "~~10~~ 5 €\n"),
        ("Now<del> 10 </del>5 <strike></strike>€", "Now ~~10~~ 5 €\n"),
        ("<span style='text-decoration: line-through'>10</span> 5", "~~10~~ 5\n"),
        ("<s><p>A <b>b</b></p><p>B</p></s>C", "~~A b~~\n\n~~B~~\n\nC\n"),
        ("<s><a href='https://x.test/a'>A</a></s> B", "~~A <https://x.test/a>~~ B\n"),
        ("<table><tr><td><s>10</s><td>5</table>", "~~10~~  5\n"),
    ],
    ids=range(6),
)
def test_what_is_struck_out_is_marked(html: str, text: str) -> None:
    assert from_html(html) == text


@pytest.mark.parametrize(
    ("html", "text"),
    [
        ("<img alt=Logo><img alt=Menu><p>Hello</p><p>B</p>", "Hello\n\nB\n\nLogo Menu\n"),
        (
            "<table><tr><td><a href='https://f.test/x'><img alt=F></a><td><img alt=T></table><p>Hello",
            "Hello\n\nF <https://f.test/x>  T\n",
        ),
        ("<img alt=Logo><p>Hello", "Logo\n\nHello\n"),
        ("<img alt=Logo> News <img alt=Menu><p>Hello", "Logo News Menu\n\nHello\n"),
        ("<img alt=Logo><img alt=Menu>", "Logo Menu\n"),
        ("<p>Hello<p><img alt=A><img alt=B><p>C", "Hello\n\nA B\n\nC\n"),
    ],
    ids=range(6),
)
def test_a_list_of_images_is_not_the_first_line(html: str, text: str) -> None:
    assert from_html(html) == text


@pytest.mark.parametrize(
    "hidden",
    [
        "<p hidden><button><div>x</div></button></p>",
        "<script>if (a < b && b > c) { x = '</p>' }</script>",
        "<SCRIPT type=x>x</Script >",
        "<style>p > a { x: '<b>' }</style>",
        "<head><title>x</title><meta name=x></head>",
        "<!-- x -->",
        "<!--[if mso]><v:rect>x</v:rect><![endif]-->",
        "<!DOCTYPE html><?xml x?>",
        "</ x>",
        '<div style="display:none;max-height:0">x<div>x</div>x</div>',
        "<div style='DISPLAY : NONE'>x<br><img alt=x></div>",
        '<span style="visibility:hidden">x</span>',
        '<span style="opacity:0;color:transparent">x</span>',
        '<div style="max-height:0px;overflow:hidden">x</div>',
        "<p hidden>x</p>",
        "<p HIDDEN=''>x</p>",
        '<img alt="x" style="display:none">',
        "<hr hidden>",
        "<svg><title>x</title><text>x</text></svg>",
        "<template><p>x</p></template>",
        "<div hidden>&nbsp;&zwnj;x</div>",
    ],
)
def test_what_is_hidden_leaves_nothing(hidden: str) -> None:
    assert from_html(f"<p>A</p>{hidden}<p>B</p>") == "A\n\nB\n"


@pytest.mark.parametrize(
    "seen",
    [
        '<p style="mso-hide:all">x</p>',
        '<p style="opacity:0.9;max-height:0.5em">x</p>',
        '<p class="a hidden" title="so hidden">x</p>',
        "<![if !mso]><p>x</p><![endif]>",
        '<p style="display:none;display:flex">x</p>',
        '<p style="display:block!important;display:none">x</p>',
        '<p style="visibility:hidden; visibility: visible">x</p>',
        '<p style="max-height:0;opacity:0;max-height:none;opacity:1">x</p>',
        '<p hidden style="display:block">x</p>',
        "<p style='background:url(display:none)'>x</p>",
        "<p hidden><div>x</div>",
        "<p><b hidden><i>y</i></b></p><p>x</p>",
        "<p hidden>y<hr hidden>x",
        "<!--[if !mso]><!--><p>x</p><!--<![endif]-->",
        "<!--><p>x</p>",
        "<styled><p>x</p></styled>",
    ],
)
def test_what_only_looks_hidden_is_read(seen: str) -> None:
    assert from_html(f"<p>A</p>{seen}<p>B</p>") == "A\n\nx\n\nB\n"


@pytest.mark.parametrize(
    ("html", "text"),
    [
        ("<html><head><title>T</title><body>B", "B\n"),
        ("<div hidden>x", "\n"),
        ("<table><tr><td hidden>x<td>B<tr><td>C</table>D", "B\nC\n\nD\n"),
        ("<ul><li hidden>x<li>B</ul>", "- B\n"),
        ("<div><p hidden>x</div>B", "B\n"),
        ("</div></p></ul>A</a></h1>", "A\n"),
        ("<h2>A", "A\n-\n"),
        ("<b><i>A</b></i> B", "A B\n"),
        ("<p>A<!-- no end <p>B", "A\n"),
        ("<p>A<style>p {", "A\n"),
        ('<p>A<a href="https://x.test', "A\n"),
        ('<a href=x">A</a>', "A\n"),
    ],
    ids=range(12),
)
def test_what_nobody_closed(html: str, text: str) -> None:
    assert from_html(html) == text


def test_padding_beside_the_subject_leaves_nothing() -> None:
    assert from_html("<div>Soon</div>" + "&#847;&zwnj;&nbsp;\n" * 50 + "<p>Hi</p>") == "Soon\n\nHi\n"


def test_a_hidden_line_end_is_none() -> None:
    assert from_html("a <br style='display:none'>b") == "a b\n"


def test_what_shapes_a_word_stays() -> None:
    assert from_html("<p dir=rtl>می\u200cخواهم &#8207;שלום</p>") == "می\u200cخواهم \u200fשלום\n"
    assert from_html("👩\u200d👧 e\u0301") == "👩\u200d👧 e\u0301\n"


def test_an_address_is_never_broken() -> None:
    address = "https://x.test/" + "a-b/" * 40
    lines = from_html(f"<p>{'word ' * 12}<a href='{address}'>to read</a> {'word ' * 12}</p>").splitlines()
    assert f"<{address}>" in [line.split()[0] for line in lines] + [line.split()[-1] for line in lines]
    assert all(len(line) <= WIDTH or line == f"<{address}>" for line in lines)


def test_wide_text_is_broken_where_it_may_be() -> None:
    text = "「吾輩は猫である」。名前はまだ無い、どこで生れたかとんと見当がつかぬ。" * 5
    lines = from_html(f"<p>{text}</p>").splitlines()
    assert "".join(lines) == text
    assert len(lines) > 4
    assert all(sum(1 + (unicodedata.east_asian_width(c) in "WF") for c in line) <= WIDTH for line in lines)
    assert not any(line[0] in "、。」" or line[-1] == "「" for line in lines)


@pytest.mark.parametrize(
    ("text", "width"),
    [
        ("Zoë", 3),
        ("Zoe\u0308", 3),
        ("名前", 4),
        ("ﾅﾏｴ", 3),
        ("ＡＢ", 4),
        ("한글", 4),
        ("⭐ ✅ ✓", 7),
        ("🎉", 2),
        ("\U0001fae8", 2),  # of Unicode 15, which Python has since 3.12
        ("\U0001fae9", 2),  # of Unicode 16, which Python has since 3.14
        ("\U000f0000", 1),
        ("\u0cf3", 1),  # a mark of Unicode 15
    ],
)
def test_a_text_is_as_wide_on_every_python(text: str, width: int) -> None:
    assert columns(text) == width


_pieces = st.sampled_from(
    [
        "p", "div", "table", "tr", "td", "ul", "ol", "li", "h1", "h2", "blockquote", "pre", "a", "b", "br",
        "img", "hr", "style", "script", "head", "body", "svg",
    ]
)  # fmt: skip
_markup = st.lists(
    st.one_of(
        _pieces.map("<{}>".format),
        _pieces.map("</{}>".format),
        st.sampled_from(
            [
                "<a href='https://x.test/'>",
                "<div hidden>",
                "<p style='display:none'>",
                "<p style='white-space:pre-wrap'>",
                "<b style='white-space:pre-line'>",
                "<ol reversed type=i>",
                "<!--",
                "-->",
                "<![",
                "<!",
                "<?",
                "<",
                ">",
                "&",
                "&#",
                "&#0;",
                "&nbsp;",
                "'",
                '"',
                "\0",
                "\ud800",
            ]
        ),
        st.text(max_size=8),
        st.sampled_from(["words ", "漢字", "a" * 80, "\n", " "]),
    ),
    max_size=60,
).map("".join)


@given(_markup | st.text(max_size=200))
def test_anything_is_read(html: str) -> None:
    text = from_html(html)
    assert text.endswith("\n")
    assert "\n\n\n" not in text
    assert not re.search(r"[ \t]\n", text)


_words = st.lists(
    st.sampled_from(["a", "word", "longer", "naïve", "字", "漢字かな", "e\u0301", "😀"]), min_size=1
)


@given(
    words=_words,
    around=st.lists(st.sampled_from(["div", "p", "ul", "li", "ol", "blockquote", "td", "h1"]), max_size=6),
)
def test_lines_fit_and_no_word_is_lost(words: list[str], around: list[str]) -> None:
    text = " ".join(words)
    html = "".join(f"<{tag}>" for tag in around) + text + "".join(f"</{tag}>" for tag in reversed(around))
    lines = from_html(html).splitlines()
    for line in lines:
        assert sum(1 + (unicodedata.east_asian_width(c) in "WF") for c in line) <= WIDTH + line.count(
            "\u0301"
        )
    read = [re.sub(r"^(> )*", "", line).strip() for line in lines if "--" not in line and "==" not in line]
    assert re.sub(r"[\s=]|- |[0-9]\.", "", "".join(read)) == re.sub(r"\s", "", text)
