"""Whether a worker is there: its heartbeat, and a connection that ends with its process.

A heartbeat lasts many seconds, since one turn of a busy worker may take some. The system ends the connections of a
process that is killed, and Redis notices that at once.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from typing import Any

from redis import Redis
from redis.client import PubSub
from redis.exceptions import RedisError

from service.store.keys import Keys
from service.store.located import is_at_primary

_ANSWER_S = 5.0


class Presence:
    """The worker's side: a subscription that lasts as long as the process.

    Args:
        redis: client that returns bytes.
        keys: of the graph.
    """

    def __init__(self, redis: Redis, keys: Keys) -> None:
        self._redis: Any = redis
        self._channel = keys.worker
        self._subscription: PubSub | None = None

    def show(self) -> None:
        """Be subscribed; a connection that has ended is replaced.

        Raises:
            RedisError: where Redis refuses, or cannot be reached.
            OSError: where it cannot be reached.
        """
        if self._subscription is not None and self._has_ended(self._subscription):
            self.close()
        if self._subscription is None:
            subscription: PubSub = self._redis.pubsub(ignore_subscribe_messages=True)
            subscription.subscribe(self._channel)
            # The answer is read here, so that a refusal is raised here.
            subscription.get_message(timeout=_ANSWER_S)
            self._subscription = subscription

    def close(self) -> None:
        """Be subscribed no longer."""
        if self._subscription is not None:
            with contextlib.suppress(RedisError, OSError):
                self._subscription.close()
            self._subscription = None

    @staticmethod
    def _has_ended(subscription: PubSub) -> bool:
        """Nothing is ever sent on the channel: what can be read is the end. So is a primary that has moved."""
        connection: Any = subscription.connection
        try:
            return connection is None or not is_at_primary(connection) or bool(connection.can_read(timeout=0))
        except (RedisError, OSError):
            return True


def ask(pipe: Any, keys: Keys) -> None:
    """Add the two commands to a pipeline whose answers :func:`is_there` takes; nothing else asks for a heartbeat."""
    pipe.exists(keys.heartbeat)
    pipe.pubsub_numsub(keys.worker)


def is_there(heartbeat: object, subscribers: Sequence[tuple[bytes, int]]) -> bool:
    """Whether a worker is there.

    Args:
        heartbeat: the answer to ``EXISTS`` of its key.
        subscribers: the answer to ``PUBSUB NUMSUB`` of the worker's channel.

    >>> is_there(1, [(b"olad:g:worker", 1)]), is_there(1, [(b"olad:g:worker", 0)])
    (True, False)
    """
    return bool(heartbeat) and any(count for _, count in subscribers)
