"""One graph of a worker, without process and Redis: outcomes, what is owed, and the same bytes as the bare engine."""

from __future__ import annotations

from pathlib import Path

import msgspec
import numpy as np
import pytest
from redis.exceptions import ConnectionError as Unreachable

from olad_core.engine import Engine, EntryOutcome
from olad_core.events import GraphSchema, RemoveNode, UpsertEdge, UpsertNode
from service.store.log_reader import Entry
from service.store.questions import ExplainAnswered, ExplainAsked, Refused
from service.store.request_reader import AskedQuestion, Request
from service.worker.attempts import Attempts
from service.worker.growing import Grower
from service.worker.lane import MAX_EVENTS_PER_TURN, ApplyFailed, Lane
from service.worker.learning import Learning
from service.worker.metrics import WorkerMetrics
from service.worker.pace import LearningPace
from service.worker.row_pace import RowPace
from service.worker.turn_times import TurnTimes
from tests.device import DEVICE
from tests.olad_core.runs import PAIR, Run, stream
from tests.olad_core.streams import two_communities
from tests.service.worker.by_hand import Site, bytes_of, text_of


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


def lane_of(site: Site, fixed_steps: int | None = None, metrics: WorkerMetrics | None = None) -> Lane:
    metrics = metrics or WorkerMetrics()
    rows = RowPace(100, site.clock)
    times = TurnTimes(site.clock)
    learning = Learning(LearningPace(100, site.clock.monotonic()), rows, metrics, site.clock, Grower(), times)
    attempts = Attempts(site.attempts_file)
    engine = Engine(PAIR, DEVICE)
    return Lane(
        engine, site.log, site.predictions, site.requests, attempts, learning, rows, metrics, times, fixed_steps
    )


def test_with_fixed_steps_it_does_what_the_bare_engine_does(site: Site) -> None:
    batches = stream(turns=8)
    expected = Run(PAIR)
    for number, events in enumerate(batches, start=1):
        expected.engine.apply(f"{number}-0", events, float(number))
        expected.engine.refresh()
        expected.publish()
        expected.engine.learn(3)
    site.log.append(*batches)
    lane = lane_of(site, fixed_steps=3)
    while entries := lane.read():
        assert len(entries) == 1
        lane.apply(entries)
    assert list(map(text_of, site.predictions.published)) == list(map(text_of, expected.published))
    lane.publish()
    expected.publish()
    assert bytes_of(lane.engine) == bytes_of(expected.engine)


def test_a_publication_that_failed_goes_first_and_the_steps_follow(site: Site) -> None:
    site.log.append(*stream(turns=2))
    lane = lane_of(site, fixed_steps=3)
    site.wire.fail_once("publish")
    first = lane.read()
    with pytest.raises(Unreachable):
        lane.apply(first)
    assert not lane.is_settled
    assert (site.predictions.published, lane.engine.trainer) == ([], None)
    site.wire.fail_once("publish")
    with pytest.raises(Unreachable):
        lane.settle()
    assert (site.predictions.published, lane.engine.trainer) == ([], None)
    lane.settle()
    assert lane.is_settled
    assert [publication.position for publication in site.predictions.published] == ["1-0"]
    assert lane.engine.trainer is not None
    assert lane.engine.trainer.steps == 3
    lane.settle()
    assert lane.engine.trainer.steps == 3
    assert len(site.predictions.published) == 1


@pytest.mark.parametrize("publish", [Lane.publish, Lane.publish_changes])
def test_every_later_publication_waits_for_one_that_failed(site: Site, publish: object) -> None:
    assert callable(publish)
    site.log.append(*stream(turns=1))
    lane = lane_of(site)
    site.wire.fail_once("publish")
    with pytest.raises(Unreachable):
        lane.apply(lane.read())
    lane.engine.skip("2-0", 1, "a reason", "[]")
    publish(lane)
    assert [publication.position for publication in site.predictions.published] == ["1-0", "2-0"]
    assert lane.is_settled


def test_another_engine_is_owed_nothing(site: Site) -> None:
    site.log.append(*stream(turns=1))
    lane = lane_of(site, fixed_steps=3)
    site.wire.fail_once("publish")
    with pytest.raises(Unreachable):
        lane.apply(lane.read())
    lane.replace_engine(Engine(PAIR, DEVICE))
    assert lane.is_settled
    lane.settle()
    assert (site.predictions.published, lane.engine.trainer) == ([], None)


def test_an_outcome_counts_what_was_rejected(site: Site) -> None:
    metrics = WorkerMetrics()
    lane = lane_of(site, metrics=metrics)
    lane.skipped = {"3-0": "it failed before"}
    conflict = GraphSchema(feature_width=5)
    entries = [
        Entry("1-0", [UpsertNode("a", [1.0, 2.0]), RemoveNode("nobody")], count=2),
        Entry("2-0", (), count=3, problem="the entry cannot be read"),
        Entry("3-0", [UpsertNode("b")], count=1),
        Entry("4-0", (), schema=conflict),
    ]
    assert lane.apply(entries) == EntryOutcome(events=6, rejected=1 + 3 + 1 + 1)
    assert (lane.engine.applied_events, lane.engine.rejected_events) == (6, 6)
    reasons = [event.reason for publication in site.predictions.published for event in publication.rejected]
    assert sorted(reasons) == ["apply-failed", "apply-failed", "schema-conflict", "unknown-node"]
    text = metrics.registry.get_sample_value
    assert (text("olad_worker_events_total"), text("olad_worker_rejected_total")) == (6, 6)


def test_a_failure_names_the_entries_of_its_turn(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    site.log.append(*stream(turns=3))
    lane = lane_of(site)
    monkeypatch.setattr(lane.engine, "refresh", lambda *_: 1 / 0)
    with pytest.raises(ApplyFailed, match="ZeroDivisionError: division by zero") as failed:
        lane.apply(lane.read())
    assert [entry.position for entry in failed.value.entries] == ["1-0", "2-0", "3-0"]
    assert site.predictions.published == []


def test_a_replay_publishes_nothing_and_learns_as_before(site: Site) -> None:
    batches = stream(turns=6)
    site.log.append(*batches)
    seen, replayed = lane_of(site, fixed_steps=2), lane_of(site, fixed_steps=2)
    while entries := seen.read():
        seen.apply(entries)
    seen.publish()
    published = len(site.predictions.published)
    while entries := replayed.read():
        replayed.replay(entries)
    assert len(site.predictions.published) == published
    replayed.publish()
    assert bytes_of(replayed.engine) == bytes_of(seen.engine)


def test_what_must_be_applied_alone_is_read_alone(site: Site) -> None:
    site.log.append(*stream(turns=4))
    lane = lane_of(site)
    turns = []
    lane._attempts.isolate(site.log.entries[1:3])
    while entries := lane.read():
        turns.append([entry.position for entry in entries])
        lane.apply(entries)
    assert turns == [["1-0"], ["2-0"], ["3-0"], ["4-0"]]


def test_a_turn_is_bounded(site: Site) -> None:
    half = [UpsertNode(str(number)) for number in range(MAX_EVENTS_PER_TURN // 2)]
    site.log.append(half, half, half)
    assert len(lane_of(site).read()) == 2


@pytest.mark.parametrize(("wait_s", "block_ms"), [(0.0, []), (0.00001, [1]), (0.5, [500]), (0.0239, [23])])
def test_it_waits_for_an_entry_in_whole_milliseconds(site: Site, wait_s: float, block_ms: list[int]) -> None:
    lane_of(site).read(wait_s=wait_s)
    assert site.requests.waits_ms == block_ms


def test_a_request_that_was_read_before_redis_failed_is_answered_afterwards(site: Site) -> None:
    site.log.append(*stream(turns=2))
    lane = lane_of(site)
    lane.apply(lane.read())
    site.requests.pending = [Request("7-0", ("0", "unknown"))]
    site.wire.failing = {len(site.wire.operations) + 2}
    with pytest.raises(Unreachable):
        lane.answer_requests()
    assert lane.answer_requests()
    assert site.predictions.published[-1].answered == "7-0"
    published = len(site.predictions.published)
    assert not lane.answer_requests()
    assert len(site.predictions.published) == published


def test_a_publication_answers_the_requests_that_are_there(site: Site) -> None:
    batches = stream(turns=4)
    lane = lane_of(site)
    for batch in batches:
        site.log.append(batch)
        site.requests.pending = [Request(f"{len(site.log.entries)}-7", ("1",))]
        lane.apply(lane.read())
        assert site.predictions.published[-1].answered == f"{len(site.log.entries)}-7"


def test_who_requests_all_classes_gets_them_at_the_position_of_the_publication(site: Site) -> None:
    lane = lane_of(site)
    lane.engine.declare("0-1", GraphSchema(classes=tuple(f"c{number}" for number in range(70))))
    site.log.append(two_communities(40))
    lane.apply(lane.read())
    while lane.engine.versions.served is None:
        lane.engine.learn(5)
    lane.publish()
    site.log.append([UpsertNode("new", [1.0, 1.0, 1.0]), UpsertEdge("new", "3")])
    site.requests.pending = [Request("1-0", ("3", "nobody", "new", "3"), whole=True), Request("2-0", ("4",))]
    lane.apply(lane.read())
    publication = site.predictions.published[-1]
    assert publication.answered == "2-0"
    ((request, rows),) = ((answer.request, answer.rows) for answer in publication.whole)
    assert request == "1-0"
    assert sorted(rows.nodes) == ["3", "new"]
    assert rows.probabilities.shape == (2, 70 + 2)
    served, graph = lane.engine.versions.served, lane.engine.graph
    assert rows.version == served.version.number
    places = graph.rows(rows.nodes)
    assert not served.embedding.marks[places].any()
    np.testing.assert_allclose(rows.probabilities, served.embedding.probabilities(places), rtol=1e-5, atol=1e-7)
    (update,) = (update for update in publication.updates if update.version == rows.version)
    assert update.classes is not None
    assert update.classes.shape == (len(update.nodes), 32)
    lane.publish()
    assert site.predictions.published[-1].whole == ()


def test_a_request_for_all_classes_without_a_model_is_answered_without_them(site: Site) -> None:
    lane = lane_of(site)
    site.requests.pending = [Request("1-0", ("3",), whole=True)]
    assert lane.answer_requests()
    assert (site.predictions.published[-1].answered, site.predictions.published[-1].whole) == ("1-0", ())


def test_the_answer_to_a_question_comes_with_the_position_that_it_is_exact_for(site: Site) -> None:
    site.log.append(two_communities(16))
    lane = lane_of(site, fixed_steps=6)
    while not lane.engine.versions.served:
        entries = lane.read()
        lane.apply(entries) if entries else site.log.append([])
    asked = AskedQuestion("why", msgspec.msgpack.encode(ExplainAsked("3", 2)))
    site.requests.pending.append(Request("8-0", (), question=asked))
    site.wire.fail_once("publish")
    with pytest.raises(Unreachable):
        lane.answer_requests()
    site.log.append([UpsertEdge("3", "8")])
    lane.apply(lane.read())
    answered = next(publication for publication in site.predictions.published if publication.replies)
    (reply,) = answered.replies
    found = msgspec.msgpack.decode(reply.content, type=ExplainAnswered)
    assert (answered.answered, reply.question) == ("8-0", "why")
    assert found.source.position == answered.position
    assert answered.served is not None
    assert found.source.version == answered.served.number
    assert site.predictions.published[-1].replies == ()


def test_a_question_that_nobody_can_read_is_refused(site: Site) -> None:
    lane = lane_of(site)
    for number, content in enumerate((b"", b"\xc1", msgspec.msgpack.encode({"type": "other"})), start=1):
        site.requests.pending.append(Request(f"{number}-0", (), question=AskedQuestion("x", content)))
        assert lane.answer_requests()
        (reply,) = site.predictions.published[-1].replies
        assert msgspec.msgpack.decode(reply.content, type=Refused) == Refused("failed")
