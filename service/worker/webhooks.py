"""Sends decisions to addresses of the operator, beside the loop: a thread for each, fed from the changes in Redis.

What is sent follows the Standard Webhooks specification (https://www.standardwebhooks.com): ``webhook-id``,
``webhook-timestamp``, and in ``webhook-signature`` the HMAC-SHA256 of both and the body.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import threading
import time
from collections.abc import Sequence
from types import TracebackType
from typing import Self, TypeAlias, cast

import httpx
import msgspec
import structlog
from redis import Redis
from redis.exceptions import RedisError

from service.store.changes import DECISION, PREFIX
from service.store.keys import Keys
from service.store.positions import START
from service.worker.webhook_metrics import AddressMetrics, WebhookMetrics

log = structlog.get_logger(__name__)

ATTEMPTS = 15
"""After so many failures a decision is given up: about two hours."""
_FIRST_WAIT_S = 1.0
_LONGEST_WAIT_S = 900.0
_ANSWERS_WITHIN_S = 10.0
_PAGE = 100
_BLOCK_MS = 1_000
_Entries: TypeAlias = list[tuple[bytes, dict[bytes, bytes]]]


class _Event(msgspec.Struct):
    id: str
    type: str


def signature(secret: str, identity: str, timestamp: int, body: bytes) -> str:
    """What a receiver computes, too, and compares.

    >>> signature("secret", "1-0.1", 1700000000, b"{}")
    'v1,gN5OaniyVlWys6ceQv/4eiuoJcR6EZS1mJ5yYDZhORk='
    """
    signed = b"%s.%d.%s" % (identity.encode(), timestamp, body)
    return "v1," + base64.b64encode(hmac.digest(secret.encode(), signed, hashlib.sha256)).decode()


class Webhooks:
    """Sends each decision at least once to each address, in order; the same ``webhook-id`` is the same decision.

    The place of each address is kept in Redis, so the next start of a worker continues there. A new address begins with
    the next decision.

    Args:
        redis: client that returns bytes and may block for a second.
        keys: of the graph.
        urls: addresses.
        secret: that signatures are made with.
        metrics: of these addresses.
        first_wait_s: seconds before the second attempt; the wait doubles from one to the next.
    """

    def __init__(
        self,
        redis: Redis,
        keys: Keys,
        urls: Sequence[str],
        secret: str,
        metrics: WebhookMetrics,
        first_wait_s: float = _FIRST_WAIT_S,
    ) -> None:
        self._redis = redis
        self._keys = keys
        self._secret = secret
        self._first_wait_s = first_wait_s
        self._ending = threading.Event()
        self._threads = [
            threading.Thread(target=self._follow, args=(url, of_address), name=f"webhook-{number}", daemon=True)
            for number, (url, of_address) in enumerate(zip(urls, metrics.addresses, strict=True))
        ]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # What is being sent is sent again by the next start, unless its place is stored first.
        self._ending.set()
        for thread in self._threads:
            thread.join(timeout=2.0)

    def _follow(self, url: str, metrics: AddressMetrics) -> None:
        # The address itself may hold a secret.
        place = hashlib.sha256(url.encode()).hexdigest()[:16]
        with httpx.Client(timeout=_ANSWERS_WITHIN_S, trust_env=False) as client:
            while not self._ending.is_set():
                try:
                    self._send_next(client, url, place, metrics)
                except (RedisError, OSError) as error:
                    log.warning("webhooks wait for Redis", error=str(error))
                    self._ending.wait(_FIRST_WAIT_S)

    def _send_next(self, client: httpx.Client, url: str, place: str, metrics: AddressMetrics) -> None:
        """Send the next decisions, or wait a second for one; the place is stored after each."""
        found = cast("bytes | None", self._redis.hget(self._keys.webhooks, place))
        if found is None:
            newest = cast("_Entries", self._redis.xrevrange(self._keys.changes, count=1))
            found = newest[0][0] if newest else START.encode()
            self._redis.hset(self._keys.webhooks, place, found)
        read = self._redis.xread({self._keys.changes: found}, count=_PAGE, block=_BLOCK_MS)
        answer = cast("list[tuple[bytes, _Entries]]", read)
        entries = answer[0][1] if answer else []
        for at, fields in entries:
            event = msgspec.json.decode(fields[b"event"], type=_Event)
            if event.type == PREFIX + DECISION:
                if not self._deliver(client, url, event.id, fields[b"event"], metrics):
                    return
                self._redis.hset(self._keys.webhooks, place, at)
        if entries:
            self._redis.hset(self._keys.webhooks, place, entries[-1][0])

    def _deliver(self, client: httpx.Client, url: str, identity: str, body: bytes, metrics: AddressMetrics) -> bool:
        """Send one decision until it is taken or given up; False where the worker ends before."""
        wait_s = self._first_wait_s
        for attempt in range(1, ATTEMPTS + 1):
            metrics.begin(attempt)
            problem = self._attempt(client, url, identity, body)
            if problem is None:
                metrics.end(taken=True)
                return True
            log.warning("a webhook was not taken", host=httpx.URL(url).host, id=identity, attempt=attempt, why=problem)
            if attempt < ATTEMPTS and self._ending.wait(wait_s):
                return False
            wait_s = min(2 * wait_s, _LONGEST_WAIT_S)
        metrics.end(taken=False)
        log.error("a webhook is given up", host=httpx.URL(url).host, id=identity, attempts=ATTEMPTS)
        return True

    def _attempt(self, client: httpx.Client, url: str, identity: str, body: bytes) -> str | None:
        """Send once; what went wrong."""
        timestamp = int(time.time())
        headers = {
            "content-type": "application/cloudevents+json",
            "webhook-id": identity,
            "webhook-timestamp": str(timestamp),
            "webhook-signature": signature(self._secret, identity, timestamp, body),
        }
        try:
            answer = client.post(url, content=body, headers=headers)
        except httpx.HTTPError as error:
            return type(error).__name__
        return None if answer.is_success else f"status {answer.status_code}"
