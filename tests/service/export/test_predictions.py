"""Predictions in files: every row with its position, in any number of parts."""

from __future__ import annotations

import json
from pathlib import Path

import httpx
import pyarrow.csv
import pytest
import redis
from pyarrow import parquet
from typer.testing import CliRunner

from olad_core.tasks.label_rule import LabelRule
from service.cli import app
from service.client.http import Client
from service.export.asked_nodes import of_lines
from service.export.failed import ExportFailed
from service.export.predictions import export_predictions
from service.store.keys import Keys
from service.store.prediction_writer import PredictionWriter
from tests.redis_server import RedisServer
from tests.service.publications import publication

SHARES = {f"n{number:02d}": number / 100 for number in range(100)}


@pytest.fixture
def writer(redis_client: redis.Redis, keys: Keys) -> PredictionWriter:
    writer = PredictionWriter(redis_client, keys)
    writer.start()
    writer.publish(publication("9999999999999-0", {node: (1 - share, share) for node, share in SHARES.items()}))
    return writer


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_the_nodes_of_a_file_are_exported_in_their_order(
    url: str, writer: PredictionWriter, tmp_path: Path, suffix: str
) -> None:
    path = tmp_path / f"scores.{suffix}"
    lines = [f"{node}\n".encode() for node in [*SHARES, "nobody"]]
    seen: list[int] = []
    with Client(url) as client:
        done = export_predictions(client, of_lines(lines, "ids", 7), path, position="5-0", on_rows=seen.append)
    assert (done.rows, done.missing, done.position, done.versions) == (100, 1, "5-0", (1,))
    assert seen[-1] == 101
    assert len(seen) == 15
    table = pyarrow.csv.read_csv(path) if suffix == "csv" else parquet.read_table(path)
    assert table["node"].to_pylist() == [*SHARES]
    assert table["p(b)"].to_pylist() == pytest.approx([*SHARES.values()])
    assert table["label"].to_pylist() == ["a"] * 51 + ["b"] * 49
    assert table["probability"].to_pylist() == pytest.approx([max(share, 1 - share) for share in SHARES.values()])
    assert set(table["position"].to_pylist()) == {"9999999999999-0"}
    assert set(table["model_version"].to_pylist()) == {1}
    if suffix == "parquet":
        metadata = parquet.read_metadata(path).metadata
        assert metadata[b"olad.position"] == b"5-0"
        assert metadata[b"olad.model_versions"] == b"1"


def test_the_rows_are_ranked_by_a_class(
    runner: CliRunner, url: str, writer: PredictionWriter, redis_server: RedisServer, graph: str, tmp_path: Path
) -> None:
    events = [{"op": "upsert_node", "id": node} for node in SHARES] + [{"op": "label", "id": "n98", "label": "b"}]
    position = httpx.post(f"{url}/events", json=events, trust_env=False).json()["position"]
    result = runner.invoke(
        app,
        ["export", "predictions", "top.csv", "--by", "b", "--limit", "3", "--url", url],
        env={"OLAD_REDIS_URL": redis_server.url, "OLAD_GRAPH": graph},
    )
    assert result.exit_code == 0, result.output
    assert f"top.csv: 3 predictions; model version 1; exact for position {position} or later" in result.output
    table = pyarrow.csv.read_csv(tmp_path / "top.csv").to_pylist()
    assert [(row["node"], row["known_label"] or None) for row in table] == [("n99", None), ("n98", "b"), ("n97", None)]
    piped = runner.invoke(
        app, ["export", "predictions", "n.csv", "--nodes", "-", "--json", "--url", url], input="n07\nn08\nx\n"
    )
    assert json.loads(piped.stdout) == {"file": "n.csv", "rows": 2, "missing": 1, "position": None, "versions": [1]}


def test_what_cannot_be_exported_is_one_line_and_no_file(
    runner: CliRunner, url: str, writer: PredictionWriter, tmp_path: Path
) -> None:
    (tmp_path / "ids.txt").write_text("n01\n")
    (tmp_path / "none.txt").write_text("\n")
    (tmp_path / "latin.txt").write_bytes(b"n01\n\xe9\n")
    for options, message in (
        (["scores.xls", "--nodes", "ids.txt"], "name a file that ends with .parquet or .csv"),
        (["scores.csv", "--nodes", "ids.txt", "--by", "c"], "'c' is no class; the classes are a, b"),
        (["scores.csv", "--nodes", "none.txt"], "there are no nodes to export"),
        (["scores.csv", "--nodes", "latin.txt"], "latin.txt, line 2: not UTF-8; write one id a line"),
        (["scores.csv", "--nodes", "nowhere.txt"], "nowhere.txt: No such file or directory"),
        (["nowhere/scores.csv", "--nodes", "ids.txt"], "No such file or directory"),
        (["scores.csv"], "there is no checkpoint in olad-data"),
    ):
        result = runner.invoke(app, ["export", "predictions", *options, "--url", url])
        assert result.exit_code in {1, 78}, result.output
        (line,) = result.stderr.splitlines()
        assert message in line
    assert not [*tmp_path.glob("*scores*")]


def test_a_class_that_comes_meanwhile_ends_the_export(url: str, writer: PredictionWriter, tmp_path: Path) -> None:
    def publish_more(rows: int) -> None:
        shares = dict.fromkeys(SHARES, (0.5, 0.25, 0.25))
        writer.publish(publication("9999999999999-1", shares, version=2, classes=("a", "b", "c")))

    parts = of_lines([b"n01\n", b"n02\n", b"n03\n"], "ids", 2)
    with Client(url) as client, pytest.raises(ExportFailed, match="a class came meanwhile: export again"):
        export_predictions(client, parts, tmp_path / "s.csv", position=None, on_rows=publish_more)
    assert not [*tmp_path.iterdir()]


def test_the_probability_is_that_of_the_label_that_the_schema_decides(
    url: str, writer: PredictionWriter, tmp_path: Path
) -> None:
    shares = {node: (1 - share, share) for node, share in SHARES.items()}
    writer.publish(publication("9999999999999-1", shares, rule=LabelRule(thresholds={"b": 0.25})))
    path = tmp_path / "scores.parquet"
    with Client(url) as client:
        export_predictions(client, of_lines([f"{node}\n".encode() for node in SHARES], "ids", 50), path, position=None)
    for row in parquet.read_table(path).to_pylist():
        assert row["label"] == ("b" if SHARES[row["node"]] >= 0.25 else "a")
        assert row["probability"] == row[f"p({row['label']})"]
