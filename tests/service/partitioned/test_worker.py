"""A worker with partitions as real processes: what it serves, what happens when ranks are lost, and what it refuses."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Any

import httpx
import msgspec
import numpy as np
import numpy.typing as npt
import redis

from olad_core.engine import Engine
from olad_core.events import ClassDecision, Event, GraphSchema, UpsertEdge, UpsertNode
from olad_core.graph.edges_of_node import edges_of_node
from service.exit_codes import REFUSES
from service.partitioned.part_files import list_complete, numbered
from service.store.keys import Keys
from service.store.log_reader import LogReader
from service.variant_names import DEFAULT_VARIANT, file_stem
from tests.chaos.workers import until
from tests.redis_server import RedisServer
from tests.service.api.serving import assert_problem, serving
from tests.service.entries import append, random_entries
from tests.service.partitioned.groups import group_of, trained

ENTRIES = 24
TRAINED = 16


def served(http: httpx.Client, entries: list[list[Event]]) -> bytes:
    """What readers get about all nodes that there ever were."""
    nodes = sorted({event.id for events in entries for event in events if isinstance(event, UpsertNode)})
    answer = http.post("/predict", json={"nodes": nodes}, params={"timeout_ms": 60_000})
    answer.raise_for_status()
    return answer.content


SHARE = 0.2
"""Of the nodes without a label, which get one class."""
NAMED = ["1", "5", "9", "nobody", "90"]


def answered(http: httpx.Client) -> tuple[list[dict[str, Any]], npt.NDArray[np.float64]]:
    """Lists, edges of nodes, and embeddings, all at the last position; embeddings apart, since they may be rounded."""
    wanted = {"min_position": f"{ENTRIES}-0", "timeout_ms": "60000"}
    lists = [{"order": "disagreement", "labelled": "true"}, {"order": "arrived"}, {"order": "id", "prefix": "1"}]
    paths = [("/nodes", each) for each in lists] + [("/top/class 1", {"labelled": "true"})]
    paths += [(f"/neighbours/{node}", {}) for node in NAMED[:3]]
    found = [http.get(path, params={**query, **wanted}) for path, query in paths]
    vectors = http.post("/embeddings", params=wanted, json={"nodes": NAMED})
    for each in (*found, vectors):
        assert each.status_code == 200, each.text
    rows = vectors.json()["embeddings"]
    found_json = [each.json() for each in found] + [{**row, "embedding": row["embedding"] is not None} for row in rows]
    return found_json, np.array([row["embedding"] for row in rows if row["embedding"] is not None])


def edges_of(engine: Engine, node: str) -> list[tuple[str, float, str | None]]:
    found = edges_of_node(engine.graph, engine.graph.row(node), 100, 10**6)
    return sorted((each.node, each.weight, each.label) for each in found.edges)


def reported(http: httpx.Client) -> str:
    """Position of the worker's last report."""
    position: str = http.get("/status").json()["worker"]["position"]
    return position


def checkpoints(data_dir: Path, keys: Keys) -> Path:
    return data_dir / "checkpoints" / file_stem(keys.graph, DEFAULT_VARIANT)


def test_ranks_serve_the_same_bytes_whatever_happens_to_them(
    redis_server: RedisServer, redis_client: redis.Redis, graph: str, tmp_path: Path
) -> None:
    url, entries = redis_server.url, random_entries(ENTRIES, seed=7)
    steady, struck = Keys(f"{graph}-steady"), Keys(f"{graph}-struck")
    for keys in (steady, struck):
        append(redis_client, keys, entries[:TRAINED])
        engine = trained(redis_client, keys, tmp_path / keys.graph, TRAINED)
    assert engine.versions.served is not None
    with serving(url, steady.graph) as first, serving(url, struck.graph) as second:
        folder = tmp_path / steady.graph
        append(redis_client, steady, entries[TRAINED:], first=TRAINED + 1)
        with group_of(1, url, steady, folder) as alone:
            alone.wait_until_visible(redis_client, f"{ENTRIES}-0")
            expected = served(first, entries)
            others, vectors = answered(first)
            alone.terminate()  # torchrun's status after a signal is always 1
        assert [each.manifest.position for each in list_complete(checkpoints(folder, steady))] == [f"{ENTRIES}-0"]

        folder = tmp_path / struck.graph
        with group_of(2, url, struck, folder) as pair:
            pair.wait_until_visible(redis_client, f"{TRAINED}-0")
            appended = TRAINED
            for rank, name in ((1, signal.SIGKILL), (0, signal.SIGSTOP)):
                pair.strike(rank, name)
                append(redis_client, struck, entries[appended : appended + 4], first=appended + 1)
                appended += 4
                pair.wait_until_visible(redis_client, f"{appended}-0")
            assert appended == ENTRIES
            assert served(second, entries) == expected
            worker = second.get("/status").json()["worker"]
            assert worker["partitions"] == 2
            assert worker["disk_free"] > 0
            found, of_two = answered(second)
            assert found == others
            np.testing.assert_allclose(of_two, vectors, atol=1e-5)
            for entry in LogReader(redis_client, struck).read(f"{TRAINED}-0", max_events=10**9):
                engine.apply(entry.position, entry.events, entry.arrival)
            for node, listed in zip(NAMED, found[4:7], strict=False):
                edges = sorted((each["node"], each["weight"], each.get("label")) for each in listed["edges"])
                assert edges == edges_of(engine, node)
                assert listed["label"]
            assert any("label" in edge for listed in found[4:7] for edge in listed["edges"])
            assert_problem(second.get("/neighbours/nobody"), 404, "unknown-node")
            assert_problem(second.get("/explain/1"), 501, "partitioned")
            assert pair.terminate() == 0, pair.text()

        # One partition becomes two, and two become one.
        shares = GraphSchema(decisions={"class 1": ClassDecision(top_share=SHARE)})
        for keys, ranks, client in ((steady, 2, first), (struck, 1, second)):
            redis_client.xadd(keys.log, {"schema": shares.model_dump_json()}, id=f"{ENTRIES}-1")
            append(redis_client, keys, [[UpsertEdge("3", "90"), UpsertEdge("5", "91", 2.5)]], first=ENTRIES + 1)
            with group_of(ranks, url, keys, tmp_path / keys.graph) as other:
                other.wait_until_visible(redis_client, f"{ENTRIES + 1}-0")
                until(lambda client=client: reported(client) == f"{ENTRIES + 1}-0")  # type: ignore[misc]
                assert client.get("/status").json()["log"]["behind_events"] == 0
                unlabelled = client.get("/nodes", params={"order": "arrived", "limit": "1000"}).json()["nodes"]
                labelled = sum(each["label"] == "class 1" for each in unlabelled)
                assert labelled == int(SHARE * len(unlabelled)) > 1
        assert served(first, entries) == served(second, entries) != expected
        rejected = [http.get("/events/rejected").content for http in (first, second)]
        assert rejected[0] == rejected[1]
        assert msgspec.json.decode(rejected[0])["rejected"]


def test_the_older_of_two_groups_ends_and_so_does_one_that_cannot_begin(
    redis_server: RedisServer, redis_client: redis.Redis, keys: Keys, tmp_path: Path
) -> None:
    entries = random_entries(TRAINED, seed=3)
    with group_of(2, redis_server.url, keys, tmp_path) as without:
        assert without.process.wait(120) == REFUSES
        assert "has no checkpoint" in without.text()
    append(redis_client, keys, entries)
    trained(redis_client, keys, tmp_path, TRAINED)
    with group_of(2, redis_server.url, keys, tmp_path, checkpoint_interval_s=0.01) as older:
        older.wait_until_visible(redis_client, f"{TRAINED}-0")
        until(lambda: list_complete(checkpoints(tmp_path, keys)))
        redis_client.xadd(keys.log, {"schema": GraphSchema(classes=("a",)).model_dump_json()}, id=f"{TRAINED + 1}-0")
        older.wait_until_visible(redis_client, f"{TRAINED + 1}-0")
        # As another group does when it begins.
        redis_client.incr(keys.starts)
        assert older.process.wait(120) == REFUSES
        assert "no longer the newest" in older.text()
    # What has no manifest is no checkpoint.
    (newest := numbered(checkpoints(tmp_path, keys))[-1][1] / "manifest.json").unlink()
    assert newest.parent not in [each.path for each in list_complete(checkpoints(tmp_path, keys))]
