"""Replies of servers, for tests of what they mean."""

from __future__ import annotations

from campaign.delivery import Answer, Fate, Reply, Stage
from campaign.smtp.replies import ReplyParser


def reply(text: str) -> Reply:
    (parsed,) = ReplyParser().feed(text.encode() + b"\r\n")
    return parsed


def answered(stage: Stage, text: str, address: str = "u1@example.test") -> Answer:
    return Answer(address, Fate.ANSWERED, stage, reply(text))


def unsent(why: str = "the server closed the connection", stage: Stage = Stage.RCPT) -> Answer:
    return Answer("u1@example.test", Fate.UNSENT, stage, None, why)


def unknown(why: str = "the server closed the connection") -> Answer:
    return Answer("u1@example.test", Fate.UNKNOWN, Stage.BODY, None, why)
