"""Seconds from starting a worker on a checkpoint to the first prediction that shows the log's end.

python -m benchmarks.start [--rounds 3]
"""

from __future__ import annotations

import argparse
import statistics
import time

import msgspec

from benchmarks.prepared import Prepared, add_size, prepared, size_of
from benchmarks.report import emit
from benchmarks.stack import Stack
from benchmarks.wire import Connection


def main() -> None:
    """Start again and again from the same checkpoint."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    add_size(parser)
    given = parser.parse_args()
    graph = prepared(*size_of(given))
    times = [_start(graph) for _ in range(given.rounds)]
    results = {"seconds": statistics.median(times), "slowest_seconds": max(times)}
    emit("start", results, at_most={"seconds": 10})


def _start(graph: Prepared) -> float:
    with Stack(graph) as stack:
        client = Connection(stack.api())
        body = b'[{"op":"upsert_edge","src":"1","dst":"0"}]'
        position = msgspec.json.decode(client.post("/events", body))["position"]
        began = time.monotonic()
        stack.worker()
        # Before anything is served the answer is 503 at once.
        stack.until_served()
        client.get(f"/predict/0?min_position={position}&timeout_ms=60000")
        return time.monotonic() - began


if __name__ == "__main__":
    main()
