"""The server's name: how it is looked up and compared with the certificate; a silent resolver."""

from __future__ import annotations

import re
import socket
import subprocess
import sys
import threading

import pytest

from campaign.campaignfile.models import Smtp
from campaign.errors import ConnectFailed
from campaign.sending.network.connection import Connection
from campaign.sending.network.hosts import certificate_name, lookup_name
from campaign.sending.network.transport import Transport
from tests.servers.scripted import GENEROUS, in_time


@pytest.mark.parametrize(
    ("host", "name"),
    [
        ("smtp.example.com.", "smtp.example.com."),
        ("my_relay", "my_relay"),
        ("[::1]", "::1"),
        ("SMTP.käse.example", "smtp.xn--kse-qla.example"),
        # IDNA 2003, which the standard library implements, gives a name of another owner.
        ("straße.example", "xn--strae-oqa.example"),
    ],
)
def test_the_name_to_look_up(host: str, name: str) -> None:
    assert lookup_name(host) == name


def test_a_final_dot_is_not_compared_with_the_certificate() -> None:
    assert certificate_name("smtp.example.com.") == "smtp.example.com"
    assert certificate_name("[::1]") == "::1"


@pytest.mark.parametrize(
    ("host", "match", "permanent"),
    [
        ("a" * 70 + ".example.com", "no address is known for the host", False),
        ("a_ä.example", "the host 'a_ä.example' is not a valid name: ", True),
    ],
)
def test_an_invalid_host_name_is_reported(host: str, match: str, permanent: bool) -> None:
    with pytest.raises(ConnectFailed, match=match) as failed:
        Connection.open(Smtp(host=host), None)
    assert failed.value.permanent is permanent


WITHOUT_FILES = """
import os, resource
from contextlib import suppress
from campaign.sending.network.transport import Transport
with suppress(Exception):
    Transport.connect("localhost", 1)  # loads what it needs
resource.setrlimit(resource.RLIMIT_NOFILE, (30, 30))
with suppress(OSError):
    while True:
        os.open("/dev/null", os.O_RDONLY)
Transport.connect("localhost", 1)
"""


def test_a_look_up_with_too_many_open_files_is_reported() -> None:
    done = subprocess.run([sys.executable, "-c", WITHOUT_FILES], capture_output=True, text=True)
    # Which error the resolver gives depends on its modules: "Too many open files", or with mDNS another.
    assert re.search(r"errors\.ConnectFailed: no address is known for the host 'localhost': \w", done.stderr)


def test_stopping_does_not_wait_for_a_silent_resolver(monkeypatch: pytest.MonkeyPatch) -> None:
    over = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: over.wait(GENEROUS) and [])
    with in_time(), pytest.raises(ConnectFailed, match="the run was stopped"):
        Transport.connect("smtp.example.com", 587, stopped=lambda: True)
    over.set()
