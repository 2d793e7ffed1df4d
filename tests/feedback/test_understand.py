"""What mails say that came back: by the standards, and as some servers write them."""

from __future__ import annotations

import base64

import pytest

from campaign.delivery import EnhancedCode
from campaign.feedback.reports import (
    AutoReply,
    Bounce,
    Class,
    Complaint,
    Failure,
    Heard,
    NotUnderstood,
    Unsubscribe,
    classify,
)
from campaign.feedback.understand import understand
from tests.feedback.mails import FAILED, OURS, RETURN_PATH, TOKEN, block, bounce, complaint, letter, lines


def failures(heard: Heard) -> tuple[Failure, ...]:
    assert isinstance(heard.report, Bounce), heard
    return heard.report.failures


def one(mail: bytes) -> Failure:
    [failure] = failures(understand(mail))
    return failure


@pytest.mark.parametrize(
    ("code", "meaning"),
    [
        ("5.1.1", Class.HARD),
        ("5.1.6", Class.HARD),
        ("5.1.10", Class.HARD),
        ("5.1.2", Class.SOFT),
        ("5.1.3", Class.SOFT),
        ("5.2.1", Class.SOFT),
        ("5.2.2", Class.SOFT),
        ("5.4.1", Class.SOFT),
        ("5.4.14", Class.SOFT),
        ("5.9.9", Class.SOFT),
        ("5.0.0", Class.SOFT),
        ("4.1.1", Class.SOFT),
        ("4.7.1", Class.SOFT),
        ("4.4.7", Class.SOFT),
        ("5.7.1", Class.ABOUT_US),
        ("5.7.26", Class.ABOUT_US),
        ("5.1.8", Class.ABOUT_US),
        ("", Class.SOFT),
    ],
)
def test_the_code_says_what_a_failure_means(code: str, meaning: Class) -> None:
    assert classify(one(bounce(block(code))).code) is meaning


def test_a_report_names_each_recipient() -> None:
    first = block("5.1.1", "smtp; 550 5.1.1 no", Original_Recipient="rfc822;Ann+x@example.net")
    second = block("5.2.2", "smtp; 552 5.2.2 full", final="ben@example.net")
    heard = understand(bounce(first, second, block("4.4.1", Action="delayed", final="cleo@example.net")))
    ann, ben, cleo = failures(heard)
    assert ann == Failure(
        "failed", EnhancedCode(5, 1, 1), "550 5.1.1 no", "Ann+x@example.net", "ann@example.net"
    )
    assert ben.code == (5, 2, 2)
    assert ben.final == "ben@example.net"
    assert not cleo.failed
    assert heard.tokens == (TOKEN,)
    assert heard.message_ids == (OURS,)
    assert heard.identity == "<report-1@mx.example.net>"


@pytest.mark.parametrize("action", ["delayed", "delivered", "relayed", "expanded"])
def test_only_failed_is_a_failure(action: str) -> None:
    assert not one(bounce(block("5.0.0", Action=action))).failed


def test_a_mail_that_expired_has_failed_and_says_nothing_of_the_address() -> None:
    expired = one(bounce(block("4.4.7", "smtp; 421 unable to deliver", Action="expired")))
    assert expired.failed
    assert expired.code == (4, 4, 7)


def test_an_action_with_a_comment_and_capitals_is_failed() -> None:
    assert one(bounce(block(Action="Failed (bad mailbox)"))).failed


@pytest.mark.parametrize(
    ("status", "diagnostic", "code"),
    [
        ("5.0.0", "smtp; 550 5.1.1 <ann@example.net>: Recipient address rejected", (5, 1, 1)),  # Exim
        ("5.0.0", "smtp; 550-5.1.1 The email account\n 550-5.1.1 that you tried", (5, 1, 1)),  # Gmail
        ("5.0.0", "smtp;550 #5.1.0 Address rejected", (5, 1, 0)),
        ("5.0.0", "smtp; SMTP error after RCPT TO:<a@b.example>: 550 5.7.1 blocked", (5, 7, 1)),
        ("5.0.0", "smtp; 550 No such user", (5, 0, 0)),
        ("5.0.0", "x-unix; 550 5.1.1 no", (5, 0, 0)),
        ("4.0.0", "smtp; 550 5.1.1 no", (5, 1, 1)),
        ("5.2.1", "smtp; 550 5.1.1 disabled", (5, 2, 1)),
        # Sendmail as a relay writes 5.1.1 for whatever is refused at RCPT.
        ("5.1.1", "SMTP; 550 5.7.1 IP address blacklisted by recipient", (5, 7, 1)),
        ("5.1.1", "smtp; 552 5.2.2 Over quota", (5, 2, 2)),
        ("5.1.1", "smtp; 450 4.2.0 try again later", (4, 2, 0)),
        ("5.1.1", "smtp; 550 5.0.0 user unknown", (5, 1, 1)),
        ("5.1.1", "smtp; 550 User unknown", (5, 1, 1)),
        ("5.1.6", "x-unix; 552 5.2.2 Over quota", (5, 1, 6)),
        ("5.1.1", "smtp;550 5.1.1 RESOLVER.ADR.RecipNotFound; not found", (5, 1, 1)),  # Exchange
        ("5.1.10", "smtp;550 5.1.10 RESOLVER.ADR.RecipientNotFound", (5, 1, 10)),  # Exchange Online
        ("5.1.1 (bad destination mailbox address)", "", (5, 1, 1)),
        ("", "smtp; 550 5.1.1 no", (5, 1, 1)),
        ("", "", None),
    ],
)
def test_which_code_decides(status: str, diagnostic: str, code: tuple[int, int, int] | None) -> None:
    assert one(bounce(block(status, diagnostic))).code == code


def test_an_address_beyond_ascii() -> None:
    utf8 = "Final-Recipient: utf-8; \\x{F6}tte@k\\x{F6}ln.example\nAction: failed\nStatus: 5.1.1"
    assert one(bounce(utf8, status="message/global-delivery-status")).final == "ötte@köln.example"


def test_a_status_part_in_base64() -> None:
    plain = bounce(FAILED)
    head, marker, rest = plain.partition(b"Reporting-MTA")
    status, boundary, tail = (marker + rest).partition(b"--=_b/1")
    head = head.removesuffix(b"\r\n") + b"Content-Transfer-Encoding: base64\r\n\r\n"
    assert one(head + base64.encodebytes(status) + b"\r\n" + boundary + tail).code == (5, 1, 1)


def test_the_token_of_the_likeliest_place_comes_first() -> None:
    a, b, c, d = (letter * 20 for letter in "abcd")
    header = f"Delivered-To: bounces+{b}@example.com\nX-Original-To: bounces+{c}@example.com"
    mail = bounce(FAILED, to=f"Bounces <BOUNCES+{d.upper()}@example.com>", header=header)
    assert understand(mail).tokens == (b, c, d)
    assert understand(mail, f"bounces+{a}@example.com").tokens == (a, b, c, d)


@pytest.mark.parametrize(
    "place", [f"x{TOKEN}@example.com", f"{TOKEN}4@example.com", f"<{TOKEN}>", "bounces@example.com"]
)
def test_what_is_no_token(place: str) -> None:
    assert understand(bounce(FAILED, to=place)).tokens == ()


def test_a_token_stands_in_no_other_field() -> None:
    mail = letter(
        f"Cc: {RETURN_PATH}",
        f"Reply-To: {RETURN_PATH}",
        f"References: <{RETURN_PATH}>",
        f"Received: from x by y for <{RETURN_PATH}>",
        to="news@example.com",
        subject=RETURN_PATH,
        text=RETURN_PATH,
    )
    assert understand(mail).tokens == ()


def test_without_a_message_id_the_body_is_the_identity() -> None:
    first, second = (bounce(FAILED, identity="", header=f"Received: by {server}") for server in "ab")
    other = bounce(block("5.2.2"), identity="")
    assert understand(first).identity == understand(second).identity != understand(other).identity


# qmail, Exim and others


def test_qmail() -> None:
    said = """Hi. This is the qmail-send program at mx.example.net.
I'm afraid I wasn't able to deliver your message to the following addresses.
This is a permanent error; I've given up. Sorry it didn't work out.

<ann@example.net>:
192.0.2.1 does not like recipient.
Remote host said: 550 5.1.1 no such user
Giving up on 192.0.2.1.

<ben@example.net>:
Sorry, mailbox full. (#5.2.2)

--- Below this line is a copy of the message.

Return-Path: <bounces@example.com>
Message-ID: %s
Subject: News

<cleo@example.net>:
(#5.1.1)"""
    heard = understand(letter(sender="MAILER-DAEMON@mx.example.net", text=said % OURS))
    assert [(f.final, f.code) for f in failures(heard)] == [
        ("ann@example.net", (5, 1, 1)),
        ("ben@example.net", (5, 2, 2)),
    ]
    assert heard.message_ids == (OURS,)


def test_exim_without_a_report() -> None:
    said = f"""This message was created automatically by mail delivery software.

A message that you sent could not be delivered to one or more of its
recipients. This is a permanent error. The following address(es) failed:

  ann@example.net
    SMTP error from remote mail server after RCPT TO:<ann@example.net>:
    host mx.example.net [192.0.2.1]: 550 5.1.1 no such user
  ben@example.net

------ This is a copy of the message, including all the headers. ------

Message-ID: {OURS}
Subject: News"""
    heard = understand(
        letter(
            "X-Failed-Recipients: ann@example.net,\n ben@example.net",
            "Auto-Submitted: auto-replied",
            sender="Mail Delivery System <Mailer-Daemon@mx.example.net>",
            text=said,
        )
    )
    ann, ben = failures(heard)
    assert (ann.final, ann.code) == ("ann@example.net", (5, 1, 1))
    assert (ben.final, ben.code) == ("ben@example.net", None)
    assert heard.message_ids == (OURS,)


def test_gmail_names_the_failed_in_a_field_and_in_a_report() -> None:
    header = "X-Failed-Recipients: ann@example.net"
    diagnostic = "smtp; 550-5.1.1 The email account that you tried to reach does not exist."
    assert one(bounce(block("5.1.1", diagnostic), header=header)).code == (5, 1, 1)


def test_ses_replaces_the_message_id() -> None:
    """The token in the envelope is then all that names the row."""
    theirs = "<0100018f-1111-2222-3333-444444444444-000000@email.amazonses.com>"
    heard = understand(bounce(block("5.1.1", "smtp; 550 5.1.1 no"), returned=theirs))
    assert heard.message_ids == (theirs,)
    assert heard.tokens == (TOKEN,)


def test_a_guess_says_no_more_than_that_it_is_a_bounce() -> None:
    pytest.importorskip("flufl.bounce")
    said = """Your message was not delivered to the following recipients:

ann@example.net: User unknown (5.1.1)

   ----- The following addresses had permanent fatal errors -----
<ann@example.net>

   ----- Transcript of session follows -----
550 5.1.1 no such user"""
    heard = understand(letter(sender="MAILER-DAEMON@mx.example.net", text=said))
    assert isinstance(heard.report, Bounce)
    assert heard.report.guessed
    [failure] = heard.report.failures
    assert (failure.final, failure.code) == ("ann@example.net", None)
    assert classify(failure.code) is Class.SOFT


# Complaints


@pytest.mark.parametrize(
    ("kind", "suppresses"),
    [
        ("abuse", True),
        ("opt-out", True),
        ("Abuse", True),
        ("fraud", False),
        ("virus", False),
        ("other", False),
        ("not-spam", False),
        ("auth-failure", False),
        ("miscategorized", False),
        ("", False),
    ],
)
def test_only_a_person_who_wants_no_more_is_a_complaint(kind: str, suppresses: bool) -> None:
    heard = understand(complaint(kind, "ann@example.net", "<ben@example.net>"))
    assert heard.report == Complaint(kind.lower(), ("ann@example.net", "ben@example.net"))
    assert heard.report.suppresses is suppresses
    assert heard.message_ids == (OURS,)


def test_a_redacted_complaint_names_nobody() -> None:
    assert understand(complaint("abuse")).report == Complaint("abuse", ())


def outlook(
    sender: str = "staff@hotmail.com",
    subject: str = "complaint about message from 192.0.2.1",
    marked: str = "X-HmXmrOriginalRecipient: Ann@example.net",
) -> bytes:
    """Return a report of Outlook.com's feedback loop (JMRP), which is not by the standard."""
    return lines(
        f"From: {sender}",
        "To: fbl@example.com",
        f"Subject:  {subject}",
        "Message-ID: <jmrp-1@hotmail.com>",
        'Content-Type: multipart/mixed; boundary="part"',
        "",
        "--part",
        "Content-Type: message/rfc822",
        "Content-Disposition: inline",
        "",
        marked,
        "X-Reporter-IP: 192.0.2.9",
        "To: ann@example.net",
        f"Message-ID: {OURS}",
        "",
        "News",
        "--part--",
    )


@pytest.mark.parametrize("sender", ["staff@hotmail.com", "<staff@hotmail.com>", "Staff <STAFF@Hotmail.com>"])
def test_a_report_of_outlooks_feedback_loop(sender: str) -> None:
    heard = understand(outlook(sender))
    assert heard.report == Complaint("abuse", ("Ann@example.net",))
    assert heard.message_ids == (OURS,)


@pytest.mark.parametrize(
    "mail",
    [
        outlook(sender="ann@example.net"),
        outlook(sender="staff@hotmail.com.example.net"),
        outlook(subject="Fwd: News"),
        outlook(marked="X-Other: Ann@example.net"),
    ],
)
def test_who_forwards_our_message_complains_of_nothing(mail: bytes) -> None:
    assert understand(mail).report == NotUnderstood()


# Unsubscriptions and answers that no person wrote

MAILTO = "unsubscribe+{{ bounce.token }}@example.com"
TO = f"unsubscribe+{TOKEN}@example.com"


def test_a_mail_to_the_address_that_unsubscribes() -> None:
    heard = understand(letter(to=TO, subject=""), "", MAILTO)
    assert heard.report == Unsubscribe("ann@example.net")
    assert heard.tokens == (TOKEN,)


@pytest.mark.parametrize("to", [RETURN_PATH, f"x{TO}", "unsubscribe+@example.com", "unsubscribe@example.com"])
def test_a_mail_to_another_address_unsubscribes_nobody(to: str) -> None:
    assert understand(letter(to=to, subject="unsubscribe"), "", MAILTO).report == NotUnderstood()


def test_a_provider_unsubscribes_on_behalf_of_a_person() -> None:
    heard = understand(letter("Auto-Submitted: auto-generated", to=TO), "", MAILTO)
    assert heard.report == Unsubscribe("ann@example.net")


def test_without_a_token_it_is_still_an_unsubscription() -> None:
    heard = understand(letter(to="leave@example.com"), "", "leave@example.com")
    assert heard.report == Unsubscribe("ann@example.net")
    assert heard.tokens == ()


@pytest.mark.parametrize(
    "field",
    [
        "Auto-Submitted: auto-replied",
        "Auto-Submitted: Auto-Replied (vacation)",
        "Auto-Submitted: auto-generated",
        "X-Autoreply: yes",
        "X-Autorespond: Re: News",
        "Precedence: auto_reply",
    ],
)
def test_a_vacation_notice_is_neither(field: str) -> None:
    assert understand(letter(field, subject="I am away")).report == AutoReply()


def test_who_unsubscribes_in_apple_mail_is_no_vacation_notice() -> None:
    mail = letter("Auto-Submitted: auto-replied", "X-Apple-Unsubscribe: true", to=TO, subject="unsubscribe")
    assert understand(mail, "", MAILTO).report == Unsubscribe("ann@example.net")
    assert understand(mail, "", "other@example.com").report == AutoReply()


def test_a_vacation_notice_at_the_address_that_unsubscribes() -> None:
    assert understand(letter("Auto-Submitted: auto-replied", to=TO), "", MAILTO).report == AutoReply()


def test_a_letter_of_a_person_is_not_understood() -> None:
    heard = understand(letter("Auto-Submitted: no", subject="What is\x07 this?\u202e"))
    assert heard.report == NotUnderstood()
    assert heard.subject == "What is this?"
    assert heard.sender == "Ann <ann@example.net>"


def test_a_receipt_is_no_bounce() -> None:
    mail = lines(
        "From: ann@example.net",
        f"To: {RETURN_PATH}",
        "Content-Type: multipart/report; report-type=disposition-notification; boundary=b",
        "",
        "--b",
        "",
        "Read.",
        "--b",
        "Content-Type: message/disposition-notification",
        "",
        "Final-Recipient: rfc822; ann@example.net",
        "Disposition: manual-action/MDN-sent-manually; displayed",
        "--b--",
    )
    assert understand(mail).report == AutoReply()
