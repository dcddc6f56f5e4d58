"""Steps that use Redis, taken again until Redis carries them out."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import structlog
from redis.exceptions import RedisError

from service.store.redis_refusals import wait_out
from service.worker.clock import Clock
from service.worker.metrics import WorkerMetrics
from service.worker.stop import Stop

log = structlog.get_logger(__name__)

RECONNECT_AFTER_S = 0.5

Result = TypeVar("Result")


class Retrying:
    """Repeats a step while Redis is unavailable.

    A Redis that is available again may have lost entries. So the log is checked before the step is repeated.

    Args:
        check_log: raises where the log does not continue from the worker's state.
        metrics: count the interruptions.
        clock: to wait by.
        stop: ends the repetition.
    """

    def __init__(self, check_log: Callable[[], object], metrics: WorkerMetrics, clock: Clock, stop: Stop) -> None:
        self._check = check_log
        self._metrics = metrics
        self._clock = clock
        self._stop = stop
        self._log_in_doubt = True

    def doubt_log(self) -> None:
        """Check the log before the next step: the state has changed, or Redis was unavailable."""
        self._log_in_doubt = True

    def check_log(self) -> None:
        """Check the log now.

        Raises:
            LogLost: it does not continue from the worker's state.
        """
        self._check()
        self._log_in_doubt = False

    def until_done(self, step: Callable[[], Result]) -> Result | None:
        """The result of the step; None where it was not carried out before a stop was requested.

        Raises:
            RedisUnusable: Redis refuses until a person acts.
            LogLost: the log does not continue from the worker's state.
        """
        while True:
            try:
                if self._log_in_doubt:
                    self.check_log()
                return step()
            except (RedisError, OSError) as error:
                wait_out(error)
                self.doubt_log()
                self._metrics.reconnects.inc()
                log.warning("Redis cannot be used, trying again", error=str(error), after_s=RECONNECT_AFTER_S)
                if self._stop.requested:
                    return None
                self._clock.sleep(RECONNECT_AFTER_S)
