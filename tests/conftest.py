"""What holds for every test: loopback only, a temporary HOME, hypothesis budgets, the private servers.

pytest-socket's options (pyproject.toml) refuse every connection but to loopback.
"""

from __future__ import annotations

import os
import shutil
import signal
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from tests.e2e.folder import CampaignFolder
from tests.need import need
from tests.servers.certificates import Certificates
from tests.servers.exim import Exim
from tests.servers.imap import Dovecot
from tests.servers.postfix import Postfix
from tests.servers.postgresql import PostgreSQL
from tests.servers.scripted import Client, Serve

# Slow machines and other workers must not decide a test: no deadlines, no health check on speed.
settings.register_profile(
    "quick",
    deadline=None,
    max_examples=60,
    derandomize="CI" in os.environ,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.register_profile(
    "thorough", parent=settings.get_profile("quick"), max_examples=3000, derandomize=False
)
settings.load_profile(os.environ.get("CAMPAIGN_HYPOTHESIS", "quick"))

_home = pytest.StashKey[str]()


def pytest_configure(config: pytest.Config) -> None:
    home = tempfile.mkdtemp(prefix="campaign-home-")
    config.stash[_home] = home
    os.environ["HOME"] = home
    for name in ("XDG_CONFIG_HOME", "XDG_CACHE_HOME", "XDG_DATA_HOME", "XDG_STATE_HOME"):
        os.environ.pop(name, None)
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # as a shell does for what runs in its background
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_unconfigure(config: pytest.Config) -> None:
    shutil.rmtree(config.stash[_home], ignore_errors=True)


def pytest_sessionfinish(session: pytest.Session) -> None:
    """With CAMPAIGN_REQUIRE_ALL=1 a run that skipped anything has failed."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if reporter is None or os.environ.get("CAMPAIGN_REQUIRE_ALL") != "1":
        return  # an xdist worker has no reporter; the controller counts for all
    skipped = reporter.stats.get("skipped", [])
    if skipped:
        reporter.write_line("")
        reporter.write_line(f"CAMPAIGN_REQUIRE_ALL=1 and {len(skipped)} skipped: failed", red=True)
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    """A private CA, its good and bad server certificates, and a client's."""
    return Certificates(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(scope="session")
def make_postfix(certificates: Certificates) -> Iterator[Callable[..., Postfix]]:
    """Start a Postfix with options of its own; all are stopped at the session's end."""
    need("postfix")
    started: list[Postfix] = []

    def make(**options: Any) -> Postfix:
        started.append(Postfix(certificates, **options))
        return started[-1]

    yield make
    for server in started:
        server.stop()


@pytest.fixture(scope="session")
def shared_postfix(make_postfix: Callable[..., Postfix]) -> Postfix:
    """The worker's one plain Postfix; `postfix` empties its mailbox first."""
    return make_postfix()


@pytest.fixture(scope="session")
def shared_exim(certificates: Certificates) -> Iterator[Exim]:
    """The worker's one Exim; `exim` empties its mailbox first."""
    server = Exim(certificates)
    yield server
    server.stop()


@pytest.fixture
def exim(shared_exim: Exim) -> Exim:
    """A real Exim with an empty mailbox."""
    shared_exim.empty()
    return shared_exim


@pytest.fixture
def postfix(shared_postfix: Postfix) -> Postfix:
    """A plain Postfix with an empty mailbox: no login, STARTTLS offered, fault addresses."""
    shared_postfix.empty()
    return shared_postfix


@pytest.fixture(scope="session")
def make_dovecot(certificates: Certificates) -> Iterator[Callable[..., Dovecot]]:
    """Start a Dovecot with options of its own; all are stopped at the session's end."""
    need("dovecot")
    started: list[Dovecot] = []

    def make(**options: Any) -> Dovecot:
        started.append(Dovecot(certificates, **options))
        return started[-1]

    yield make
    for server in started:
        server.stop()


@pytest.fixture(scope="session")
def postgresql() -> Iterator[PostgreSQL]:
    """The worker's one private PostgreSQL."""
    server = PostgreSQL(need("postgres").resolve().parent, fsync="off")
    yield server
    server.remove()


@pytest.fixture
def serve(certificates: Certificates) -> Iterator[Serve]:
    """Starts scripted servers; their scripts end with the test."""
    serving = Serve(certificates)
    yield serving
    serving.close()


@pytest.fixture
def client(serve: Serve) -> Client:
    """A client for scripted servers."""
    return Client(serve)


@pytest.fixture(scope="session")
def chromium() -> Path:
    """Debian's Chromium."""
    return need("chromium")


@pytest.fixture
def campaign_for(tmp_path: Path) -> Iterator[Callable[..., CampaignFolder]]:
    """Make a campaign folder for a server, with changes to its campaign.yaml."""
    made: list[CampaignFolder] = []

    def make(server: Postfix | Exim, **changes: Any) -> CampaignFolder:
        folder = tmp_path / f"campaign{len(made) or ''}"
        folder.mkdir()
        made.append(CampaignFolder(folder, server, **changes))
        return made[-1]

    yield make
    for folder in made:
        folder.close()
