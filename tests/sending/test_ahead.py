"""Drafts are made before they are needed, used while they are recent, and belong to their rows."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest

from campaign.campaignfile.load import load
from campaign.delivery import Message
from campaign.errors import UserError
from campaign.message.drafts import DraftStream
from campaign.message.draftstore import DraftStore
from campaign.message.render import Renderer
from campaign.message.tokens import Secrets
from campaign.model import Recipient
from campaign.sending import ahead
from campaign.sending.ahead import Ahead
from campaign.templating.processes import starting
from tests.folder import write_campaign
from tests.message.test_calendar import INVITE

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
    """Return the message, or its error."""
    try:
        return render(row, date=DATE)
    except UserError as error:
        return error.problems


def test_a_draft_made_ahead_gives_the_same_message(renderer: Renderer, made: Ahead) -> None:
    waiting = rows(*range(100))
    made.follow(following(waiting))
    while waiting:
        row = waiting.pop(0)
        assert made_by(made.render, row) == made_by(renderer.render, row)


def test_rows_may_be_requested_in_another_order_or_repeatedly(renderer: Renderer, made: Ahead) -> None:
    some = rows(*range(20, 40))
    made.follow(following(some))
    for row in [*some[::-1], *some[:5], *rows(99)]:
        assert made.render(row, date=DATE) == renderer.render(row, date=DATE)


def test_a_changed_row_is_drafted_again(made: Ahead) -> None:
    first, second = rows(1, 2)
    made.follow(following([first, second]))
    made.render(first, date=DATE)
    other = Recipient(2, 3, second.key, second.email, "", {**second.row, "n": "3"})
    assert b"Subject: No. 3" in made.render(other, date=DATE).content


def test_an_old_draft_is_made_again(renderer: Renderer, made: Ahead, monkeypatch: pytest.MonkeyPatch) -> None:
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


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[Recipient]:
    """The rows for which drafts are requested while messages are sent."""
    rows: list[Recipient] = []
    submit = DraftStream.submit

    def noting(stream: DraftStream, recipients: Iterable[Recipient]) -> None:
        recipients = list(recipients)
        rows.extend(recipients)
        submit(stream, recipients)

    monkeypatch.setattr(DraftStream, "submit", noting)
    return rows


def test_few_drafts_of_large_messages_are_made_ahead(tmp_path: Path, asked: list[Recipient]) -> None:
    file = write_campaign(tmp_path, {"body.txt": "{{ 'word ' * 300000 }}\n"}, subject="No. {{ n }}")
    waiting = rows(*range(20))
    with closing(Ahead(Renderer(load(file), COLUMNS, Secrets.placeholder()))) as made:
        made.follow(following(waiting))
        for number in range(1, 11):
            made.render(waiting.pop(0), date=DATE)
            assert len(asked) - number <= 2


@pytest.fixture
def kept() -> Iterator[DraftStore]:
    with closing(DraftStore()) as one:
        yield one


def looked_at(renderer: Renderer, some: list[Recipient], kept: DraftStore) -> Ahead:
    """Return what sends these rows, after all of them were drafted in preparation."""
    for _ in renderer.look(some, 0, kept):
        pass
    return Ahead(renderer, kept)


class TestKept:
    @pytest.fixture(autouse=True)
    def no_worker(self, asked: list[Recipient]) -> list[Recipient]:
        """The rows that were drafted again."""
        return asked

    def test_a_row_drafted_during_preparation_is_not_drafted_again(
        self, renderer: Renderer, kept: DraftStore, no_worker: list[Recipient]
    ) -> None:
        some = rows(*range(10, 200))
        with closing(looked_at(renderer, some, kept)) as made:
            for row in [*some[::-1], *some[50:60]]:
                assert made.render(row, date=DATE) == renderer.render(row, date=DATE)
        assert no_worker == []

    def test_a_row_that_could_not_be_drafted_is_reported_again(
        self, renderer: Renderer, kept: DraftStore
    ) -> None:
        some = rows(6, 7, 8)
        with closing(looked_at(renderer, some, kept)) as made:
            for row in some:
                assert made_by(made.render, row) == made_by(renderer.render, row)

    def test_a_row_changed_since_preparation_is_drafted_again(
        self, renderer: Renderer, kept: DraftStore
    ) -> None:
        first, second = rows(1, 2)
        other = Recipient(2, 3, second.key, second.email, "", {**second.row, "n": "3"})
        with closing(looked_at(renderer, [first, second], kept)) as made:
            assert b"Subject: No. 3" in made.render(other, date=DATE).content
            assert b"Subject: No. 2" in made.render(second, date=DATE).content

    def test_an_old_draft_from_preparation_is_made_again(
        self,
        renderer: Renderer,
        kept: DraftStore,
        no_worker: list[Recipient],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        some = rows(1, 2)
        with closing(looked_at(renderer, some, kept)) as made:
            made.render(some[0], date=DATE)
            monkeypatch.setattr(ahead, "FRESH", -1)
            made.render(some[1], date=DATE)
        assert no_worker == [some[1]]

    def test_drafts_are_kept_only_while_there_is_room(
        self, renderer: Renderer, no_worker: list[Recipient]
    ) -> None:
        some = rows(*range(10, 50))
        with closing(DraftStore(4000)) as few, closing(looked_at(renderer, some, few)) as made:
            waiting = [*some]
            made.follow(following(waiting))
            while waiting:
                row = waiting.pop(0)
                assert made.render(row, date=DATE) == renderer.render(row, date=DATE)
        assert no_worker
        assert no_worker == some[-len(no_worker) :] != some

    def test_on_an_almost_full_disk_no_drafts_are_kept(
        self, renderer: Renderer, no_worker: list[Recipient], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        usage = shutil.disk_usage("/")
        monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=2000))
        some = rows(*range(10, 30))
        with closing(DraftStore()) as few, closing(looked_at(renderer, some, few)) as made:
            for row in some:
                assert made.render(row, date=DATE) == renderer.render(row, date=DATE)
        assert no_worker

    def test_rows_without_a_kept_draft_are_drafted(
        self, renderer: Renderer, kept: DraftStore, no_worker: list[Recipient]
    ) -> None:
        some = rows(*range(10, 110))
        with closing(looked_at(renderer, some[::3], kept)) as made:
            waiting = [*some]
            made.follow(following(waiting))
            while waiting:
                row = waiting.pop(0)
                assert made.render(row, date=DATE) == renderer.render(row, date=DATE)
        assert len(no_worker) < len(some)

    def test_a_kept_draft_is_equal_in_every_field(self, tmp_path: Path, kept: DraftStore) -> None:
        png = b"\x89PNG\r\n\x1a\n"
        files = {
            "body.txt": "Hi {{ n }}\n",
            "body.html": '<p>Hi {{ n }}<img src="{{ n }}.png" alt="">',
            "invite.ics.j2": INVITE.replace("first", "n").replace("note", "n"),
        }
        for number in range(1, 80):
            (tmp_path / f"{number}.png").write_bytes(png + bytes([number]))
        file = write_campaign(
            tmp_path,
            files,
            subject="No. {{ n }}",
            templates={"text": "body.txt", "html": "body.html"},
            calendar="invite.ics.j2",
            headers={"X-Row": "{{ n }} ü"},
            cc=["{{ n }}@example.com", ""],
        )
        renderer = Renderer(load(file), COLUMNS, Secrets.placeholder())
        some = rows(*range(1, 80))
        with closing(looked_at(renderer, some, kept)) as made:
            for row in some:
                assert made.render(row, date=DATE) == renderer.render(row, date=DATE)


def test_workers_that_are_killed_are_replaced(renderer: Renderer, made: Ahead) -> None:
    some = rows(*range(10, 60))
    made.follow(following(some))
    for place, row in enumerate(some):
        if place % 20 == 10:
            starting.stop()
        assert made.render(row, date=DATE) == renderer.render(row, date=DATE)
