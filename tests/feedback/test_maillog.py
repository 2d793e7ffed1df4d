"""What a server's log says of a message: taken, or not."""

from __future__ import annotations

import smtplib
import time
from datetime import datetime

from campaign.feedback.maillog import delivered, deliveries
from campaign.message.tokens import MESSAGE_ID, Secrets, Tokens
from tests.servers.postfix import Postfix

# Of Postfix 3.7.11 and Exim 4.96 on Debian 12, with other names and addresses.
POSTFIX = """\
Mar 20 07:30:01 mx postfix/smtpd[811]: connect from host.example.com[192.0.2.7]
Mar 20 07:30:01 mx postfix/smtpd[811]: 7E0C1A0041: client=host.example.com[192.0.2.7], sasl_method=PLAIN
Mar 20 07:30:01 mx postfix/cleanup[814]: 7E0C1A0041: message-id=<sent@example.com>
Mar 20 07:30:01 mx postfix/qmgr[702]: 7E0C1A0041: from=<news@example.com>, size=1842, nrcpt=1 (queue active)
Mar 20 07:30:02 mx postfix/smtp[815]: 7E0C1A0041: to=<ann@x.test>, relay=mx.x.test[198.51.100.4]:25, \
delay=0.61, delays=0.02/0.01/0.4/0.18, dsn=2.0.0, status=sent (250 2.0.0 Ok: queued as 4F2B)
Mar 20 07:30:02 mx postfix/qmgr[702]: 7E0C1A0041: removed
2026-03-20T07:30:03.123456+01:00 mx postfix/submission/cleanup[814]: \
4X1kLh3qRzzK1: message-id=<deferred@example.com>
2026-03-20T07:30:03.223456+01:00 mx postfix/qmgr[702]: 4X1kLh3qRzzK1: from=<>, size=9, nrcpt=2 (queue active)
2026-03-20T07:30:03.323456+01:00 mx postfix/smtp[815]: 4X1kLh3qRzzK1: to=<b@x.test>, relay=none, delay=30, \
dsn=4.4.1, status=deferred (connect to mx.x.test[198.51.100.4]:25: Connection timed out)
Mar 20 07:30:04 mx postfix/cleanup[814]: 8A0C1A0042: message-id=<lost@example.com>
Mar 20 07:30:04 mx postfix/smtpd[811]: lost connection after DATA (812 bytes) from host.example.com[192.0.2.7]
Mar 20 07:30:05 mx postfix/cleanup[814]: 9B0C1A0043: message-id=<milter@example.com>
Mar 20 07:30:05 mx postfix/cleanup[814]: 9B0C1A0043: milter-reject: END-OF-MESSAGE from host[192.0.2.7]: \
5.7.1 no; from=<news@example.com> to=<c@x.test> proto=ESMTP helo=<host>
Mar 20 07:30:06 mx postfix/cleanup[814]: AC0C1A0044: message-id=<bounced@example.com>
Mar 20 07:30:06 mx postfix/qmgr[702]: AC0C1A0044: from=<news@example.com>, size=9, nrcpt=1 (queue active)
Mar 20 07:30:07 mx postfix/smtp[815]: AC0C1A0044: to=<d@x.test>, relay=mx.x.test[198.51.100.4]:25, delay=1, \
dsn=5.1.1, status=bounced (host mx.x.test[198.51.100.4] said: 550 5.1.1 no such user)
Mar 20 07:30:08 mx postfix/smtpd[811]: NOQUEUE: reject: RCPT from host[192.0.2.7]: 550 5.1.1 <e@x.test>: no
"""
EXIM = """\
2026-03-20 07:30:01 1rmvKq-0004XW-2V <= news@example.com H=host.example.com [192.0.2.7] P=esmtpsa \
X=TLS1.3:ECDHE_X25519__RSA_PSS_RSAE_SHA256__AES_256_GCM:256 CV=no A=plain:news S=1842 id=old@example.com \
T="news id=forged@example.com"
2026-03-20 07:30:02 1rmvKq-0004XW-2V => ann@x.test R=dnslookup T=remote_smtp H=mx.x.test [198.51.100.4] \
C="250 OK"
2026-03-20 07:30:02 1rmvKq-0004XW-2V Completed
2026-03-20 07:30:03 1rmvKr-000000004XX-0aBc <= news@example.com H=host.example.com [192.0.2.7] P=esmtps S=9 \
id=new@example.com
2026-03-20 07:30:04 1rmvKr-000000004XX-0aBc ** b@x.test R=dnslookup T=remote_smtp: SMTP error: \
550 no such user
2026-03-20 07:30:05 H=host.example.com [192.0.2.7] F=<news@example.com> rejected RCPT \
<c@x.test>: relay not permitted
2026-03-20 07:30:06 1rmvKs-0004XY-1A rejected after DATA: id=refused@example.com
"""


def test_envelopes_and_times() -> None:
    now = datetime(2026, 11, 1)
    postfix = {one.message_id: one for one in deliveries(POSTFIX.splitlines(), now)}
    sent = postfix["<sent@example.com>"]
    assert (sent.queue, sent.sender, sent.recipients) == ("7E0C1A0041", "news@example.com", ["ann@x.test"])
    assert sent.at == datetime(2026, 3, 20, 7, 30, 1)
    with_zone = datetime.fromisoformat("2026-03-20T07:30:03.123456+01:00").astimezone().replace(tzinfo=None)
    assert postfix["<deferred@example.com>"].at == with_zone
    exim = {one.message_id: one for one in deliveries(EXIM.splitlines(), now)}
    assert exim["<old@example.com>"].sender == "news@example.com"
    assert exim["<old@example.com>"].recipients == ["ann@x.test"]
    assert exim["<old@example.com>"].at == datetime(2026, 3, 20, 7, 30, 1)
    assert exim["<new@example.com>"].recipients == ["b@x.test"]


def test_a_date_without_a_year_is_its_last_one() -> None:
    [late] = [
        one for one in deliveries(POSTFIX.splitlines(), datetime(2026, 2, 1)) if one.queue == "7E0C1A0041"
    ]
    assert late.at == datetime(2025, 3, 20, 7, 30, 1)


def test_an_address_that_the_server_rewrites_is_known_by_both_names() -> None:
    log = POSTFIX.replace("to=<ann@x.test>,", "to=<ann@inside.test>, orig_to=<ann@x.test>,")
    [sent] = [one for one in deliveries(log.splitlines()) if one.queue == "7E0C1A0041"]
    assert sent.recipients == ["ann@inside.test", "ann@x.test"]


def test_postfix() -> None:
    assert delivered(POSTFIX.splitlines()).keys() == {
        "<sent@example.com>",
        "<deferred@example.com>",
        "<bounced@example.com>",
    }


def test_exim() -> None:
    assert delivered(EXIM.splitlines(keepends=True)).keys() == {"<old@example.com>", "<new@example.com>"}


def test_a_queue_id_that_is_used_again() -> None:
    lines = POSTFIX.splitlines()[2:4]
    again = lines[0].replace("sent@", "again@")
    assert delivered([*lines, again]).keys() == {"<sent@example.com>"}
    assert delivered([*lines, again, lines[1]]).keys() == {"<sent@example.com>", "<again@example.com>"}


def test_mail_that_is_not_ours_is_not_kept() -> None:
    tokens = Tokens("spring", Secrets(b"secret"))
    ours = tokens.message_id("ann@x.test", "example.com")
    log = POSTFIX.replace("<sent@example.com>", ours).replace("<deferred@", f"<{'0a' * 10}@")
    assert ours in log
    earlier = f"<{'0a' * 10}@example.com>"
    assert delivered(log.splitlines(), MESSAGE_ID).keys() == {ours, earlier}


def test_nothing_in_it() -> None:
    assert delivered([]) == {}
    assert delivered(["\n", "message-id=<a@x.test>\n", "status=sent\n", "\udcff"]) == {}


def test_a_real_postfix(postfix: Postfix) -> None:
    """One message is taken, and one is cut off between its header and its final dot."""
    for name, whole in (("taken", True), ("cut", False)):
        with smtplib.SMTP("127.0.0.1", postfix.port) as client:
            client.ehlo()
            client.mail("news@example.com")
            client.rcpt("ann@example.test")
            client.docmd("DATA")
            client.send(f"Message-ID: <{name}@example.com>\r\n\r\n" + "Hi\r\n" * 20_000)
            if whole:
                client.send(".\r\n")
                assert client.getreply()[0] == 250
            else:
                client.close()
    postfix.wait_delivered(1)
    deadline = time.monotonic() + 10
    while "lost connection after DATA" not in postfix.log() and time.monotonic() < deadline:
        time.sleep(0.05)
    log = postfix.log()
    assert "message-id=<cut@example.com>" in log
    ours = {"<taken@example.com>", "<cut@example.com>"}  # other tests use this server too
    assert delivered(log.splitlines()).keys() & ours == {"<taken@example.com>"}
