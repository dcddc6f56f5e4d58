"""GET /predict/{node}?at=POSITION: what was answered then."""

from __future__ import annotations

import httpx
import pytest
import redis

from service.store.keys import Keys
from service.store.prediction_writer import PredictionWriter
from tests.service.api.serving import assert_problem
from tests.service.publications import publication


@pytest.fixture
def past(redis_client: redis.Redis, keys: Keys) -> PredictionWriter:
    """A writer that keeps what it overwrites."""
    writer = PredictionWriter(redis_client, keys, past_rows=1_000)
    writer.start()
    return writer


def test_it_is_the_answer_of_then(api: httpx.Client, past: PredictionWriter) -> None:
    answers = {}
    for number, version in ((1, 1), (2, 1), (4, 2), (7, 2)):
        rows = {"a": [number / 10, 1 - number / 10], f"only-{number}": [1.0, 0.0]}
        past.publish(publication(f"{number}-0", rows, version=version, applied=number))
        answers[number] = api.get("/predict/a").json()
    for at, shown in (("1-0", 1), ("2", 2), ("3-5", 2), ("4-0", 4), ("6-9", 4), ("7-0", 7)):
        found = api.get(f"/predict/a?at={at}").json()
        assert found.pop("marked") is False
        # Events that have come since are behind it, too.
        assert {**found, "behind": 0} == answers[shown]
    found = api.get("/predict/a?at=2-0&top=1").json()
    assert list(found["probabilities"]) == ["b"]


def test_a_node_that_was_not_there_and_a_position_that_is_not_kept_are_named(
    api: httpx.Client, past: PredictionWriter
) -> None:
    for number in (5, 6):
        past.publish(publication(f"{number}-0", {f"n{number}": [1.0, 0.0]}, applied=number))
    body = assert_problem(api.get("/predict/n6?at=5-0"), 404, "unknown-node")
    assert body["position"] == "5-0"
    assert api.get("/predict/n6?at=6-0").status_code == 200
    body = assert_problem(api.get("/predict/n5?at=4-9"), 410, "not-kept")
    assert body["position"] == "5-0"


@pytest.mark.parametrize(
    ("query", "why"),
    [("at=x", "no position"), ("at=9-0", "is later than"), ("at=5-0&min_position=5-0", "min_position")],
)
def test_other_questions_are_refused(api: httpx.Client, past: PredictionWriter, query: str, why: str) -> None:
    past.publish(publication("5-0", {"n5": [1.0, 0.0]}, applied=5))
    body = assert_problem(api.get(f"/predict/n5?{query}"), 422, "invalid-request")
    assert why in str(body["detail"])


def test_nothing_is_kept_without_the_setting(api: httpx.Client, writer: PredictionWriter) -> None:
    writer.publish(publication("5-0", {"n5": [1.0, 0.0]}, applied=5))
    body = assert_problem(api.get("/predict/n5?at=5-0"), 410, "not-kept")
    assert "OLAD_HISTORY_ROWS" in str(body["detail"])
