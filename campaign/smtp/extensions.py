"""What the server offers: the reply to EHLO, read (RFC 5321 4.1.1.1)."""

from __future__ import annotations

from dataclasses import dataclass

from campaign.model import Reply


@dataclass(frozen=True, slots=True)
class Extensions:
    """The service extensions that matter to a client that submits mail.

    `declares_size` is whether MAIL may name the message's size, and `size` the largest message in
    bytes, or None where none is named (RFC 1870 3). `mail_max` and
    `rcpt_max` are the transactions per session and recipients per transaction of RFC 9422.
    `keywords` are all of them as offered, for people.
    """

    keywords: tuple[str, ...] = ()
    pipelining: bool = False
    starttls: bool = False
    smtputf8: bool = False
    eightbitmime: bool = False
    declares_size: bool = False
    size: int | None = None
    auth: frozenset[str] = frozenset()
    mail_max: int | None = None
    rcpt_max: int | None = None

    @classmethod
    def parse(cls, reply: Reply) -> Extensions:
        """Read a 250 reply to EHLO; its first line is the server's name and greeting."""
        keywords = tuple(line for line in reply.lines[1:] if line)
        offered: dict[str, list[str]] = {}
        mechanisms: set[str] = set()
        for line in keywords:
            # Some servers still write the draft's AUTH=LOGIN beside the standard's AUTH LOGIN.
            word, *parameters = line.replace("AUTH=", "AUTH ", 1).upper().split()
            offered.setdefault(word, []).extend(parameters)
            if word == "AUTH":
                mechanisms.update(parameters)
        limits = dict(parameter.split("=", 1) for parameter in offered.get("LIMITS", []) if "=" in parameter)
        return cls(
            keywords=keywords,
            pipelining="PIPELINING" in offered,
            starttls="STARTTLS" in offered,
            smtputf8="SMTPUTF8" in offered,
            eightbitmime="8BITMIME" in offered,
            declares_size="SIZE" in offered,
            # RFC 1870 4: a value of zero, or none, names no fixed maximum.
            size=_number("".join(offered.get("SIZE", [])[:1])),
            auth=frozenset(mechanisms),
            mail_max=_number(limits.get("MAILMAX", "")),
            rcpt_max=_number(limits.get("RCPTMAX", "")),
        )


def _number(text: str) -> int | None:
    """Return a positive number of at most 20 digits, else None."""
    if text.isascii() and text.isdigit() and len(text) <= 20:
        return int(text) or None
    return None
