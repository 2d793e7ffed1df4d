"""The command line: arguments, questions, exit codes, signals, progress. It makes no decisions."""

from campaign.cli.codes import INTERRUPTED
from campaign.cli.program import COMMANDS, cli, main

__all__ = ["COMMANDS", "INTERRUPTED", "cli", "main"]
