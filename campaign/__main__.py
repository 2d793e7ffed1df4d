"""Start the program: `campaign`, or `python -m campaign`.

A signal at any moment, even while modules load, ends the process with an exit code and without a traceback.
"""

import signal
import sys

_NUMBERS = [signal.Signals[name] for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]


def _ignore() -> None:
    for number in _NUMBERS:  # Python removes our handlers some time before the process ends
        signal.signal(number, signal.SIG_IGN)


def main() -> int:
    """Run the command that the arguments name, and return the exit code of the process."""
    if sys.platform != "win32":  # `end_by_signals` unblocks them once the program is loaded
        signal.pthread_sigmask(signal.SIG_BLOCK, _NUMBERS)
    from campaign.cli import INTERRUPTED
    from campaign.cli import main as run

    code = INTERRUPTED
    try:
        code = run()
        _ignore()
    except KeyboardInterrupt:  # a signal just after the command had ended
        _ignore()
    return code


if __name__ == "__main__":
    sys.exit(main())
