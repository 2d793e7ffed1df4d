"""Drafts are made before they are asked for, are used while they are fresh, and belong to their rows."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from campaign.campaignfile.load import load
from campaign.delivery import Message
from campaign.errors import UserError
from campaign.message.render import Renderer
from campaign.message.tokens import Secrets
from campaign.model import Recipient
from campaign.sending import ahead
from campaign.sending.ahead import Ahead
from campaign.templating.processes import starting
from tests.folder import write_campaign

DATE = datetime(2026, 3, 20, tzinfo=UTC)
COLUMNS = ("email", "n")


@pytest.fixture
def renderer(tmp_path: Path) -> Renderer:
    file = write_campaign(
        tmp_path, {"body.txt": "Hi {{ 1 // (n|int - 7) }} {{ n }}\n"}, subject="No. {{ n }}"
    )
    return Renderer(load(file), COLUMNS, Secrets.placeholder())


@pytest.fixture
def made(renderer: Renderer) -> Iterator[Ahead]:
    one = Ahead(renderer)
    yield one
    one.close()


def rows(*numbers: int) -> list[Recipient]:
    return [
        Recipient(n, n + 1, f"{n}@x.test", f"{n}@x.test", "", {"email": f"{n}@x.test", "n": str(n)})
        for n in numbers
    ]


def following(waiting: list[Recipient]) -> Callable[[int], list[Recipient]]:
    return lambda most: waiting[:most]


def made_by(render: Callable[..., Message], row: Recipient) -> object:
    """The message, or what is wrong with it."""
    try:
        return render(row, date=DATE)
    except UserError as error:
        return error.problems


def test_it_is_the_same_message(renderer: Renderer, made: Ahead) -> None:
    waiting = rows(*range(100))
    made.follow(following(waiting))
    while waiting:
        row = waiting.pop(0)
        assert made_by(made.render, row) == made_by(renderer.render, row)


def test_rows_may_come_in_another_order_or_again(renderer: Renderer, made: Ahead) -> None:
    some = rows(*range(20, 40))
    made.follow(following(some))
    for row in [*some[::-1], *some[:5], *rows(99)]:
        assert made.render(row, date=DATE) == renderer.render(row, date=DATE)


def test_a_row_that_has_changed_is_drafted_anew(made: Ahead) -> None:
    first, second = rows(1, 2)
    made.follow(following([first, second]))
    made.render(first, date=DATE)
    other = Recipient(2, 3, second.key, second.email, "", {**second.row, "n": "3"})
    assert b"Subject: No. 3" in made.render(other, date=DATE).content


def test_what_was_drafted_long_ago_is_drafted_anew(
    renderer: Renderer, made: Ahead, monkeypatch: pytest.MonkeyPatch
) -> None:
    some = rows(*range(10, 15))
    made.follow(following(some))
    made.render(some[0], date=DATE)
    monkeypatch.setattr(ahead, "FRESH", -1)
    asked: list[Recipient] = []
    render = renderer.render

    def alone(row: Recipient, *, date: datetime) -> Message:
        asked.append(row)
        return render(row, date=date)

    monkeypatch.setattr(renderer, "render", alone)
    made.render(some[1], date=DATE)
    assert asked == [some[1]]


def test_workers_that_are_killed_are_replaced(renderer: Renderer, made: Ahead) -> None:
    some = rows(*range(10, 60))
    made.follow(following(some))
    for place, row in enumerate(some):
        if place % 20 == 10:
            starting.stop()
        assert made.render(row, date=DATE) == renderer.render(row, date=DATE)
