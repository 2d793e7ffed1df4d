"""Runs programs with a file system of their own, which is small or can be made read-only."""

from __future__ import annotations

import json
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
_MOUNT = 'mount -t tmpfs -o "size=$1" tmpfs "$2" && shift 2 && exec "$@"'


def run_on_disk(folder: Path, size: str, program: str, *arguments: str) -> Any:
    """Run a Python program with a disk of `size` mounted on `folder`; return its output, which is JSON.

    The program's `sys.argv[1]` is the folder; the arguments follow. Skips the test if mounting is not
    allowed.
    """
    if not _may_mount():
        pytest.skip("needs root, or user namespaces to mount in: apt-get install util-linux")
    folder.mkdir(exist_ok=True)
    run = subprocess.run(
        [
            *_UNSHARE,
            "sh",
            "-c",
            _MOUNT,
            "sh",
            size,
            folder,
            sys.executable,
            "-c",
            program,
            folder,
            *arguments,
        ],
        capture_output=True,
        text=True,
        cwd=ROOT,
        timeout=300,
    )
    assert run.returncode == 0, run.stderr
    return json.loads(run.stdout)


_UNSHARE = ["unshare", "--map-root-user", "--mount"]


@cache
def _may_mount() -> bool:
    trial = ["sh", "-c", "mount -t tmpfs tmpfs /mnt"]
    try:
        return subprocess.run([*_UNSHARE, *trial], capture_output=True).returncode == 0
    except OSError:
        return False
