"""``olad send`` and ``olad predict`` against a running API."""

from __future__ import annotations

import gzip
import json
import re
from pathlib import Path

import httpx
import pytest
import redis
from typer.testing import CliRunner

from service.cli import app
from service.store.keys import Keys
from service.store.prediction_writer import PredictionWriter
from tests.service.publications import publication

BATCH = '[{"op": "upsert_node", "id": "n"},\n {"op": "label", "id": "n", "label": "a"}]'
LINES = '{"op": "upsert_node", "id": "n"}\n{"op": "upsert_node", "id": "m"}\n'


def _log(url: str) -> dict[str, object]:
    log: dict[str, object] = httpx.get(f"{url}/status", trust_env=False).json()["log"]
    return log


def _one_line(text: str) -> str:
    (line,) = text.splitlines()
    assert line.startswith("error: ")
    return line


@pytest.mark.parametrize("content", [BATCH.encode(), LINES.encode(), gzip.compress(LINES.encode())])
def test_a_batch_is_sent_as_it_is_written(runner: CliRunner, url: str, tmp_path: Path, content: bytes) -> None:
    (tmp_path / "events").write_bytes(content)
    from_file = runner.invoke(app, ["send", "events", "--url", url])
    assert from_file.exit_code == 0, from_file.stderr
    assert from_file.stdout.strip() == _log(url)["position"]
    piped = runner.invoke(app, ["send", "-", "--url", url, "--json"], input=content)
    assert json.loads(piped.stdout) == {"position": _log(url)["position"], "accepted": 2}
    assert _log(url)["appended_events"] == 4


def test_the_same_key_again_appends_nothing(runner: CliRunner, url: str) -> None:
    sent = [runner.invoke(app, ["send", "-", "--key", "k", "--url", url], input=BATCH) for _ in range(2)]
    assert sent[0].stdout == sent[1].stdout
    assert _log(url)["appended_events"] == 2
    other = runner.invoke(app, ["send", "-", "--key", "k", "--url", url], input=LINES)
    assert other.exit_code == 1
    assert "use a new key for a new batch" in _one_line(other.stderr)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "standard input is empty"),
        (b"a,b\n1,2\n", "standard input holds no events in JSON: olad import reads tables"),
        (b"<graphml/>", "standard input holds no events in JSON"),
        (b"PAR1" + bytes(20), "standard input is a Parquet file"),
        (b'{"op": "upsert_node"}', "answered 422: .*first: .*missing"),
        (b'{"op": "upsert_node", ', "answered 422"),
        (b" " * (16 * 2**20 + 1), "larger than one batch, 16,777,216 bytes: olad import sends it"),
    ],
    ids=["nothing", "CSV", "XML", "Parquet", "no id", "half", "large"],
)
def test_what_is_no_batch_is_refused_with_one_line(runner: CliRunner, url: str, content: bytes, message: str) -> None:
    result = runner.invoke(app, ["send", "-", "--url", url], input=content)
    assert result.exit_code == 1
    line = _one_line(result.stderr)
    assert re.search(message, line), line
    assert _log(url)["position"] is None


def test_a_file_that_is_not_there_is_named(runner: CliRunner) -> None:
    result = runner.invoke(app, ["send", "events.json"])
    assert result.exit_code == 1
    assert "events.json: no such file; - reads standard input" in _one_line(result.stderr)


def test_predictions_are_a_table_or_json_with_their_positions(
    runner: CliRunner, url: str, redis_client: redis.Redis, keys: Keys
) -> None:
    before = runner.invoke(app, ["predict", "n", "--url", url])
    assert before.exit_code == 1
    assert "No model has been published yet; missing: " in _one_line(before.stderr)
    writer = PredictionWriter(redis_client, keys)
    writer.start()
    writer.publish(publication("7-0", {"n": (0.9, 0.1), "[m]": (0.25, 0.75)}, disagreement=0.5))
    shown = runner.invoke(app, ["predict", "n", "[m]", "--url", url])
    assert shown.exit_code == 0, shown.stderr
    for text in ("a 90.0 %, b 10.0 %", "[m]", "b 75.0 %, a 25.0 %", "0.500", "1, sage", "7-0"):
        assert text in shown.stdout
    as_json = json.loads(runner.invoke(app, ["predict", "[m]", "--top", "1", "--json", "--url", url]).stdout)
    (answer,) = as_json["predictions"]
    assert (answer["label"], answer["probabilities"], answer["position"]) == ("b", {"b": 0.75}, "7-0")
    unknown = runner.invoke(app, ["predict", "n", "x", "--url", url])
    assert unknown.exit_code == 1
    assert _one_line(unknown.stderr) == "error: 'x' is not in the graph at 7-0"
    assert "90.0 %" in unknown.stdout
    wrong = runner.invoke(app, ["predict", "n", "--min-position", "soon", "--url", url])
    assert wrong.exit_code == 1
    assert "min_position" in _one_line(wrong.stderr)
