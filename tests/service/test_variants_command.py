"""``olad variants``."""

from __future__ import annotations

import contextlib
import json

import pytest
import redis
from typer.testing import CliRunner

from service.cli import app
from service.client import Client, NotPromoted, UnknownVariant, VariantInUse
from service.store.keys import Keys
from service.store.log_reader import LogReader
from service.store.prediction_writer import PredictionWriter
from service.store.presence import Presence
from tests.service.publications import publication, served_outcomes, worker_status


@pytest.fixture(autouse=True)
def workers(redis_client: redis.Redis, keys: Keys) -> None:
    for number, name in enumerate(("default", "wide"), start=1):
        own = keys.of(name)
        LogReader(redis_client, own).hold()
        writer = PredictionWriter(redis_client, own)
        writer.start()
        writer.publish(publication(f"{number}-0", {"n": (0.9, 0.1)}, version=number))
        writer.write_status(worker_status(), b"")
        redis_client.set(own.heartbeat, "1")


def test_the_command_lists_promotes_and_removes(
    url: str, runner: CliRunner, redis_client: redis.Redis, keys: Keys
) -> None:
    def run(*arguments: str, code: int = 0) -> str:
        done = runner.invoke(app, ["variants", *arguments, "--url", url])
        assert done.exit_code == code, done.output
        return done.output

    assert "default (champion)" in run()
    assert json.loads(run("--json"))["champion"] == "default"
    assert "its worker is away" in run("promote", "wide", code=1)
    with contextlib.closing(Presence(redis_client, keys.of("wide"))) as there:
        there.show()
        assert "2-0: wide is the champion, default was" in run("promote", "wide")
        assert "wide is the champion already" in run("promote", "wide")
        assert "champion" in run("remove", "wide", code=1)
    redis_client.delete(keys.champion)
    assert "wide is removed" in run("remove", "wide")
    assert "no worker has started" in run("remove", "wide", code=1)


def test_the_difference_from_the_champion_is_listed(
    url: str, runner: CliRunner, redis_client: redis.Redis, keys: Keys
) -> None:
    for name, right in (("default", 0.6), ("wide", 0.9)):
        writer = PredictionWriter(redis_client, keys.of(name))
        writer.write_status(worker_status(), b"", served_outcomes(200, right, seed=1))
    listed = runner.invoke(app, ["variants", "--url", url]).output
    with Client(url) as client:
        comparison = client.variants().variants[1].comparison
    assert comparison is not None
    assert comparison.difference is not None
    value, low, high = (
        None if end is None else f"{100 * end:+.1f}"
        for end in (comparison.difference.value, comparison.difference.low, comparison.difference.high)
    )
    assert f"wide less default, accuracy: {value} points [{low}, {high}] on 200 nodes: ahead\n" in listed


def test_the_client_asks_a_variant(url: str, redis_client: redis.Redis, keys: Keys) -> None:
    with Client(url, patience_s=0) as client:
        assert client.predict_one("n", variant="wide").model_version == 2
        assert [each.variant for each in client.predict(["n"], variant="wide")] == ["wide"]
        assert client.status(variant="wide").position == "2-0"
        assert client.status().variant == "default"
        assert client.versions(variant="wide").versions == ()
        with pytest.raises(UnknownVariant):
            client.predict_one("n", variant="deep")
        with pytest.raises(NotPromoted, match="away"):
            client.promote("wide", timeout_ms=0)
        with pytest.raises(VariantInUse):
            client.remove_variant("default")
