"""The logins of a run's sessions: an access token is read again when it is old, or was refused."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import pytest

from campaign import clock
from campaign.errors import ConnectFailed, UserError
from campaign.model import SECOND
from campaign.sending.account import Logins
from campaign.smtp.auth import Login, Mechanism


class Command:
    """Prints `token`; or fails."""

    def __init__(self) -> None:
        self.token = "first"
        self.runs = 0
        self.takes = 0.0  # seconds

    def __call__(self, ended: Callable[[], bool] = lambda: False) -> Login:
        self.runs += 1
        time.sleep(self.takes)
        if not self.token:
            raise UserError("get-token ended with exit code 1")
        return Login("news", self.token, Mechanism.XOAUTH2)


@pytest.fixture
def command() -> Command:
    return Command()


@pytest.fixture
def logins(command: Command) -> Logins:
    return Logins(command(), command)


def later(monkeypatch: pytest.MonkeyPatch, seconds: int) -> None:
    now = clock.steady()
    monkeypatch.setattr(clock, "steady", lambda: now + seconds * SECOND)


def secret(login: Login | None) -> str:
    assert login is not None
    return login.secret


def test_a_token_serves_many_sessions_and_then_another_is_read(
    logins: Logins, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert {secret(logins.current()) for _ in range(100)} == {"first"}
    command.token = "second"
    later(monkeypatch, 299)
    assert secret(logins.current()) == "first"
    later(monkeypatch, 2)
    assert {secret(logins.current()) for _ in range(100)} == {"second"}
    assert command.runs == 2


def test_an_old_token_is_used_as_long_as_no_other_can_be_read(
    logins: Logins, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = logins.current()
    command.token = ""
    later(monkeypatch, 301)
    assert logins.current() == old
    assert old is not None
    with pytest.raises(ConnectFailed, match="get-token ended with exit code 1") as failed:
        logins.newer(old)
    assert not failed.value.permanent
    assert command.runs == 3
    assert logins.current() == old  # without another try
    assert command.runs == 3
    command.token = "second"
    assert secret(logins.newer(old)) == "second"


def test_threads_whose_token_was_refused_share_the_next(logins: Logins, command: Command) -> None:
    old = logins.current()
    assert old is not None
    command.token = "second"
    assert {secret(logins.newer(old)) for _ in range(4)} == {"second"}
    assert command.runs == 2


def test_threads_that_wait_for_a_command_share_its_failure(logins: Logins, command: Command) -> None:
    old = logins.current()
    assert old is not None
    command.token, command.takes = "", 1.0
    failed: list[ConnectFailed] = []

    def ask() -> None:
        with pytest.raises(ConnectFailed, match="exit code 1") as raised:
            logins.newer(old)
        failed.append(raised.value)

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(failed) == 8
    assert command.runs - 1 < 8


def test_no_command_runs_for_a_run_that_has_ended(logins: Logins, command: Command) -> None:
    old = logins.current()
    assert old is not None
    with pytest.raises(ConnectFailed, match="the run has ended"):
        logins.newer(old, lambda: True)
    assert command.runs == 1


def test_a_password_that_was_refused_is_not_read_again() -> None:
    login = Login("news", "secret")
    assert Logins(login).newer(login) is None
