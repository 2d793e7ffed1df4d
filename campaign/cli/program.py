"""Run commands, and turn errors into messages and exit codes.

Each command is a module with its name in `commands/`, with a click `command` whose function returns the
exit code. `main` is the only place that handles all errors: a user's mistake becomes messages and exit code
2, a server that cannot be reached 6, a bug 1 with its traceback. Modules are imported when their command
runs, so that `campaign --help` answers at once.
"""

from __future__ import annotations

import contextlib
import errno
import gc
import io
import os
import sys
from importlib import import_module
from pathlib import Path

import click

from campaign import __version__
from campaign.cli.codes import BUG, DISCONNECTED, HELD, INTERRUPTED, OK, TRY_AGAIN, UNFINISHED, USAGE
from campaign.cli.following import ALL, FOLLOWING
from campaign.cli.groups import WholeLines
from campaign.cli.output import echo, echo_error, is_stuck, say, silence
from campaign.cli.signals import end_by_signals, heard
from campaign.errors import (
    BrokenOff,
    ConnectFailed,
    LeaseHeld,
    LeaseLost,
    LedgerAway,
    LedgerGivenUp,
    UserError,
)

_COLLECTED_AFTER = 100_000  # objects
_CODES = {LeaseHeld: HELD, LedgerAway: DISCONNECTED}  # user errors that have a code other than 2
_LOCALE = sys.getfilesystemencoding()  # that of the names of files
_UNWRITABLE = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO}

# In the order in which users need them.
COMMANDS = {
    "init": "Create a working campaign to edit.",
    "check": "Check everything that can be known before sending.",
    "preview": "Show real messages of real recipients.",
    "test": "Send the real message of a row to yourself.",
    "rehearse": "Run the whole campaign over real SMTP and TLS, on this machine.",
    "send": "Send the campaign, or resume it.",
    "work": "Send what `send` has started, together with other workers.",
    "stop": "Stop the workers that send a campaign.",
    "workers": "Show which workers send a campaign.",
    "status": "Show where the campaign stands.",
    "export": "Write rows by status as a CSV.",
    "bounces": "Read what came back: bounces, complaints, unsubscribes.",
    "resolve": "Settle what is in doubt.",
    "suppress": "Manage the list of addresses that get nothing.",
    "backup": "Write a consistent copy of the ledger, even during a send.",
    "unsubscribe-server": "Serve the unsubscribe page, for a small site.",
    "forget": "Remove a person's data from the ledger.",
    "report": "Write a page about what happened.",
    "schema": "Print the JSON Schema of the campaign file.",
    "guide": "Show the documentation that comes with the program.",
}


_VERSION = (
    "%(prog)s, version %(version)s\n`campaign -h` shows the commands, `campaign guide changes` what is new."
)


class _Commands(WholeLines):
    """A group that imports its commands on demand."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = import_module(f"campaign.cli.commands.{cmd_name.replace('-', '_')}").command
        command.epilog = FOLLOWING[cmd_name]
        if isinstance(command, click.Group):
            for name, inner in command.commands.items():
                inner.epilog = FOLLOWING[f"{cmd_name} {name}"]
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as error:
            import difflib

            near = difflib.get_close_matches(args[0], COMMANDS, 1)
            hint = f" Did you mean {near[0]!r}?" if near else ""
            raise click.UsageError(f"{error.message}{hint}", ctx) from None

    def line(self, ctx: click.Context, name: str) -> str:
        return COMMANDS[name]


@click.group(cls=_Commands, epilog=ALL, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="campaign", message=_VERSION)
def cli() -> None:
    """Mail for a list of people: once each, on time, and looking right."""


def main(arguments: list[str] | None = None) -> int:
    """Run a command and return its exit code (README has the table)."""
    given = sys.argv[1:] if arguments is None else arguments
    try:
        code = _run(given)
    except KeyboardInterrupt:  # another signal, while the last messages were written
        silence(sys.stdout)
        silence(sys.stderr)
        code = INTERRUPTED
    # With any other code a mail server would consider the mail undeliverable, and it would be lost.
    return TRY_AGAIN if code != OK and given[:1] == ["bounces"] and "-" in given else code


def _run(given: list[str]) -> int:
    # Garbage collections while modules load find nothing, and took a twentieth of the time of `check`.
    gc.set_threshold(_COLLECTED_AFTER)
    if sys.stdin is None:  # it was closed before we started
        sys.stdin = Path(os.devnull).open(encoding="utf-8")  # noqa: SIM115
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, Path(os.devnull).open("w", encoding="utf-8"))  # noqa: SIM115
        elif isinstance(stream, io.TextIOWrapper):  # the terminal's encoding may lack characters of names
            stream.reconfigure(errors="backslashreplace")
    try:
        # SIGTERM and SIGHUP end a command as Ctrl-C does: what is open is closed, and the exit code is 130.
        with contextlib.suppress(ValueError):  # not in the main thread
            end_by_signals()
        with heard():
            code = cli.main(given, prog_name="campaign", standalone_mode=False)
        sys.stdout.flush()
        return code if isinstance(code, int) else 0
    except click.exceptions.Exit as done:
        return done.exit_code
    except click.ClickException as error:
        echo_error(error)
        return USAGE
    except (click.Abort, KeyboardInterrupt, LedgerGivenUp):
        silence(sys.stdout)  # at exit, Python would flush the rest, and might wait for the reader
        if is_stuck(sys.stderr):
            silence(sys.stderr)
        echo("interrupted", err=True)
        return INTERRUPTED
    except UserError as error:
        for problem in error.problems:
            say(problem)
        return _CODES.get(type(error), USAGE)
    except ConnectFailed as error:
        echo(f"error: {error}", err=True)
        return DISCONNECTED
    except (LeaseLost, BrokenOff) as error:
        echo(f"error: {error}", err=True)
        return UNFINISHED
    except (BrokenPipeError, SystemExit):  # `campaign status | head`: click raises SystemExit
        silence(sys.stdout)
        return 0
    except Exception as error:
        if isinstance(error, OSError) and error.errno in _UNWRITABLE:
            silence(sys.stdout)
            echo(f"error: {error.filename or 'the output'} cannot be written: {error.strerror}", err=True)
            return USAGE
        if isinstance(error, FileNotFoundError) and not _stands_somewhere():
            echo("error: the working directory was removed; change to another one", err=True)
            return USAGE
        if isinstance(error, FileNotFoundError) and not _has_temporary_folder():
            echo(f"error: {error.strerror}: make room there, or name another folder in TMPDIR", err=True)
            return USAGE
        if isinstance(error, UnicodeEncodeError) and error.encoding == _LOCALE != "utf-8":
            named = f"the locale's encoding ({_LOCALE}) cannot express the name of a file, {error.object!r}"
            echo(f"error: {named}; set PYTHONUTF8=1, or a UTF-8 locale: LC_ALL=C.UTF-8", err=True)
            return USAGE
        if what := _lacking(error):
            echo(f"error: this machine lets the program {what}; raise the limit", err=True)
            return UNFINISHED if given[:1] in (["send"], ["work"]) else USAGE
        import traceback

        echo(traceback.format_exc().rstrip(), err=True)
        echo("This is a bug in campaign, not a mistake of yours. Nothing is lost: the ledger", err=True)
        echo("knows what was sent, and `campaign status` shows it.", err=True)
        return BUG


def _lacking(error: Exception) -> str:
    """Return what a limit of the user, the container or the service denies us; "" for other errors."""
    if isinstance(error, MemoryError) or (isinstance(error, OSError) and error.errno == errno.ENOMEM):
        return "have no more memory (`ulimit -v`, or that of a container or a service)"
    if isinstance(error, OSError) and error.errno in (errno.EMFILE, errno.ENFILE):
        return "open no more files (`ulimit -n`)"
    is_fork = isinstance(error, BlockingIOError) and error.filename is None
    if is_fork or (isinstance(error, RuntimeError) and "can't start new thread" in str(error)):
        return "start no more processes and threads (`ulimit -u`, or that of a container or a service)"
    return ""


def _has_temporary_folder() -> bool:
    """Whether there is a folder for temporary files."""
    import tempfile

    try:
        tempfile.gettempdir()
    except FileNotFoundError:
        return False
    return True


def _stands_somewhere() -> bool:
    """Whether the working directory exists; paths are relative to it."""
    try:
        Path.cwd()
    except FileNotFoundError:
        return False
    return True
