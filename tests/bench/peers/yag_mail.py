"""yagmail: `send` for each message, rendered with Jinja2; it opens a session for each."""

from __future__ import annotations

import jinja2
import yagmail

from tests.bench.peers.job import HEADERS, HOST, PASSWORD, USER, job, subject

one = job()
text = jinja2.Environment().from_string(one.text)
html = jinja2.Environment(autoescape=True).from_string(one.html)
attachments = None if one.attachment is None else [str(one.attachment)]
with yagmail.SMTP(USER, PASSWORD, HOST, one.port, smtp_starttls=True, smtp_ssl=False) as server:
    for row in one.rows:
        bodies = [template.render(row, articles=one.articles) for template in (text, html)]
        server.send(
            to=row["email"],
            subject=subject(row),
            contents=bodies,
            attachments=attachments,
            headers=HEADERS,
            prettify_html=False,
        )
