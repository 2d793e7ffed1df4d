"""python-emails: one Message with templates, sent to each row through its pool of sessions."""

from __future__ import annotations

import emails
from emails.template import JinjaTemplate

from tests.bench.newsletter import FROM, SUBJECT
from tests.bench.peers.job import HEADERS, HOST, PASSWORD, USER, job

one = job()
message = emails.Message(
    subject=JinjaTemplate(SUBJECT),
    text=JinjaTemplate(one.text),
    html=JinjaTemplate(one.html),
    mail_from=("Example News", FROM),
    headers=HEADERS,
)
if one.attachment is not None:
    message.attach(filename=one.attachment.name, data=one.attachment.read_bytes())
server = {"host": HOST, "port": one.port, "tls": True, "user": USER, "password": PASSWORD, "timeout": 60}
for row in one.rows:
    response = message.send(to=row["email"], render={**row, "articles": one.articles}, smtp=server)
    assert response.success, response.error
message.smtp_pool[server].close()
