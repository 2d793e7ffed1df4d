"""One part of a send, done alone: `python -m tests.bench.alone PART FOLDER PORT`, on the list of a folder.

Each part of PARTS prepares itself and returns its work; only the work is timed, in this process and its
children. The last line printed is the count of what the work did, and the seconds that it took.
"""

from __future__ import annotations

import csv
import smtplib
import sqlite3
import ssl
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from email.message import EmailMessage
from email.utils import format_datetime, formataddr
from pathlib import Path

from jinja2.sandbox import SandboxedEnvironment

from campaign.address import Mailbox
from campaign.campaignfile.load import load
from campaign.campaignfile.models import CampaignFile
from campaign.delivery import Message, Result, Settled, Verdict
from campaign.ledger import Ledger
from campaign.message import headers, mime
from campaign.message.content import content_of
from campaign.message.drafting import Drafting
from campaign.message.drafts import Looked
from campaign.message.render import Renderer
from campaign.message.request import Request
from campaign.message.tokens import Secrets
from campaign.model import Recipient
from campaign.recipients.list import Recipients
from campaign.sending.network.connection import Connection
from campaign.smtp.auth import Login
from campaign.smtp.events import BodyDue
from campaign.templating.processes.succession import Succession
from campaign.templating.processes.work import Row, Task
from campaign.verdict import judge
from tests.bench.measure import processor_so_far
from tests.bench.newsletter import FROM, LIST, SUBJECT
from tests.bench.peers.job import HOST, PASSWORD, USER, Job, read
from tests.ledger.book import enrol, intent, result, start
from tests.templating.processes.tasks import Deeds

Work = Callable[[], int]
WORKERS = 10
WHEN = datetime(2026, 4, 1, 9, 30, tzinfo=UTC)


def _campaign(job: Job) -> CampaignFile:
    return load(job.folder / "campaign.yaml")


def _recipients(job: Job) -> list[Recipient]:
    return [row for row in Recipients(_campaign(job)) if isinstance(row, Recipient)]


def _bodies(job: Job) -> list[tuple[dict[str, str], str, str]]:
    text, html = (SandboxedEnvironment(autoescape=on) for on in (False, True))
    one, other = text.from_string(job.text), html.from_string(job.html)
    return [
        (row, one.render(row, articles=job.articles), other.render(row, articles=job.articles))
        for row in job.rows
    ]


def read_list(job: Job) -> Work:
    """Read and validate the list."""
    campaign = _campaign(job)
    return lambda: sum(isinstance(row, Recipient) for row in Recipients(campaign))


def read_csv(job: Job) -> Work:
    """Read it with the csv module, and look at nothing."""

    def work() -> int:
        with (job.folder / LIST).open(encoding="utf-8", newline="") as file:
            return sum(1 for _ in csv.DictReader(file))

    return work


def _rendered(job: Job, jobs: int) -> Work:
    recipients, renderer = _recipients(job), _renderer(job, jobs)
    renderer.render(recipients[0], date=WHEN)  # its processes run from here on

    def work() -> int:
        return sum(isinstance(looked, Looked) for _, looked in renderer.look(recipients, 0))

    return work


def render(job: Job) -> Work:
    """Make whole messages, octets and all, as `send` does before its plan: in one process beside this."""
    return _rendered(job, 1)


def render_on_two(job: Job) -> Work:
    """The same; templates run in two processes."""
    return _rendered(job, 2)


def render_singly(job: Job) -> Work:
    """Make whole messages one after the other, as `send` does."""
    recipients, renderer = _recipients(job), _renderer(job, 1)
    renderer.render(recipients[0], date=WHEN)

    def work() -> int:
        return sum(isinstance(renderer.render(one, date=WHEN), Message) for one in recipients)

    return work


def bodies(job: Job) -> Work:
    """Render subject, text and HTML as a process for templates does, and nothing else."""
    campaign = _campaign(job)
    columns = Recipients(campaign).columns
    _, make = Drafting(content_of(campaign, columns, b"--=_")).open()
    rows = [
        (int(Request.PARTS), tuple(one.row.values()), one.email, one.name, one.number, "", "")
        for one in _recipients(job)
    ]

    def work() -> int:
        for row in rows:
            make(row)
        return len(rows)

    return work


def worker(job: Job) -> Work:
    """Start workers one after the other, each of which compiles the templates and drafts a row."""
    campaign = _campaign(job)
    one = _recipients(job)[0]
    row = (int(Request.DRAFT), tuple(one.row.values()), one.email, one.name, one.number, "", "")
    return _workers(Drafting(content_of(campaign, Recipients(campaign).columns, b"--=_")), row)


def bare_worker(job: Job) -> Work:
    """Start workers that have nothing to compile, each of which answers once."""
    return _workers(Deeds(), ("echo", "x"))


def _workers(task: Task, row: Row) -> Work:
    def once() -> None:
        worker: Succession[None] = Succession(task)
        worker.submit([(None, row)])
        worker.answer()
        worker.close()

    once()  # what starts them runs from here on

    def work() -> int:
        for _ in range(WORKERS):
            once()
        return WORKERS

    return work


def jinja(job: Job) -> Work:
    """Render subject, text and HTML in Jinja2's own sandbox."""
    sandbox, escaping = SandboxedEnvironment(), SandboxedEnvironment(autoescape=True)
    templates = [sandbox.from_string(SUBJECT), sandbox.from_string(job.text), escaping.from_string(job.html)]

    def work() -> int:
        for row in job.rows:
            for template in templates:
                template.render(row, articles=job.articles)
        return len(job.rows)

    return work


def assemble(job: Job) -> Work:
    """Make octets of bodies that are rendered."""
    bodies, boundary = _bodies(job), "1f2e3d4c5b6a"
    skeleton, mark = mime.Skeleton((), boundary), mime.mark_of(boundary)

    def work() -> int:
        for row, text, html in bodies:
            lines = [
                headers.mailboxes("From", (Mailbox("Example News", FROM),)),
                headers.mailboxes("To", (Mailbox(row["first_name"], row["email"]),)),
                headers.text("Subject", f"{row['first_name']}, what is new this spring"),
                headers.exact("Date", format_datetime(WHEN)),
                headers.exact("Message-ID", f"<{row['number']}@example.com>"),
            ]
            parts = mime.text_part("plain", text, mark), mime.text_part("html", html, mark)
            skeleton.assemble(lines, *parts)
        return len(bodies)

    return work


def email_message(job: Job) -> Work:
    """Do the same with EmailMessage."""
    bodies = _bodies(job)

    def work() -> int:
        for row, text, html in bodies:
            message = EmailMessage()
            message["From"] = formataddr(("Example News", FROM))
            message["To"] = formataddr((row["first_name"], row["email"]))
            message["Subject"] = f"{row['first_name']}, what is new this spring"
            message["Date"] = format_datetime(WHEN)
            message["Message-ID"] = f"<{row['number']}@example.com>"
            message.set_content(text)
            message.add_alternative(html, subtype="html")
            message.as_bytes()
        return len(bodies)

    return work


def sign(job: Job) -> Work:
    """Sign ready messages with DKIM."""
    from campaign.message.dkim import load_signer

    signer = load_signer("example.com", "s1", _key(job), None)
    messages = _messages(job)

    def work() -> int:
        for message in messages:
            signer.sign(list(message.chunks), 1_700_000_000)
        return len(messages)

    return work


def bare_key(job: Job) -> Work:
    """Sign the same octets with the bare key."""
    from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
    from cryptography.hazmat.primitives.hashes import SHA256
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    key = load_pem_private_key(_key(job).read_bytes(), None)
    assert isinstance(key, RSAPrivateKey)
    messages = [message.content for message in _messages(job)]

    def work() -> int:
        for octets in messages:
            key.sign(octets, PKCS1v15(), SHA256())
        return len(messages)

    return work


def enrolment(job: Job) -> Work:
    """Enrol a list that was read in a new ledger."""
    recipients = _recipients(job)
    ledger = _new_ledger(job)

    def work() -> int:
        return enrol(ledger, recipients, columns=tuple(job.rows[0])).to_send

    return work


def record(job: Job) -> Work:
    """Intend and settle each row, each answer with the next intent, a commit for each."""
    ledger = _new_ledger(job)
    enrol(ledger, _recipients(job), columns=tuple(job.rows[0]))
    sending = start(ledger)

    def work() -> int:
        done, before = 0, tuple[Result, ...]()
        while claims := sending.claim(time.time_ns(), 100):
            for claim in claims:
                key = claim.recipient.key
                done += sending.record(before, (intent(key),)) == {key}
                before = (result(key),)
        sending.record(before, ())
        return done

    return work


def bare_sqlite(job: Job) -> Work:
    """The same rows, statements and commits, and nothing around them."""
    ledger = _new_ledger(job)
    enrol(ledger, _recipients(job), columns=tuple(job.rows[0]))
    start(ledger)
    ledger.close()
    db = sqlite3.connect(job.folder / "ledger.db", isolation_level=None)
    db.execute("PRAGMA synchronous = FULL")
    keys = [(number, key) for number, key in db.execute("SELECT id, key FROM messages ORDER BY number")]

    def settle(number: int, key: str) -> None:
        db.execute(
            "UPDATE messages SET status = 'accepted', reply = '250 2.0.0 Ok', attempts = attempts + 1,"
            " settled_at = ? WHERE id = ?", (time.time_ns(), number),
        )  # fmt: skip
        db.execute(
            "INSERT INTO events (campaign, key, address, kind, time, text, run, verdict)"
            " VALUES (1, ?, ?, 'accepted', ?, '250 2.0.0 Ok', 1, 'accepted')", (key, key, time.time_ns()),
        )  # fmt: skip

    def work() -> int:
        before: tuple[int, str] | None = None
        for number, key in keys:
            db.execute("BEGIN IMMEDIATE")
            if before:
                settle(*before)
            before = number, key
            db.execute(
                "UPDATE messages SET status = 'in_flight', run = 1, message_id = ? WHERE id = ?"
                " AND status IN ('pending', 'deferred')", (f"<{key}>", number),
            )  # fmt: skip
            db.execute("INSERT INTO attempts VALUES (NULL, 1, ?, ?, NULL, 1)", (number, time.time_ns()))
            db.execute("COMMIT")
        if before:
            settle(*before)
        return len(keys)

    return work


def session(job: Job) -> Work:
    """Send ready messages over one session of ours, its opening and TLS included."""
    messages, smtp = _messages(job), _campaign(job).smtp

    def work() -> int:
        connection = Connection.open(smtp, Login(USER, PASSWORD))
        waiting, accepted, submitted = iter(messages), 0, 0
        while accepted < len(messages):
            if submitted < len(messages) and connection.session.wants_message:
                connection.session.submit(next(waiting))
                submitted += 1
            for event in connection.step(60):
                if isinstance(event, BodyDue):
                    connection.session.release(event.message)
                elif isinstance(event, Settled):
                    accepted += judge(event.answers[0]) is Verdict.ACCEPTED
        connection.quit()
        return accepted

    return work


def smtplib_session(job: Job) -> Work:
    """Do the same with smtplib."""
    messages = [(message.envelope, message.content) for message in _messages(job)]

    def work() -> int:
        with smtplib.SMTP(HOST, job.port) as server:
            server.starttls(context=ssl.create_default_context())
            server.login(USER, PASSWORD)
            return sum(
                not server.sendmail(envelope.sender, envelope.recipients, content)
                for envelope, content in messages
            )

    return work


def _messages(job: Job) -> list[Message]:
    renderer = _renderer(job, 1)
    return [renderer.render(recipient, date=WHEN) for recipient in _recipients(job)]


def _renderer(job: Job, jobs: int) -> Renderer:
    campaign = _campaign(job)
    return Renderer(campaign, Recipients(campaign).columns, Secrets.placeholder(), jobs)


def _new_ledger(job: Job) -> Ledger:
    for file in job.folder.glob("ledger.db*"):
        file.unlink()
    return Ledger.open(job.folder / "ledger.db", "spring", job.folder / "campaign.yaml")


def _key(job: Job) -> Path:
    from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

    path = job.folder / "dkim.pem"
    if not path.exists():
        key = generate_private_key(65537, 2048)
        path.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return path


PARTS: dict[str, Callable[[Job], Work]] = {
    "list": read_list,
    "csv": read_csv,
    "render": render,
    "render-on-two": render_on_two,
    "render-singly": render_singly,
    "bodies": bodies,
    "worker": worker,
    "bare-worker": bare_worker,
    "jinja": jinja,
    "assemble": assemble,
    "email-message": email_message,
    "sign": sign,
    "key": bare_key,
    "enrol": enrolment,
    "record": record,
    "sqlite": bare_sqlite,
    "session": session,
    "smtplib": smtplib_session,
}


def _main() -> None:
    part, folder, port = sys.argv[1:]
    work = PARTS[part](read(Path(folder), int(port), 1))
    used, began = processor_so_far(), time.perf_counter()
    done = work()
    wall = time.perf_counter() - began
    print(done, wall, processor_so_far() - used)


if __name__ == "__main__":
    _main()
