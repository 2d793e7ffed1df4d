"""Mails that come back, as servers and people write them."""

from __future__ import annotations

TOKEN = "0123456789abcdef0123"
RETURN_PATH = f"bounces+{TOKEN}@example.com"
OURS = "<00112233445566778899aabbccddeeff@example.com>"

FAILED = """Final-Recipient: rfc822; ann@example.net
Action: failed
Status: 5.1.1
Diagnostic-Code: smtp; 550 5.1.1 <ann@example.net>: no such user"""


def lines(*text: str) -> bytes:
    """Return lines as a mail has them."""
    return "\n".join(text).replace("\n", "\r\n").encode()


def bounce(
    *blocks: str,
    to: str = RETURN_PATH,
    returned: str = OURS,
    identity: str = "<report-1@mx.example.net>",
    status: str = "message/delivery-status",
    header: str = "",
) -> bytes:
    """Return a report by RFC 3464: a block for each recipient, and the header that came back."""
    return lines(
        *([header] if header else []),
        "Return-Path: <>",
        "From: MAILER-DAEMON@mx.example.net (Mail Delivery System)",
        f"To: {to}",
        "Subject: Undelivered Mail Returned to Sender",
        f"Message-ID: {identity}",
        "Auto-Submitted: auto-replied",
        "MIME-Version: 1.0",
        'Content-Type: multipart/report; report-type=delivery-status; boundary="=_b/1"',
        "",
        "This is a MIME-encapsulated message.",
        "",
        "--=_b/1",
        "Content-Type: text/plain; charset=us-ascii",
        "",
        "I'm sorry to have to inform you that your message could not be delivered.",
        "",
        "--=_b/1",
        f"Content-Type: {status}",
        "",
        "Reporting-MTA: dns; mx.example.net",
        "X-Postfix-Queue-ID: 4ABC",
        "Arrival-Date: Sat, 28 Nov 2026 10:00:00 +0000 (UTC)",
        "",
        "\n\n".join(blocks),
        "",
        "--=_b/1",
        "Content-Type: text/rfc822-headers",
        "",
        "Return-Path: <bounces@example.com>",
        "From: News <news@example.com>",
        "To: ann@example.net",
        f"Message-ID: {returned}",
        "",
        "--=_b/1--",
        "",
    )


def block(code: str = "5.1.1", diagnostic: str = "", *, final: str = "ann@example.net", **more: str) -> str:
    """Return what a report says of one recipient."""
    said = {
        "Final-Recipient": f"rfc822; {final}",
        "Action": "failed",
        "Status": code,
        "Diagnostic-Code": diagnostic,
        **{name.replace("_", "-"): value for name, value in more.items()},
    }
    return "\n".join(f"{name}: {value}" for name, value in said.items() if value)


def complaint(
    kind: str = "abuse",
    *named: str,
    to: str = "fbl@example.com",
    returned: str = OURS,
    identity: str = "<arf-1@isp.example>",
) -> bytes:
    """Return a report of a feedback loop by RFC 5965, which names these addresses."""
    return lines(
        "From: <abusedesk@isp.example>",
        f"To: {to}",
        f"Message-ID: {identity}",
        "Subject: FW: News",
        "MIME-Version: 1.0",
        'Content-Type: multipart/report; report-type=feedback-report; boundary="part"',
        "",
        "--part",
        "Content-Type: text/plain",
        "",
        "This is an email abuse report.",
        "",
        "--part",
        "Content-Type: message/feedback-report",
        "",
        f"Feedback-Type: {kind}",
        "User-Agent: SomeGenerator/1.0",
        "Version: 1",
        "Original-Mail-From: <bounces@example.com>",
        *(f"Original-Rcpt-To: <{address}>" for address in named),
        "",
        "--part",
        "Content-Type: message/rfc822",
        "",
        "From: News <news@example.com>",
        "To: <redacted@isp.example>",
        f"Message-ID: {returned}",
        "",
        "Hello",
        "--part--",
        "",
    )


def letter(
    *fields: str,
    sender: str = "Ann <ann@example.net>",
    to: str = RETURN_PATH,
    subject: str = "Hello",
    text: str = "Hello",
    identity: str = "<letter-1@example.net>",
) -> bytes:
    """Return a mail of one text, with more header fields."""
    return lines(
        f"From: {sender}",
        f"To: {to}",
        f"Subject: {subject}",
        f"Message-ID: {identity}",
        *fields,
        "",
        text,
        "",
    )
