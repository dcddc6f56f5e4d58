"""What the worker needs of its stores: the log, the predictions, and the requests of readers.

:class:`service.store.log_reader.LogReader`, :class:`service.store.prediction_writer.PredictionWriter` and
:class:`service.store.request_reader.RequestReader` are the ones in Redis. Every method may raise a
:class:`redis.exceptions.RedisError` or an :class:`OSError` while Redis is unavailable, and
:class:`service.store.fence.Superseded` where it writes and another worker has started.
"""

from __future__ import annotations

from typing import Protocol

from olad_core.judging.served_outcomes import NO_RECORDS, Records
from olad_core.schema import HeldSchema
from olad_core.serving.publication import Publication
from service.store.log_reader import Entry
from service.store.request_reader import Request
from service.store.status import WorkerStatus


class Log(Protocol):
    """The log of one graph."""

    def read(self, after: str, *, max_events: int) -> list[Entry]:
        """Entries after a position, in order, as many as hold so many events; none where there are none."""

    def require(self, position: str) -> None:
        """Raise :class:`service.store.fence.LogLost` where entries after a position are missing."""

    def adopt(self, position: str, applied_events: int, schema: HeldSchema) -> int:
        """Continue the log after a position that it does not hold; the number of events after it."""

    def skipped(self) -> dict[str, str]:
        """Positions of the entries that are not applied, each with the reason."""

    def skip(self, position: str, reason: str) -> None:
        """Store that an entry is not applied, in this run and in every replay."""

    def trim_before(self, position: str) -> int:
        """Remove entries up to and including a position; the number of removed ones."""


class Requests(Protocol):
    """Nodes whose marked predictions readers wait for."""

    def begin(self) -> None:
        """Continue after the last request that was answered."""

    def read(self, most: int = 1) -> list[Request]:
        """The next requests, so many at most; each is read once."""

    def wait(self, position: str, block_ms: int) -> None:
        """Return when there is a log entry after a position, or a request, or after so many milliseconds."""


class Predictions(Protocol):
    """What readers see of one graph."""

    def start(self) -> int:
        """Begin a new start of the worker with empty tables; its number."""

    def visible_position(self) -> str | None:
        """Position that readers see; None before the first publication."""

    def served_version(self) -> int | None:
        """Version that readers see; None before the first one."""

    def publish(self, publication: Publication) -> None:
        """Make a publication visible in one atomic step."""

    def heartbeat(self, ttl_ms: int) -> None:
        """Store that the worker is alive, for that many milliseconds."""

    def write_status(self, status: WorkerStatus, metrics: bytes, outcomes: Records = NO_RECORDS) -> None:
        """Replace the worker's report, and its metrics in Prometheus' text format; keep how predictions scored."""

    def forget_outcomes(self) -> None:
        """Delete how predictions of students scored that are no more."""
