"""A worker that waits until the graph is its own."""

from __future__ import annotations

import threading
from collections.abc import Callable

import structlog
from redis.exceptions import RedisError

from service.store.lease import Lease
from service.store.redis_refusals import wait_out

log = structlog.get_logger(__name__)

LOOK_EVERY_S = 0.2
RETRY_AFTER_S = 0.5


def wait_for_graph(lease: Lease, stop: threading.Event, begin: Callable[[], None] = lambda: None) -> bool:
    """Wait as a standby while another worker owns the graph; False where a stop was asked for first.

    Args:
        lease: on the graph.
        stop: ends the wait.
        begin: called once the graph is this worker's own, and again after an error of Redis.

    Raises:
        RedisUnusable: Redis refuses until a person acts.
    """
    waiting = False
    while not stop.is_set():
        try:
            taken = lease.take()
            if taken:
                begin()
        except (RedisError, OSError) as error:
            wait_out(error)
            log.warning("Redis cannot be used, trying again", error=str(error), after_s=RETRY_AFTER_S)
            stop.wait(RETRY_AFTER_S)
            continue
        if taken:
            if waiting:
                log.info("taking the graph over")
            return True
        if not waiting:
            waiting = True
            log.info("another worker owns the graph: waiting as a standby")
        stop.wait(LOOK_EVERY_S)
    return False
