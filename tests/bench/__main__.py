"""`python -m tests.bench [--quick] [--rows N,N] [--rounds N] [--json] [WORKLOAD ...]`: campaign and peers.

Needs Debian's postfix and the extra `bench`. It measures, and judges nothing: figures are ratios of
medians in one run, and mean something only beside their workload.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterator

from tests.bench import table
from tests.bench.place import Place, opened
from tests.bench.turns import Comparison
from tests.bench.workloads import commands, rows, sends, stages, workers

WORKLOADS: dict[str, Callable[[Place], Iterator[Comparison]]] = {
    "stages": stages.stages,
    "sends": sends.sends,
    "windows": sends.windows,
    "attachments": sends.attachments,
    "rows": rows.rows,
    "whole": rows.whole,
    "resume": rows.resume,
    "start": commands.start,
    "ledger": commands.ledger,
    "workers": workers.workers,
}


def main() -> None:
    """Run the workloads that are named, or all."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("workloads", nargs="*", metavar="WORKLOAD", help=", ".join(WORKLOADS))
    parser.add_argument("--quick", action="store_true", help="a look at everything, in two minutes")
    parser.add_argument(
        "--rows", default="", help="sizes of the long lists: 10000,100000 (1000 with --quick)"
    )
    parser.add_argument("--rounds", type=int, help="turns that each takes: 3 (1 with --quick)")
    parser.add_argument("--json", action="store_true", help="one JSON document, in place of tables")
    wanted = parser.parse_args()
    unknown = [name for name in wanted.workloads if name not in WORKLOADS]
    if unknown:
        parser.error(f"unknown: {', '.join(unknown)}; there are {', '.join(WORKLOADS)}")
    found: list[Comparison] = []
    sizes = tuple(map(int, (wanted.rows or ("1000" if wanted.quick else "10000,100000")).split(",")))
    rounds = wanted.rounds or (1 if wanted.quick else 3)
    if not wanted.json:
        print(json.dumps(table.machine(), indent=1))
    with opened(quick=wanted.quick, sizes=sizes, rounds=rounds) as place:
        for name in wanted.workloads or WORKLOADS:
            for comparison in WORKLOADS[name](place):
                found.append(comparison)
                if not wanted.json:
                    print("\n".join(table.lines(comparison)), flush=True)
    if wanted.json:
        one = {"machine": table.machine(), "comparisons": list(map(table.machine_readable, found))}
        json.dump(one, sys.stdout, indent=1)


if __name__ == "__main__":
    main()
