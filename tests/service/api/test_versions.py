"""The routes of versions: over a real Redis, with reports and entries as the worker writes and reads them."""

from __future__ import annotations

import httpx
import pytest
import redis

from olad_core.engine import Engine
from olad_core.events import UpsertNode, VersionChange
from service.store.keys import Keys
from service.store.log_reader import LogReader
from service.store.prediction_writer import PredictionWriter
from tests.olad_core.runs import BEST_OF_PAIR, Run, learned
from tests.service.api.serving import assert_problem
from tests.service.engine_report import engine_report


@pytest.fixture(scope="module")
def engine() -> Engine:
    """With two versions: a class that comes late gives the second one its number."""
    run = learned(Run(BEST_OF_PAIR))
    run.turn([UpsertNode("x", [9.0, 9.0, 9.0], "a|<b>")])
    while run.engine.versions.served is None or run.engine.versions.served.version.shown < 2:
        run.turn([], steps=1)
    return run.engine


def publish(writer: PredictionWriter, engine: Engine) -> None:
    writer.write_status(engine_report(engine), b"")


def changes(redis_client: redis.Redis, keys: Keys) -> list[VersionChange | None]:
    return [entry.version for entry in LogReader(redis_client, keys).read("0-0", max_events=100)]


def test_before_the_first_report_there_is_none(api: httpx.Client) -> None:
    found = api.get("/versions").json()
    assert (found["served"], found["versions"]) == (None, [])
    assert_problem(api.get("/versions/1"), 404, "unknown-version")
    assert_problem(api.post("/versions/rollback"), 404, "unknown-version")


def test_lists_what_the_worker_keeps_and_shows_a_card_of_each(
    api: httpx.Client, writer: PredictionWriter, engine: Engine
) -> None:
    publish(writer, engine)
    found = api.get("/versions").json()
    assert (found["served"], found["pinned"], found["rollback_to"]) == (2, None, None)
    newer, older = found["versions"]
    assert (older["reason"], newer["reason"]) == ("first", "new-classes")
    assert older["served_until"] == newer["served_from"]
    held = engine.versions.served
    assert held is not None
    assert newer["parameters"] == sum(p.numel() for p in held.embedding.student.parameters())
    card = api.get("/versions/1").json()
    assert card["version"] == older
    assert card["configuration"]["students"] == ["gcn", "sage"]
    for asked in (
        api.get("/versions/1", params={"format": "markdown"}),
        api.get("/versions/1", headers={"Accept": "text/markdown"}),
    ):
        assert asked.headers["content-type"] == "text/markdown; charset=utf-8"
        assert asked.text.startswith(f"# Version 1, {older['student']}\n")
    assert r"a\|&lt;b&gt;" in api.get("/versions/2?format=markdown").text or not newer["by_class"]


def test_changes_are_entries_of_the_log(
    api: httpx.Client, writer: PredictionWriter, engine: Engine, redis_client: redis.Redis, keys: Keys
) -> None:
    publish(writer, engine)
    key = {"Idempotency-Key": "once"}
    pinned = api.put("/versions/pinned", json={"version": 1}, headers=key)
    again = api.put("/versions/pinned", json={"version": 1}, headers=key)
    assert (pinned.status_code, pinned.json()["version"]) == (202, 1)
    assert again.json() == pinned.json()
    assert again.headers["Idempotent-Replayed"] == "true"
    assert_problem(api.put("/versions/pinned", json={"version": 2}, headers=key), 422, "idempotency-key-reused")
    assert api.delete("/versions/pinned").json()["version"] is None
    assert changes(redis_client, keys) == [VersionChange(action="pin", version=1), VersionChange(action="unpin")]


def test_what_cannot_be_is_refused_and_not_written(
    api: httpx.Client, writer: PredictionWriter, engine: Engine, redis_client: redis.Redis, keys: Keys
) -> None:
    publish(writer, engine)
    problem = assert_problem(api.put("/versions/pinned", json={"version": 9}), 404, "unknown-version")
    assert problem["detail"] == "version 9 is not kept: 1, 2 are"
    for body in ({"version": "1"}, {"version": 1.5}, {"version": True}, {"version": 0}, {}, {"version": 1, "x": 1}):
        assert_problem(api.put("/versions/pinned", json=body), 422, "invalid-request")
    assert_problem(api.put("/versions/pinned", content=b"version=1"), 415, "unsupported-media-type")
    assert_problem(api.post("/versions/rollback"), 404, "unknown-version")
    assert changes(redis_client, keys) == []
