"""How many events a second one API process validates and appends, beside a bare FastAPI and pydantic route.

python -m benchmarks.post_events [--seconds 5] [--rounds 5]
"""

from __future__ import annotations

import argparse
import itertools
from collections.abc import Iterator

from benchmarks.events import edge_bodies
from benchmarks.report import alternate, emit
from benchmarks.stack import Stack
from benchmarks.wire import closed_loop, post_request

BATCH = 1_000
CONNECTIONS = 4


def main() -> None:
    """Post batches of edges to both as fast as they are answered."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=5.0, help="of each side in each round")
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args()
    bodies = itertools.cycle(edge_bodies(nodes=169_343, batch=BATCH, count=200))
    with Stack(max_behind=10**9) as stack:  # Nothing reads the log here.
        url, bare = stack.api(), stack.program("benchmarks.bare")

        def service() -> float:
            stack.redis.delete(stack.keys.log, stack.keys.appended)
            rate = _rate(url, bodies, given.seconds)
            assert int(stack.redis.get(stack.keys.appended) or 0) >= rate * given.seconds, "all of them are in the log"
            return rate

        closed_loop(url, CONNECTIONS, 0.5, lambda host: post_request(host, "/events", next(bodies)))
        rates = alternate(given.rounds, service=service, bare=lambda: _rate(bare, bodies, given.seconds))
    results = {"events_per_s": rates["service"], "bare_route_events_per_s": rates["bare"]}
    emit("post_events", results, at_least={"events_per_s": 250_000})


def _rate(url: str, bodies: Iterator[bytes], seconds: float) -> float:
    done = closed_loop(url, CONNECTIONS, seconds, lambda host: post_request(host, "/events", next(bodies)))
    return BATCH * len(done) / seconds


if __name__ == "__main__":
    main()
