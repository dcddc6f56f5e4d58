"""Which variant answers where a request names none, and how another one becomes it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest
import redis

from service.settings import Settings
from service.store.keys import Keys
from service.store.log_reader import HELD_S, LogReader
from service.store.prediction_writer import PredictionWriter
from tests.redis_server import RedisServer
from tests.service.api.serving import assert_problem, serving
from tests.service.metric_values import shows
from tests.service.publications import publication, worker_status


def started(client: redis.Redis, keys: Keys, **given: Any) -> PredictionWriter:
    LogReader(client, keys).hold()
    writer = PredictionWriter(client, keys, **given)
    writer.start()
    writer.heartbeat(600_000)
    return writer


@pytest.fixture
def default(redis_client: redis.Redis, keys: Keys) -> PredictionWriter:
    """The default variant, which says "a" at 2-0."""
    writer = started(redis_client, keys, past_rows=1_000, changes_kept=100)
    writer.publish(publication("2-0", {"n": (0.9, 0.1)}, applied=2))
    writer.write_status(worker_status(), b"")
    return writer


@pytest.fixture
def wide(redis_client: redis.Redis, keys: Keys) -> PredictionWriter:
    """A challenger, which says "b" at 2-0."""
    writer = started(redis_client, keys.of("wide"), past_rows=1_000, changes_kept=100)
    writer.publish(publication("2-0", {"n": (0.2, 0.8)}, applied=2, version=4))
    writer.write_status(worker_status(), b"")
    return writer


def promoted(api: httpx.Client, name: str, **params: Any) -> dict[str, Any]:
    found: dict[str, Any] = api.post(f"/variants/{name}/promote", params=params).raise_for_status().json()
    return found


def until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


@pytest.fixture
def another_api(redis_server: RedisServer, graph: str) -> Iterator[httpx.Client]:
    """A second API process's worth of the same graph, which learns of a promotion by reading."""
    with serving(redis_server.url, graph, changes=100) as client:
        yield client


class TestPromotion:
    def test_all_readers_go_on_to_the_variant_and_back(
        self,
        api: httpx.Client,
        another_api: httpx.Client,
        default: PredictionWriter,
        wide: PredictionWriter,
        redis_client: redis.Redis,
        keys: Keys,
    ) -> None:
        for name, label, before in (("wide", "b", "default"), ("default", "a", "wide")):
            done = promoted(api, name)
            assert (done["champion"], done["before"], done["position"]) == (name, before, "2-0")
            (entry,) = LogReader(redis_client, keys).read("0-0", max_events=10)[-1:]
            assert (entry.position, entry.version and entry.version.variant) == (done["log_position"], name)
            for reading in (another_api, api):
                one = reading.get("/predict/n").json()
                (many,) = reading.post("/predict", json={"nodes": ["n"]}).json()["predictions"]
                model = f"/v2/models/{keys.graph}"
                inputs = [{"name": "node", "shape": [1], "datatype": "BYTES", "data": ["n"]}]
                inferred = reading.post(f"{model}/infer", json={"inputs": inputs}).json()
                assert [one["label"], many["label"], inferred["outputs"][0]["data"]] == [label, label, [label]]
                assert [one["variant"], many["variant"], inferred["parameters"]["variant"]] == [name] * 3
                status = reading.get("/status").json()
                assert (status["variant"], status["champion"]) == (name, name)
        again = promoted(api, "default")
        assert (again["before"], again["log_position"]) == ("default", None)
        found = api.get("/variants").json()
        assert found["champion"] == "default"
        assert [(each["champion"], each["before"]) for each in found["promotions"]] == [
            ("default", "wide"),
            ("wide", "default"),
        ]

    def test_what_cannot_be_the_champion_is_refused_with_the_reason(
        self, api: httpx.Client, default: PredictionWriter, redis_client: redis.Redis, keys: Keys
    ) -> None:
        def refused(**params: Any) -> str:
            answer = api.post("/variants/wide/promote", params={"timeout_ms": 20, **params})
            return str(assert_problem(answer, 409, "not-promoted")["detail"])

        assert_problem(api.post("/variants/wide/promote"), 404, "unknown-variant")
        own = keys.of("wide")
        writer = started(redis_client, own)
        assert "serves no version" in refused()
        writer.publish(publication("1-0", {"n": (0.2, 0.8)}, applied=1))
        assert "it shows position 1-0, and readers have seen 2-0" in refused()
        writer.publish(publication("2-0", {"n": (0.2, 0.8)}, applied=2))
        redis_client.delete(own.heartbeat)
        assert "its worker is away" in refused()
        assert api.get("/predict/n").json()["label"] == "a"
        assert api.get("/variants").json()["champion"] == "default"
        writer.heartbeat(600_000)
        promoted(api, "wide")

    def test_it_waits_until_the_variant_shows_what_readers_have_seen(
        self, api: httpx.Client, default: PredictionWriter, wide: PredictionWriter
    ) -> None:
        default.publish(publication("3-0", {"n": (0.9, 0.1)}, applied=3))
        with ThreadPoolExecutor(1) as pool:
            waiting = pool.submit(promoted, api, "wide", timeout_ms=30_000)
            until(lambda: shows(api, "olad_api_waiting", 1))
            wide.publish(publication("3-0", {"n": (0.2, 0.8)}, applied=3, version=4))
            assert waiting.result()["position"] == "3-0"

    def test_who_waits_for_a_position_goes_on_with_the_champion(
        self, api: httpx.Client, default: PredictionWriter, wide: PredictionWriter
    ) -> None:
        with ThreadPoolExecutor(1) as pool:
            waiting = pool.submit(api.get, "/predict/n?min_position=5-0&timeout_ms=30000")
            until(lambda: shows(api, "olad_api_waiting", 1))
            promoted(api, "wide")
            wide.publish(publication("5-0", {"n": (0.2, 0.8)}, applied=5, version=4))
            found = waiting.result().raise_for_status().json()
        assert (found["label"], found["position"], found["variant"]) == ("b", "5-0", "wide")

    def test_answers_of_earlier_positions_are_those_of_the_champion_of_then(
        self, api: httpx.Client, default: PredictionWriter, wide: PredictionWriter
    ) -> None:
        wide.publish(publication("4-0", {"n": (0.3, 0.7)}, applied=4, version=4))
        promoted(api, "wide")
        default.publish(publication("6-0", {"n": (0.8, 0.2)}, applied=6))
        wide.publish(publication("7-0", {"n": (0.2, 0.8)}, applied=7, version=4))
        labels = {at: api.get(f"/predict/n?at={at}").raise_for_status().json()["label"] for at in ("2-0", "4-0", "7-0")}
        assert labels == {"2-0": "a", "4-0": "b", "7-0": "b"}
        promoted(api, "wide")
        assert api.get("/predict/n?at=6-0&variant=default").json()["label"] == "a"

    def test_those_who_follow_changes_read_again(
        self, another_api: httpx.Client, default: PredictionWriter, wide: PredictionWriter
    ) -> None:
        with another_api.stream("GET", "/stream") as stream:
            lines = stream.iter_lines()
            assert next(lines) == ": changes follow"
            promoted(another_api, "wide")
            assert "event: gone" in list(lines)
        with another_api.stream("GET", "/stream") as stream:
            lines = stream.iter_lines()
            next(lines)
            wide.publish(publication("8-0", {"n": (0.7, 0.3)}, applied=8, version=4))
            assert "event: label-changed" in (line for line in lines)

    def test_the_champion_keeps_its_part_of_the_log(
        self,
        api: httpx.Client,
        default: PredictionWriter,
        wide: PredictionWriter,
        redis_client: redis.Redis,
        keys: Keys,
    ) -> None:
        LogReader(redis_client, keys.of("wide")).trim_before("1-0")
        promoted(api, "wide")
        redis_client.set(keys.of("wide").last_beat, str(time.time() - HELD_S - 1))
        LogReader(redis_client, keys).trim_before("2-0")
        LogReader(redis_client, keys.of("wide")).require("1-0")

    def test_events_are_refused_where_the_champion_is_too_far_behind(
        self, redis_server: RedisServer, graph: str, default: PredictionWriter, wide: PredictionWriter
    ) -> None:
        with serving(redis_server.url, graph, max_behind=2) as api:
            promoted(api, "wide")
            events = [{"op": "upsert_node", "id": f"{number}"} for number in range(8)]
            assert api.post("/events", json=events).status_code == 202
            default.publish(publication("9999999999999-0", {"n": (0.9, 0.1)}, applied=10_000))
            until(lambda: api.post("/events", json=events[:1]).status_code == 429)
            wide.publish(publication("9999999999999-0", {"n": (0.2, 0.8)}, applied=10_000, version=4))
            until(lambda: api.post("/events", json=events[:1]).status_code == 202)


class TestNames:
    def test_a_graph_without_variants_names_none(self, api: httpx.Client, default: PredictionWriter) -> None:
        assert "variant" not in api.get("/predict/n").json()
        assert api.get("/predict/n?variant=default").json()["variant"] == "default"
        assert api.get("/predict/n?variant=champion").json()["variant"] == "default"

    def test_the_aliases(
        self, api: httpx.Client, default: PredictionWriter, redis_client: redis.Redis, keys: Keys
    ) -> None:
        assert_problem(api.get("/predict/n?variant=challenger"), 404, "unknown-variant")
        others = [started(redis_client, keys.of(name)) for name in ("wide", "deep")]
        for writer in others:
            writer.publish(publication("2-0", {"n": (0.2, 0.8)}, applied=2))
        problem = assert_problem(api.get("/predict/n?variant=challenger"), 409, "several-challengers")
        assert "deep, wide" in str(problem["detail"])
        redis_client.delete(keys.of("deep").heartbeat)
        assert api.get("/predict/n?variant=challenger").json()["variant"] == "wide"
        name = promoted(api, "challenger")["champion"]
        assert name == api.get("/predict/n?variant=champion").json()["variant"] == "wide"
        assert api.get("/predict/n?variant=challenger").json()["variant"] == "default"

    def test_models_of_the_open_inference_protocol(
        self, api: httpx.Client, default: PredictionWriter, wide: PredictionWriter, graph: str
    ) -> None:
        inputs = [{"name": "node", "shape": [1], "datatype": "BYTES", "data": ["n"]}]
        for name, label in (("default", "a"), ("champion", "a"), ("wide", "b"), ("challenger", "b")):
            model = f"/v2/models/{graph}@{name}"
            found = api.post(f"{model}/infer", json={"inputs": inputs}).raise_for_status().json()
            assert found["outputs"][0]["data"] == [label]
            assert found["model_name"] == f"{graph}@{name}"
            assert api.get(model).json()["versions"] == [found["model_version"]]
            assert api.get(f"{model}/ready").json()["ready"]
        assert "variant" in api.get(f"/v2/models/{graph}@deep").json()["error"]
        for name in ("other", f"{graph}@", f"{graph}@a:b"):
            assert api.get(f"/v2/models/{name}").status_code == 404

    @pytest.mark.parametrize("path", ["/events/rejected", "/schema", "/variants", "/health/predicting"])
    def test_what_is_about_no_variant_refuses_one(self, api: httpx.Client, path: str) -> None:
        assert "is not about one variant" in str(assert_problem(api.get(f"{path}?variant=wide"), 400, "bad-request"))


class TestSplit:
    def test_a_share_of_the_nodes_is_answered_by_a_challenger(
        self, redis_server: RedisServer, graph: str, redis_client: redis.Redis, keys: Keys
    ) -> None:
        rows = {f"n{number}": (0.9, 0.1) for number in range(200)}
        default, wide = started(redis_client, keys), started(redis_client, keys.of("wide"))
        for writer in (default, wide):
            writer.publish(publication("1-0", rows, applied=1))
        with serving(redis_server.url, graph, split="wide:0.25") as api:

            def answered(*nodes: str) -> list[str]:
                return [api.get(f"/predict/{node}").raise_for_status().json()["variant"] for node in nodes]

            until(lambda: "wide" in answered(*list(rows)[:20]))
            first = answered(*rows)
            assert first == answered(*rows)
            assert 20 <= first.count("wide") <= 80
            (many,) = api.post("/predict", json={"nodes": [list(rows)[first.index("wide")]]}).json()["predictions"]
            assert many["variant"] == "default"
            # Nobody is refused, or waits, for a worker that has gone.
            redis_client.delete(keys.of("wide").heartbeat)
            until(lambda: "wide" not in answered(*rows))

    @pytest.mark.parametrize(
        "split", ["wide", "wide:", "wide:0", "wide:1.1", "a:0.6,b:0.5", "a:0.1,a:0.1", "champion:1"]
    )
    def test_what_is_no_split_is_refused(self, split: str) -> None:
        with pytest.raises(ValueError, match="split"):
            Settings(split=split)


class TestRemoving:
    def test_a_variant_that_has_ended_leaves_nothing(
        self,
        api: httpx.Client,
        default: PredictionWriter,
        wide: PredictionWriter,
        redis_client: redis.Redis,
        keys: Keys,
    ) -> None:
        own = keys.of("wide")
        assert_problem(api.delete("/variants/wide"), 409, "variant-in-use")
        promoted(api, "wide")
        redis_client.delete(own.heartbeat)
        assert "champion" in str(assert_problem(api.delete("/variants/wide"), 409, "variant-in-use")["detail"])
        promoted(api, "default")
        before = {key for key in redis_client.scan_iter(match=f"*{keys.graph}*") if b":variant:" not in key}
        assert api.delete("/variants/wide").json() == {"removed": "wide"}
        assert {*redis_client.scan_iter(match=f"*{keys.graph}*")} == before
        assert_problem(api.get("/predict/n?variant=wide"), 404, "unknown-variant")
        assert_problem(api.delete("/variants/wide"), 404, "unknown-variant")
        assert api.get("/predict/n").json()["label"] == "a"
        assert_problem(api.delete("/variants/default"), 409, "variant-in-use")


def test_readers_in_parallel_see_whole_answers_of_one_variant(
    api: httpx.Client, another_api: httpx.Client, default: PredictionWriter, wide: PredictionWriter
) -> None:
    """Both variants publish a value that is the position: an answer of two of them would not fit."""
    seen, lock, failed = 0, threading.Lock(), list[str]()
    ended = threading.Event()

    def read(reading: httpx.Client, path: str) -> int:
        nonlocal seen
        count = 0
        with httpx.Client(base_url=reading.base_url, trust_env=False) as client:
            while not ended.is_set():
                with lock:
                    floor = seen
                if path == "/predict":
                    answer = client.post(path, json={"nodes": ["n"]})
                    found = answer.json()["predictions"][0] if answer.is_success else {}
                else:
                    answer = client.get(path)
                    found = answer.json()
                if not answer.is_success:
                    failed.append(answer.text)
                    return count
                at, count = int(found["position"].partition("-")[0]), count + 1
                label = "a" if found["variant"] == "default" else "b"
                if at < floor or found["label"] != label or found["behind"] > 0:
                    failed.append(f"{floor}: {found}")
                with lock:
                    seen = max(seen, at)
        return count

    # A route is built by its first request, which two servers in one process must not do at the same time.
    for reading in (api, another_api):
        until(lambda reading=reading: "variant" in reading.get("/predict/n?top=1").json())  # type: ignore[misc]
        reading.post("/predict", json={"nodes": ["n"]})
        reading.post("/variants/nobody/promote")
    with ThreadPoolExecutor(8) as pool:
        reads = [
            pool.submit(read, reading, path)
            for reading in (api, another_api)
            for path in ("/predict/n", "/predict/n?top=1", "/predict")
        ]
        for turn in range(3, 60):
            default.publish(publication(f"{turn}-0", {"n": (0.9, 0.1)}, applied=turn))
            if turn % 3 == 0:
                promoted(api, "default")
            wide.publish(publication(f"{turn}-0", {"n": (0.2, 0.8)}, applied=turn, version=4))
            if turn % 3 == 1:
                promoted(another_api, "wide")
        ended.set()
        counts = [each.result() for each in reads]
    assert failed == []
    assert min(counts) > 0
