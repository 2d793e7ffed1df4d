"""The exit codes of all commands; README explains them."""

from __future__ import annotations

OK = 0
BUG = 1
USAGE = 2
REFUSED = 3
DOUBT = 4
UNFINISHED = 5
DISCONNECTED = 6
HELD = 7
TRY_AGAIN = 75  # sysexits.h, EX_TEMPFAIL: a mail server keeps the mail, and tries again
INTERRUPTED = 130
