"""``olad what-if`` and ``olad explain`` against a running service."""

from __future__ import annotations

import json
from pathlib import Path

import httpx
import redis
import torch
from typer.testing import CliRunner

from olad_core.config import EngineConfig
from olad_core.engine import Engine
from service.cli import app
from service.store.keys import Keys
from tests.olad_core.runs import PAIR, Run, learned
from tests.service.api.answering import AnsweringWorker

ARRAY = '[{"op": "upsert_edge", "src": "8", "dst": "1"}]'
LINES = '{"op": "upsert_edge", "src": "8", "dst": "1"}\n\n{"op": "label", "id": "nobody", "label": "odd"}\n'


def test_what_nodes_would_be_predicted(
    runner: CliRunner, url: str, redis_client: redis.Redis, keys: Keys, tmp_path: Path
) -> None:
    with AnsweringWorker(learned(Run(PAIR)).engine, redis_client, keys, tmp_path).at_work():
        asked = httpx.post(f"{url}/what-if", json={"events": json.loads(ARRAY), "nodes": ["8"]}, trust_env=False).json()
        given = runner.invoke(app, ["what-if", "-", "--nodes", "8,x", "--json", "--url", url], input=ARRAY)
        assert given.exit_code == 0, given.stderr
        found = json.loads(given.stdout)
        assert found["predictions"][0] == asked["predictions"][0]
        assert found["predictions"][1] == {"node": "x", "error": "not-found"}
        (tmp_path / "changes.ndjson").write_text(LINES)
        shown = runner.invoke(app, ["what-if", "changes.ndjson", "--nodes", "8,x", "--url", url])
    assert shown.exit_code == 1
    assert asked["predictions"][0]["label"] in shown.stdout
    assert "not in the graph" in shown.stdout
    assert "error: event 1 would be rejected: there is no node 'nobody'" in shown.stderr


def test_invalid_events_are_named(runner: CliRunner, url: str) -> None:
    refused = runner.invoke(app, ["what-if", "-", "--nodes", "8", "--url", url], input='[{"op": "label", "id": "8"}]')
    assert refused.exit_code == 1
    assert "index 0" in refused.stderr


def test_a_prediction_is_explained(
    runner: CliRunner, url: str, redis_client: redis.Redis, keys: Keys, tmp_path: Path
) -> None:
    with AnsweringWorker(learned(Run(PAIR)).engine, redis_client, keys, tmp_path).at_work():
        asked = httpx.get(f"{url}/explain/7?k=3", trust_env=False).json()
        given = runner.invoke(app, ["explain", "7", "--k", "3", "--json", "--url", url])
        assert given.exit_code == 0, given.stderr
        assert json.loads(given.stdout) == asked
        shown = runner.invoke(app, ["explain", "7", "--k", "3", "--url", url])
        missing = runner.invoke(app, ["explain", "nobody", "--url", url])
    assert shown.exit_code == 0
    assert f"7: {asked['label']} {asked['probability']:.4f}" in shown.stdout
    assert f"{asked['effects'][0]['change']:+.4f}" in shown.stdout
    assert f"3 of {asked['count']} effects" in " ".join(shown.stdout.split())
    assert missing.exit_code == 1
    assert "not in the graph" in missing.stderr


def test_an_edge_is_explained(
    runner: CliRunner, url: str, redis_client: redis.Redis, keys: Keys, tmp_path: Path
) -> None:
    tasks = {"fraud": {"kind": "edge_class", "edge_type": "edge"}}
    httpx.put(f"{url}/schema", json={"tasks": tasks}, trust_env=False).raise_for_status()
    edges = [{"op": "upsert_edge", "src": "ab"[at % 2], "dst": str(at), "label": str(at % 2)} for at in range(8)]
    asked = ["explain-edge", "a", "[new]", "--k", "2"]
    with AnsweringWorker(Engine(EngineConfig(), torch.device("cpu")), redis_client, keys, tmp_path).at_work():
        sent = httpx.post(f"{url}/events", json=edges, trust_env=False).json()["position"]
        shown = runner.invoke(app, [*asked, "--min-position", sent, "--url", url])
        given = runner.invoke(app, [*asked, "--json", "--url", url])
        unnamed = runner.invoke(app, ["explain-edge", "a", "--url", url])
    assert shown.exit_code == 0, shown.stderr
    found = json.loads(given.stdout)
    assert f"a to [new]: {found['label']} {found['probability']:.4f}" in shown.stdout
    assert "labels of edges of the source" in shown.stdout
    assert "label 0 of the edge from a to " in shown.stdout
    assert f"2 of {found['count']} labels" in " ".join(shown.stdout.split())
    assert unnamed.exit_code == 2
