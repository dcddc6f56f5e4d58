"""A steady stream for a long time: ``python -m tests.chaos.soak 10 soak.png`` runs ten minutes and judges the slopes.

A thousand events a second over a bounded set of nodes and edges, which come and go all the time, so that what grows
is a leak and not the graph. Memory of each process and the lag are sampled once a second.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import matplotlib as mpl
import numpy as np
import psutil
from rich.console import Console

from tests.chaos.service import Service, running_service
from tests.chaos.workers import nursery

EVENTS_PER_S = 1000
BATCHES_PER_S = 10
NODES = 5000
CLASSES = 4
WARM_UP = 0.4
"""Share of the run in which caches and buffers fill up; the slopes are those of the rest."""
MOST_GROWTH_MB = 10.0
"""Growth of a process's memory over the judged part, at most."""
MOST_BEHIND = 2 * EVENTS_PER_S

mpl.use("Agg")


@dataclass
class Samples:
    """One value a second of each."""

    seconds: list[float] = field(default_factory=list)
    megabytes: dict[str, list[float]] = field(default_factory=lambda: {"worker": [], "api": [], "redis": []})
    behind: list[int] = field(default_factory=list)


class Stream:
    """Random events that are all possible, of which about a fifth take something away."""

    def __init__(self) -> None:
        self._random = np.random.default_rng(0)
        self._near: list[set[int]] = [set() for _ in range(NODES)]
        self._there: set[int] = set()

    def batch(self, count: int) -> list[dict[str, Any]]:
        return [self._event() for _ in range(count)]

    def _event(self) -> dict[str, Any]:
        random = self._random
        kind = random.random()
        node, other = (int(number) for number in random.integers(NODES, size=2))
        label = node % CLASSES
        if kind < 0.3 or node not in self._there:
            self._there.add(node)
            x = [float(label == place) + round(float(random.normal(scale=0.3)), 3) for place in range(CLASSES)]
            return {"op": "upsert_node", "id": str(node), "x": x}
        if kind < 0.4:
            return {"op": "label", "id": str(node), "label": str(label)}
        if kind < 0.45:
            self._there.discard(node)
            for end in self._near[node]:
                self._near[end].discard(node)
            self._near[node] = set()
            return {"op": "remove_node", "id": str(node)}
        if kind < 0.6 and self._near[node]:
            end = self._near[node].pop()
            self._near[end].discard(node)
            return {"op": "remove_edge", "src": str(node), "dst": str(end)}
        end = other // CLASSES * CLASSES + label
        if end in self._there and end != node:
            self._near[node].add(end)
            self._near[end].add(node)
            return {"op": "upsert_edge", "src": str(node), "dst": str(end)}
        return {"op": "upsert_node", "id": str(node)}


def soak(service: Service, seconds: float) -> tuple[Samples, int]:
    """Send and sample for that long; the samples, and how many events were accepted."""
    samples, started = Samples(), time.monotonic()
    ending = threading.Event()
    sampler = threading.Thread(target=_sample, args=(service, samples, started, ending))
    sampler.start()
    stream, accepted = Stream(), 0
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{service.port}", timeout=10, trust_env=False) as http:
            for number in range(int(seconds * BATCHES_PER_S)):
                time.sleep(max(0.0, started + number / BATCHES_PER_S - time.monotonic()))
                answer = http.post("/events", json=stream.batch(EVENTS_PER_S // BATCHES_PER_S))
                accepted += answer.json()["accepted"] if answer.status_code == 202 else 0
    finally:
        ending.set()
        sampler.join()
    return samples, accepted


def _sample(service: Service, samples: Samples, started: float, ending: threading.Event) -> None:
    with httpx.Client(base_url=f"http://127.0.0.1:{service.port}", timeout=10, trust_env=False) as http:
        while not ending.wait(1.0):
            log = http.get("/status").json()["log"]
            samples.seconds.append(time.monotonic() - started)
            samples.behind.append(log["behind_events"])
            for part, values in samples.megabytes.items():
                values.append(psutil.Process(service.pid(part)).memory_info().rss / 1e6)


def growths(samples: Samples) -> dict[str, float]:
    """Growth of each process's memory over the judged part in megabytes: of a straight line through it."""
    first = int(WARM_UP * len(samples.seconds))
    seconds = np.array(samples.seconds[first:])
    grown = {}
    for part, values in samples.megabytes.items():
        slope, _ = np.polyfit(seconds - seconds[0], values[first:], 1)
        grown[part] = float(slope * (seconds[-1] - seconds[0]))
    return grown


def plot(samples: Samples, path: Path) -> None:
    from matplotlib.figure import Figure  # noqa: PLC0415  # only after its backend is chosen

    figure = Figure(figsize=(8, 5), layout="constrained")
    memory, lag = figure.subplots(2, sharex=True)
    for part, values in samples.megabytes.items():
        memory.plot(samples.seconds, values, label=part)
    memory.set(ylabel="resident memory (MB)", ylim=(0, None))
    memory.legend()
    lag.plot(samples.seconds, samples.behind)
    lag.set(ylabel="events behind", xlabel="seconds", ylim=(0, None))
    figure.savefig(path, dpi=120)


def main(minutes: float, path: Path) -> None:
    folder = Path(tempfile.mkdtemp(prefix="olad-soak-"))
    settings: dict[str, Any] = {"width": 32, "checkpoint_interval_s": 10, "publish_steps": 50}
    try:
        with nursery() as running, running_service(running, folder, **settings) as service:
            samples, accepted = soak(service, 60 * minutes)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    plot(samples, path)
    first = int(WARM_UP * len(samples.seconds))
    behind = np.array(samples.behind[first:])
    grown = growths(samples)
    lines = [f"{accepted:,} events accepted in {minutes:g} minutes ({accepted / 60 / minutes:,.0f} a second)"]
    for part, megabytes in grown.items():
        lines.append(
            f"{part}: {samples.megabytes[part][-1]:.0f} MB at the end, {megabytes:+.1f} MB over the judged part"
        )
    usual, nearly_all = np.percentile(behind, [50, 99])
    lines.append(f"lag: median {usual:.0f} events, 99 % {nearly_all:.0f}, most {behind.max()}")
    flat = all(megabytes < MOST_GROWTH_MB for megabytes in grown.values()) and nearly_all < MOST_BEHIND
    Console().print(*lines, f"plot: {path}", "flat" if flat else "NOT FLAT", sep="\n")
    sys.exit(not flat)


if __name__ == "__main__":
    main(float(sys.argv[1]), Path(sys.argv[2]))
