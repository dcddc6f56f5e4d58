from __future__ import annotations

import contextlib
import json
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
import redis

from olad_core.judging.decisions import Decision
from service.api import event_stream
from service.api.event_stream import Filter
from service.api.server import make_server
from service.settings import Settings
from service.store.change_reader import Recorded
from service.store.keys import Keys
from service.store.prediction_writer import PredictionWriter
from tests.redis_server import RedisServer
from tests.service.api.serving import assert_problem, serving
from tests.service.metric_values import shows
from tests.service.publications import publication


@pytest.fixture
def api(redis_server: RedisServer, graph: str) -> Iterator[httpx.Client]:
    with serving(redis_server.url, graph, changes=1_000, max_streams=6) as client:
        yield client


@pytest.fixture
def writer(redis_client: redis.Redis, keys: Keys) -> PredictionWriter:
    writer = PredictionWriter(redis_client, keys, changes_kept=1_000)
    writer.start()
    return writer


@dataclass(frozen=True)
class Sent:
    """One event as a client parses it."""

    id: str | None
    event: str | None
    data: Any


class Following:
    """A client of the stream."""

    def __init__(self, answer: httpx.Response) -> None:
        assert answer.status_code == 200
        assert answer.headers["content-type"] == "text/event-stream"
        self._lines = answer.iter_lines()

    def next(self) -> Sent | str:
        """The next event, or the next comment."""
        fields: dict[str, str] = {}
        for line in self._lines:
            if line.startswith(":"):
                return line
            if line:
                name, _, value = line.partition(": ")
                fields[name] = value
            elif fields:
                data = json.loads(fields["data"]) if "data" in fields else None
                return Sent(fields.get("id"), fields.get("event"), data)
        raise EOFError

    def next_event(self) -> Sent:
        while isinstance(found := self.next(), str):
            pass
        return found

    def nodes(self, count: int) -> list[str]:
        return [self.next_event().data["data"]["node"] for _ in range(count)]


@contextlib.contextmanager
def following(client: httpx.Client, query: str = "", last: str | None = None) -> Iterator[Following]:
    headers = {"Last-Event-ID": last} if last is not None else {}
    with client.stream("GET", f"/stream{query}", headers=headers) as answer:
        found = Following(answer)
        assert found.next() == ": changes follow"
        begin = found.next_event()
        assert (begin.event, begin.data) == (None, None)
        assert begin.id == (last if "." in last else f"{last}.0") if last else begin.id
        yield found


def drift(number: int) -> Decision:
    return Decision(number, "1-0", 5, "drift", None, None, "errors of what was served rose")


def test_a_change_is_sent_when_it_is_visible(api: httpx.Client, writer: PredictionWriter) -> None:
    writer.publish(publication("1-0", {"x": [1, 0]}))
    with following(api) as stream:
        writer.publish(publication("2-0", {"x": [0, 1]}, decisions=(drift(1),)))
        first, second = stream.next_event(), stream.next_event()
        assert (first.id, first.event, first.data["data"]["kind"]) == ("2-0.1", "decision", "drift")
        assert (second.id, second.event) == ("2-0.2", "label-changed")
        assert second.data["data"]["before"] == "a"
        assert second.data["data"]["label"] == api.get("/predict/x").json()["label"] == "b"


def test_it_goes_on_right_after_the_last_one(api: httpx.Client, writer: PredictionWriter) -> None:
    for at in range(1, 6):
        writer.publish(publication(f"{at}-0", {f"n{at}": [1, 0]}))
    with following(api, last="2-0.1") as stream:
        assert stream.nodes(3) == ["n3", "n4", "n5"]
        writer.publish(publication("6-0", {"n6": [1, 0]}))
        assert stream.nodes(1) == ["n6"]
    # A position alone: a prediction of that position may have been read before its last change.
    with following(api, "?after=4-0") as stream:
        assert stream.nodes(3) == ["n4", "n5", "n6"]


def test_nothing_is_missing_and_nothing_twice_from_reconnection_to_reconnection(
    api: httpx.Client, writer: PredictionWriter
) -> None:
    last, seen = "0-0", []
    for at in range(1, 30):
        writer.publish(publication(f"{at // 3}-0", {"x": [at % 2, 1 - at % 2]}))
        if at % 4 == 0:
            with following(api, last=last) as stream:
                for _ in range(4):
                    event = stream.next_event()
                    assert event.id is not None
                    last = event.id
                    seen.append(event.data["data"]["label"])
    assert seen == ["a" if at % 2 else "b" for at in range(1, 29)]


def test_what_is_not_kept_is_answered_410(redis_server: RedisServer, graph: str, redis_client: redis.Redis) -> None:
    writer = PredictionWriter(redis_client, Keys(graph), changes_kept=10)
    writer.start()
    for at in range(1, 402):
        writer.publish(publication(f"{at}-0", {"x": [at % 2, 1 - at % 2]}))
    with serving(redis_server.url, graph, changes=10) as client:
        body = assert_problem(client.get("/stream", headers={"Last-Event-ID": "1-0.1"}), 410, "changes-gone")
        oldest = str(body["detail"]).split()[2]
        # The one before the oldest is the last after which nothing is missing.
        before = f"{int(oldest.partition('-')[0]) - 1}-0.1"
        with following(client, last=before) as stream:
            assert stream.next_event().id == oldest


def test_a_client_that_falls_too_far_behind_finds_out(
    api: httpx.Client, writer: PredictionWriter, redis_client: redis.Redis, keys: Keys, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("service.store.change_reader._HELD", 1)
    for at in range(1, 4):
        writer.publish(publication(f"{at}-0", {f"n{at}": [1, 0]}))
    with following(api, last="3-0.1") as stream:
        assert shows(api, "olad_api_stream_readers", 1)
        with redis_client.pipeline(transaction=True) as pipe:
            # As if all of it had come at once, and the first been trimmed.
            fields: Any = {"event": b'{"type":"olad.decision","data":{}}', "previous": f"4-{1 << 20 | 1}"}
            pipe.xadd(keys.changes, fields, id="5-1")
            pipe.execute()
        last = stream.next_event()
        assert (last.event, last.id) == ("gone", None)
        with pytest.raises(EOFError):
            stream.next()
    assert shows(api, "olad_api_stream_dropped_total", 1)


class TestFilters:
    def change(self, type: str, node: str | None = None, labels: Any = (None, None), kind: Any = None) -> Recorded:  # noqa: A002
        return Recorded((1, 1), (0, 0), b"{}", type, node, labels, kind)

    def test_each_limits_what_it_is_about(self) -> None:
        label = self.change("label-changed", "x", ("a", "b"))
        drift, kept_out = self.change("decision", kind="drift"), self.change("decision", kind="student-switched")
        more = self.change("labels-not-listed")
        every = [label, drift, kept_out, more]

        def passing(**given: frozenset[str]) -> list[Recorded]:
            return [one for one in every if Filter(**given).passes(one)]

        assert passing() == every
        assert passing(nodes=frozenset("x")) == passing(classes=frozenset("a")) == [label, more]
        assert passing(classes=frozenset("b"), nodes=frozenset("xy")) == [label, more]
        # The others may be about the node, too.
        assert passing(nodes=frozenset("y")) == passing(classes=frozenset("c")) == [more]
        assert passing(kinds=frozenset({"drift"})) == [drift]
        assert passing(kinds=frozenset({"drift"}), nodes=frozenset("x")) == [label, drift, more]
        assert passing(types=frozenset({"decision"})) == [drift, kept_out]

    def test_over_http(self, api: httpx.Client, writer: PredictionWriter) -> None:
        with following(api, "?node=y&node=z&type=label-changed") as stream:
            writer.publish(publication("1-0", {"x": [1, 0], "y": [1, 0]}, decisions=(drift(1),)))
            assert stream.next_event().data["data"]["node"] == "y"
            writer.publish(publication("2-0", {"x": [0, 1]}))
            # Nothing passes, and the client can go on from here.
            passed = stream.next_event()
            assert (passed.id, passed.event) == ("2-0.1", None)

    def test_what_is_no_value(self, api: httpx.Client) -> None:
        for query in ("?type=x", "?kind=x", "?after=x", "?after=1-0.x"):
            assert_problem(api.get(f"/stream{query}"), 422, "invalid-request")


def test_a_comment_is_sent_while_nothing_changes(api: httpx.Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(event_stream, "HEARTBEAT_S", 0.01)
    with following(api) as stream:
        assert stream.next() == stream.next() == ": nothing new"


def test_the_places_are_limited_and_given_back(api: httpx.Client, writer: PredictionWriter) -> None:
    with following(api), following(api), following(api):
        assert_problem(api.get("/stream"), 429, "too-much-at-once")

    def opens() -> bool:
        with api.stream("GET", "/stream") as answer:
            return answer.status_code == 200

    # The server notices a moment later that a client has left.
    while not opens():
        pass
    writer.publish(publication("1-0", {"x": [1, 0]}))
    with following(api, last="0-0") as stream:
        assert stream.nodes(1) == ["x"]


def test_a_head_request_ends(api: httpx.Client) -> None:
    answer = api.head("/stream")
    assert (answer.status_code, answer.content) == (200, b"")


def test_one_who_reads_nothing_keeps_nobody_waiting(
    api: httpx.Client, writer: PredictionWriter, monkeypatch: pytest.MonkeyPatch
) -> None:
    address = (api.base_url.host, api.base_url.port or 80)
    with socket.create_connection(address) as silent, following(api) as stream:
        silent.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        silent.sendall(b"GET /stream?after=0-0 HTTP/1.1\r\nHost: localhost\r\n\r\n")
        for at in range(1, 20):
            rows = {f"{'n' * 200}{number}": [at % 2, 1 - at % 2] for number in range(40)}
            writer.publish(publication(f"{at}-0", rows))
            assert len(stream.nodes(40)) == 40


def test_streams_end_when_the_process_stops(redis_server: RedisServer, graph: str) -> None:
    server = make_server(Settings(redis_url=redis_server.url, graph=graph, changes=10))
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        with httpx.Client(base_url=url, timeout=60, trust_env=False) as client, following(client) as stream:
            server.should_exit = True
            with pytest.raises(EOFError):
                stream.next()
        # Far shorter than the ten seconds that open requests have.
        thread.join(timeout=5)
        assert not thread.is_alive()


def test_off(redis_server: RedisServer, graph: str) -> None:
    with serving(redis_server.url, graph) as client:
        assert_problem(client.get("/stream"), 404, "changes-off")
