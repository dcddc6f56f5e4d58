"""A steady stream for a long time: ``python -m tests.chaos.soak 10 soak.png`` runs ten minutes and judges what grows.

A thousand events a second over a bounded set of nodes and edges, which come and go all the time, so that what grows
is a leak and not the graph. With ``--churn 5000``, so many nodes a second come and as many go, and no id is used twice.
Memory of each process, the size of the newest checkpoint and the lag are sampled once a second.
"""

from __future__ import annotations

import argparse
import contextlib
import shutil
import sys
import tempfile
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import httpx
import matplotlib as mpl
import numpy as np
import psutil
from rich.console import Console

from service.worker.checkpoint import list_checkpoints
from tests.chaos.service import Service, running_service
from tests.chaos.workers import nursery

EVENTS_PER_S = 1000
BATCHES_PER_S = 10
NODES = 5000
CLASSES = 4
WARM_UP = 1 / 3
"""Share of the run in which caches and buffers fill up; the rest is judged."""
MOST_GROWTH_MB = 10.0
"""Growth of a process's memory over the judged part, at most."""
MOST_CHECKPOINT_GROWTH = 0.03
"""Growth of a checkpoint over the judged part, as a share of its size, at most."""
MOST_BEHIND = 2 * EVENTS_PER_S
EDGES_PER_NODE = 0.1

mpl.use("Agg")


@dataclass
class Samples:
    """One value a second of each; a checkpoint's is NaN before the first."""

    seconds: list[float] = field(default_factory=list)
    checkpoint_mb: list[float] = field(default_factory=list)
    megabytes: dict[str, list[float]] = field(default_factory=lambda: {"worker": [], "api": [], "redis": []})
    behind: list[int] = field(default_factory=list)


class Stream(Protocol):
    """A source of batches."""

    def batch(self) -> list[dict[str, Any]]:
        """The events of a tenth of a second."""


class SameNodes:
    """Random events that are all possible, of which about a fifth take something away."""

    def __init__(self) -> None:
        self._random = np.random.default_rng(0)
        self._near: list[set[int]] = [set() for _ in range(NODES)]
        self._there: set[int] = set()

    def batch(self) -> list[dict[str, Any]]:
        return [self._event() for _ in range(EVENTS_PER_S // BATCHES_PER_S)]

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


class NewNodes:
    """Nodes with features, labels and some edges, each removed when so many others have come after it.

    Args:
        nodes_per_s: nodes that come in a second, and that go.
    """

    def __init__(self, nodes_per_s: int) -> None:
        self._per_batch = nodes_per_s // BATCHES_PER_S
        self._random = np.random.default_rng(0)
        self._next = 0

    def batch(self) -> list[dict[str, Any]]:
        numbers = range(self._next, self._next + self._per_batch)
        self._next = numbers.stop
        features = self._random.normal(scale=0.3, size=(len(numbers), CLASSES)).round(3)
        features[np.arange(len(numbers)), np.array(numbers) % CLASSES] += 1
        events: list[dict[str, Any]] = [
            {"op": "upsert_node", "id": f"n{number}", "x": x, "label": str(number % CLASSES)}
            for number, x in zip(numbers, features.round(3).tolist(), strict=True)
        ]
        linked = self._random.choice(numbers, int(EDGES_PER_NODE * len(numbers)), replace=False)
        events += [
            {"op": "upsert_edge", "src": f"n{number}", "dst": f"n{number - CLASSES}"}
            for number in linked.tolist()
            if number >= CLASSES
        ]
        events += [{"op": "remove_node", "id": f"n{number - NODES}"} for number in numbers if number >= NODES]
        return events


def soak(service: Service, stream: Stream, seconds: float) -> tuple[Samples, int]:
    """Send and sample for that long; the samples, and how many events were accepted."""
    samples, started = Samples(), time.monotonic()
    ending = threading.Event()
    sampler = threading.Thread(target=_sample, args=(service, samples, started, ending))
    sampler.start()
    accepted, number = 0, 0
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{service.port}", timeout=10, trust_env=False) as http:
            while time.monotonic() < started + seconds:
                accepted += _send(http, stream.batch(), started + seconds)
                number += 1
                time.sleep(max(0.0, started + number / BATCHES_PER_S - time.monotonic()))
    finally:
        ending.set()
        sampler.join()
    return samples, accepted


def _send(http: httpx.Client, batch: list[dict[str, Any]], until: float) -> int:
    """Send a batch until it is accepted, for a later one builds on it; how many events were."""
    while True:
        answer = http.post("/events", json=batch)
        if answer.status_code == httpx.codes.ACCEPTED:
            return int(answer.json()["accepted"])
        if answer.status_code not in {429, 503}:
            raise AssertionError(f"{answer.status_code}: {answer.text[:500]}")
        if time.monotonic() > until:
            return 0
        time.sleep(0.2)


def _sample(service: Service, samples: Samples, started: float, ending: threading.Event) -> None:
    with httpx.Client(base_url=f"http://127.0.0.1:{service.port}", timeout=10, trust_env=False) as http:
        while not ending.wait(1.0):
            log = http.get("/status").json()["log"]
            samples.seconds.append(time.monotonic() - started)
            samples.behind.append(log["behind_events"])
            samples.checkpoint_mb.append(_newest_checkpoint_mb(service))
            for part, values in samples.megabytes.items():
                values.append(psutil.Process(service.pid(part)).memory_info().rss / 1e6)


def _newest_checkpoint_mb(service: Service) -> float:
    # It is deleted while it is looked at, where two others were written meanwhile.
    with contextlib.suppress(FileNotFoundError):
        for newest in list_checkpoints(service.data_dir / "checkpoints" / service.keys.graph)[-1:]:
            return sum(file.stat().st_size for file in newest.iterdir()) / 1e6
    return float("nan")


def growth(seconds: list[float], values: list[float]) -> float:
    """Growth over the judged part: twice the difference between the medians of its halves.

    A checkpoint is smaller for a while where no version is on its way in it. A straight line through such a dip would
    rise or fall.
    """
    first = int(WARM_UP * len(seconds))
    judged, judged_values = np.array(seconds[first:]), np.array(values[first:])
    earlier = judged < (judged[0] + judged[-1]) / 2
    return float(2 * (np.nanmedian(judged_values[~earlier]) - np.nanmedian(judged_values[earlier])))


def plot(samples: Samples, path: Path) -> None:
    from matplotlib.figure import Figure  # noqa: PLC0415  # only after its backend is chosen

    figure = Figure(figsize=(8, 7), layout="constrained")
    memory, checkpoint, lag = figure.subplots(3, sharex=True)
    for part, values in samples.megabytes.items():
        memory.plot(samples.seconds, values, label=part)
    memory.set(ylabel="resident memory (MB)", ylim=(0, None))
    memory.legend()
    checkpoint.plot(samples.seconds, samples.checkpoint_mb)
    checkpoint.set(ylabel="newest checkpoint (MB)", ylim=(0, None))
    lag.plot(samples.seconds, samples.behind)
    lag.set(ylabel="events behind", xlabel="seconds", ylim=(0, None))
    figure.savefig(path, dpi=120)


def judge(samples: Samples) -> tuple[list[str], bool]:
    """What to print of memory and checkpoints, and whether both are flat over the judged part."""
    lines, flat = [], True
    for part, values in samples.megabytes.items():
        grown = growth(samples.seconds, values)
        flat &= grown < MOST_GROWTH_MB
        lines.append(f"{part}: {values[-1]:.0f} MB at the end, {grown:+.1f} MB over the judged part")
    newest = samples.checkpoint_mb[-1]
    grown = growth(samples.seconds, samples.checkpoint_mb)
    flat &= grown < MOST_CHECKPOINT_GROWTH * newest
    lines.append(f"checkpoint: {newest:.2f} MB at the end, {grown:+.2f} MB over the judged part")
    return lines, flat


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos.soak")
    parser.add_argument("minutes", type=float)
    parser.add_argument("plot", type=Path, help="file for the plot")
    parser.add_argument("--churn", type=int, default=0, help="nodes a second that come, and that go, each id once")
    arguments = parser.parse_args()
    minutes, churn = arguments.minutes, arguments.churn
    folder = Path(tempfile.mkdtemp(prefix="olad-soak-"))
    settings: dict[str, Any] = {"width": 32, "checkpoint_interval_s": 10, "publish_steps": 50}
    try:
        with nursery() as running, running_service(running, folder, **settings) as service:
            samples, accepted = soak(service, NewNodes(churn) if churn else SameNodes(), 60 * minutes)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    plot(samples, arguments.plot)
    lines, flat = judge(samples)
    behind = np.array(samples.behind[int(WARM_UP * len(samples.seconds)) :])
    usual, nearly_all = np.percentile(behind, [50, 99])
    lines.append(f"lag: median {usual:.0f} events, 99 % {nearly_all:.0f}, most {behind.max()}")
    # So many nodes may be more than a small machine keeps up with; the service then accepts fewer.
    flat &= bool(churn) or bool(nearly_all < MOST_BEHIND)
    rate = f"{accepted:,} events accepted in {minutes:g} minutes ({accepted / 60 / minutes:,.0f} a second)"
    Console().print(rate, *lines, f"plot: {arguments.plot}", "flat" if flat else "NOT FLAT", sep="\n")
    sys.exit(not flat)


if __name__ == "__main__":
    main()
