"""Single parts, each a module that measures in its own process and prints one line of JSON last."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from benchmarks.outside.render import text
from benchmarks.outside.tree import Tree

MODULES: dict[str, tuple[str, ...] | None] = {
    "incremental_inference": ("--rounds=3", "--scale=0.02"),
    "peers": ("--rounds=2", "--scale=0.02"),
    "scaling": None,
    "distillation_step": None,
    "publication": ("--rounds=5",),
    "memory": None,
    "memory_types": None,
    "archive_rate": ("--entries=200",),
    "checkpoint_pause": None,
    "start": None,
}
"""Each with its options for a quick look; None where it takes too long for one."""

Results = dict[str, Any]
"""The last line of a benchmark's output."""


def measure(trees: Sequence[Tree], names: Sequence[str], *, quick: bool) -> dict[str, dict[str, Results | None]]:
    """By module and tree that has it; None where it failed."""
    found: dict[str, dict[str, Results | None]] = {}
    for name, options in MODULES.items():
        if (names and name not in names) or (quick and options is None):
            continue
        found[name] = {
            tree.name: _run(tree, name, (options or ()) if quick else ()) for tree in trees if _has(tree, name)
        }
    return found


def _has(tree: Tree, name: str) -> bool:
    """Whether a tree has a module: this one's may be newer than another commit."""
    return (tree.directory / "benchmarks" / f"{name}.py").exists()


def lines(found: Mapping[str, Mapping[str, Results | None]], other: str | None) -> Iterator[str]:
    """A table with every result in a row of its own, those with a target first."""
    if other is None:
        yield "| benchmark | what | result | target | met |"
        yield "|---|---|---:|---:|---|"
    else:
        yield f"| benchmark | what | result | {other} | ratio | target | met |"
        yield "|---|---|---:|---:|---:|---:|---|"
    for name, results in found.items():
        line = results["this"]
        if line is None:
            yield f"| {name} | | it failed | {'| | ' if other else ''}| no |"
            continue
        target = line["target"]
        wanted = {
            what: (sign, bound)
            for sign, bounds in (("≥", target["at_least"]), ("≤", target["at_most"]))
            for what, bound in bounds.items()
        }
        those = (results.get(other) or {}).get("results", {}) if other else {}
        for what, value in sorted(line["results"].items(), key=lambda item: item[0] not in wanted):
            sign, bound = wanted.get(what, ("", None))
            met = "" if bound is None else "yes" if (value >= bound if sign == "≥" else value <= bound) else "no"
            shown = "" if bound is None else f"{sign} {text(bound)}"
            beside = f"{_beside(value, those.get(what))} | " if other else ""
            yield f"| {name} | {what} | {text(value)} | {beside}{shown} | {met} |"


def _beside(value: object, that: object) -> str:
    """The other tree's value and the ratio, as two cells."""
    if that is None:
        return " | "
    numbers = isinstance(value, (int, float)) and isinstance(that, (int, float)) and that
    return f"{text(that)} | {text(value / that)}" if numbers else f"{text(that)} | "  # type: ignore[operator]


def _run(tree: Tree, name: str, options: tuple[str, ...]) -> Results | None:
    """The last line of a benchmark's output, which otherwise goes to the terminal; None where it failed."""
    print(f"== {tree.name}: {name} {' '.join(options)}", flush=True)
    command = [str(tree.python), "-m", f"benchmarks.{name}", *options]
    last = ""
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=tree.directory) as process:
        assert process.stdout is not None, "it is a pipe"
        for line in process.stdout:
            print(line, end="", flush=True)
            last = line
    if process.returncode:
        return None
    results = json.loads(last)
    assert isinstance(results, dict), "a benchmark's last line is an object"
    return results
