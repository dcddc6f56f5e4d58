"""GET /history: what the worker reported over time."""

from __future__ import annotations

import httpx
import pytest

from service.store.prediction_writer import PredictionWriter
from service.store.samples import Timeline
from tests.service.api.serving import assert_problem
from tests.service.publications import worker_status


def test_it_begins_empty_and_has_each_decision_and_a_sample(api: httpx.Client, writer: PredictionWriter) -> None:
    assert api.get("/history").json() == {"samples": [], "decisions": []}
    writer.write_status(worker_status(), b"")
    found = Timeline.model_validate_json(api.get("/history").content)
    (sample,) = found.samples
    assert (sample.time, sample.applied_events, list(sample.students)) == (2.0, 3, ["sage"])
    assert [decision.kind for decision in found.decisions] == ["drift"]
    assert api.get("/history?since=99999999999").json() == {"samples": [], "decisions": []}


@pytest.mark.parametrize("query", ["since=-1", "since=nan", "points=0", "points=1001", "points=x"])
def test_other_questions_are_refused(api: httpx.Client, query: str) -> None:
    body = assert_problem(api.get(f"/history?{query}"), 422, "invalid-request")
    assert query.partition("=")[0] in str(body["detail"])
