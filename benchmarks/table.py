"""Run the benchmarks and write one table: `python -m benchmarks.table [--quick] [--against REV] [NAME ...]`.

First what a user meets, from outside, then single parts in their own process. With ``--against`` both are measured
for another commit too, in turns: from outside with the same clients, in process with the modules of that commit.
"""

from __future__ import annotations

import argparse
import platform
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from os import cpu_count
from pathlib import Path

from benchmarks import inside
from benchmarks.outside.freshness import flatness
from benchmarks.outside.render import lines as outside_lines
from benchmarks.outside.rows import QUICK, Plan
from benchmarks.outside.run import measure
from benchmarks.outside.scenes import SIZES, scenes
from benchmarks.outside.tree import Tree, this_tree, tree_of

RESULTS = Path(__file__).parent / "RESULTS.md"
QUICK_ROUNDS_AGAINST = 3
"""Of each row in a quick comparison: fewer have no spread."""


def main() -> None:
    """Run, print, write; the exit status says whether every benchmark ran, not whether targets were met."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help="of rows or modules (--list); all without one")
    parser.add_argument("--quick", action="store_true", help="smaller and shorter; RESULTS.md stays as it is")
    parser.add_argument("--against", metavar="REV", help="another commit, measured in turns with this tree")
    parser.add_argument("--list", action="store_true", help="print the names and end")
    given = parser.parse_args()
    plan = QUICK if given.quick else Plan()
    known = [row.name for scene in scenes(plan) for row in scene.rows] + [*inside.MODULES]
    if given.list:
        print("\n".join(known))
        return
    if unknown := set(given.names) - set(known):
        parser.error(f"there is no benchmark {', '.join(sorted(unknown))}")
    trees = [this_tree(), *([tree_of(given.against)] if given.against else [])]
    if given.quick and given.against:
        plan = replace(plan, rounds=QUICK_ROUNDS_AGAINST)
    table, complete = _measured(plan, trees, given.names)
    print(f"\n{table}")
    if not given.quick and not given.names:
        RESULTS.write_text(f"# Results\n\n{measured_where(_command(given.against))}\n\n{table}")
    sys.exit(not complete)


def _measured(plan: Plan, trees: Sequence[Tree], names: Sequence[str]) -> tuple[str, bool]:
    """Both tables, and whether every benchmark of this tree ran."""
    rows = [row for scene in scenes(plan) for row in measure(scene, trees, plan, names)]
    rows += flatness(rows, SIZES)
    parts = inside.measure(trees, names, quick=plan.quick)
    other = trees[1].name if len(trees) > 1 else None
    table = (
        "## From outside\n\n`olad up`, HTTP only, every process on this machine. A figure is the median of its rounds, "
        "with the least and the greatest where there are several.\n\n"
        + "\n".join(outside_lines(rows, other, with_targets=not plan.quick))
        + "\n\n## In process\n\n"
        + "\n".join(inside.lines(parts, other))
        + "\n"
    )
    complete = all(figures is not None for row in rows for figures in row.rounds["this"])
    return table, complete and all(results["this"] is not None for results in parts.values())


def _command(against: str | None) -> str:
    return f"make bench ARGS='--against {against}'" if against else "make bench"


def commit() -> str:
    """Of the code that measures; ``-dirty`` where it has been changed since, ``unknown`` without git."""
    if not shutil.which("git"):
        return "unknown"
    described = subprocess.run(
        ["git", "describe", "--always", "--dirty", "--abbrev=12"],
        capture_output=True,
        text=True,
        check=False,
        cwd=RESULTS.parent,
    )
    return described.stdout.strip() or "unknown"


def measured_where(command: str) -> str:
    """Commit, day and machine, and the command that measured."""
    return f"Commit {commit()}, {machine()}. Made by `{command}`."


def machine() -> str:
    """Day and machine."""
    cpuinfo = Path("/proc/cpuinfo")
    models = (
        [line for line in cpuinfo.read_text().splitlines() if line.startswith("model name")] if cpuinfo.exists() else []
    )
    cpu = models[0].partition(":")[2].strip() if models else platform.processor()
    return (
        f"{datetime.now(UTC):%Y-%m-%d}, {cpu_count()} cores of {cpu}, "
        f"{platform.system()}, Python {platform.python_version()}"
    )


if __name__ == "__main__":
    main()
