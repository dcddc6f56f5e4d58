"""What a second variant costs, and whether a promotion disturbs readers, over HTTP with real processes.

python -m benchmarks.variants [--entries 300] [--rounds 2] [--reads 10000]

Both variants have the same configuration and take a fixed number of training steps after each entry, so that one
and two of them do the same work for the same events. What is compared is the processor time of the workers.
"""

from __future__ import annotations

import argparse
import functools
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import httpx
import numpy as np
import psutil

from benchmarks.report import alternate, emit
from benchmarks.stack import Stack, until
from service.store.positions import START, parse_position
from service.variant_names import DEFAULT_VARIANT

NODES, BATCH = 2_000, 20
"""Nodes of the graph, and events of an entry."""
SETTINGS = {"steps_per_entry": 2, "warmup_steps": 5, "publish_steps": 10, "students": "gcn,sage"}
"""Two training steps after each entry, and a version after ten."""
VARIANTS = (DEFAULT_VARIANT, "other")
READERS, PAUSE_S = 2, 0.25
"""Threads that read, and seconds between two promotions."""


@dataclass(frozen=True)
class Reads:
    """What one reader has got.

    Attributes:
        failed: answers that were no predictions.
        back: answers of an earlier position than the one before.
        variants: how often the answering variant changed.
    """

    failed: int
    back: int
    variants: int


def main() -> None:
    """Measure both."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--entries", type=int, default=300, help="of which the cost is measured")
    parser.add_argument("--rounds", type=int, default=2, help="of one and two variants in turns")
    parser.add_argument("--reads", type=int, default=10_000, help="while variants are promoted")
    given = parser.parse_args()
    seconds = alternate(
        given.rounds, one=lambda: _cpu_seconds(1, given.entries), two=lambda: _cpu_seconds(2, given.entries)
    )
    results = {
        "one_cpu_seconds": seconds["one"],
        "two_cpu_seconds": seconds["two"],
        "cost_ratio": seconds["two"] / seconds["one"],
        **_promotions(given.reads),
    }
    emit("variants", results, at_most={"cost_ratio": 2.1, "failed_reads": 0, "positions_back": 0})


def _started(stack: Stack, client: httpx.Client, variants: int) -> list[psutil.Process]:
    """Workers that serve a graph, one after the other."""
    events = _graph()
    for first in range(0, len(events), 500):
        _post(client, events[first : first + 500])
    workers = []
    for name in VARIANTS[:variants]:
        workers.append(psutil.Process(stack.worker(name).pid))
        until(functools.partial(_is_served_after_a_label, stack, client, name))
    return workers


def _is_served_after_a_label(stack: Stack, client: httpx.Client, variant: str) -> bool:
    """Send one more entry, without which a worker with fixed steps learns nothing; whether the variant serves then."""
    _post(client, [{"op": "label", "id": "n0", "label": "class-0"}])
    until(lambda: stack.behind(variant) == 0)
    return stack.is_served(variant)


def _cpu_seconds(variants: int, entries: int) -> float:
    """Processor time of all workers for some entries."""
    with Stack(**SETTINGS) as stack, httpx.Client(base_url=stack.api(), timeout=60, trust_env=False) as api:
        workers = _started(stack, api, variants)
        before = sum(map(_cpu_of, workers))
        draw = np.random.default_rng(1)
        for _ in range(entries):
            _post(api, _edges(draw))
        until(lambda: all(stack.behind(name) == 0 for name in VARIANTS[:variants]))
        return sum(map(_cpu_of, workers)) - before


def _cpu_of(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


def _promotions(reads: int) -> dict[str, float]:
    """Promote one and the other in turns while readers read and events come in."""
    with Stack(**SETTINGS) as stack, httpx.Client(base_url=stack.api(), timeout=60, trust_env=False) as api:
        _started(stack, api, 2)
        ended = threading.Event()
        with ThreadPoolExecutor(READERS + 1) as pool:
            sending = pool.submit(_send, str(api.base_url), ended)
            reading = [pool.submit(_read, str(api.base_url), reads // READERS) for _ in range(READERS)]
            promotions = refused = 0
            try:
                while not all(reader.done() for reader in reading):
                    name = VARIANTS[(promotions + 1) % 2]
                    # One that stays behind the champion for so long is refused, and asked for again.
                    done = api.post(f"/variants/{name}/promote?timeout_ms=10000").is_success
                    promotions, refused = promotions + done, refused + (not done)
                    ended.wait(PAUSE_S)
            finally:
                ended.set()
            sending.result()
            found = [reader.result() for reader in reading]
    return {
        "reads": float(reads // READERS * READERS),
        "promotions": float(promotions),
        "refused_promotions": float(refused),
        "failed_reads": float(sum(each.failed for each in found)),
        "positions_back": float(sum(each.back for each in found)),
        "changes_that_readers_saw": float(sum(each.variants for each in found)),
    }


def _read(url: str, count: int) -> Reads:
    draw, last, variant = np.random.default_rng(2), parse_position(START), None
    failed = back = variants = 0
    with httpx.Client(base_url=url, timeout=60, trust_env=False) as client:
        for node in draw.integers(0, NODES, count).tolist():
            answer = client.get(f"/predict/n{node}")
            if answer.status_code != 200:
                failed += 1
                continue
            found = answer.json()
            position = parse_position(found["position"])
            back += position < last
            variants += variant is not None and found["variant"] != variant
            last, variant = position, found["variant"]
    return Reads(failed, back, variants)


def _send(url: str, ended: threading.Event) -> None:
    """Send entries, ten a second, until it shall end."""
    draw = np.random.default_rng(3)
    with httpx.Client(base_url=url, timeout=60, trust_env=False) as client:
        while not ended.wait(0.1):
            _post(client, _edges(draw))


def _edges(draw: np.random.Generator) -> list[dict[str, Any]]:
    ends = draw.integers(0, NODES, (BATCH, 2)).tolist()
    return [{"op": "upsert_edge", "src": f"n{a}", "dst": f"n{b}"} for a, b in ends]


def _graph() -> list[dict[str, Any]]:
    """Nodes of four classes, each with three neighbours; four of five are labelled."""
    draw, events = np.random.default_rng(0), list[dict[str, Any]]()
    for number in range(NODES):
        kind = number % 4
        x = draw.normal(0, 1, 16)
        x[kind] += 2
        events.append({"op": "upsert_node", "id": f"n{number}", "x": x.round(3).tolist()})
        for other in draw.integers(0, max(1, number), 3 if number else 0):
            events.append({"op": "upsert_edge", "src": f"n{other}", "dst": f"n{number}"})
        if number % 5 or not number:
            events.append({"op": "label", "id": f"n{number}", "label": f"class-{kind}"})
    return events


def _post(client: httpx.Client, events: Sequence[dict[str, Any]]) -> None:
    client.post("/events", json=list(events)).raise_for_status()


if __name__ == "__main__":
    main()
