"""The newsletter that everybody sends: 10 KB of text and HTML, a style block, a loop, three values.

A folder holds it in the forms that `campaign`, the peers (`articles.json` and the same templates) and
mailmerge (one template with headers, its articles written into it) read.
"""

from __future__ import annotations

import json
import random
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

LIST, TEXT, HTML, ARTICLES = "list.csv", "body.txt.j2", "body.html.j2", "articles.json"
MERGE = "mailmerge.txt"
FROM, LEAVE = "news@example.com", "unsubscribe@example.com"
SUBJECT = "{{ first_name }}, what is new this spring"

_TEXT = """Hello {{ first_name }},

spring has come to {{ city }}, and with it {{ articles | length }} pieces of news – one of them about you.
{% for article in articles %}
{{ loop.index }}. {{ article.title }}
{{ article.text }}
{{ article.url }}?for={{ number }}
{% endfor %}
Yours, Zoë
To leave the list: https://example.com/unsubscribe?for={{ number }}
"""
_STYLE = """<style>
body { margin: 0; background: #f4f1ea; font-family: Georgia, serif }
h1 { font-size: 28px; color: #22331f }
h2 { font-size: 20px }
.article { border-top: 1px solid #cccccc }
.article td { padding: 16px 24px }
.article p { font-size: 16px; line-height: 24px }
p.by { font-size: 12px; color: #666666 }
@media (max-width: 600px) { .article { width: 100% } }
</style>"""
_HTML = """<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>What is new this spring</title>
STYLE</head>
<body>
<table role="presentation" width="100%" cellpadding="0" cellspacing="0"><tr><td align="center">
<h1>Hello {{ first_name }},</h1>
<p>spring has come to {{ city }}, and with it {{ articles | length }} pieces of news.</p>
{% for article in articles -%}
<table role="presentation" width="600" cellpadding="0" cellspacing="0" class="article"><tr><td>
    <h2><a href="{{ article.url }}?for={{ number }}">{{ article.title }}</a></h2>
    <p>{{ article.text }}</p>
    <p class="by">{{ article.author }}
    {%- if article.minutes > 3 %}, {{ article.minutes }} minutes{% endif %}</p>
</td></tr></table>
{% endfor %}
<p>Yours, Zoë</p>
<p><a href="https://example.com/unsubscribe?for={{ number }}">Unsubscribe</a></p>
</td></tr></table></body></html>
"""
_WORDS = re.findall(r"\S+", "swifts over the roof sing at dawn – and nobody at the café wrote it down until")


def articles() -> list[dict[str, Any]]:
    """Return what the newsletter's loop goes through."""
    choose = random.Random(1)
    return [
        {
            "title": " ".join(choose.choices(_WORDS, k=6)),
            "text": " ".join(choose.choices(_WORDS, k=70)) + ".",
            "url": f"https://example.com/news/{number}",
            "author": "Ada & Grace",
            "minutes": number,
        }
        for number in range(9)
    ]


def people(count: int) -> Iterator[dict[str, str]]:
    """Yield the rows of a list."""
    for number in range(count):
        yield {
            "email": f"user{number}@example.test",
            "first_name": ("Ada", "Zoë", "Jörg", "Mary Ann")[number % 4],
            "city": ("Köln", "Leeds")[number % 2],
            "number": str(number),
        }


def write_list(folder: Path, count: int) -> None:
    """Write a list of so many people."""
    with (folder / LIST).open("w", encoding="utf-8") as file:
        file.write("email,first_name,city,number\n")
        file.writelines(",".join(row.values()) + "\n" for row in people(count))


def write(
    folder: Path,
    count: int,
    *,
    style: bool = True,
    attachment: bytes = b"",
    **smtp: object,
) -> None:
    """Write the newsletter and a list of `count` people into a folder; `smtp` goes into campaign.yaml."""
    html = _HTML.replace("STYLE", _STYLE if style else "")
    write_list(folder, count)
    (folder / TEXT).write_text(_TEXT, "utf-8")
    (folder / HTML).write_text(html, "utf-8")
    (folder / ARTICLES).write_text(json.dumps(articles()), "utf-8")
    (folder / MERGE).write_text(_merge(html, bool(attachment)), "utf-8")
    campaign: dict[str, object] = {
        "name": "spring",
        "recipients": LIST,
        "from": f"Example News <{FROM}>",
        "subject": SUBJECT,
        "templates": {"text": TEXT, "html": HTML},
        "unsubscribe": {"mailto": LEAVE},
        "vars": {"articles": articles()},
        "smtp": {"host": "localhost", **smtp},
    }
    if attachment:
        (folder / "terms.pdf").write_bytes(attachment)
        campaign["attachments"] = ["terms.pdf"]
    (folder / "campaign.yaml").write_text(yaml.safe_dump(campaign, allow_unicode=True), "utf-8")


def _merge(html: str, attached: bool) -> str:
    """Return the newsletter as mailmerge wants it: a message with its headers, and no values but a row's."""
    data = json.dumps(articles(), ensure_ascii=False)
    head = f"""TO: {{{{ email }}}}
SUBJECT: {SUBJECT}
FROM: Example News <{FROM}>
List-Unsubscribe: <mailto:{LEAVE}>
""" + ("ATTACHMENT: terms.pdf\n" if attached else "")
    return f"""{{%- set articles = {data} -%}}
{head}MIME-Version: 1.0
Content-Type: multipart/alternative; boundary="part"

--part
Content-Type: text/plain; charset=utf-8

{_TEXT}
--part
Content-Type: text/html; charset=utf-8

{html}
--part--
"""
