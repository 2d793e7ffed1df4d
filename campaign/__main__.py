"""The process: `campaign`, and `python -m campaign`.

From its first moment to its last, a signal leads to an exit code, and not to a traceback or a silent death.
"""

import signal
import sys

_NUMBERS = [signal.Signals[name] for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]


def _ignore() -> None:
    for number in _NUMBERS:  # Python drops our handlers some time before the process has ended
        signal.signal(number, signal.SIG_IGN)


def main() -> int:
    """Run the command that the arguments name, and return the exit code of the process."""
    if sys.platform != "win32":  # until the program is loaded, and lets them through
        signal.pthread_sigmask(signal.SIG_BLOCK, _NUMBERS)
    from campaign.cli import INTERRUPTED
    from campaign.cli import main as run

    code = INTERRUPTED
    try:
        code = run()
        _ignore()
    except KeyboardInterrupt:  # just when it had ended
        _ignore()
    return code


if __name__ == "__main__":
    sys.exit(main())
