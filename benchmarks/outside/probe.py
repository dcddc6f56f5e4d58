"""How long an event takes until its node's prediction shows it, asked from outside."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from benchmarks.graphs import GraphArrays
from benchmarks.outside import events
from benchmarks.outside.service import post
from benchmarks.outside.turns import Figures
from benchmarks.wire import Connection, Refused

EVERY_S = 0.04
_TIMEOUT_MS = 60_000

Touch = Callable[[], tuple[str, str]]
"""An event, and a node that it touches."""


@dataclass
class Probe:
    """What is asked, and the milliseconds from sending the POST to the answer that shows it."""

    name: str
    touch: Touch
    times: list[float]


def edges_and_features(graph: GraphArrays, first: int, seed: int) -> Touch:
    """In turns a new edge and other features, of any node from ``first`` on."""
    chosen = random.Random(seed)
    fresh = events.changes(graph, first, seed)

    def touch() -> tuple[str, str]:
        if chosen.random() < 0.5:
            src, dst = chosen.sample(range(first, len(graph)), 2)
            return events.edge(src, dst), str(dst)
        event = next(event for event in fresh if '"op":"upsert_node"' in event)
        return event, event.split('"id":"')[1].partition('"')[0]

    return touch


def of_hub(stream: Iterator[str]) -> Touch:
    """The hub's own row, touched by the next event of a stream of the hub's."""
    return lambda: (next(stream), events.HUB)


def ask(url: str, probes: Sequence[Probe], seconds: float) -> None:
    """One after the other, again and again, not in step with anything that is periodic."""
    chosen = random.Random(0)
    deadline = time.monotonic() + seconds
    with Connection(url) as writing, Connection(url) as reading:
        while time.monotonic() < deadline:
            for probe in probes:
                event, node = probe.touch()
                began = time.perf_counter()
                position = post(writing, f"[{event}]".encode())
                _until_shown(reading, node, position)
                probe.times.append(1e3 * (time.perf_counter() - began))
                time.sleep(chosen.uniform(0.5, 1.5) * EVERY_S)


def figures(probes: Sequence[Probe]) -> Figures:
    """Median and 99th percentile of each probe."""
    found: Figures = {}
    for probe in probes:
        before = f"{probe.name}_" if probe.name else ""
        found[f"{before}p50_ms"] = float(np.percentile(probe.times, 50))
        found[f"{before}p99_ms"] = float(np.percentile(probe.times, 99))
        found[f"{before}probes"] = len(probe.times)
    return found


def _until_shown(reading: Connection, node: str, position: str) -> None:
    """An answer that comes too late counts with the time that it was waited for."""
    try:
        reading.get(f"/predict/{node}?min_position={position}&timeout_ms={_TIMEOUT_MS}")
    except Refused as refused:
        if refused.status != 504:
            raise
