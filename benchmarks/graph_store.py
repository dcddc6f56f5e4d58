"""What an event of the log costs until the graph holds it: decoding and applying, on a graph of ogbn-arxiv's shape.

python benchmarks/graph_store.py [--rounds 5] [--against DIRECTORY]

Undirected, 16 features. An update of an edge sets the weight of one that is there; an update of features replaces all
of a node's. ``--against`` names a checkout of another commit: both are measured in one run, round by round in turns.
One line of JSON last.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import statistics
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np

HERE = Path(__file__).resolve().parent.parent
BATCHES = (1, 20, 1000)
WIDTH = 16
ROUND_EVENTS, MOST_BATCHES, FEWEST_BATCHES = 20_000, 1_000, 40
"""A round of a row has as many events, but no more and no fewer batches than that."""
KINDS = ("edges", "features", "edges and features", "new nodes and removals")


def main() -> None:
    """Measure round by round, each tree in its own process; print microseconds an event."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5, help="rounds, of which the median counts")
    parser.add_argument("--against", type=Path, help="a checkout of another commit")
    parser.add_argument("--answer", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.answer:
        answer()
        return
    trees = [HERE, *([given.against.resolve()] if given.against else [])]
    children = [_started(tree) for tree in trees]
    rounds: list[list[dict[str, float]]] = [[_asked(child) for child in children] for _ in range(given.rounds + 1)]
    for child in children:
        child.communicate()
    _print(rounds[1:], trees)


def answer() -> None:
    """Hold a graph; measure a round for each line of the standard input."""
    sys.path[0] = str(Path.cwd())
    measure = _Rows()
    for _ in sys.stdin:
        print(json.dumps(measure.round()), flush=True)


class _Rows:
    """A filled graph, and batches for it as they stand in the log."""

    def __init__(self) -> None:
        self._arrays = importlib.import_module("benchmarks.graphs").arxiv_shaped(features=WIDTH)
        self._graph = importlib.import_module("olad_core.graph").DynamicGraph(feature_width=WIDTH)
        self._events = importlib.import_module("olad_core.events")
        self._decode, self._encode = _codec()
        self._random = np.random.default_rng(1)
        self._passed = 0
        nodes, edges = len(self._arrays), len(self._arrays.src)
        for first in range(0, nodes, 5000):
            self._seconds(self._encode(self._features(np.arange(first, min(nodes, first + 5000)))))
        for first in range(0, edges, 5000):
            self._seconds(self._encode(self._edges(np.arange(first, min(edges, first + 5000)))))

    def round(self) -> dict[str, float]:
        """Microseconds an event of each row, the median of its batches."""
        return {f"{kind}, {batch}": self._row(kind, batch) for kind in KINDS for batch in BATCHES}

    def _row(self, kind: str, batch: int) -> float:
        batches = min(MOST_BATCHES, max(FEWEST_BATCHES, ROUND_EVENTS // batch))
        payloads = [self._encode(self._batch(kind, batch)) for _ in range(batches)]
        return 1e6 / batch * statistics.median(map(self._seconds, payloads))

    def _seconds(self, payload: bytes) -> float:
        start = perf_counter()
        self._graph.apply(self._decode(payload), 0.0)
        return perf_counter() - start

    def _batch(self, kind: str, size: int) -> list[Any]:
        edges = self._random.integers(0, len(self._arrays.src), size)
        nodes = self._random.integers(0, len(self._arrays), size)
        if kind == "edges":
            return self._edges(edges)
        if kind == "features":
            return self._features(nodes)
        if kind == "edges and features":
            return self._edges(edges[size // 5 :]) + self._features(nodes[: size // 5])
        return self._passing(nodes)

    def _edges(self, places: Any) -> list[Any]:
        ends = zip(self._arrays.src[places].tolist(), self._arrays.dst[places].tolist(), strict=True)
        weights = self._random.uniform(0.5, 2.0, len(places)).tolist()
        return [self._events.UpsertEdge(str(a), str(b), weight) for (a, b), weight in zip(ends, weights, strict=True)]

    def _features(self, nodes: Any) -> list[Any]:
        x = self._random.normal(size=(len(nodes), WIDTH)).tolist()
        return [self._events.UpsertNode(str(node), x=row) for node, row in zip(nodes.tolist(), x, strict=True)]

    def _passing(self, nodes: Any) -> list[Any]:
        """In turn an edge from a new node to one that is there, an edge to a second new node, and their removals."""
        events: list[Any] = []
        for node in nodes.tolist():
            pair, step = divmod(self._passed, 4)
            first, second = f"new {pair}", f"newer {pair}"
            edge = self._events.UpsertEdge(first, second if step else str(node))
            events.append(edge if step < 2 else self._events.RemoveNode(first if step == 2 else second))
            self._passed += 1
        return events


def _codec() -> tuple[Callable[[bytes], Any], Callable[[Sequence[Any]], bytes]]:
    """What decodes and encodes batches of the log, in this commit or in one before there were columns."""
    try:
        columns, codec = map(importlib.import_module, ("olad_core.graph.event_columns", "olad_core.event_codec"))
    except ImportError:
        earlier = importlib.import_module("olad_core.events")
        return earlier.decode_log, earlier.encode_log
    return columns.columns_of_log, codec.encode_log


def _started(tree: Path) -> subprocess.Popen[str]:
    environment = {**os.environ, "PYTHONPATH": str(tree)}
    return subprocess.Popen(
        [sys.executable, __file__, "--answer"],
        cwd=tree,
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def _asked(child: subprocess.Popen[str]) -> dict[str, float]:
    assert child.stdin is not None
    assert child.stdout is not None
    child.stdin.write("round\n")
    child.stdin.flush()
    return dict(json.loads(child.stdout.readline()))


def _print(rounds: Sequence[Sequence[Mapping[str, float]]], trees: Sequence[Path]) -> None:
    print("microseconds an event, decoding and applying" + "".join(f"; {tree}" for tree in trees[1:]))
    results: dict[str, Any] = {}
    for row in rounds[0][0]:
        figures = [statistics.median(each[at][row] for each in rounds) for at in range(len(trees))]
        ratios = sorted(each[1][row] / each[0][row] for each in rounds) if len(trees) > 1 else []
        ratio = f"   {statistics.median(ratios):5.2f} times ({ratios[0]:.2f} to {ratios[-1]:.2f})" if ratios else ""
        print(f"{row:>28}: " + "".join(f"{figure:9.2f}" for figure in figures) + ratio)
        results[row] = figures
    print(json.dumps({"unit": "microseconds an event", "results": results}))


if __name__ == "__main__":
    main()
