"""The command line: arguments, questions, exit codes, signals, progress; nothing is decided here."""

from campaign.cli.program import COMMANDS, cli, main

__all__ = ["COMMANDS", "cli", "main"]
