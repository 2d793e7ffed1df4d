"""Where everything runs: a temporary folder, the server, what all commands have in their environment."""

from __future__ import annotations

import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

from tests.bench import newsletter
from tests.bench.peers.job import HOST, PASSWORD, USER
from tests.bench.server import Discarding

ROOT = Path(__file__).parents[2]
PYTHON = [sys.executable]
CAMPAIGN = [sys.executable, "-m", "campaign"]
BESIDE = Path(sys.executable).parent  # where pip puts the commands of packages


@dataclass(frozen=True, slots=True)
class Place:
    """`quick` is a look at everything, in two minutes; `sizes` are those of the long lists.

    Turns are taken `rounds` times where one does not take minutes.
    """

    folder: Path
    server: Discarding
    quick: bool = False
    sizes: tuple[int, ...] = ()
    rounds: int = 3
    _names: Iterator[int] = field(default_factory=count)

    @property
    def env(self) -> dict[str, str]:
        """What a command needs to reach the server, and a peer to be found."""
        return {
            "HOME": str(self.folder),
            "SMTP_PASSWORD": PASSWORD,
            "SSL_CERT_FILE": str(self.server.ca_file),
            "PYTHONPATH": str(ROOT),
            "PYTHONDONTWRITEBYTECODE": "",  # modules are compiled once, as they are where pip installs them
        }

    def new_folder(self) -> Path:
        """Return a new folder."""
        folder = self.folder / f"folder{next(self._names)}"
        folder.mkdir()
        return folder

    def newsletter(
        self,
        people: int,
        *,
        port: int = 0,
        connections: int = 1,
        style: bool = True,
        attachment: bytes = b"",
        window: int = 1,
    ) -> Path:
        """Return a new folder with the newsletter, for a server or what stands before it at `port`.

        All messages of a connection go over one session, as those of the peers do.
        """
        folder = self.new_folder()
        newsletter.write(
            folder,
            people,
            style=style,
            attachment=attachment,
            host=HOST,
            port=port or self.server.port,
            username=USER,
            password_env="SMTP_PASSWORD",
            ca_file=str(self.server.ca_file),
            connections=connections,
            messages_per_session=people,
            window=window,
        )
        return folder


@contextmanager
def opened(*, quick: bool, sizes: tuple[int, ...], rounds: int) -> Iterator[Place]:
    """Make a place with its server, and take both away again."""
    folder = Path(tempfile.mkdtemp(prefix="campaign-bench-"))
    (folder / "certificates").mkdir()
    server = Discarding(folder / "certificates", USER, PASSWORD)
    try:
        yield Place(folder, server, quick, sizes, rounds)
    finally:
        server.close()
        shutil.rmtree(folder, ignore_errors=True)
