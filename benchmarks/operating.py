"""How long an operator waits for an explanation and for a what-if while events come in, over HTTP on the defaults.

python -m benchmarks.operating [--seconds 20] [--rate 2000]
"""

from __future__ import annotations

import argparse
import itertools
import statistics
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import numpy as np

from benchmarks.report import emit
from benchmarks.stack import Stack

NODES, BATCH = 5_000, 20
"""Nodes of the graph, and events of a POST."""
NEIGHBOURS, TRIED = 50, 10
"""Neighbours of the explained node, and events of a what-if."""
EXPLAINED = "explained"


def main() -> None:
    """Measure both in turns."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=20.0, help="of questions")
    parser.add_argument("--rate", type=float, default=2_000.0, help="events a second meanwhile")
    given = parser.parse_args()
    with Stack() as stack, httpx.Client(base_url=stack.api(), timeout=60, trust_env=False) as client:
        stack.worker()
        events = _graph()
        while batch := list(itertools.islice(events, 500)):
            _post(client, batch)
        stack.until_served()
        ended = threading.Event()
        sending = threading.Thread(target=_send, args=(str(client.base_url), given.rate, ended))
        sending.start()
        try:
            results = _ask(client, given.seconds)
        finally:
            ended.set()
            sending.join()
        results["behind_at_end"] = float(stack.behind())
    emit("operating", results, at_most={"explain_ms_median": 50.0, "what_if_ms_median": 100.0})


def _ask(client: httpx.Client, seconds: float) -> dict[str, Any]:
    """Times in milliseconds."""
    questions: dict[str, Callable[[], httpx.Response]] = {
        "explain": lambda: client.get(f"/explain/{EXPLAINED}"),
        "what_if": lambda: client.post("/what-if", json={"events": _tried(), "nodes": [EXPLAINED]}),
    }
    times: dict[str, list[float]] = {name: [] for name in questions}
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        for name, ask in questions.items():
            began = time.perf_counter()
            answer = ask()
            times[name].append(1000 * (time.perf_counter() - began))
            answer.raise_for_status()
    results: dict[str, Any] = {}
    for name, found in times.items():
        results[f"{name}_ms_median"] = statistics.median(found)
        results[f"{name}_ms_95"] = float(np.quantile(found, 0.95))
        results[f"{name}s"] = float(len(found))
    return results


def _graph() -> Iterator[dict[str, Any]]:
    """Nodes of four classes, each with three neighbours, and one with more; four of five are labelled."""
    draw = np.random.default_rng(0)
    for number in range(NODES):
        kind = number % 4
        x = draw.normal(0, 1, 16)
        x[kind] += 2
        yield {"op": "upsert_node", "id": f"n{number}", "x": x.round(3).tolist()}
        for other in draw.integers(0, max(1, number), 3 if number else 0):
            yield {"op": "upsert_edge", "src": f"n{other}", "dst": f"n{number}"}
        if number % 5:
            yield {"op": "label", "id": f"n{number}", "label": f"class-{kind}"}
    yield {"op": "upsert_node", "id": EXPLAINED, "x": [0.5] * 16}
    for number in draw.choice(NODES, NEIGHBOURS, replace=False):
        yield {"op": "upsert_edge", "src": f"n{number}", "dst": EXPLAINED}


def _tried() -> list[dict[str, Any]]:
    return [{"op": "upsert_edge", "src": f"n{number}", "dst": EXPLAINED} for number in range(TRIED)]


def _send(url: str, rate: float, ended: threading.Event) -> None:
    """Send edges between nodes that are there, evenly, until it shall end."""
    draw = np.random.default_rng(1)
    with httpx.Client(base_url=url, timeout=60, trust_env=False) as client:
        began = time.monotonic()
        for number in itertools.count():
            if ended.wait(max(0.0, began + number * BATCH / rate - time.monotonic())):
                return
            ends = draw.integers(0, NODES, (BATCH, 2)).tolist()
            _post(client, [{"op": "upsert_edge", "src": f"n{a}", "dst": f"n{b}"} for a, b in ends])


def _post(client: httpx.Client, events: list[dict[str, Any]]) -> None:
    client.post("/events", json=events).raise_for_status()


if __name__ == "__main__":
    main()
