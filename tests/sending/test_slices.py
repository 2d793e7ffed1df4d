"""A call that is waited for in slices returns or raises what the call does."""

from __future__ import annotations

import threading

import pytest

from campaign.errors import ConnectFailed
from campaign.sending.slices import unless_stopped
from tests.servers.scripted import in_time


def _never() -> bool:
    return False


def test_a_sliced_call_returns_what_the_call_returns() -> None:
    assert unless_stopped(lambda: 7, _never) == 7


@pytest.mark.parametrize("error", [OSError("no"), TimeoutError("the resolver's"), UnicodeError("no name")])
def test_a_sliced_call_raises_what_the_call_raises(error: Exception) -> None:
    def fail() -> None:
        raise error

    with in_time(), pytest.raises(type(error), match=str(error)):
        unless_stopped(fail, _never)


def test_a_sliced_call_ends_when_the_run_is_stopped() -> None:
    answered = threading.Event()
    with in_time(), pytest.raises(ConnectFailed, match="the run was stopped"):
        unless_stopped(answered.wait, lambda: True)
    answered.set()
