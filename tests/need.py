"""Programs that tests need and pip cannot bring: found, or the test is skipped, saying what to install."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
from functools import cache
from pathlib import Path

import pytest

PACKAGES = {
    "postfix": "postfix",
    "exim4": "exim4-daemon-light",
    "postgres": "postgresql",
    "pgbouncer": "pgbouncer",
    "rabbitmq-server": "rabbitmq-server",
    "redis-server": "redis-server",
    "smtp-sink": "postfix",
    "dovecot": "dovecot-imapd",
    "chromium": "chromium",
    "spamassassin": "spamassassin",
    "mblaze": "mblaze",
    "tidy": "tidy",
}
# Debian keeps the server's programs off the PATH; the newest first.
_POSTGRES = sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
PROGRAMS = {"mblaze": "mshow"}


def need(name: str) -> Path:
    """Return the path of a program named in PACKAGES, or skip the test that asks for it.

    With CAMPAIGN_REQUIRE_ALL=1 a skipped test fails the run (conftest).
    """
    places = [os.environ.get("PATH", ""), "/usr/sbin", *map(str, _POSTGRES)]
    found = shutil.which(PROGRAMS.get(name, name), path=":".join(places))
    if found is None:
        pytest.skip(f"needs {name}: apt-get install {PACKAGES[name]}")
    if name == "exim4" and not _knows("Debian-exim"):
        pytest.skip("needs a user for Exim: useradd --system Debian-exim")
    if name in ("postfix", "exim4") and not _may_run_postfix():
        pytest.skip(f"needs root, or user namespaces for {name}: apt-get install uidmap")
    return Path(found)


def templates() -> Path:
    """Return the folder of npm packages with mail templates, or skip the test that asks for it."""
    folder = os.environ.get("CAMPAIGN_TEMPLATES", "")
    if not folder or not Path(folder, "foundation-emails").is_dir():
        pytest.skip("needs templates of others: .ci/templates DIR, and CAMPAIGN_TEMPLATES=DIR")
    return Path(folder).resolve()


def _knows(user: str) -> bool:
    try:
        return pwd.getpwnam(user) is not None
    except KeyError:
        return False


@cache
def _may_run_postfix() -> bool:
    if os.geteuid() == 0:
        return True
    if shutil.which("unshare") is None:
        return False
    trial = subprocess.run(["unshare", "--map-root-user", "--map-auto", "true"], capture_output=True)
    return trial.returncode == 0
