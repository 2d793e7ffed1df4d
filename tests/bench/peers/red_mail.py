"""redmail: one session, templates by their paths, which it compiles once."""

from __future__ import annotations

from redmail import EmailSender

from tests.bench.newsletter import FROM, HTML, TEXT
from tests.bench.peers.job import HEADERS, HOST, PASSWORD, USER, job, subject

one = job()
sender = EmailSender(host=HOST, port=one.port, username=USER, password=PASSWORD, use_starttls=True)
sender.set_template_paths(text=str(one.folder), html=str(one.folder))
attachments = None if one.attachment is None else {one.attachment.name: one.attachment}
with sender:
    for row in one.rows:
        sender.send(
            subject=subject(row),
            sender=FROM,
            receivers=[row["email"]],
            text_template=TEXT,
            html_template=HTML,
            body_params={**row, "articles": one.articles},
            attachments=attachments,
            headers=HEADERS,
        )
