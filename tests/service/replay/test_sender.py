"""Replays to the real API on a real Redis; in the worker's place a reader of the log serves by a plain rule."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest
import redis

from olad_core.events import GraphSchema, LabelNode, UpsertNode
from service.client.errors import ServiceError
from service.client.http import Client
from service.replay.arrival_stream import Arrival, batched
from service.replay.label_delay import delay_labels
from service.replay.pace import LearningPace
from service.replay.progress import Done, Progress
from service.replay.sender import ReplayState, forget_if_lost, replay, served_at
from service.replay.served_score import Accuracy, Ranking
from service.replay.sources import Source
from service.store.keys import Keys
from service.store.log_reader import LogReader
from service.store.positions import parse_position
from service.store.prediction_writer import PredictionWriter
from tests.redis_server import RedisServer
from tests.service.api.serving import serving
from tests.service.publications import publication

CLASSES = ("a", "b")
NODES = 20


class Rule:
    """Applies the log as the worker does; serves class ``a`` for every node, from a given number of nodes on."""

    def __init__(self, client: redis.Redis, keys: Keys, first_model_after: int) -> None:
        self.nodes: list[str] = []
        self.labels: list[str] = []
        self.entries = 0
        self._reader = LogReader(client, keys)
        self._writer = PredictionWriter(client, keys)
        self._writer.start()
        self._first_model_after = first_model_after
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def stop(self) -> None:
        self._stopping.set()
        self._thread.join()

    def _run(self) -> None:
        position = "0-0"
        while not self._stopping.is_set():
            for entry in self._reader.read(position, max_events=1, block_ms=20):
                position = entry.position
                self.entries += 1
                new = [str(event.id) for event in entry.events if isinstance(event, UpsertNode)]
                self.nodes += new
                self.labels += [str(event.id) for event in entry.events if isinstance(event, LabelNode)]
                has_model = len(self.nodes) >= self._first_model_after
                rows = dict.fromkeys(self.nodes, (0.9, 0.1)) if has_model else None
                self._writer.publish(publication(position, rows, version=1 if has_model else None, classes=CLASSES))


@pytest.fixture
def client(redis_server: RedisServer, graph: str) -> Iterator[Client]:
    with serving(redis_server.url, graph) as http, Client(str(http.base_url)) as client:
        yield client


@pytest.fixture
def rule(redis_server: RedisServer, keys: Keys, request: pytest.FixtureRequest) -> Iterator[Rule]:
    with redis_server.client() as connection:
        rule = Rule(connection, keys, first_model_after=getattr(request, "param", 0))
        yield rule
        rule.stop()


def _source(nodes: int = NODES) -> Source:
    """Nodes 0, 1, 2, ...; every fourth is of class b; two a batch; labels three arrivals late."""
    arrivals = [
        Arrival((UpsertNode(id=node, x=[1.0]),), str(node), (str(node), "b" if node % 4 == 3 else "a"))
        for node in range(nodes)
    ]
    return Source(
        name="test",
        identity="test",
        batches=batched(delay_labels(arrivals, 3), 2),
        schema=GraphSchema(feature_width=1, classes=CLASSES),
        score_from=12,
    )


def test_scores_what_was_served_right_after_each_arrival(client: Client, rule: Rule, tmp_path: Path) -> None:
    with Progress(tmp_path, "test") as progress:
        state = replay(_source(), client, progress)
    assert state.complete
    assert state.whole == Accuracy(right=15, scored=20)
    assert state.later == Accuracy(right=6, scored=8)
    assert rule.nodes == [str(node) for node in range(NODES)]
    assert rule.labels == [str(node) for node in range(NODES - 3)]
    assert state.events == len(rule.nodes) + len(rule.labels)
    assert state.position == client.status().log.position


@pytest.mark.parametrize("rule", [8], indirect=True)
def test_arrivals_before_the_first_model_count_as_not_served(client: Client, rule: Rule, tmp_path: Path) -> None:
    with Progress(tmp_path, "test") as progress:
        state = replay(_source(), client, progress)
    assert state.whole == Accuracy(right=10, scored=14, unserved=6)
    assert rule.nodes[:8] == [str(node) for node in range(8)]


def test_goes_on_where_it_was_interrupted_and_sends_nothing_twice(client: Client, rule: Rule, tmp_path: Path) -> None:
    stop = threading.Event()

    def interrupt(state: ReplayState) -> None:
        if state.arrivals == 6:
            stop.set()

    with Progress(tmp_path, "test") as progress:
        first = replay(_source(), client, progress, stop=stop, on_batch=interrupt)
    assert not first.complete
    assert first.arrivals == 6
    with Progress(tmp_path, "test") as progress:
        assert not forget_if_lost(client, progress)
        second = replay(_source(), client, progress)
    assert (second.complete, second.resumed, second.arrivals) == (True, 3, NODES)
    assert second.whole == Accuracy(right=15, scored=20)
    assert rule.nodes == [str(node) for node in range(NODES)]
    assert rule.labels == [str(node) for node in range(NODES - 3)]


def test_a_batch_that_was_sent_but_not_recorded_is_applied_once(client: Client, rule: Rule, tmp_path: Path) -> None:
    with Progress(tmp_path, "test") as progress:
        client.declare(GraphSchema(feature_width=1, classes=CLASSES))
        first = next(_source().batches)
        position = client.append(first.events, key=progress.key(0)).position
    with Progress(tmp_path, "test") as progress:
        state = replay(_source(), client, progress)
        assert progress.done[0] == Done(position, ["a", "a"])
    assert state.whole == Accuracy(right=15, scored=20)
    assert rule.nodes == [str(node) for node in range(NODES)]


def test_a_complete_replay_sends_nothing_and_tells_its_score_again(client: Client, rule: Rule, tmp_path: Path) -> None:
    with Progress(tmp_path, "test") as progress:
        first = replay(_source(), client, progress)
        again = replay(_source(), client, progress)
    assert (again.events, again.whole, again.position) == (0, first.whole, first.position)
    assert rule.nodes == [str(node) for node in range(NODES)]


def test_starts_over_when_the_service_has_lost_what_was_sent(client: Client, tmp_path: Path) -> None:
    with Progress(tmp_path, "test") as progress:
        progress.append(Done("5-0", ["a", "a"]))
        assert forget_if_lost(client, progress)
        assert progress.done == []
        assert not forget_if_lost(client, progress)


def test_what_a_restored_log_has_lost_is_sent_again(
    client: Client, rule: Rule, redis_client: redis.Redis, keys: Keys, tmp_path: Path
) -> None:
    with Progress(tmp_path, "test") as progress:
        replay(_source(), client, progress)
        sent = len(progress.done)
        # A backup of the moment after the fourth batch takes the place of the log.
        entries = LogReader(redis_client, keys).read("0-0", max_events=10**6)
        fourth = progress.done[3].position
        redis_client.delete(keys.log)
        for entry in entries:
            if parse_position(entry.position) <= parse_position(fourth):
                redis_client.xadd(keys.log, {"events": entry.raw, "n": entry.count}, id=entry.position)
        rule.nodes.clear()
        assert forget_if_lost(client, progress) == sent - 4
        assert [done.position for done in progress.done][-1] == fourth
        state = replay(_source(), client, progress)
    assert (state.complete, state.resumed) == (True, 4)
    assert rule.nodes == [str(node) for node in range(8, NODES)]


def test_progress_of_another_source_is_refused(client: Client, tmp_path: Path) -> None:
    with Progress(tmp_path, "test") as progress:
        progress.append(Done("5-0", ["a"]))
        with pytest.raises(ServiceError, match="--fresh"):
            replay(_source(), client, progress)


def test_without_a_worker_it_gives_up_with_the_reason(client: Client) -> None:
    with (
        Client(client.url, patience_s=0.0) as impatient,
        pytest.raises(ServiceError, match=r"answered 504: .*position"),
    ):
        served_at(impatient, ["0"], client.append([UpsertNode(id=0)]).position)


def test_a_refused_batch_names_the_event(client: Client) -> None:
    with pytest.raises(ServiceError, match=r"answered 422.*index.*1"):
        client.append([UpsertNode(id=1, x=[1.0]), UpsertNode(id=2, x=[1.0, 2.0])])


def test_a_service_that_is_not_there_is_named() -> None:
    with (
        Client("http://127.0.0.1:9", patience_s=0.0) as client,
        pytest.raises(ServiceError, match=r"no answer from http://127\.0\.0\.1:9 .*olad up"),
    ):
        client.status()


def test_what_the_rate_allows_is_spread_evenly(client: Client, rule: Rule, tmp_path: Path) -> None:
    with Progress(tmp_path, "test") as progress:
        state = replay(_source(), client, progress, rate=100.0)
    # 37 events; the last batch goes out when the 34 before it have had their time.
    assert state.seconds >= 0.33
    assert state.events_per_s <= 37 / 0.33


def test_classes_and_the_ranking_of_one_are_reported_and_survive_an_interruption(
    client: Client, rule: Rule, tmp_path: Path
) -> None:
    stop = threading.Event()
    with Progress(tmp_path, "test") as progress:
        replay(_source(), client, progress, rank="b", stop=stop, on_batch=lambda state: _stop_at(state, stop, 10))
    with Progress(tmp_path, "test") as progress:
        state = replay(_source(), client, progress, rank="b")
    assert state.classes is not None
    assert [(row.name, row.support, row.predicted) for row in state.classes.classes] == [("a", 15, 20), ("b", 5, 0)]
    assert state.classes.commonest_accuracy == 0.75
    # All were served the same probability, so that the ranking is worth as much as none.
    assert state.ranking == Ranking("b", ranked=20, of_class=5, top=1, found=0, average_precision=0.25)
    report = state.as_dict()
    assert [row["name"] for row in report["classes"]] == ["a", "b"]
    assert report["ranking"]["top"] == 1


def _stop_at(state: ReplayState, stop: threading.Event, arrivals: int) -> None:
    if state.arrivals >= arrivals:
        stop.set()


class Steps:
    """Reports a number of training steps that grows by ten with each report."""

    def __init__(self, learning: dict[str, object] | None = None, position: str = "9-0") -> None:
        self.reports = 0
        self._learning = learning or {}
        self._position = position

    def status(self) -> object:
        self.reports += 1
        learning = {"steps": 10 * self.reports, "missing": (), "state": "learning"} | self._learning
        return SimpleNamespace(worker=SimpleNamespace(position=self._position, learning=SimpleNamespace(**learning)))


LABEL = [LabelNode(id=0, label="a")]


def test_learning_is_waited_for_from_the_first_label_on() -> None:
    service = Steps()
    pace = LearningPace(cast("Client", service), 8, threading.Event())
    for _ in range(5):
        pace.sent([UpsertNode(id=0)], "1-0")
        assert pace.wait()
    assert service.reports == 1, "nothing is due without a label"
    for _ in range(20):
        pace.sent(LABEL, "2-0")
        assert pace.wait()
    assert service.reports == 1 + 8, "80 steps in tens; those of the last ten batches are not waited for"
    assert pace.shortfall() is None


def test_a_service_that_learns_less_than_an_evaluation_is_named() -> None:
    pace = LearningPace(cast("Client", Steps()), 8, threading.Event())
    for _ in range(10):
        pace.sent(LABEL, "2-0")
    assert "took 1.00 training steps for each label, olad evaluate takes 8.00" in str(pace.shortfall())


@pytest.mark.parametrize(
    ("learning", "position", "waits"),
    [
        ({"steps": 3, "state": "resting"}, "2-0", False),
        ({"steps": 3, "state": "resting"}, "1-0", True),
        ({"steps": 0, "missing": ("labels of at least two classes (1 so far)",)}, "2-0", False),
        ({"steps": 3}, "2-0", True),
    ],
    ids=["rests", "rested before", "one class", "learns"],
)
def test_a_service_that_has_nothing_to_learn_is_not_waited_for(
    learning: dict[str, object], position: str, waits: bool
) -> None:
    stop = threading.Event()
    pace = LearningPace(cast("Client", Steps(learning, position)), 8, stop)
    for _ in range(20):
        pace.sent(LABEL, "2-0")
    timer = threading.Timer(0.3, stop.set)
    timer.start()
    assert pace.wait() == (not waits)
    timer.cancel()
