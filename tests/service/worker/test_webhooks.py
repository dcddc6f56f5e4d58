from __future__ import annotations

import base64
import hashlib
import hmac
import json
import queue
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
import redis
from prometheus_client import CollectorRegistry

from olad_core.judging.decisions import Decision
from service.settings import Settings
from service.store.keys import Keys
from service.store.prediction_writer import PredictionWriter
from service.worker import webhooks
from service.worker.assembly import CannotBegin, open_webhooks
from service.worker.metrics import WorkerMetrics
from service.worker.webhook_metrics import WebhookMetrics
from service.worker.webhooks import Webhooks
from tests.service.publications import publication

SECRET = "a secret of the operator"


class Receiver:
    """An address that takes webhooks, and answers with the statuses that it is given first."""

    def __init__(self) -> None:
        self.received: queue.Queue[tuple[dict[str, str], bytes]] = queue.Queue()
        self.statuses: list[int] = []
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                receiver.received.put(({name.lower(): value for name, value in self.headers.items()}, body))
                self.send_response(receiver.statuses.pop(0) if receiver.statuses else 204)
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/hook"
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.01})
        self.thread.start()

    def next(self) -> tuple[dict[str, str], bytes]:
        return self.received.get(timeout=30)

    def numbers(self, count: int) -> list[int]:
        return [json.loads(self.next()[1])["data"]["number"] for _ in range(count)]

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    found = Receiver()
    yield found
    found.close()


@pytest.fixture
def writer(redis_client: redis.Redis, keys: Keys) -> PredictionWriter:
    writer = PredictionWriter(redis_client, keys, changes_kept=1_000)
    writer.start()
    writer.publish(publication("1-0", {"x": [1, 0]}))
    return writer


def decide(writer: PredictionWriter, *numbers: int) -> None:
    for number in numbers:
        one = Decision(number, "2-0", 5, "drift", None, None, "errors of what was served rose")
        writer.publish(publication("2-0", {"x": [number % 2, 1 - number % 2]}, decisions=(one,)))


def sending(
    client: redis.Redis, keys: Keys, *urls: str, registry: CollectorRegistry | None = None, now: float = 0.0
) -> Webhooks:
    # Those who are there from the beginning; a new address begins with the next decision.
    for url in urls:
        client.hsetnx(keys.webhooks, hashlib.sha256(url.encode()).hexdigest()[:16], "0-0")
    metrics = WebhookMetrics(len(urls), registry or CollectorRegistry(), lambda: now)
    return Webhooks(client, keys, urls, SECRET, metrics, first_wait_s=0.001)


def test_a_decision_is_sent_signed(
    redis_client: redis.Redis, keys: Keys, writer: PredictionWriter, receiver: Receiver
) -> None:
    with sending(redis_client, keys, receiver.url):
        decide(writer, 1)
        headers, body = receiver.next()
    event = json.loads(body)
    assert (event["type"], event["data"]["kind"], event["id"]) == ("olad.decision", "drift", headers["webhook-id"])
    assert headers["content-type"] == "application/cloudevents+json"
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
    expected = base64.b64encode(hmac.new(SECRET.encode(), signed, hashlib.sha256).digest()).decode()
    assert headers["webhook-signature"] == f"v1,{expected}"


def test_what_is_not_taken_is_sent_again_in_order_with_the_same_id(
    redis_client: redis.Redis, keys: Keys, writer: PredictionWriter, receiver: Receiver
) -> None:
    receiver.statuses = [500, 302, 429]
    with sending(redis_client, keys, receiver.url):
        decide(writer, 1, 2)
        sent = [receiver.next() for _ in range(5)]
    assert len({headers["webhook-id"] for headers, _ in sent[:4]}) == 1
    assert [json.loads(body)["data"]["number"] for _, body in sent] == [1, 1, 1, 1, 2]


def test_after_so_many_attempts_the_next_one_is_sent(
    redis_client: redis.Redis,
    keys: Keys,
    writer: PredictionWriter,
    receiver: Receiver,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(webhooks, "ATTEMPTS", 3)
    receiver.statuses = [500] * 3
    with sending(redis_client, keys, receiver.url):
        decide(writer, 1, 2)
        assert receiver.numbers(4) == [1, 1, 1, 2]


def test_the_next_start_continues(
    redis_client: redis.Redis, keys: Keys, writer: PredictionWriter, receiver: Receiver
) -> None:
    with sending(redis_client, keys, receiver.url):
        decide(writer, 1)
        assert receiver.numbers(1) == [1]
    decide(writer, 2, 3)
    with sending(redis_client, keys, receiver.url):
        assert receiver.numbers(2) == [2, 3]
        decide(writer, 4)
        assert receiver.numbers(1) == [4]


def test_an_address_that_fails_delays_no_other(
    redis_client: redis.Redis, keys: Keys, writer: PredictionWriter, receiver: Receiver
) -> None:
    with sending(redis_client, keys, "http://127.0.0.1:9/", receiver.url):
        decide(writer, 1, 2, 3)
        assert receiver.numbers(3) == [1, 2, 3]


def test_what_is_taken_repeated_and_given_up_is_counted_by_address(
    redis_client: redis.Redis,
    keys: Keys,
    writer: PredictionWriter,
    receiver: Receiver,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(webhooks, "ATTEMPTS", 3)
    receiver.statuses = [500] * 3 + [503]
    registry = CollectorRegistry()

    def counted(name: str, webhook: str = "2") -> float | None:
        return registry.get_sample_value(f"olad_worker_webhook_{name}", {"webhook": webhook})

    with sending(redis_client, keys, "http://127.0.0.1:9/", receiver.url, registry=registry):
        assert (counted("deliveries_total"), counted("oldest_seconds")) == (0, 0)
        decide(writer, 1, 2, 3)
        assert receiver.numbers(6) == [1, 1, 1, 2, 2, 3]
    # The thread has ended, so the last answer is counted.
    assert (counted("deliveries_total"), counted("retries_total"), counted("failures_total")) == (2, 3, 1)
    assert counted("deliveries_total", "1") == 0


def test_the_oldest_decision_grows_older_until_it_is_taken() -> None:
    now, registry = [5.0], CollectorRegistry()
    (address,) = WebhookMetrics(1, registry, lambda: now[0]).addresses

    def age() -> float | None:
        return registry.get_sample_value("olad_worker_webhook_oldest_seconds", {"webhook": "1"})

    assert age() == 0
    address.begin(1)
    now[0] = 8.0
    address.begin(2)
    assert age() == 3
    address.end(taken=True)
    assert age() == 0


def test_without_a_secret_or_changes_the_worker_does_not_start(keys: Keys) -> None:
    for more in ({"changes": 10}, {"webhook_secret": SECRET}):
        with pytest.raises(CannotBegin, match="OLAD_WEBHOOK_URLS needs"):
            open_webhooks(Settings.model_validate({"webhook_urls": "http://h/", **more}), keys, WorkerMetrics())


def test_what_is_no_address() -> None:
    with pytest.raises(ValueError, match="address 2 is no http"):
        Settings.model_validate({"webhook_urls": "https://h/x,ftp://secret@h"})
