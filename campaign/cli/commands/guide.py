"""`campaign guide`: show the documentation that comes with the program, `campaign/guide/*.md`.

The first line of a document is its title, and its line in the list of topics: `# topic: description`. The
docstrings of the rules are appended to `checks`.
"""

from __future__ import annotations

import difflib
import re
import textwrap
from pathlib import Path

import click

from campaign.cli.output import echo, page
from campaign.errors import UserError

FOLDER = Path(__file__).parents[2] / "guide"


def topics() -> dict[str, str]:
    """Return each topic with its description, in alphabetical order."""
    return {path.stem: _line(path) for path in sorted(FOLDER.glob("*.md"))}


@click.command("guide")
@click.argument("topic", required=False)
def command(topic: str | None) -> int:
    """Show a document that comes with the program; without TOPIC, list them.

    On a terminal, it is shown in the pager that $PAGER names, or in less or more.
    """
    known = topics()
    if topic is None:
        width = max(map(len, known))
        for name, line in known.items():
            echo(f"{name:{width}}  {line}")
        return 0
    if topic not in known:
        near = difflib.get_close_matches(topic.lower(), known, 1)
        hint = f"did you mean {near[0]!r}? " if near else ""
        raise UserError(f"there is no topic {topic!r}; {hint}the topics are {', '.join(known)}")
    text = (FOLDER / f"{topic}.md").read_text("utf-8")
    page(text + _rules() if topic == "checks" else text)
    return 0


def _rules() -> str:
    """Return the docstring of each rule of `check`."""
    from campaign.campaignfile.rulenames import RULES
    from campaign.checks.running import documentation

    return "".join(f"\n## {name}\n\n{_wrapped(documentation(name))}\n" for name in RULES)


def _wrapped(text: str) -> str:
    """Return paragraphs and lists, wrapped to the width of the documents."""
    pieces: list[str] = []
    for paragraph in text.strip().split("\n\n"):
        for piece in re.split(r"\n(?=- )", paragraph):
            words = " ".join(piece.split())
            after = "  " if words.startswith("- ") else ""
            lines = textwrap.wrap(words, 79, subsequent_indent=after, break_on_hyphens=False)
            pieces.append("\n".join(lines) + "\n")
        pieces[-1] += "\n"
    return "".join(pieces).rstrip("\n")


def _line(path: Path) -> str:
    with path.open(encoding="utf-8") as lines:
        return lines.readline().partition(": ")[2].strip()
