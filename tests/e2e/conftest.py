"""Servers that several files of these tests send to."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.servers.postfix import TELL_CONTENTS, Postfix


@pytest.fixture(scope="session")
def slow_server(make_postfix: Callable[..., Postfix]) -> Postfix:
    """It takes two seconds to answer the final dot, and what has left by then is delivered."""
    return make_postfix(smtpd_end_of_data_restrictions=f"{TELL_CONTENTS}, sleep 2")


@pytest.fixture(scope="session")
def silent_server(make_postfix: Callable[..., Postfix]) -> Postfix:
    """It does not answer the final dot as long as a test may take."""
    return make_postfix(smtpd_end_of_data_restrictions=f"{TELL_CONTENTS}, sleep 100")
