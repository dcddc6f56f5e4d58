"""A worker with partitions that learns, as real processes: what it serves, and what it does after losses."""

from __future__ import annotations

import signal
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import redis

from olad_core.events import Event, LabelNode, UpsertEdge, UpsertNode
from service.partitioned.part_files import Complete, list_complete
from service.store.keys import Keys
from service.variant_names import DEFAULT_VARIANT, file_stem
from tests.chaos.workers import until
from tests.redis_server import RedisServer
from tests.service.api.serving import serving
from tests.service.entries import append
from tests.service.partitioned.groups import GroupOfRanks, group_of

NODES = 20
"""Of an entry."""
SETTINGS: dict[str, Any] = {
    "weights": "trained",
    "students": "gcn,sage",
    "width": 8,
    "rank_timeout_s": 10,
    "publish_steps": 4,
}


def entries_of(seed: int) -> Iterator[list[Event]]:
    """Nodes of two classes that features and neighbours show, each with its label."""
    draw, node = np.random.default_rng(seed), 0
    while True:
        entry: list[Event] = []
        for _ in range(NODES):
            side = node % 2
            entry.append(UpsertNode(str(node), [float(2 * side - 1 + draw.normal()), float(draw.normal())]))
            entry += [UpsertEdge(str(node), str(other)) for other in range(max(side, node - 4), node, 2)]
            entry.append(LabelNode(str(node), ("even", "odd")[side]))
            node += 1
        yield entry


def some(entries: Iterator[list[Event]], count: int) -> list[list[Event]]:
    return [next(entries) for _ in range(count)]


def complete(data_dir: Path, keys: Keys) -> list[Complete]:
    return list_complete(data_dir / "checkpoints" / file_stem(keys.graph, DEFAULT_VARIANT))


def worker_of(http: httpx.Client) -> dict[str, Any]:
    found: dict[str, Any] = http.get("/status").json()["worker"] or {}
    return found


def labels(http: httpx.Client, nodes: Sequence[int | str], position: str) -> list[str | None]:
    wanted: dict[str, str | int] = {"min_position": position, "timeout_ms": 60_000}
    answer = http.post("/predict", json={"nodes": [str(node) for node in nodes]}, params=wanted)
    answer.raise_for_status()
    return [each["label"] for each in answer.json()["predictions"]]


def is_served(http: httpx.Client, group: GroupOfRanks, after: int = 0) -> bool:
    assert group.process.poll() is None, group.text()
    served = worker_of(http).get("served")
    return served is not None and served["version"] > after


@pytest.mark.timeout(600)
def test_ranks_learn_serve_and_go_on_after_a_loss(
    redis_server: RedisServer, redis_client: redis.Redis, keys: Keys, tmp_path: Path
) -> None:
    entries = entries_of(3)
    with (
        serving(redis_server.url, keys.graph) as http,
        group_of(2, redis_server.url, keys, tmp_path, **SETTINGS, checkpoint_interval_s=0.5) as pair,
    ):
        append(redis_client, keys, some(entries, 6))
        until(lambda: is_served(http, pair), 120)
        # A node that has no label is predicted at once, in the version that is served.
        new = [UpsertNode("a", [-1.5, 0.0]), UpsertNode("b", [1.5, 0.0])]
        edges = [UpsertEdge("a", str(2 * node)) for node in range(9)]
        edges += [UpsertEdge("b", str(2 * node + 1)) for node in range(9)]
        append(redis_client, keys, [[*new, *edges]], first=7)
        assert labels(http, ["a", "b"], "7-0") == ["even", "odd"]
        until(lambda: bool(complete(tmp_path, keys)), 60)
        pair.strike(1, signal.SIGKILL)
        append(redis_client, keys, some(entries, 4), first=8)
        pair.wait_until_visible(redis_client, "11-0")
        until(lambda: worker_of(http)["learning"]["steps"] > 0, 60)
        found = labels(http, range(100, 200), "11-0")
        assert sum(name == ("even", "odd")[node % 2] for node, name in zip(range(100, 200), found, strict=True)) > 80
        until(lambda: worker_of(http)["graph"]["nodes"] == 10 * NODES + 2, 60)
        assert worker_of(http)["partitions"] == 2
        students = http.get("/students").json()["students"]
        assert [each["name"] for each in students] == ["gcn", "sage"]
        assert pair.terminate() == 0, pair.text()


@pytest.mark.timeout(600)
def test_a_fixed_number_of_steps_gives_the_same_bytes_after_a_loss_too(
    redis_server: RedisServer, redis_client: redis.Redis, graph: str, tmp_path: Path
) -> None:
    found = []
    for name, is_struck in (("steady", False), ("struck", True)):
        keys, entries = Keys(f"{graph}-{name}"), entries_of(5)
        data_dir = tmp_path / name
        append(redis_client, keys, some(entries, 4))
        given = {**SETTINGS, "steps_per_entry": 2, "checkpoint_interval_s": 0.3}
        with group_of(2, redis_server.url, keys, data_dir, **given) as pair:
            pair.wait_until_visible(redis_client, "4-0")
            if is_struck:
                until(lambda: bool(complete(data_dir, keys)), 60)  # noqa: B023 (called in this turn)
                pair.strike(1, signal.SIGKILL)
            append(redis_client, keys, some(entries, 4), first=5)
            pair.wait_until_visible(redis_client, "8-0")
            assert pair.terminate() == 0, pair.text()
        newest = complete(data_dir, keys)[-1].manifest
        assert newest.position == "8-0"
        found.append(newest.sha256)
    assert found[0] == found[1]
    # Another number of ranks goes on with the same students; fixed weights are those of what was served.
    with serving(redis_server.url, keys.graph) as http:
        append(redis_client, keys, some(entries, 1), first=9)
        with group_of(1, redis_server.url, keys, data_dir, **given) as alone:
            alone.wait_until_visible(redis_client, "9-0")
            until(lambda: worker_of(http).get("position") == "9-0", 60)
            assert worker_of(http)["partitions"] == 1
            assert worker_of(http)["learning"]["steps"] == 2 * 9
            alone.terminate()
        append(redis_client, keys, some(entries, 1), first=10)
        with group_of(2, redis_server.url, keys, data_dir, **{**given, "weights": "fixed"}) as fixed:
            fixed.wait_until_visible(redis_client, "10-0")
            until(lambda: worker_of(http).get("position") == "10-0", 60)
            assert worker_of(http)["learning"]["steps"] == 0
            assert len(labels(http, range(200), "10-0")) == 200
