"""How a group of commands is shown in its help."""

from __future__ import annotations

import click


class WholeLines(click.Group):
    """A group in whose help each command has its whole first line: click cuts it at 80 columns."""

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write a line for each command, in the order of `list_commands`."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, self.line(ctx, name)) for name in self.list_commands(ctx)])

    def line(self, ctx: click.Context, name: str) -> str:
        """Return a command's line."""
        command = self.get_command(ctx, name)
        return command.get_short_help_str(limit=1000) if command is not None else ""
