"""How many predictions a second one API process answers while events come in and training runs.

Beside it a bare FastAPI route with one HGET, in the same traffic. python -m benchmarks.get_predict [--seconds 5]
"""

from __future__ import annotations

import argparse
import json
import statistics
import time

import numpy as np

from benchmarks.bare import ROWS
from benchmarks.prepared import add_size, prepared, size_of
from benchmarks.report import emit
from benchmarks.stack import Stack, alongside, wait_for

CONNECTIONS = 16
EVENTS_PER_S = 2_000


def main() -> None:
    """Load the graph, start everything, then read from both in turns."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=5.0, help="of each side in each round")
    parser.add_argument("--rounds", type=int, default=5)
    add_size(parser)
    given = parser.parse_args()
    graph = prepared(*size_of(given))
    shape = graph.shape
    found: dict[str, list[list[float]]] = {"service": [], "bare": []}
    with Stack(graph) as stack:
        url, bare = stack.api(), stack.program("benchmarks.bare")
        stack.worker()
        stack.until_served()
        row = np.zeros(graph.graph.classes, np.float32).tobytes()
        stack.redis.hset(ROWS, mapping=dict.fromkeys(map(str, range(len(graph.graph))), row))
        seconds = 2 * given.rounds * (given.seconds + 10)
        steps = stack.steps()
        began = time.monotonic()
        with alongside(
            "benchmarks.load", "post", url, f"--rate={EVENTS_PER_S}", f"--seconds={seconds}", *shape
        ) as load:
            wait_for(load, "ready")
            for _ in range(given.rounds):
                for side, address in (("service", url), ("bare", bare)):
                    reading = ("get", address, f"--seconds={given.seconds}", f"--connections={CONNECTIONS}", *shape)
                    with alongside("benchmarks.load", *reading) as reader:
                        found[side].append(json.loads(wait_for(reader, "[")))
        steps_per_s = (stack.steps() - steps) / (time.monotonic() - began)
    results: dict[str, float] = {}
    for side, name in (("service", ""), ("bare", "bare_route_")):
        results[f"{name}requests_per_s"] = statistics.median(len(times) / given.seconds for times in found[side])
        for share in (50, 99):
            results[f"{name}p{share}_ms"] = 1e3 * statistics.median(
                float(np.percentile(times, share)) for times in found[side]
            )
    results["training_steps_per_s"] = steps_per_s
    emit("get_predict", results, at_least={"requests_per_s": 3_500}, at_most={"p99_ms": 10})


if __name__ == "__main__":
    main()
