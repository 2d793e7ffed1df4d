"""What a preview is made of: rows that differ, and messages as a mail program reads them."""

from __future__ import annotations

import re
import tracemalloc
from collections.abc import Iterator
from datetime import UTC, datetime

from campaign.campaignfile.load import load
from campaign.message.encodedwords import decoded
from campaign.message.tokens import Secrets
from campaign.model import Recipient
from campaign.preparation import compile_campaign
from campaign.preview.opened import open_message
from campaign.preview.page import source
from campaign.preview.variety import LOOKED_AT, varied
from campaign.wording import size
from tests.preview.letters import LETTER


def recipient(number: int, person: str = "", **cells: str) -> Recipient:
    email = f"p{number}@example.com"
    return Recipient(number, number + 1, email, email, person, {"email": email, **cells})


def test_the_picked_rows_differ() -> None:
    def people() -> Iterator[Recipient]:
        for number in range(1, 301):
            plan = "pro" if number == 200 else "free"
            name = {50: "אבי כהן", 60: "Ω" * 9, 70: "X" * 60, 80: "I"}.get(number, "Person Name")
            yield recipient(number, name, name=name, plan=plan, city="" if number == 90 else "Oslo")

    columns = ("email", "name", "plan", "city")
    chosen = varied(people(), columns, 12)
    why = {one.recipient.number: one.why for one in chosen}
    assert list(why) == sorted(why)
    assert len(why) == 12
    assert {number: why[number][0] for number in (1, 50, 60, 70, 80, 90, 200, 300)} == {
        1: "first row", 50: "right to left", 60: "not ASCII", 70: "longest name", 80: "shortest name",
        90: "most blank cells", 200: "plan: pro", 300: "last row",
    }  # fmt: skip
    assert varied(people(), columns, 12) == chosen
    assert [one.recipient.number for one in varied(people(), columns, 1)] == [1]
    assert len(varied(people(), columns, 500)) == 300
    assert varied(iter(()), columns, 5) == []


def test_the_longest_is_named_only_where_it_is_much_longer() -> None:
    def people() -> Iterator[Recipient]:
        for number in range(1, 101):
            note = "a long remark about this person alone" if number == 40 else "short"
            yield recipient(number, date=f"2026-01-{number % 30:02}", note=f"{note} {number}")

    why = [reason for one in varied(people(), ("email", "date", "note"), 20) for reason in one.why]
    assert "longest note" in why
    assert "longest date" not in why
    assert "longest email" not in why


def test_a_long_list_is_not_read_to_its_end() -> None:
    rows = (recipient(number) for number in range(1, LOOKED_AT + 1000))
    chosen = varied(rows, ("email",), 5)
    assert next(rows).number == LOOKED_AT + 2
    assert "last row" not in [reason for one in chosen for reason in one.why]


def test_picking_keeps_memory_flat() -> None:
    tracemalloc.start()
    varied((recipient(n, f"N{n}", note=f"{n} " * 50) for n in range(1, 30_001)), ("email", "note"), 20)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 2_000_000


def test_sizes_and_header_words() -> None:
    assert [size(n) for n in (0, 999, 1000, 34_160, 999_949, 999_950)] == [
        "0 bytes", "999 bytes", "1.0 kB", "34.2 kB", "999.9 kB", "1.0 MB",
    ]  # fmt: skip
    assert decoded("=?utf-8?q?Z=C3=BC?=\r\n =?UTF-8?B?cmljaA==?= <a@b>") == "Zürich <a@b>"
    assert decoded("a\r\n b") == "a b"
    # A name is quoted where it would read as two, also across the words that it was cut into.
    comma = "=?utf-8?q?M=C3=BCller=2C?=\r\n =?utf-8?q?_J=C3=B6rg?= <j@x>, b@x"
    assert decoded(comma, addresses=True) == '"Müller, Jörg" <j@x>, b@x'
    assert decoded(comma) == "Müller, Jörg <j@x>, b@x"
    assert decoded("=?utf-8?q?a=22=5C=C3=BC?= <j@x>", addresses=True) == r'"a\"\\ü" <j@x>'


def test_long_base64_is_cut_in_the_source_view() -> None:
    recipients, renderer = compile_campaign(load(LETTER), Secrets.placeholder())
    (row, *_) = recipients
    assert isinstance(row, Recipient)
    message = renderer.render(row, date=datetime.now(UTC))
    shown = source(message.content)
    assert re.search(r"\[… \d+ more lines of base64 …\]", shown)
    assert len(shown) < len(message.content)
    assert "\r" not in shown
    assert [image.content[:4] for image in open_message(message).images] == [b"\x89PNG"] * 2
