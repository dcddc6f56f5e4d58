"""Runs the benchmarks one after the other and writes one table: `python -m benchmarks.table [--quick] [NAME ...]`."""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

MODULES: dict[str, tuple[str, ...]] = {
    "incremental_inference": (),
    "scaling": (),
    "distillation_step": (),
    "end_to_end": ("--seconds=15", "--scale=0.2"),
    "freshness": ("--seconds=10", "--scale=0.2"),
    "post_events": ("--seconds=1", "--rounds=3"),
    "get_predict": ("--seconds=2", "--rounds=2", "--scale=0.2"),
    "publication": (),
    "memory": ("--seconds=15", "--scale=0.1"),
    "checkpoint_pause": ("--scale=0.2",),
    "start": ("--rounds=1", "--scale=0.2"),
}
"""Each with its options for a quick look; without them it measures what the targets speak of."""
RESULTS = Path(__file__).parent / "RESULTS.md"


def main() -> None:
    """Run, print, write; the exit status says whether every benchmark ran, not whether targets were met."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(MODULES)}; all without one")
    parser.add_argument("--quick", action="store_true", help="smaller and shorter; RESULTS.md stays as it is")
    given = parser.parse_args()
    if unknown := set(given.names) - set(MODULES):
        parser.error(f"there is no benchmark {', '.join(sorted(unknown))}")
    found = {name: _run(name, MODULES[name] if given.quick else ()) for name in given.names or MODULES}
    table = _table(found)
    print(f"\n{table}")
    if not given.quick and not given.names:
        RESULTS.write_text(f"# Results\n\n{measured_where('make bench')}\n\n{table}")
    sys.exit(any(line is None for line in found.values()))


def _run(name: str, options: tuple[str, ...]) -> dict[str, Any] | None:
    """The last line of a benchmark's output, which otherwise goes to the terminal; None where it failed."""
    print(f"== {name} {' '.join(options)}", flush=True)
    command = [sys.executable, "-m", f"benchmarks.{name}", *options]
    last = ""
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None, "it is a pipe"
        for line in process.stdout:
            print(line, end="", flush=True)
            last = line
    if process.returncode:
        return None
    line = json.loads(last)
    assert isinstance(line, dict), "a benchmark's last line is an object"
    return line


def _table(found: dict[str, dict[str, Any] | None]) -> str:
    """Every result in a row of its own, those with a target first."""
    rows = ["| benchmark | what | result | target | met |", "|---|---|---:|---:|---|"]
    for name, line in found.items():
        if line is None:
            rows.append(f"| {name} | | it failed | | no |")
            continue
        target = line["target"]
        wanted = {
            what: (sign, bound)
            for sign, bounds in (("≥", target["at_least"]), ("≤", target["at_most"]))
            for what, bound in bounds.items()
        }
        for what, value in sorted(line["results"].items(), key=lambda item: item[0] not in wanted):
            sign, bound = wanted.get(what, ("", None))
            met = "" if bound is None else "yes" if (value >= bound if sign == "≥" else value <= bound) else "no"
            shown = "" if bound is None else f"{sign} {_text(bound)}"
            rows.append(f"| {name} | {what} | {_text(value)} | {shown} | {met} |")
    return "\n".join(rows) + "\n"


def _text(value: object) -> str:
    if isinstance(value, float) and abs(value) >= 100:
        return f"{value:,.0f}"
    if isinstance(value, float):
        return f"{value:.3g}"
    return f"{value:,}" if isinstance(value, int) else str(value)


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
        f"{datetime.now(UTC):%Y-%m-%d}, {os.cpu_count()} cores of {cpu}, "
        f"{platform.system()}, Python {platform.python_version()}"
    )


if __name__ == "__main__":
    main()
