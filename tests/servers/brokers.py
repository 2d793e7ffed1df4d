"""Private brokers for Celery on loopback: RabbitMQ and Redis, each in a folder of its own."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from kombu import Connection, Queue

from tests.need import need


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


class Redis:
    """A Redis that keeps nothing."""

    def __init__(self) -> None:
        self._program = need("redis-server")
        self.port = _free_port()
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self.start()

    def start(self) -> None:
        """Start it, and wait until it answers."""
        arguments = ["--port", str(self.port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
        self._process = subprocess.Popen(
            [str(self._program), *arguments], stdout=subprocess.DEVNULL, cwd="/tmp"
        )
        _wait(self.port)

    def kill(self) -> None:
        """kill -9."""
        self._process.kill()
        self._process.wait()

    def queued(self) -> int:
        """Return how many drains wait."""
        return _queued(self.url)

    def purge(self) -> None:
        """Lose all that is queued, and that there was a queue."""
        with socket.create_connection(("127.0.0.1", self.port)) as connection:
            connection.sendall(b"FLUSHALL\r\n")
            assert connection.recv(16).startswith(b"+OK")

    def remove(self) -> None:
        """Stop it for good."""
        self.kill()


class RabbitMQ:
    """A RabbitMQ with its own node, port mapper and cookie."""

    def __init__(self) -> None:
        self._program = need("rabbitmq-server")
        self.folder = Path(tempfile.mkdtemp(prefix="rabbit-"))
        self.port = _free_port()
        self.url = f"amqp://guest:guest@127.0.0.1:{self.port}//"
        (self.folder / "plugins").write_text("[].\n")
        (self.folder / "rabbitmq.conf").write_text(
            f"listeners.tcp.1 = 127.0.0.1:{self.port}\nlog.console.level = warning\n"
        )
        if os.geteuid() == 0:
            for path in (self.folder, *self.folder.iterdir()):
                shutil.chown(path, "nobody", "nogroup")
        self._environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(self.folder),
            "RABBITMQ_NODENAME": f"campaign{self.port}@localhost",
            "RABBITMQ_MNESIA_BASE": str(self.folder / "mnesia"),
            "RABBITMQ_LOG_BASE": str(self.folder / "log"),
            "RABBITMQ_LOGS": "-",
            "RABBITMQ_CONFIG_FILE": str(self.folder / "rabbitmq.conf"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(self.folder / "plugins"),
            "RABBITMQ_CONF_ENV_FILE": str(self.folder / "none"),
            "RABBITMQ_DIST_PORT": str(_free_port()),
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "-kernel inet_dist_use_interface {127,0,0,1}",
            "ERL_EPMD_PORT": str(_free_port()),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "LANG": "C.UTF-8",
        }
        self.start()

    def start(self) -> None:
        """Start it, and wait until it answers."""
        unprivileged = ["setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups"]
        script = Path("/usr/lib/rabbitmq/bin/rabbitmq-server")
        with (self.folder / "said").open("a") as said:
            self._process = subprocess.Popen(
                [*(unprivileged if os.geteuid() == 0 else []), str(script)],
                env=self._environment,
                cwd=self.folder,
                stdout=said,
                stderr=said,
                start_new_session=True,
            )
        _wait(self.port, 90)

    def kill(self) -> None:
        """kill -9, all of it but the port mapper."""
        _kill_session(self._process)

    def queued(self) -> int:
        """Return how many drains wait."""
        return _queued(self.url)

    def purge(self) -> None:
        """Lose all that is queued, and that there was a queue."""
        with Connection(self.url) as connection:
            Queue("campaign")(connection.default_channel).delete()

    def remove(self) -> None:
        """Stop it for good, its port mapper too."""
        self.kill()
        for process in Path("/proc").glob("[0-9]*"):
            try:
                environment = (process / "environ").read_bytes()
            except OSError:
                continue
            if f"HOME={self.folder}\0".encode() in environment:
                os.kill(int(process.name), 9)
        shutil.rmtree(self.folder, ignore_errors=True)


def _queued(url: str) -> int:
    with Connection(url) as connection:
        try:
            queue: Any = Queue("campaign")(connection.default_channel)
            return int(queue.queue_declare(passive=True).message_count)
        except connection.channel_errors:  # there is no queue yet
            return 0


def _kill_session(process: subprocess.Popen[bytes]) -> None:
    with suppress(ProcessLookupError):
        os.killpg(process.pid, 9)
    process.wait()


def _wait(port: int, seconds: float = 30) -> None:
    until = time.monotonic() + seconds
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            assert time.monotonic() < until, f"nothing listens on port {port}"
            time.sleep(0.1)
