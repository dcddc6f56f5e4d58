"""The stream of changes through both clients, against the real API and Redis."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import httpx
import pytest
import redis

from olad_core.judging.decisions import Decision
from service.client import Change, ChangesGone, ChangesOff, Decided, LabelChanged, ServiceError
from service.client.changes import Follower
from service.store.keys import Keys
from service.store.prediction_writer import PredictionWriter
from tests.redis_server import RedisServer
from tests.service.api.serving import serving
from tests.service.client.conftest import Connect
from tests.service.client.test_http import Reply, Scripted, server
from tests.service.publications import publication

__all__ = ["server"]
EVENT = '{"id":"%s","type":"olad.%s","position":"1-0","time":"2026-01-01T00:00:00.000+00:00","data":%s}'
LABEL = '{"node":"a\u2028b","before":null,"label":"x"}'


@pytest.fixture
def writer(redis_client: redis.Redis, keys: Keys) -> PredictionWriter:
    writer = PredictionWriter(redis_client, keys, changes_kept=1_000)
    writer.start()
    return writer


@pytest.fixture
def api(redis_server: RedisServer, graph: str) -> Iterator[httpx.Client]:
    with serving(redis_server.url, graph, changes=1_000) as client:
        yield client


def message(identity: str, type: str = "label-changed", data: str = LABEL) -> bytes:  # noqa: A002
    return f"id: {identity}\nevent: {type}\ndata: {EVENT % (identity, type, data)}\n\n".encode()


def follower(after: str | None = None) -> Follower:
    return Follower(after, (), (), (), ())


def test_changes_are_typed_and_filtered(api: httpx.Client, writer: PredictionWriter, connect: Connect) -> None:
    drift = Decision(1, "1-0", 5, "drift", None, None, "errors rose")
    writer.publish(publication("1-0", {"x": [1, 0], "y": [1, 0]}))
    writer.publish(publication("2-0", {"x": [0, 1], "y": [0, 1]}, decisions=(drift,)))
    client = connect(str(api.base_url))
    with contextlib.closing(client.stream(after="2-0", nodes=["x"], kinds=["drift"])) as changes:
        first, second = next(changes), next(changes)
    assert isinstance(first, Decided)
    assert (first.id, first.data.kind, first.data.reason) == ("2-0.1", "drift", "errors rose")
    assert isinstance(second, LabelChanged)
    assert (second.data.node, second.data.before, second.data.label) == ("x", "a", "b")
    assert client.predict_one("x", min_position=second.position).label == "b"
    with contextlib.closing(client.stream(after=first.id, types=["label-changed"])) as changes:
        assert next(changes) == second


def test_nothing_is_missing_or_comes_twice_over_a_restart_of_the_service(
    redis_server: RedisServer, graph: str, writer: PredictionWriter, connect: Connect
) -> None:
    with serving(redis_server.url, graph, changes=1_000) as first:
        port = first.base_url.port
        writer.publish(publication("1-0", {"n1": [1, 0]}))
        writer.publish(publication("2-0", {"n2": [1, 0]}))
        changes = connect(str(first.base_url)).stream(after="0-0")
        seen = [next(changes).data.node]
    writer.publish(publication("3-0", {"n3": [1, 0]}))
    with serving(redis_server.url, graph, port=port, changes=1_000):
        seen += [next(changes).data.node for _ in range(2)]
        writer.publish(publication("4-0", {"n4": [1, 0]}))
        seen.append(next(changes).data.node)
        changes.close()
    assert seen == ["n1", "n2", "n3", "n4"]


def test_changes_that_are_off_or_gone_end_it(
    redis_server: RedisServer, graph: str, redis_client: redis.Redis, url: str, connect: Connect
) -> None:
    with pytest.raises(ChangesOff, match="OLAD_CHANGES=on"):
        next(connect(url).stream())
    writer = PredictionWriter(redis_client, Keys(graph), changes_kept=10)
    writer.start()
    for at in range(1, 402):
        writer.publish(publication(f"{at}-0", {"x": [at % 2, 1 - at % 2]}))
    with (
        serving(redis_server.url, graph, changes=10) as api,
        pytest.raises(ChangesGone, match="read the predictions again"),
    ):
        next(connect(str(api.base_url)).stream(after="1-0.1"))


def test_a_connection_that_ends_is_followed_by_another_after_its_last_id(server: Scripted, connect: Connect) -> None:
    stream = {"Content-Type": "text/event-stream"}
    gone = b'event: gone\ndata: {"detail":"changes before 9-0.1 are not kept any more"}\n\n'
    server.replies = [
        Reply(body=b": changes follow\n\nid: 1-0.4\n\n", headers=stream),
        Reply(None),
        Reply(503, b"full", {"Retry-After": "0"}),
        Reply(body=message("1-0.5") + message("1-0.6")[:-9], headers=stream),
        Reply(body=message("1-0.6") + gone, headers=stream),
    ]
    changes = connect(server.address).stream(classes=["a b"])
    assert [next(changes).id, next(changes).id] == ["1-0.5", "1-0.6"]
    with pytest.raises(ChangesGone, match=r"changes before 9-0\.1") as ended:
        next(changes)
    assert ended.value.problem.status == 410
    lasts = [headers.get("last-event-id") for _, headers in server.asked]
    assert lasts == [None, "1-0.4", "1-0.4", "1-0.4", "1-0.5"]
    assert {path for path, _ in server.asked} == {"/stream?class=a+b"}


@pytest.mark.parametrize("size", [1, 2, 7, 1000])
def test_parts_may_end_anywhere(size: int) -> None:
    text = b": hello\n\n" + message("1-0.1") + b"id: 1-0.2\r\n\r\n" + message("1-0.3", "of-later", "7")
    reader, found = follower(), list[Change]()
    for at in range(0, len(text), size):
        found += reader.read(text[at : at + size])
    assert [(type(one), one.id) for one in found] == [(LabelChanged, "1-0.1"), (Change, "1-0.3")]
    assert found[0].data.node == "a\u2028b"
    assert reader.call().headers["last-event-id"] == "1-0.3"


def test_what_is_no_change_is_refused() -> None:
    with pytest.raises(ServiceError, match="does not read"):
        list(follower().read(b"event: label-changed\ndata: {}\n\n"))


def test_the_pause_grows_without_changes_and_is_short_after_one() -> None:
    reader = follower()
    pauses = [reader.pause_s() for _ in range(12)]
    assert pauses == sorted(pauses)
    assert pauses[-1] == 2.0
    list(reader.read(message("1-0.1")))
    assert reader.pause_s() == pauses[0]
