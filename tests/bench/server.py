"""A real Postfix that takes every message and keeps none, and its log, which says what arrived."""

from __future__ import annotations

import re
import time
from collections import Counter
from pathlib import Path

from tests.servers.certificates import Certificates
from tests.servers.postfix import Postfix

_RECIPIENT = re.compile(r": discard: RCPT from .*? to=<([^>]*)>")
_ENDED = re.compile(r": disconnect from .*")
_CONTENTS = re.compile(r" (?:data|bdat)=(\d+)")  # accepted ones stand before a slash
_PATIENCE = 30.0  # seconds


class Discarding:
    """Logs in `user` with `password`, or lets anybody send without; STARTTLS at `port`."""

    def __init__(self, folder: Path, user: str, password: str) -> None:
        self._postfix = Postfix(
            Certificates(folder),
            auth=True,
            users={user: password},
            mynetworks="127.0.0.0/8",
            smtpd_recipient_restrictions="check_recipient_access static:DISCARD, permit",
            # Postfix counts what comes from one address, and would slow it down.
            smtpd_client_connection_count_limit=0,
            smtpd_client_event_limit_exceptions="127.0.0.0/8",
        )
        self.port = self._postfix.port
        self.ca_file = self._postfix.ca_file
        self._read = 0

    def close(self) -> None:
        """Stop it."""
        self._postfix.stop()

    def arrived(self) -> int:
        """Return how many messages came since the last time, once every session has ended.

        -1 if anybody got more than one, or if the contents are not as many as the recipients.
        """
        deadline = time.monotonic() + _PATIENCE
        while True:
            log = self._postfix.log()
            news = log[self._read :]
            if news.count(": connect from ") == news.count(": disconnect from "):
                break
            assert time.monotonic() < deadline, f"sessions did not end:\n{news[-2000:]}"
            time.sleep(0.05)
        self._read = len(log)
        people = Counter(_RECIPIENT.findall(news))
        contents = sum(int(number) for line in _ENDED.findall(news) for number in _CONTENTS.findall(line))
        return len(people) if contents == len(people) == people.total() else -1
