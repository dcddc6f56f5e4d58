"""What readers notice while the champion changes again and again: ``python -m benchmarks.outside.promotion``.

The service is ``olad up``, the challenger a second worker, and events come in at a steady rate. Readers compare the
position of each answer with the latest one that any of them had seen before it asked.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import os
import subprocess
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import msgspec

from benchmarks.graphs import uniform
from benchmarks.outside.events import changes, graph_events
from benchmarks.outside.service import START_TIMEOUT_S, Service
from benchmarks.outside.tree import Tree, this_tree
from benchmarks.wire import Connection, Refused, get_request

_BATCH = 20
_PAUSE_S = 0.3
"""Between two promotions."""


@dataclass
class Reads:
    """What readers have seen.

    Attributes:
        count: answers.
        failed: reads that were refused.
        went_back: answers of an earlier position than one that had come before they were asked for.
        not_promoted: promotions that were refused, as the variant was behind the champion.
        by: answers of each variant.
        seen: the latest position.
        lock: of all of it.
    """

    count: int = 0
    failed: int = 0
    went_back: int = 0
    not_promoted: int = 0
    by: dict[str, int] = field(default_factory=dict)
    seen: tuple[int, int] = (0, 0)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def add(self, answer: bytes | None, floor: tuple[int, int]) -> None:
        """Count one answer; None for a refused read."""
        with self.lock:
            self.count += 1
            if answer is None:
                self.failed += 1
                return
            body = msgspec.json.decode(answer)
            ms, _, sequence = str(body["position"]).partition("-")
            at = int(ms), int(sequence)
            self.went_back += at < floor
            self.by[body["variant"]] = self.by.get(body["variant"], 0) + 1
            self.seen = max(self.seen, at)


@contextlib.contextmanager
def challenger(tree: Tree, service: Service, name: str) -> Iterator[None]:
    """A second worker on the graph of a service."""
    own = {"OLAD_DATA_DIR": str(service.data_dir), "OLAD_REDIS_URL": f"unix://{service.data_dir}/redis/redis.sock"}
    environment = {key: value for key, value in os.environ.items() if not key.startswith("OLAD_")}
    command = [str(tree.python), "-m", "service.cli", "worker", "--variant", name]
    quiet = subprocess.DEVNULL
    with subprocess.Popen(command, cwd=tree.directory, env=environment | own, stdout=quiet, stderr=quiet) as process:
        try:
            yield
        finally:
            process.kill()


def measure(reads: int, readers: int, nodes: int, per_s: float) -> tuple[Reads, list[float]]:
    """Read so often while the champion changes again and again; what was seen, and seconds of each promotion."""
    graph = uniform(nodes, 4.0, 32, 4)
    with Service(this_tree(), {}) as service, Connection(service.url) as asking:
        events = graph_events(graph)
        while batch := list(itertools.islice(events, 1_000)):
            position = service.post(f"[{','.join(batch)}]".encode())
        service.until_visible("0", position)
        with challenger(this_tree(), service, "wide"):
            _until_promoted(asking, "wide")
            return _measure(service, asking, reads, readers, changes(graph), nodes, per_s)


def _measure(
    service: Service, asking: Connection, most: int, readers: int, events: Iterator[str], nodes: int, per_s: float
) -> tuple[Reads, list[float]]:
    found, ended, took = Reads(), threading.Event(), list[float]()

    def read(number: int) -> None:
        with Connection(service.url) as connection:
            for node in itertools.count(number, readers):
                if ended.is_set():
                    return
                with found.lock:
                    floor = found.seen
                try:
                    answer = connection.exchange(get_request(connection.host, f"/predict/{node % nodes}"))
                except Refused:
                    found.add(None, floor)
                else:
                    found.add(answer, floor)

    def write() -> None:
        while not ended.is_set():
            service.post(f"[{','.join(itertools.islice(events, _BATCH))}]".encode())
            ended.wait(_BATCH / per_s)

    with ThreadPoolExecutor(readers + 1) as pool:
        tasks = [pool.submit(write), *(pool.submit(read, number) for number in range(readers))]
        try:
            for name in itertools.cycle(("default", "wide")):
                if found.count >= most:
                    break
                began = time.perf_counter()
                try:
                    asking.post(f"/variants/{name}/promote?timeout_ms=2000", b"")
                except Refused as refused:
                    if refused.status != 409:
                        raise
                    # It was behind the champion all the time.
                    found.not_promoted += 1
                else:
                    took.append(time.perf_counter() - began)
                time.sleep(_PAUSE_S)
        finally:
            ended.set()
        for task in tasks:
            task.result()
    return found, took


def _until_promoted(asking: Connection, name: str) -> None:
    deadline = time.monotonic() + START_TIMEOUT_S
    while True:
        try:
            asking.post(f"/variants/{name}/promote", b"")
        except Refused:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.2)
        else:
            return


def main() -> None:
    """Print what was seen."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--reads", type=int, default=10_000)
    parser.add_argument("--readers", type=int, default=4)
    parser.add_argument("--nodes", type=int, default=3_000)
    parser.add_argument("--events-per-s", type=float, default=1_000.0)
    given = parser.parse_args()
    found, took = measure(given.reads, given.readers, given.nodes, given.events_per_s)
    slowest = f"{1000 * sorted(took)[len(took) // 2]:.0f} ms (median), {1000 * max(took):.0f} ms (slowest)"
    print(f"promotions: {len(took)}, {slowest}; refused, as the variant was behind: {found.not_promoted}")
    print(f"reads: {found.count:,}, of which {found.by}")
    print(f"refused: {found.failed}; positions that went back: {found.went_back}")


if __name__ == "__main__":
    main()
