"""A load in a process of its own: `python -m benchmarks.load post|get URL ...`; one line of JSON at the end."""

from __future__ import annotations

import argparse
import gc
import itertools
import json
import random
import time

import msgspec

from benchmarks.events import mixed_bodies
from benchmarks.graphs import arxiv_shaped
from benchmarks.wire import Connection, Refused, closed_loop, get_request


def main() -> None:
    """Make the load that was asked for; says `ready` once it begins."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("kind", choices=("post", "get"))
    parser.add_argument("url")
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--rate", type=float, default=2_000.0, help="events a second")
    parser.add_argument("--batch", type=int, default=20, help="events a POST")
    parser.add_argument("--nodes", type=int, default=169_343)
    parser.add_argument("--edges", type=int, default=1_166_243)
    parser.add_argument("--connections", type=int, default=16)
    parser.add_argument("--path", default="/predict/", help="before the node's id")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    gc.disable()
    print(json.dumps(_get(given) if given.kind == "get" else _post(given)), flush=True)


def _get(given: argparse.Namespace) -> list[float]:
    chosen = random.Random(given.seed)
    paths = itertools.cycle([f"{given.path}{chosen.randrange(given.nodes)}" for _ in range(10_000)])
    _ready()
    return closed_loop(given.url, given.connections, given.seconds, lambda host: get_request(host, next(paths)))


def _post(given: argparse.Namespace) -> list[tuple[float, float, str]]:
    """For each POST: when it was due, when it was answered (Unix time), and its position."""
    bodies = mixed_bodies(arxiv_shaped(given.nodes, given.edges, features=1), given.batch, given.seed)
    every = given.batch / given.rate
    # Made beforehand as far as memory allows: what is made while it runs takes time from the service.
    count = int(given.seconds / every)
    ready = list(itertools.islice(bodies, min(count, 5_000)))
    connection = Connection(given.url)
    answers: list[tuple[float, float, str]] = []
    _ready()
    began = time.time()
    for number, body in zip(range(count), itertools.chain(ready, bodies), strict=False):
        due = began + number * every
        time.sleep(max(0.0, due - time.time()))
        answer = msgspec.json.decode(_accepted(connection, body))
        answers.append((due, time.time(), answer["position"]))
    return answers


def _accepted(connection: Connection, body: bytes) -> bytes:
    """The answer to a batch, sent again for as long as the service has no room for it."""
    while True:
        try:
            return connection.post("/events", body)
        except Refused as refused:
            if refused.status != 429:
                raise
            time.sleep(0.1)


def _ready() -> None:
    print("ready", flush=True)


if __name__ == "__main__":
    main()
