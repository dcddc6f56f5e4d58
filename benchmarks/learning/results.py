"""Files of results: a line of JSON a run, compressed where the name ends in `.xz`; and the running of those missing."""

from __future__ import annotations

import json
import lzma
from collections import defaultdict
from collections.abc import Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from benchmarks.learning.run import Run, play
from benchmarks.learning.streams import STREAMS
from benchmarks.table import commit

Line = dict[str, Any]

MUCH_CHEAPER = {"vote": 0.05, "alone": 0.4, "regression": 0.5, "plain": 0.5}
"""Costs of methods, by the start of their name, as shares of a group's: for the first estimate."""


def read(path: Path) -> list[Line]:
    """Every line; the last one of those with the same key."""
    if not path.exists():
        return []
    text = lzma.decompress(path.read_bytes()).decode() if is_archive(path) else path.read_text()
    lines = [json.loads(line) for line in text.splitlines() if line.strip()]
    return list({line["key"]: line for line in lines}.values())


def is_archive(path: Path) -> bool:
    """Whether the file is compressed: it is written at once, never added to."""
    return path.suffix == ".xz"


def archive(lines: Iterable[Line], path: Path) -> None:
    """Make a compressed file of these lines; the same lines give the same bytes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(lzma.compress("".join(map(_text, lines)).encode(), preset=9 | lzma.PRESET_EXTREME))


def carry_out(
    runs: Sequence[Run], path: Path, *, jobs: int = 1, device: str = "cpu", again: bool = False
) -> list[Line]:
    """Carry out the runs that the file does not hold, appending each as it ends; returns the lines of all ``runs``.

    Each line says which ``commit`` it was learned on.

    Args:
        runs: what is wanted.
        path: the file.
        jobs: runs at a time, each in a process with one thread.
        device: where they compute.
        again: whether to carry out those that the file holds, too.
    """
    held = {line["key"] for line in read(path)}
    missing = [run for run in runs if again or run.key not in held]
    print(f"{len(runs)} runs, {len(runs) - len(missing)} there already: {estimate(missing, read(path), jobs)}")
    path.parent.mkdir(parents=True, exist_ok=True)
    code = commit()
    with path.open("a") as file:
        for line in _played(missing, jobs, device):
            file.write(_text(line | {"commit": code}))
            file.flush()
    wanted = {run.key for run in runs}
    return [line for line in read(path) if line["key"] in wanted]


def _text(line: Line) -> str:
    return json.dumps(_rounded(line), separators=(",", ":")) + "\n"


def _rounded(value: Any) -> Any:
    """Its floats, however deep, with the digits that mean anything."""
    if isinstance(value, float):
        return float(f"{value:.5g}")
    if isinstance(value, dict):
        return {name: _rounded(part) for name, part in value.items()}
    return list(map(_rounded, value)) if isinstance(value, (list, tuple)) else value


def estimate(runs: Iterable[Run], known: Iterable[Line], jobs: int) -> str:
    """About how long the runs take, from those of the same kind that are known."""
    seconds: defaultdict[tuple[object, ...], list[float]] = defaultdict(list)
    for line in known:
        seconds[line["stream"], line["method"], line["steps"], line["size"]].append(line["seconds"])
    total = 0.0
    for run in runs:
        like = seconds.get((run.stream, run.method, run.steps, run.size))
        spec = STREAMS[run.stream]
        guess = spec.seconds * MUCH_CHEAPER.get(run.method.split("-")[0], 1.0) * run.steps / spec.steps
        total += sum(like) / len(like) if like else guess
    return f"about {total / jobs / 60:.1f} minutes on {jobs} core(s)"


def _played(runs: Sequence[Run], jobs: int, device: str) -> Iterable[Line]:
    columns = (
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn()
    )  # fmt: skip
    with Progress(*columns) as progress:
        bar = progress.add_task("runs", total=len(runs))
        if jobs == 1:
            for run in runs:
                progress.update(bar, description=f"{run.stream} {run.method} {run.seed}")
                yield play(run, device)
                progress.advance(bar)
            return
        with ProcessPoolExecutor(jobs, mp_context=get_context("spawn")) as pool:
            for done in as_completed([pool.submit(partial(play, run, device)) for run in runs]):
                line = done.result()
                yield line
                progress.update(bar, description=f"{line['stream']} {line['method']} {line['seed']}", advance=1)
