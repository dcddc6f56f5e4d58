"""A bug while applying: the entry is set aside whole, the graph is that of all others, in every replay too."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import redis
from typer.testing import CliRunner

from olad_core.events import Event, UpsertEdge, UpsertNode
from olad_core.graph import DynamicGraph
from olad_core.named_state import take_part
from service.cli import app
from service.store.keys import Keys
from service.worker.checkpoint import list_checkpoints, newest_checkpoint
from tests.chaos.faults import Fault
from tests.chaos.workers import ForkedWorker, Nursery, metric, reported, until
from tests.redis_server import RedisServer
from tests.service.entries import append, random_entries

BUG = Fault(point="bug", number=0, part=0.0)
BOOM: list[Event] = [
    UpsertNode(id="before", x=[1.0] * 6),
    UpsertEdge(src="before", dst="0"),
    UpsertNode(id="boom"),
    UpsertNode(id="z"),
]


def graph_of(data_dir: Path, keys: Keys) -> DynamicGraph:
    checkpoint, broken = newest_checkpoint(data_dir / "checkpoints" / keys.graph)
    assert checkpoint is not None
    assert not broken
    tensors = take_part(checkpoint.tensors, "graph")
    return DynamicGraph.from_state({name: tensor.numpy() for name, tensor in tensors.items()})


def test_a_batch_that_cannot_be_applied_is_set_aside_and_the_rest_goes_on(
    redis_server: RedisServer, redis_client: redis.Redis, nursery: Nursery, keys: Keys, tmp_path: Path
) -> None:
    entries = random_entries(20, seed=1)
    worker = ForkedWorker(nursery, redis_server.url, keys, tmp_path, checkpoint_interval_s=0.05)
    try:
        worker.start(BUG)
        append(redis_client, keys, entries[:10])
        worker.wait_until_visible(redis_client, "10-0")
        append(redis_client, keys, [*entries[10:13], BOOM, *entries[13:]], first=11)
        worker.wait_until_visible(redis_client, "21-0")
        assert worker.terminate() == 0, worker.log.read_text()
    finally:
        worker.close()

    expected = DynamicGraph()
    for events in entries:
        expected.apply(events, 0.0)
    graph = graph_of(tmp_path, keys)
    assert graph.rows(["before", "boom", "z"]).tolist() == [-1, -1, -1]
    assert (graph.num_nodes, graph.num_edges) == (expected.num_nodes, expected.num_edges)

    rejected: Any = redis_client.xrange(keys.rejected)
    (whole,) = [fields for _, fields in rejected if fields[b"reason"] == b"apply-failed"]
    assert whole[b"position"] == b"14-0"
    assert whole[b"op"] == b"batch"
    assert whole[b"detail"] == b"RuntimeError: a bug"
    assert [event["id"] for event in json.loads(whole[b"content"]) if "id" in event] == ["before", "boom", "z"]
    assert redis_client.hget(keys.served, "applied") == redis_client.get(keys.appended)


def test_a_batch_that_cannot_be_read_counts_with_all_its_events(
    redis_server: RedisServer, redis_client: redis.Redis, nursery: Nursery, keys: Keys, tmp_path: Path
) -> None:
    worker = ForkedWorker(nursery, redis_server.url, keys, tmp_path)
    worker.start()
    try:
        append(redis_client, keys, [[UpsertNode(id="a"), UpsertNode(id="b")]])
        redis_client.xadd(keys.log, {"events": b"\xc1", "n": 3}, id="2-0")
        worker.wait_until_visible(redis_client, "2-0")
        until(lambda: reported(redis_client, keys).applied_events == 5)
        assert reported(redis_client, keys).rejected_events == 3
        assert metric(redis_client, keys, "olad_worker_events_total") == 5
        assert metric(redis_client, keys, "olad_worker_rejected_total") == 3
    finally:
        worker.close()


def test_a_replay_skips_the_same_entry_though_the_bug_is_gone(
    redis_server: RedisServer, redis_client: redis.Redis, nursery: Nursery, keys: Keys, tmp_path: Path
) -> None:
    entries = random_entries(6, seed=2)
    entries.insert(3, BOOM)
    settings: dict[str, Any] = {"steps_per_entry": 1, "checkpoint_interval_s": 3600}
    append(redis_client, keys, entries)
    states = []
    for number, fault in enumerate((BUG, None)):
        data_dir = tmp_path / str(number)
        data_dir.mkdir()
        worker = ForkedWorker(nursery, redis_server.url, keys, data_dir, **settings, checkpoints_kept=5)
        worker.start(fault)
        try:
            worker.wait_until_visible(redis_client, "7-0")
            redis_client.copy(keys.log, "kept")
            skipped: Any = redis_client.hgetall(keys.skipped)
            assert worker.terminate() == 0, worker.log.read_text()
            # Its last checkpoint has trimmed the log; the second run reads it from the beginning.
            redis_client.rename("kept", keys.log)
            redis_client.delete(keys.trimmed)
            redis_client.hset(keys.skipped, mapping=skipped)
        finally:
            worker.close()
        checkpoint, _ = newest_checkpoint(data_dir / "checkpoints" / keys.graph)
        assert checkpoint is not None
        states.append((checkpoint.values, {name: t.numpy().tobytes() for name, t in checkpoint.tensors.items()}))
    assert states[0] == states[1]


def test_an_entry_that_cannot_be_read_is_set_aside(
    redis_server: RedisServer, redis_client: redis.Redis, nursery: Nursery, keys: Keys, tmp_path: Path
) -> None:
    entries = random_entries(3, seed=2)
    append(redis_client, keys, entries[:2])
    redis_client.xadd(keys.log, {"events": b"\xc1", "n": 1}, id="3-0")
    append(redis_client, keys, entries[2:], first=4)
    worker = ForkedWorker(nursery, redis_server.url, keys, tmp_path)
    worker.start()
    try:
        worker.wait_until_visible(redis_client, "4-0")
    finally:
        worker.close()
    rejected: Any = redis_client.xrange(keys.rejected)
    (whole,) = [fields for _, fields in rejected if fields[b"reason"] == b"apply-failed"]
    assert whole[b"position"] == b"3-0"
    assert whole[b"detail"].startswith(b"the entry cannot be read")


def test_verify_tells_whole_checkpoints_from_broken_ones(
    redis_server: RedisServer, redis_client: redis.Redis, nursery: Nursery, keys: Keys, tmp_path: Path
) -> None:
    append(redis_client, keys, random_entries(3, seed=2))
    worker = ForkedWorker(nursery, redis_server.url, keys, tmp_path)
    worker.run_until(redis_client, "3-0")
    run = CliRunner().invoke
    assert run(app, ["verify", str(tmp_path / "checkpoints" / keys.graph / "none")]).exit_code == 2
    whole = run(app, ["verify", str(tmp_path), "--json"])
    (finding,) = json.loads(whole.output)
    assert (whole.exit_code, finding["whole"], finding["position"], finding["problem"]) == (0, True, "3-0", "")
    (path,) = list_checkpoints(tmp_path / "checkpoints" / keys.graph)
    tensors = path / "tensors.safetensors"
    tensors.write_bytes(tensors.read_bytes()[:-1])
    broken = run(app, ["verify", str(path), "--json"])
    (finding,) = json.loads(broken.output)
    assert (broken.exit_code, finding["whole"], finding["position"]) == (1, False, "3-0")
    assert "does not match its checksum" in finding["problem"]
    assert "no:" in run(app, ["verify", str(tmp_path)]).output
    shutil.rmtree(path)
    assert run(app, ["verify", str(tmp_path)]).exit_code == 1
