"""Read a secret from its source: an environment variable, a command or a file, never the campaign file."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

from campaign.errors import Problem, UserError
from campaign.wording import shown, size

MOST_OF_A_SECRET = 10_000  # octets
COMMAND_TIMEOUT = 60.0  # seconds; a password manager may ask for a touch
_SLICE = 0.2  # seconds after which a wait for a command looks whether it is still wanted


@dataclass(frozen=True, slots=True)
class SecretSource:
    """The source of a secret: one of `env`, `command` and `file` is set; the command runs in `folder`.

    `what` is the secret's name in messages: `smtp.password`.
    """

    what: str
    env: str | None = None
    command: tuple[str, ...] | None = field(default=None, repr=False)  # it may contain a secret
    file: Path | None = None
    folder: Path | None = None
    place: Problem | None = field(
        default=None, repr=False, compare=False
    )  # where the campaign file has `key`

    @property
    def key(self) -> str:
        """The key of the campaign file that names the source: `smtp.password_env`."""
        kind = "env" if self.env is not None else "command" if self.command is not None else "file"
        return f"{self.what}_{kind}"

    def read(self, ended: Callable[[], bool] = lambda: False) -> str:
        """Return the secret without its last line break. Raises UserError, which never contains it.

        Once nobody waits for it any more (`ended()`), its command is killed.
        """
        if self.env is not None:
            if (secret := os.environ.get(self.env)) is None:
                raise self._wrong(f"the environment variable {self.env} is not set")
            nothing = f"the environment variable {self.env} is empty"
        elif self.command is not None:
            secret, nothing = self._run(self.command, ended), f"{self.command[0]} prints nothing"
        else:
            secret, nothing = self._read_file(), f"{shown(self.file or Path())} is empty"
        secret = secret.removesuffix("\n").removesuffix("\r")
        if not secret:
            raise self._wrong(nothing)
        return secret

    def absent(self) -> str:
        """Return what is missing so that `read` must fail, or ""; no secret is read, and no command run."""
        if self.env is not None:
            return "" if self.env in os.environ else f"the environment variable {self.env} is not set"
        if self.command is not None:
            program = self.command[0]
            found = (self.folder or Path()) / program if os.sep in program else program
            return "" if shutil.which(found) else f"there is no command {program!r}"
        file = self.file or Path()
        return "" if os.access(file, os.R_OK) else f"{file} cannot be read"

    def _run(self, command: tuple[str, ...], ended: Callable[[], bool]) -> str:
        name = command[0]
        try:
            # The command is the user's own, from their campaign file; it runs without a shell.
            with subprocess.Popen(command, cwd=self.folder, stdout=subprocess.PIPE) as process:  # noqa: S603
                try:
                    said = _said(process, ended)
                except BaseException:
                    process.kill()
                    raise
            if process.returncode != 0:
                raise self._wrong(f"{name} ended with exit code {process.returncode}")
            return said.decode()
        except FileNotFoundError:
            raise self._wrong(f"there is no command {name!r}") from None
        except OSError as error:
            raise self._wrong(f"{name} cannot be run: {error.strerror}") from None
        except subprocess.TimeoutExpired:
            late = f"{name} took longer than {COMMAND_TIMEOUT:g} seconds"
            raise self._wrong(f"{name} was not waited for" if ended() else late) from None
        except UnicodeDecodeError:
            raise self._wrong(f"what {name} prints is not UTF-8") from None

    def _read_file(self) -> str:
        try:
            if self.file is None:
                return ""
            with self.file.open("rb") as file:  # a pipe too, from a password manager
                octets = file.read(MOST_OF_A_SECRET + 1)
            if len(octets) > MOST_OF_A_SECRET:
                most = size(MOST_OF_A_SECRET)
                raise self._wrong(f"{shown(self.file)} has more than {most}, too much for a secret")
            return octets.decode()
        except OSError as error:
            raise self._wrong(f"{shown(self.file or Path())}: {error.strerror}") from None
        except UnicodeDecodeError:
            raise self._wrong(f"{shown(self.file or Path())} is not UTF-8") from None

    def _wrong(self, what: str) -> UserError:
        return UserError(replace(self.place or Problem("", path=self.key), message=what))


def _said(process: subprocess.Popen[bytes], ended: Callable[[], bool]) -> bytes:
    """Return all that a process prints. Raises TimeoutExpired after the timeout, or once it has `ended`."""
    deadline = time.monotonic() + COMMAND_TIMEOUT
    while True:
        try:
            return process.communicate(timeout=_SLICE)[0]
        except subprocess.TimeoutExpired:
            if ended() or time.monotonic() > deadline:
                raise
