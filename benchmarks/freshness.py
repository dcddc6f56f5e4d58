"""Milliseconds from the answer to a POST until `GET ?min_position` answers, at 2,000 events a second, training on.

python -m benchmarks.freshness [--seconds 60]
"""

from __future__ import annotations

import argparse
import random
import time

import msgspec
import numpy as np

from benchmarks.prepared import add_size, add_students, prepared, size_of
from benchmarks.report import emit
from benchmarks.stack import Stack, alongside, wait_for
from benchmarks.wire import Connection

EVENTS_PER_S = 2_000
PROBE_EVERY_S = 0.05


def main() -> None:
    """Write one edge and read one of its ends, twenty times a second, in the traffic of others."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=60.0)
    add_size(parser)
    add_students(parser)
    given = parser.parse_args()
    graph = prepared(*size_of(given), students=given.students)
    with Stack(graph) as stack:
        url = stack.api()
        stack.worker()
        stack.until_served()
        load = (
            "benchmarks.load",
            "post",
            url,
            f"--rate={EVENTS_PER_S}",
            f"--seconds={given.seconds + 10}",
            *graph.shape,
        )
        with alongside(*load) as others:
            wait_for(others, "ready")
            time.sleep(2)
            steps, began = stack.steps(), time.monotonic()
            times = _probe(url, len(graph.graph), given.seconds)
            student = stack.served_student()
            steps_per_s = (stack.steps() - steps) / (time.monotonic() - began)
    results = {
        "median_ms": float(np.median(times)),
        "p99_ms": float(np.percentile(times, 99)),
        "largest_ms": max(times),
        "probes": len(times),
        "training_steps_per_s": steps_per_s,
        "served_student": student,
    }
    emit("freshness", results, at_most={"median_ms": 20, "p99_ms": 100})


def _probe(url: str, nodes: int, seconds: float) -> list[float]:
    chosen = random.Random(1)
    writing, reading = Connection(url), Connection(url)
    times = []
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        src, dst = chosen.sample(range(nodes), 2)
        body = f'[{{"op":"upsert_edge","src":"{src}","dst":"{dst}"}}]'.encode()
        position = msgspec.json.decode(writing.post("/events", body))["position"]
        began = time.perf_counter()
        reading.get(f"/predict/{dst}?min_position={position}&timeout_ms=60000")
        times.append(1e3 * (time.perf_counter() - began))
        # Not in step with anything that is periodic.
        time.sleep(chosen.uniform(0.5, 1.5) * PROBE_EVERY_S)
    return times


if __name__ == "__main__":
    main()
