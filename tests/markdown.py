"""Documents whose commands and examples are run: the blocks of a Markdown text, and what runs them."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text("utf-8")
_BLOCK = re.compile(r"^( *)```(\w+)\n(.*?)^\1```$", re.DOTALL | re.MULTILINE)


def blocks(text: str, kind: str) -> list[str]:
    """Return the fenced blocks of one kind, in order."""
    return [found[3] for found in _BLOCK.finditer(text) if found[2] == kind]


def commands(text: str) -> list[str]:
    """Return the commands of the console blocks, in order."""
    return [line.strip() for block in blocks(text, "console") for line in block.splitlines() if line.strip()]


def map_of_rooms(text: str) -> list[list[str]]:
    """Return the rooms of the picture of a text, from the bottom up, each layer from left to right.

    A layer is a line, with the indented ones that follow. Its rooms are the words that end in `/` or `.py`.
    """
    (picture,) = blocks(text, "text")
    layers = re.split(r"\n(?! )", picture.rstrip())
    return [re.findall(r"\b(\w+)(?:/|\.py)", layer) for layer in reversed(layers)]


def shell(command: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run a command as a person does who has this environment's programs in the path."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return subprocess.run(
        ["sh", "-c", command],
        cwd=folder,
        env={**os.environ, "PATH": path},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
    )
