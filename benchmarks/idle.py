"""What the service costs when nothing happens: cores used by each process, one and three minutes after the last event.

python -m benchmarks.idle [--source digits] [--seconds 60]

The stream is replayed as ``olad demo`` does it. ``worker_cores_after_1_min`` is the mean over ``--seconds``, from
a minute after the last event on. ``versions_after_1_min`` are those that began to be served meanwhile.
"""

from __future__ import annotations

import argparse
import time

import psutil

from benchmarks.report import emit
from benchmarks.stack import Stack
from service.client.http import Client
from service.replay.progress import Progress
from service.replay.sender import replay
from service.replay.sources import StreamOptions, open_source
from service.settings import Settings

MINUTES = (1, 3)


def main() -> None:
    """Replay a stream, then measure while nothing comes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--source", default="digits")
    parser.add_argument("--seconds", type=float, default=60.0)
    given = parser.parse_args()
    results: dict[str, float] = {}
    with Stack() as stack:
        worker, url = psutil.Process(stack.worker().pid), stack.api()
        results["accuracy"] = _replay(stack, url, given.source)
        ended = time.monotonic()
        for minutes in MINUTES:
            time.sleep(max(0.0, ended + 60 * minutes - time.monotonic()))
            version = _version(stack)
            results[f"worker_cores_after_{minutes}_min"] = _cores(worker, given.seconds)
            results[f"versions_after_{minutes}_min"] = _version(stack) - version
        results["switches_after_the_last_event"] = _switches(stack)
    emit("idle", results, at_most={f"worker_cores_after_{minutes}_min": 0.02 for minutes in MINUTES})


def _replay(stack: Stack, url: str, name: str) -> float:
    """Send the stream at the demo's rate; the share of its predictions that were right."""
    source = open_source(name, StreamOptions(), data_home=Settings().data_home)
    with Client(url) as client, Progress(stack.directory / "replay", url) as progress:
        state = replay(source, client, progress, rate=source.demo_rate)
    return state.whole.value or 0.0


def _version(stack: Stack) -> int:
    return int(stack.redis.hget(stack.keys.served, "version") or 0)


def _switches(stack: Stack) -> int:
    report = stack.report()
    at_the_end = [decision for decision in report.decisions if decision.applied_events == report.applied_events]
    return sum(decision.kind == "student-switched" for decision in at_the_end)


def _cores(process: psutil.Process, seconds: float) -> float:
    """Mean number of cores that a process uses for some time."""
    before, began = process.cpu_times(), time.monotonic()
    time.sleep(seconds)
    after = process.cpu_times()
    return (after.user + after.system - before.user - before.system) / (time.monotonic() - began)


if __name__ == "__main__":
    main()
