"""``olad stream`` against a real API and Redis."""

from __future__ import annotations

import json
from typing import Any

import redis
from typer.testing import CliRunner

from olad_core.judging.decisions import Decision
from service.cli import app
from service.store.keys import Keys
from service.store.prediction_writer import PredictionWriter
from tests.redis_server import RedisServer
from tests.service.api.serving import serving
from tests.service.publications import publication


def test_changes_are_lines_of_json(
    runner: CliRunner, redis_server: RedisServer, redis_client: redis.Redis, keys: Keys
) -> None:
    writer = PredictionWriter(redis_client, keys, changes_kept=1_000)
    writer.start()
    drift = Decision(1, "2-0", 5, "drift", None, None, "errors rose")
    writer.publish(publication("1-0", {"x": [1, 0]}))
    writer.publish(publication("2-0", {"x": [0, 1], "y": [0, 1]}, decisions=(drift,)))
    recorded: Any = redis_client.xrange(keys.changes)
    stored = [json.loads(fields[b"event"]) for _, fields in recorded]
    with serving(redis_server.url, keys.graph, changes=1_000) as api:
        url = ["--url", str(api.base_url)]

        def lines(*options: str) -> list[dict[str, object]]:
            ended = runner.invoke(app, ["stream", *options, *url])
            assert ended.exit_code == 0, ended.stderr
            return [json.loads(line) for line in ended.stdout.splitlines()]

        every = lines("--after", "0-0", "--limit", "4")
        assert [line | {"time": ""} for line in every] == [event | {"time": ""} for event in stored]
        assert [line["subject"] for line in lines("--after", "1-0.1", "--node", "y", "--limit", "1")] == ["y"]
        (decided,) = lines("--after", "0-0", "--kind", "drift", "--limit", "1")
        assert decided == every[1]
        (second,) = lines("--after", "0-0", "--type", "label-changed", "--class", "b", "--limit", "1")
        assert second["id"] == "2-0.2"
        refused = runner.invoke(app, ["stream", "--type", "none", *url])
        assert refused.exit_code == 1
        assert "answered 422" in refused.stderr


def test_a_service_that_records_none_is_named(runner: CliRunner, url: str) -> None:
    refused = runner.invoke(app, ["stream", "--url", url])
    assert refused.exit_code == 1
    assert "OLAD_CHANGES=on" in refused.stderr
