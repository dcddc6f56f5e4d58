"""``olad import``: files into the log of a running service."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import networkx as nx
import pytest
import torch
from typer.testing import CliRunner

from service.cli import app
from service.replay.pyg_library import pyg_data
from tests.service.replay.payments import OPTIONS, payments_csv

ROWS = 300


@pytest.fixture(autouse=True)
def payments(tmp_path: Path) -> None:
    """A table in the directory that commands run in."""
    (tmp_path / "payments.csv").write_text(payments_csv(rows=ROWS))


def _appended(url: str) -> int:
    return int(httpx.get(f"{url}/status", trust_env=False).json()["log"]["appended_events"])


def test_a_dry_run_shows_events_and_schema_and_needs_no_service(runner: CliRunner) -> None:
    shown = runner.invoke(app, ["import", "payments.csv", *OPTIONS, "--dry-run"])
    assert shown.exit_code == 0, shown.stderr
    events = [json.loads(line) for line in shown.output.splitlines() if line.startswith("{")]
    assert [event["op"] for event in events] == ["upsert_node", "upsert_edge", "upsert_edge"] * 3 + ["upsert_node"]
    assert 'schema (declared with --declare): {"feature_width": 8, "classes": ["fraud", "ok"]}' in shown.output
    as_json = json.loads(runner.invoke(app, ["replay", "payments.csv", *OPTIONS, "--dry-run", "--json"]).stdout)
    assert as_json["events"] == events
    assert as_json["schema"] == {"feature_width": 8, "classes": ["fraud", "ok"]}


def test_all_of_it_arrives_once_and_what_is_declared(runner: CliRunner, url: str) -> None:
    command = ["import", "payments.csv", *OPTIONS, "--declare", "--url", url, "--batch-bytes", "10000"]
    first = runner.invoke(app, [*command, "--json"])
    assert first.exit_code == 0, first.stderr
    report = json.loads(first.stdout)
    assert report["complete"]
    assert report["batches"] > 3
    assert _appended(url) == report["events"] >= 3 * ROWS
    schema = httpx.get(f"{url}/schema", trust_env=False).json()
    assert (schema["feature_width"], schema["classes"]) == (8, ["fraud", "ok"])
    again = runner.invoke(app, command)
    assert "All of it had been sent before" in again.output
    assert _appended(url) == report["events"]


@contextlib.contextmanager
def interrupted_at_the_third_batch(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    sent = 0

    def stop(*_: object) -> None:
        nonlocal sent
        sent += 1
        if sent == 3:
            raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("service.commands.import_view.ImportView.update", stop)
        yield


def test_it_goes_on_where_it_stopped(runner: CliRunner, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    command = ["import", "payments.csv", *OPTIONS, "--url", url, "--batch-bytes", "10000", "--json"]
    with interrupted_at_the_third_batch(monkeypatch):
        stopped = runner.invoke(app, command)
    assert stopped.exit_code == 130
    before = _appended(url)
    report = json.loads(runner.invoke(app, command).stdout)
    assert report["resumed_batches"] == 3
    assert _appended(url) == before + report["events"]
    whole = json.loads(runner.invoke(app, [*command, "--fresh"]).stdout)
    assert before + report["events"] == whole["events"]


@pytest.mark.parametrize("kind", ["graphml", "json", "pt"])
def test_a_graph_is_declared_arrives_once_and_goes_on(
    runner: CliRunner, url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    path = tmp_path / f"graph.{kind}"
    ring: Any = nx.cycle_graph(200)
    nx.set_node_attributes(ring, {node: "ab"[node % 2] for node in ring}, "side")
    options = ["--label", "side"]
    if kind == "graphml":
        nx.write_graphml_xml(ring, path)
    elif kind == "json":
        path.write_text(json.dumps(nx.node_link_data(ring)))
    else:
        edges = torch.tensor(list(ring.edges)).T
        torch.save(pyg_data().Data(edge_index=torch.cat([edges, edges.flip(0)], 1), y=torch.arange(200) % 2), path)
        options = []
    command = ["import", path.name, *options, "--url", url, "--batch-bytes", "2000", "--json"]
    with interrupted_at_the_third_batch(monkeypatch):
        assert runner.invoke(app, command).exit_code == 130
    before = _appended(url)
    report = json.loads(runner.invoke(app, command).stdout)
    assert report["resumed_batches"] == 3
    assert _appended(url) == before + report["events"] == 3 * 200
    schema = httpx.get(f"{url}/schema", trust_env=False).json()
    assert schema["classes"] == (["0", "1"] if kind == "pt" else ["a", "b"])


def test_nothing_is_sent_of_a_file_with_a_wrong_value(runner: CliRunner, url: str, tmp_path: Path) -> None:
    (tmp_path / "payments.csv").write_text(payments_csv(rows=ROWS) + "P,yesterday,a,b,1,EUR,web,ok\n")
    result = runner.invoke(app, ["import", "payments.csv", *OPTIONS, "--url", url])
    assert result.exit_code == 1
    (line,) = result.stderr.splitlines()
    assert line.startswith(f"error: payments.csv, line {ROWS + 2}, column 'booked_at': 'yesterday' is no date")
    assert _appended(url) == 0


def test_a_class_that_is_not_there_is_named(runner: CliRunner) -> None:
    result = runner.invoke(app, ["replay", "payments.csv", *OPTIONS, "--rank", "Fraud", "--dry-run"])
    assert result.exit_code == 1
    assert result.stderr == "error: --rank: payments.csv has no class 'Fraud' (did you mean 'fraud'?)\n"


def test_a_wrong_delay_is_named(runner: CliRunner) -> None:
    result = runner.invoke(app, ["import", "payments.csv", "--label-delay", "soon"])
    assert result.exit_code == 2
    assert "'soon' is no delay: a number of arrivals (100), or a time" in " ".join(str(result.exception).split()) + (
        result.stderr
    )
