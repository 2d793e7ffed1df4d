"""What rules find in texts and links: a case in which each speaks, and those in which it is silent."""

from __future__ import annotations

import pytest

from tests.checks.conftest import Found, Said

PEOPLE = "email,Vor name,Nachname,x\nada+news@x.test,Ada,L&M,x\nben@x.test,Ben,B,x\n"


@pytest.mark.parametrize(
    ("tag", "what"),
    [
        ("*|FNAME|*", "*|FNAME|* looks like Mailchimp and is mailed as it is; write {{ row['Vor name'] }}"),
        ("*|MC:SUBJECT|*", "looks like Mailchimp"),
        ("%recipient.name%", "looks like Mailgun"),
        ("%%first_name%%", "looks like Marketing Cloud"),
        ("[firstname,fallback=there]", "looks like Campaign Monitor"),
        ("{contactfield=firstname|there}", "looks like Mautic"),
        ("<%= name %>", "looks like ERB"),
        ("<?= $name ?>", "looks like PHP"),
        ("<?php echo $nachname; ?>", "looks like PHP and is mailed as it is; write {{ Nachname }}"),
        ("{!Contact.FirstName}", "looks like Salesforce and is mailed as it is; write {{ row['Vor name'] }}"),
        ('[[data:firstname:""]]', "looks like Mailjet and is mailed as it is; write {{ row['Vor name'] }}"),
        ("[[var:plan]]", "looks like Mailjet"),
        ("[[FIRSTNAME OR 'Friend']]", "looks like Constant Contact"),
        ("{subtag:name}", "looks like AcyMailing"),
        ("{ MERGEFIELD Vorname }", "looks like Word and is mailed as it is; write {{ row['Vor name'] }}"),
        ('{MERGEFIELD "Vor name" \\* MERGEFORMAT}', "looks like Word"),
        ("{$nachname}", "write {{ Nachname }}"),
        ("#{nachname}", "write {{ Nachname }}"),
        ("$nachname", "write {{ Nachname }}"),
        ("$Vor name$", "write {{ row['Vor name'] }}"),
        ("__NACHNAME__", "write {{ Nachname }}"),
        ("«Nachname»", "«Nachname» is not Jinja2 and is mailed as it is; write {{ Nachname }}"),
        ("<<Vor name>>", "write {{ row['Vor name'] }}"),
        ("<<First Name>>", "write {{ row['Vor name'] }}"),
        ("{Nachname}", "write {{ Nachname }}"),
        ("${nachname}", "write {{ Nachname }}"),
        ("[Nachname]", "write {{ Nachname }}"),
        ("[[Nachname]]", "write {{ Nachname }}"),
        ("%Nachname%", "write {{ Nachname }}"),
        ("%unsubscribe%", "write {{ unsubscribe.url }}"),
        ("##LASTNAME##", "write {{ Nachname }}"),
        ("${plan}", "${plan} is not Jinja2 and is mailed as it is; write a column's name between {{ and }}"),
        ("${user.plan_name}", "write a column's name between {{ and }}"),
        ("${FIRSTNAME}", "write {{ row['Vor name'] }}"),
        ("{name}", "{name} is not Jinja2 and is mailed as it is; write a column's name between"),
    ],
)
def test_merge_tags(said: Said, tag: str, what: str) -> None:
    for where in ({"text": f"Hi\nDear {tag},"}, {"subject": f"Dear {tag}"}, {"headers": {"X-Who": tag}}):
        (only,) = said("mergetags", PEOPLE, **where)
        assert what in only
    (only,) = said("mergetags", PEOPLE, html=f"<p>\n<b>Dear {tag}</b>")
    assert only.startswith("body.html:2: warning: ")
    written = tag.replace("<", "&lt;").replace(">", "&gt;")
    (only,) = said("mergetags", PEOPLE, html=f'<a href="https://x.test/{written}">x</a>')
    assert only.startswith("body.html:1: warning: ")
    assert what in only


@pytest.mark.parametrize(
    "text",
    [
        "{ a } {like this} [see below] [1] [link](https://x.test) 50 % of 10 %, «mot», «le mot juste»",
        "<style>.x{color:red}@media print{Nachname{color:red}}</style><p style='width:100%;height:50%'>",
        "<!--[if mso]><i>[Nachname]</i><![endif]--> <a href='https://x.test/%C3%A4%20b%C3%BC'>x</a>",
        "a << b >> c, x[i], ${5}, costs $5, 3*|x|*2, 100%%",
        "US$, $ 5, $price, a$x, __init__, { !important }, [[1 OR 2]], #{top}, snake_nachname_case",
        "export ${HOME} ${SMTP_HOST} ${x:-y} ${} $name [name] __name__ «name» {like} {plan}",
        "{{ Nachname }} {% if x %}y{% endif %} {# {Nachname} #}",
    ],
)
def test_what_is_no_merge_tag(said: Said, text: str) -> None:
    assert said("mergetags", PEOPLE, html=text) == []
    if not text.startswith("<"):
        assert said("mergetags", PEOPLE, text=text) == []


@pytest.mark.parametrize(
    ("html", "what"),
    [
        ('<a href="https://x.test/u?e={{ email }}&amp;c=1">x</a>', "its '+' means something else there"),
        ('<a href="https://x.test/u?e={{ recipient.email }}">x</a>', "{{ recipient.email }} is printed"),
        ('<a href="https://x.test/u?n={{ row["Nachname"] }}">x</a>', "its '&' means"),
        ('<a href="{{ site }}/u?n={{ Nachname|upper }}">x</a>', "write {{ Nachname|upper|urlencode }}"),
    ],
)
def test_a_value_in_an_address(found: Found, html: str, what: str) -> None:
    (only,) = found("unencoded", PEOPLE, html=f"<p>\n{html}", vars={"site": "https://x.test"})
    assert what in only.message
    assert only.message.endswith(" (row 1)")
    assert (only.file, only.line) == ("body.html", 2)


@pytest.mark.parametrize(
    "html",
    [
        '<a href="https://x.test/u?e={{ email|urlencode }}">x</a>',
        '<a href="https://x.test/{{ email }}">x</a>',
        '<a href="https://x.test/?x={{ x }}">{{ email }}</a>',
        '<a href="{{ Nachname }}">x</a> <img src="https://x.test/a.png" alt="{{ Nachname }}">',
        '<a href="https://x.test/?t={{ bounce.token }}">x</a>',
    ],
)
def test_a_value_in_an_address_that_is_safe(said: Said, html: str) -> None:
    assert said("unencoded", PEOPLE, html=html) == []


def test_a_value_in_an_address_where_the_address_is_a_template(found: Found) -> None:
    html = '<a href="https://x.test/u?e={{ recipient.email }}">x</a>'
    people = {"csv": "list.csv", "email": "{{ email|trim }}"}
    (only,) = found("unencoded", PEOPLE, html=html, recipients=people)
    assert "{{ recipient.email }} is printed" in only.message


def test_a_value_in_the_address_to_unsubscribe(said: Said) -> None:
    url = "https://x.test/u?e={{ email }}&c=1"
    (only,) = said("unencoded", PEOPLE, unsubscribe={"url": url})
    assert only.startswith("spring.yaml:")
    assert "unsubscribe.url: {{ email }} is printed into an address unencoded" in only


@pytest.mark.parametrize(
    ("link", "severity", "what"),
    [
        ('<a href="">shop</a>', "warning", "a link (shop) has no address"),
        ('<a href="#">shop</a>', "warning", "a link (shop) has no address"),
        ('<a href="http://">shop</a>', "warning", "leads to http:// and nothing after it"),
        ('<a href="mailto:">mail</a>', "warning", "leads to mailto: and nothing after it"),
        ('<a href="shop.html">x</a>', "warning", "the link to 'shop.html' has no https://"),
        ('<a href="/shop">x</a>', "warning", "has no https://"),
        ('<a href="//x.test/shop">x</a>', "warning", "has no https://"),
        ('<a href="www.x.test">x</a>', "warning", "has no https://"),
        ('<a href="file:///home/me/a.pdf">x</a>', "error", "works on this machine only"),
        ('<a href="http://intranet/x">x</a>', "warning", "works in a private network only"),
        ('<a href="https://192.168.1.2:80/x">x</a>', "warning", "works in a private network only"),
        ('<a href="https://wiki.corp.internal">x</a>', "warning", "works in a private network only"),
        ('<a href="#dates">x</a>', "warning", "leads to #dates, and nothing in the mail has that id"),
        ('<a href="http://localhost:3000/">x</a>', "error", "works on this machine only"),
        ('<a href="https://127.0.0.1/x">x</a>', "error", "works on this machine only"),
        ('<a href="javascript:void(0)">x</a>', "warning", "runs a script"),
        (
            '<a href="https://track.y.test/c/1"><b>www.x.test</b></a>',
            "warning",
            "a link says www.x.test and leads to track.y.test",
        ),
        ('<a href="https://y.test/">https://x.test/shop</a>', "warning", "says x.test and leads to y.test"),
        ('<a href="https://y.test/">example.com</a>', "warning", "says example.com and leads to y.test"),
    ],
)
def test_links(found: Found, link: str, severity: str, what: str) -> None:
    (only,) = found("links", html=f"<p>\n{link}", text="Hi")
    assert what in only.message
    assert only.severity == severity
    assert only.file == "body.html"


@pytest.mark.parametrize(
    "link",
    [
        '<a href="https://shop.x.test/a">x.test</a>',
        '<a href="https://x.test/a">www.x.test</a>',
        '<a href="https://y.test/">Read about Node.js and report.pdf</a>',
        '<a href="https://y.test/">ann@example.com</a>',
        '<a href="https://y.test/">report.pdf</a>',
        '<a href="mailto:ann@x.test?subject=Hi">ann@x.test</a> <a href="tel:+4930">call</a>',
        '<a href="#top">up</a> <a name="top"></a> <a>no link</a>',
        '<a href="#dates">dates</a> <h2 id="dates">Dates</h2>',
        '<a href="https://192.0.2.1/">x</a> <a href="https://internal.example.org/">y</a>',
        "<!--[if mso]><a href='x'>x</a><![endif]-->",
        '<a href="*|UNSUB|*">x</a>',
    ],
)
def test_links_that_are_good(said: Said, link: str) -> None:
    assert said("links", html=link) == []


def test_links_of_rows(said: Said) -> None:
    people = "email,first\n" + "".join(f"p{n}@x.test,{n}\n" for n in range(40))
    (only,) = said("links", people, html='<p>\n<a href="https://t.test/{{ first }}">www.x.test</a>')
    assert only.startswith("body.html:2: warning: a link says www.x.test")
    assert "row" not in only


def test_links_of_the_text(said: Said) -> None:
    (only,) = said("links", text="See http://localhost/x and https://localhost.example.org/")
    assert only == "body.txt:1: the link to 'http://localhost/x' works on this machine only"


def test_a_list_that_nobody_can_leave(said: Said) -> None:
    what = "warning: the mail does not show how to unsubscribe"
    (only,) = said("unsubscribe_link", list_id="news.x.test", html="<p>Hi")
    assert only == f"body.html: {what}: say how, or show a link"
    leave = {"url": "https://x.test/leave/{{ email|urlencode }}"}
    (only,) = said("unsubscribe_link", unsubscribe=leave, text="Hi")
    assert only == f"body.txt: {what}: show {{{{ unsubscribe.url }}}}"
    (only,) = said(
        "unsubscribe_link",
        unsubscribe=leave,
        html='<p>Hi<a style="display:none" href="{{ unsubscribe.url }}">unsubscribe</a>',
    )
    assert what in only
    many = "email,first\n" + "".join(f"p{n}@x.test,P\n" for n in range(100))
    assert len(said("unsubscribe_link", many)) == 1


@pytest.mark.parametrize(
    "html",
    [
        '<a href="{{ unsubscribe.url }}">No more of this</a>',
        '<a href="https://x.test/other">Unsubscribe</a>',
        '<a href="https://x.test/other">Vom Newsletter abmelden</a>',
        "<p>To unsubscribe, answer with STOP.",
        '<a href="https://x.test/p"><span>Se désinscrire</span></a>',
    ],
)
def test_a_list_that_can_be_left(said: Said, html: str) -> None:
    leave = {"url": "https://x.test/leave/{{ email|urlencode }}"}
    assert said("unsubscribe_link", unsubscribe=leave, html=html) == []


def test_a_letter_needs_no_way_out(said: Said) -> None:
    assert said("unsubscribe_link", html="<p>Your invoice") == []
    leave = {"url": "https://x.test/leave/{{ email|urlencode }}"}
    assert said("unsubscribe_link", unsubscribe=leave, text="{{ unsubscribe.url }}") == []


def test_more_styles_than_gmail_keeps(found: Found) -> None:
    rules = "".join(f"@media (min-width: {n}px) {{ .a{n} {{ color: red }} }}\n" for n in range(500))
    (only,) = found("style_size", html=f"<style>{rules}</style><p>Hi", inline_css=False)
    assert only.severity == "warning"
    assert "Gmail keeps only the first 16" in only.message
    (only,) = found("style_size", html=f"<style>{rules[:9000]}}}</style><p>Hi", inline_css=False)
    assert only.severity == "note"
    assert found("style_size", html=f"<style>{rules[:8000]}</style><p>Hi", inline_css=False) == []


def test_a_comment_that_swallows_rules(said: Said) -> None:
    style = "<style>\np{}\n@media screen{#top{color:red}}\n.a{color:#000}\n/*#}*/</style><p>"
    assert said("comments", html=style) == [
        "body.html:3: warning: `{#` begins a Jinja2 comment, which swallows 3 lines of CSS; write a space"
        " between: { #top"
    ]
    (only,) = said("comments", html="<style>@media screen{#top{color:red}} /* #} */</style><p>")
    assert "swallows 1 line of CSS" in only
    assert said("comments", html="<style>p{}{# .old{color:red} #}</style>{#a{b}#}<p>") == []
