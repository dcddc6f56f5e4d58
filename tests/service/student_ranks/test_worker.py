"""A worker whose students are spread over two ranks, as real processes: what it serves, after losses too."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest
import redis

from olad_core.events import UpsertNode
from service.exit_codes import REFUSES
from service.store.keys import Keys
from service.worker.checkpoint import list_checkpoints
from tests.chaos.killed_ranks import entries_of, some
from tests.chaos.partitions import is_alive
from tests.chaos.workers import until
from tests.docs.markdown import ROOT
from tests.redis_server import RedisServer
from tests.service.api.serving import serving
from tests.service.entries import append
from tests.service.partitioned.groups import GroupOfRanks
from tests.service.partitioned.test_worker import checkpoints, served

ENTRIES = 12
LEARNING: dict[str, Any] = {
    "students": "gcn,sage",
    "width": 8,
    "publish_steps": 4,
    "rank_timeout_s": 20,
    "torch_threads": 1,
}


def command_of(ranks: int) -> list[str]:
    return [sys.executable, "-m", "service.entry", "worker", "--student-ranks", str(ranks)]


def worker(ranks: int, url: str, keys: Keys, data_dir: Path, **settings: object) -> GroupOfRanks:
    return GroupOfRanks(command_of(ranks), url, keys, data_dir, **LEARNING | settings)


@pytest.mark.timeout(600)
def test_two_ranks_serve_what_one_worker_serves_and_go_on_after_a_loss(
    redis_server: RedisServer, redis_client: redis.Redis, graph: str, tmp_path: Path
) -> None:
    url, entries = redis_server.url, some(entries_of(seed=4), ENTRIES)
    found: dict[int, bytes] = {}
    for ranks in (1, 2):
        keys = Keys(f"{graph}-{ranks}")
        append(redis_client, keys, entries[:6])
        running = worker(ranks, url, keys, tmp_path / keys.graph, steps_per_entry=2, checkpoint_interval_s=0.5)
        try:
            with serving(url, keys.graph) as http:
                running.wait_until_visible(redis_client, "6-0")
                if ranks == 2:
                    until(lambda keys=keys: list_checkpoints(checkpoints(tmp_path / keys.graph, keys)))  # type: ignore[misc]
                    pids = [running.rank_pid(rank) for rank in range(2)]
                    running.strike(1, signal.SIGKILL)
                    until(lambda pids=pids: not any(is_alive(pid) for pid in pids))  # type: ignore[misc]
                append(redis_client, keys, entries[6:], first=7)
                running.wait_until_visible(redis_client, f"{ENTRIES}-0")
                # A version that the last steps complete is published with the next answer.
                until(lambda http=http: steps(http) == 2 * ENTRIES)  # type: ignore[misc]
                found[ranks] = served(http, entries)
            assert running.terminate() == 0, running.text()
        finally:
            running.close(ranks)
    assert found[1] == found[2]


def steps(http: httpx.Client) -> int:
    """Training steps that the worker has reported; 0 before it has."""
    worker = http.get("/status").json()["worker"]
    return worker["learning"]["steps"] if worker else 0


@pytest.mark.timeout(600)
def test_ranks_learn_between_events_and_give_up_one_that_is_paused(
    redis_server: RedisServer, redis_client: redis.Redis, keys: Keys, tmp_path: Path
) -> None:
    entries = entries_of(seed=5)
    append(redis_client, keys, some(entries, 6))
    # A worker without ranks goes on with what they leave behind.
    settings = {"rank_timeout_s": 5, "checkpoint_interval_s": 0.5}
    with serving(redis_server.url, keys.graph) as http:
        running = worker(2, redis_server.url, keys, tmp_path, **settings)
        try:
            until(lambda: (http.get("/status").json()["worker"] or {}).get("served"), 120)
            assert http.get("/status").json()["worker"]["student_ranks"] == 2
            until(lambda: http.get("/status").json()["worker"]["combined"]["trees"]["trees"] > 0, 60)
            running.strike(1, signal.SIGSTOP)
            append(redis_client, keys, some(entries, 2), first=7)
            running.wait_until_visible(redis_client, "8-0")
            until(lambda: steps(http) > 0)
            assert running.terminate() == 0, running.text()
        finally:
            running.close(2)
        alone = worker(1, redis_server.url, keys, tmp_path, **settings)
        try:
            append(redis_client, keys, [[UpsertNode("new", [1.0, 0.0])]], first=9)
            alone.wait_until_visible(redis_client, "9-0")
            assert alone.terminate() == 0, alone.text()
        finally:
            alone.close(0)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"OLAD_PARTITIONS": "2"}, "OLAD_STUDENT_RANKS and OLAD_PARTITIONS exclude each other"),
        ({"OLAD_STUDENTS": "gcn,tgcn"}, "tgcn has hidden states"),
        ({"OLAD_STUDENTS": "gcn,gcn"}, "take one rank a kind at most"),
        ({"OLAD_MAX_CLASSES": "2000"}, "1,024 classes at most"),
    ],
)
def test_what_cannot_be_spread_is_refused_at_the_start(
    settings: dict[str, str], message: str, redis_server: RedisServer, tmp_path: Path
) -> None:
    environment = {"OLAD_REDIS_URL": redis_server.url, "OLAD_DATA_DIR": str(tmp_path), "PATH": "", **settings}
    refused = subprocess.run(
        command_of(2), env=environment, capture_output=True, text=True, check=False, timeout=200, cwd=ROOT
    )
    assert refused.returncode == REFUSES, refused.stdout + refused.stderr
    assert message in refused.stdout + refused.stderr
