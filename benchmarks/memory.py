"""Memory of the worker with a million nodes, ten million edges and 64 features; a group of four learns and serves.

python -m benchmarks.memory [--scale 1]
"""

from __future__ import annotations

import argparse
import time

import psutil

from benchmarks.outside import events
from benchmarks.outside.traffic import Traffic, beside
from benchmarks.prepared import prepared
from benchmarks.report import emit
from benchmarks.stack import Stack

GIB = 2**30


def main() -> None:
    """Start a worker on the graph, let events come in, follow its resident memory."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scale", type=float, default=1.0, help="of the graph")
    parser.add_argument("--seconds", type=float, default=60.0, help="under load, with a checkpoint in them")
    given = parser.parse_args()
    graph = prepared(int(1_000_000 * given.scale), int(10_000_000 * given.scale), features=64)
    largest = 0
    with Stack(graph, checkpoint_interval_s=given.seconds / 3) as stack:
        url = stack.api()
        process = psutil.Process(stack.worker().pid)
        while not stack.is_served():
            largest = max(largest, process.memory_info().rss)
            time.sleep(0.1)
        stream = Traffic(events.changes(graph.graph), 2_000, 20)
        with beside(url, stream, seconds=given.seconds + 10):
            ends = time.monotonic() + given.seconds
            while time.monotonic() < ends:
                largest = max(largest, process.memory_info().rss)
                time.sleep(0.1)
        now = process.memory_info().rss
        redis_bytes = int(stack.redis.info("memory")["used_memory_peak"])
    results = {
        "worker_gib": now / GIB,
        "worker_largest_gib": largest / GIB,
        "redis_largest_gib": redis_bytes / GIB,
        "nodes": len(graph.graph),
        "edges": len(graph.graph.src),
    }
    emit("memory", results, at_most={"worker_largest_gib": 8.0})


if __name__ == "__main__":
    main()
