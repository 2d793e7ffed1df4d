"""Servers that several of these test files send to."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.servers.postfix import TELL_CONTENTS, Postfix


@pytest.fixture(scope="session")
def slow_server(make_postfix: Callable[..., Postfix]) -> Postfix:
    """A server that takes two seconds to reply to the final dot; what has left by then is delivered."""
    return make_postfix(smtpd_end_of_data_restrictions=f"{TELL_CONTENTS}, sleep 2")


@pytest.fixture(scope="session")
def silent_server(make_postfix: Callable[..., Postfix]) -> Postfix:
    """A server that does not reply to the final dot for as long as any test lasts."""
    return make_postfix(smtpd_end_of_data_restrictions=f"{TELL_CONTENTS}, sleep 100")
