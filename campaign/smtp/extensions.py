"""Parses the extensions in the server's reply to EHLO (RFC 5321 4.1.1.1); says which messages do not fit."""

from __future__ import annotations

from dataclasses import dataclass

from campaign.delivery import EnhancedCode, Message, Reply


@dataclass(frozen=True, slots=True)
class Extensions:
    """The service extensions that matter to a client that submits mail.

    `declares_size`: MAIL may name the message's size. `size` is the largest message in bytes, or None
    if the server names none (RFC 1870 3). `chunking` is BDAT (RFC 3030). `mail_max` and `rcpt_max` are
    the most transactions per session, and recipients per transaction (RFC 9422). `keywords` are all
    extensions as the server wrote them, for display.
    """

    keywords: tuple[str, ...] = ()
    pipelining: bool = False
    chunking: bool = False
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
        """Parse a 250 reply to EHLO; its first line is the server's name and greeting."""
        keywords = tuple(line for line in reply.lines[1:] if line)
        offered: dict[str, list[str]] = {}
        mechanisms: set[str] = set()
        for line in keywords:
            # Some servers still write the draft's AUTH=LOGIN beside the standard's AUTH LOGIN.
            word, *parameters = line.upper().replace("AUTH=", "AUTH ", 1).split()
            offered.setdefault(word, []).extend(parameters)
            if word == "AUTH":
                mechanisms.update(parameters)
        limits = dict(parameter.split("=", 1) for parameter in offered.get("LIMITS", []) if "=" in parameter)
        return cls(
            keywords=keywords,
            pipelining="PIPELINING" in offered,
            chunking="CHUNKING" in offered,
            starttls="STARTTLS" in offered,
            smtputf8="SMTPUTF8" in offered,
            eightbitmime="8BITMIME" in offered,
            declares_size="SIZE" in offered,
            # RFC 1870 4: zero, or no value, means that there is no fixed maximum.
            size=_number("".join(offered.get("SIZE", [])[:1])),
            auth=frozenset(mechanisms),
            mail_max=_number(limits.get("MAILMAX", "")),
            rcpt_max=_number(limits.get("RCPTMAX", "")),
        )

    def rule_out(self, message: Message) -> Reply | None:
        """Return a reply of our own if the server would refuse `message`, else None."""
        if message.envelope.smtputf8 and not self.smtputf8:
            # RFC 6531 3.5: 5.6.7 is for a non-ASCII address that cannot be accepted.
            text = "the address needs SMTPUTF8, which the server does not offer"
            return _ours(553, EnhancedCode(5, 6, 7), text)
        size = message.size
        if self.size is not None and size > self.size:
            # RFC 1870 6.1
            text = f"the message has {size} bytes, and the server takes at most {self.size}"
            return _ours(552, EnhancedCode(5, 3, 4), text)
        return None

    @property
    def too_many(self) -> Reply:
        """Our own reply for recipients beyond `rcpt_max`: the server would count their RCPT as errors."""
        text = f"the server takes at most {self.rcpt_max} recipients per message"
        return _ours(452, EnhancedCode(4, 5, 3), text)


def _ours(code: int, enhanced: EnhancedCode, text: str) -> Reply:
    return Reply(code, (f"{enhanced} {text} (campaign's own words: nothing was sent)",), enhanced)


def _number(text: str) -> int | None:
    """Return a positive number of at most 20 digits, else None."""
    if text.isascii() and text.isdigit() and len(text) <= 20:
        return int(text) or None
    return None
