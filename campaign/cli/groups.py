"""Show a group of commands in its help."""

from __future__ import annotations

import click


class WholeLines(click.Group):
    """A group whose help has the complete line of each command; click would cut it at 80 columns."""

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write a line for each command, in the order of `list_commands`."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, self.line(ctx, name)) for name in self.list_commands(ctx)])

    def line(self, ctx: click.Context, name: str) -> str:
        """Return the help line of a command."""
        command = self.get_command(ctx, name)
        return command.get_short_help_str(limit=1000) if command is not None else ""
