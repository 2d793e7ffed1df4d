"""What was measured, as tables for a terminal or as JSON."""

from __future__ import annotations

import platform
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from tests.bench.turns import Comparison, Figures

PACKAGES = ("campaign", "Jinja2", "mailmerge", "redmail", "yagmail", "emails", "aiosmtplib")


def machine() -> dict[str, Any]:
    """Return what the figures depend on besides the workload."""
    import os

    versions: dict[str, str] = {}
    for package in PACKAGES:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            versions[package] = "not installed"
    return {
        "system": platform.platform(),
        "python": platform.python_version(),
        "processors": os.cpu_count(),
        "load": round(os.getloadavg()[0], 1),
        "versions": versions,
    }


def lines(comparison: Comparison) -> Iterable[str]:
    """Yield a comparison as a table: what each costs, and how many times ours that is."""
    ours = comparison.figures[0]
    yield ""
    yield f"{comparison.workload} ({ours.rounds} rounds)"
    if comparison.wanted:
        yield f"  wanted: {comparison.wanted}"
    memory = any(one.peak for one in comparison.figures)
    yield f"  {'':42}{'in a run':>10}{'wall':>12}{'processor':>12}{'wall':>8}{'cpu':>8}" + (
        f"{'memory':>10}" if memory else ""
    )
    for one in comparison.figures:
        ratios = ("", "")
        if one is not ours:
            ratios = (f"x{comparison.wall_ratio(one):.2f}", f"x{comparison.processor_ratio(one):.2f}")
        yield (
            f"  {one.name:42}{one.count:>10,}{_time(one.wall):>12}{_time(one.processor):>12}"
            f"{ratios[0]:>8}{ratios[1]:>8}" + (f"{one.peak / 1e6:>7.0f} MB" if memory else "")
        )
    for note in comparison.notes:
        yield f"  {note}"


def _time(seconds: float) -> str:
    if seconds < 1e-5:
        return f"{seconds * 1e6:.2f} us"
    if seconds < 0.1:
        return f"{seconds * 1e6:,.0f} us"
    return f"{seconds:,.2f} s"


def machine_readable(comparison: Comparison) -> dict[str, Any]:
    """Return a comparison as JSON: seconds for each, octets, and ratios to the first."""
    return {
        "workload": comparison.workload,
        "wanted": comparison.wanted,
        "notes": comparison.notes,
        "figures": [_figure(comparison, one) for one in comparison.figures],
    }


def _figure(comparison: Comparison, one: Figures) -> dict[str, Any]:
    return {
        "name": one.name,
        "count": one.count,
        "rounds": one.rounds,
        "wall": one.wall,
        "processor": one.processor,
        "memory": one.peak,
        "wall_ratio": comparison.wall_ratio(one),
        "processor_ratio": comparison.processor_ratio(one),
    }
