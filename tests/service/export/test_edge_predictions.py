"""Predictions of edges in files: those that a task remembers, each with its position."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pyarrow.csv
import pytest
import redis
from pyarrow import parquet
from typer.testing import CliRunner

from service.cli import app
from service.store.keys import Keys
from tests.redis_server import RedisServer
from tests.service.api.answering import predicted_edge, sent, worker_of

SCHEMA = {
    "edge_types": {"paid": {"directed": True, "ids": True}, "rated": {"directed": True}, "knows": {}},
    "tasks": {
        "fraud": {"kind": "edge_class", "edge_type": "paid"},
        "rating": {"kind": "edge_value", "edge_type": "rated"},
    },
}


@pytest.fixture
def service(url: str, redis_client: redis.Redis, keys: Keys, tmp_path: Path) -> Iterator[httpx.Client]:
    """An API with a worker that has seen 30 payments, of which 20 have a label, and 30 ratings."""
    with (
        httpx.Client(base_url=url, trust_env=False) as api,
        worker_of(api, SCHEMA, redis_client, keys, tmp_path),
    ):
        pays = {"op": "upsert_edge", "type": "paid"}
        paid = [pays | {"src": f"a{at % 2}", "dst": f"s{at}", "id": f"p{at}", "ts": float(at)} for at in range(30)]
        known = [pay | {"label": ("ok", "fraud")[at % 2]} for at, pay in enumerate(paid[:20])]
        rates = {"op": "upsert_edge", "type": "rated"}
        rated = [rates | {"src": f"r{at}", "dst": f"t{at % 3}", "value": float(at % 3)} for at in range(30)]
        sent(api, {"op": "upsert_edge", "type": "knows", "src": "a0", "dst": "a1"})
        sent(api, *known[:4], *rated[:15])
        sent(api, *known[4:])
        position = sent(api, *paid[20:], *rated[15:])
        predicted_edge(api, "paid", position, id="p29")
        yield api


def export(runner: CliRunner, server: RedisServer, graph: str, *options: str) -> Any:
    return runner.invoke(
        app,
        ["export", "predictions", *options],
        env={"OLAD_REDIS_URL": server.url, "OLAD_GRAPH": graph},
    )


def test_the_edges_of_a_type_are_exported_as_they_came(
    runner: CliRunner, service: httpx.Client, redis_server: RedisServer, graph: str, tmp_path: Path
) -> None:
    url = str(service.base_url)
    result = export(runner, redis_server, graph, "paid.parquet", "--edges", "paid", "--json", "--url", url)
    assert result.exit_code == 0, result.output
    done = json.loads(result.stdout)
    assert (done["rows"], done["missing"]) == (30, 0)
    rows = parquet.read_table(tmp_path / "paid.parquet").to_pylist()
    assert [row["edge"] for row in rows] == [f"p{at}" for at in range(30)]
    assert [row["known_label"] for row in rows] == [("ok", "fraud")[at % 2] for at in range(20)] + [None] * 10
    for row in rows:
        answer = service.get("/predict/edge", params={"type": "paid", "id": row["edge"]}).json()
        assert (row["label"], row["task"], row["position"]) == (answer["label"], "fraud", answer["position"])
        assert row["probability"] == answer["probabilities"][row["label"]]
        for name, share in answer["probabilities"].items():
            assert row[f"p({name})"] == share
            assert row[f"at arrival p({name})"] == (answer["at_arrival"] or {}).get(name)
    assert (rows[3]["src"], rows[3]["dst"]) == ("a1", "s3")


def test_edges_are_ranked_by_a_class(
    runner: CliRunner, service: httpx.Client, redis_server: RedisServer, graph: str, tmp_path: Path
) -> None:
    url = str(service.base_url)
    given = ("top.csv", "--edges", "paid", "--by", "fraud", "--limit", "5", "--url", url)
    result = export(runner, redis_server, graph, *given)
    assert result.exit_code == 0, result.output
    assert "top.csv: 5 predictions; model version" in result.output
    shares = pyarrow.csv.read_csv(tmp_path / "top.csv")["p(fraud)"].to_pylist()
    assert len(shares) == 5
    assert shares == sorted(shares, reverse=True)
    wrong = export(runner, redis_server, graph, "x.csv", "--edges", "paid", "--by", "odd", "--url", url)
    assert wrong.exit_code == 1
    assert "'odd' is no class; the classes are ok, fraud" in " ".join(wrong.output.split())


def test_the_likeliest_edges_are_listed(runner: CliRunner, service: httpx.Client) -> None:
    url = str(service.base_url)
    found = runner.invoke(app, ["top", "fraud", "--edges", "paid", "--limit", "3", "--url", url, "--json"])
    assert found.exit_code == 0, found.output
    edges = service.get("/edges/top/fraud", params={"type": "paid", "limit": 3}).json()["edges"]
    assert json.loads(found.stdout)["edges"] == edges
    shown = runner.invoke(app, ["top", "fraud", "--edges", "paid", "--limit", "3", "--url", url]).stdout
    for edge in edges:
        assert f"{edge['id']} " in shown
    assert "of the 10 newest of 10 edges without a label" in shown
    refused = runner.invoke(app, ["top", "fraud", "--edges", "paid", "--labelled", "--url", url])
    assert refused.exit_code == 2


def test_values_are_exported_with_their_intervals(
    runner: CliRunner, service: httpx.Client, redis_server: RedisServer, graph: str, tmp_path: Path
) -> None:
    url = str(service.base_url)
    result = export(runner, redis_server, graph, "rated.parquet", "--edges", "rated", "--url", url)
    assert result.exit_code == 0, result.output
    rows = parquet.read_table(tmp_path / "rated.parquet").to_pylist()
    assert len(rows) == 30
    for row in rows:
        ends = {"type": "rated", "src": row["src"], "dst": row["dst"]}
        answer = service.get("/predict/edge", params=ends).json()
        assert [row["value"], row["low"], row["high"]] == [answer["value"], *answer["interval"]]
        assert (row["known_value"], row["edge"]) == (answer["truth"], None)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--edges", "knows"), "edges of the type 'knows' have no task: declare one (docs/tasks.md)"),
        (("--edges", "other"), "no edge has the type 'other'; the types are"),
        (("--edges", "paid", "--nodes", "-"), "--nodes and --edges are not used together"),
    ],
)
def test_what_cannot_be_exported_is_refused(
    runner: CliRunner,
    service: httpx.Client,
    redis_server: RedisServer,
    graph: str,
    tmp_path: Path,
    options: tuple[str, ...],
    message: str,
) -> None:
    result = export(runner, redis_server, graph, "x.csv", *options, "--url", str(service.base_url))
    assert result.exit_code == 1
    assert message in " ".join(result.output.split())
    assert not (tmp_path / "x.csv").exists()
