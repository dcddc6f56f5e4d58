"""A worker in this process: a log and predictions in memory, a clock that is set by hand, real checkpoint files."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from redis.exceptions import ConnectionError as Unreachable

from olad_core.config import EngineConfig
from olad_core.engine import Engine
from olad_core.events import Event
from olad_core.judging.served_outcomes import NO_RECORDS, Records
from olad_core.schema import HeldSchema
from olad_core.serving.publication import Publication
from service.settings import Settings
from service.store.fence import LogLost
from service.store.log_reader import Entry
from service.store.positions import START, parse_position
from service.store.request_reader import Request
from service.store.status import WorkerStatus
from service.worker.assembly import build_worker, restore_engine
from service.worker.attempts import Attempts
from service.worker.checkpointer import Checkpointer
from service.worker.growing import Grower
from service.worker.loop import Worker
from tests.device import DEVICE
from tests.olad_core.runs import PAIR


class HandClock:
    """Time passes where somebody waits, or where :meth:`advance` is called."""

    def __init__(self) -> None:
        self.now = 0.0
        self.slept: list[float] = []

    def monotonic(self) -> float:
        return self.now

    def wall(self) -> float:
        return 1_700_000_000 + self.now

    def cpu(self) -> float:
        return self.now / 4

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.advance(seconds)

    def advance(self, seconds: float) -> None:
        self.now += seconds


class Wire:
    """Numbers the operations on the stores, from 1; those in ``failing`` find no connection."""

    def __init__(self) -> None:
        self.failing: set[int] = set()
        self.answer_is_lost = False
        """Whether a failing operation is carried out all the same."""
        self.operations: list[str] = []
        self._fails_next: list[str] = []

    def fail_once(self, name: str) -> None:
        """Let the next operation of that name fail."""
        self._fails_next.append(name)

    @contextmanager
    def operation(self, name: str) -> Iterator[None]:
        self.operations.append(name)
        fails = len(self.operations) in self.failing or name in self._fails_next
        if name in self._fails_next:
            self._fails_next.remove(name)
        if fails and not self.answer_is_lost:
            raise Unreachable(f"no connection for {name}")
        yield
        if fails:
            raise Unreachable(f"no answer to {name}")


class MemoryLog:
    """A log in memory. ``when_empty`` is called by a read that finds no entry."""

    def __init__(self, wire: Wire) -> None:
        self.entries: list[Entry] = []
        self.trimmed = START
        self.skips: dict[str, str] = {}
        self.adopted: list[tuple[str, int]] = []
        self.when_empty: Callable[[], object] = lambda: None
        self._last = 0
        self._wire = wire

    def append(self, *batches: Sequence[Event]) -> None:
        for events in batches:
            self._last += 1
            self.entries.append(Entry(f"{self._last}-0", events, count=len(events), arrival=float(self._last)))

    def read(self, after: str, *, max_events: int) -> list[Entry]:
        with self._wire.operation("read"):
            later = [entry for entry in self.entries if parse_position(entry.position) > parse_position(after)]
            if not later:
                self.when_empty()
            count, taken = 0, []
            for entry in later:
                taken.append(entry)
                count += entry.count
                if count >= max_events:
                    break
            return taken

    def require(self, position: str) -> None:
        with self._wire.operation("require"):
            if position != self.trimmed and position not in {entry.position for entry in self.entries}:
                raise LogLost(f"the log does not hold {position}")

    def adopt(self, position: str, applied_events: int, schema: HeldSchema) -> int:
        with self._wire.operation("adopt"):
            self.adopted.append((position, applied_events))
            self.trimmed = position
            return sum(e.count for e in self.entries if parse_position(e.position) > parse_position(position))

    def skipped(self) -> dict[str, str]:
        with self._wire.operation("skipped"):
            return dict(self.skips)

    def skip(self, position: str, reason: str) -> None:
        with self._wire.operation("skip"):
            self.skips[position] = reason

    def trim_before(self, position: str) -> int:
        with self._wire.operation("trim"):
            kept = [entry for entry in self.entries if parse_position(entry.position) > parse_position(position)]
            gone, self.entries, self.trimmed = len(self.entries) - len(kept), kept, position
            return gone


class MemoryRequests:
    """Requests of readers, in memory. A wait for one lasts as long as it may."""

    def __init__(self, wire: Wire, clock: HandClock) -> None:
        self.pending: list[Request] = []
        self.waits_ms: list[int] = []
        self._wire = wire
        self._clock = clock

    def begin(self) -> None:
        with self._wire.operation("begin"):
            pass

    def read(self, most: int = 1) -> list[Request]:
        with self._wire.operation("requests"):
            taken, self.pending = self.pending[:most], self.pending[most:]
            return taken

    def wait(self, position: str, block_ms: int) -> None:
        with self._wire.operation("wait"):
            self.waits_ms.append(block_ms)
            if not self.pending:
                self._clock.advance(block_ms / 1000)


class MemoryPredictions:
    """What readers see, in memory."""

    def __init__(self, wire: Wire) -> None:
        self.starts = 0
        self.published: list[Publication] = []
        self.position: str | None = None
        self.version: int | None = None
        self.beats = 0
        self.statuses: list[WorkerStatus] = []
        self.outcomes: list[int] = []
        """Keys of the arrivals whose predictions have scored, as they were written."""
        self._wire = wire

    def start(self) -> int:
        with self._wire.operation("start"):
            self.starts += 1
            return self.starts

    def visible_position(self) -> str | None:
        with self._wire.operation("visible"):
            return self.position

    def served_version(self) -> int | None:
        with self._wire.operation("version"):
            return self.version

    def publish(self, publication: Publication) -> None:
        with self._wire.operation("publish"):
            if self.position is not None and parse_position(publication.position) < parse_position(self.position):
                raise ValueError(f"readers see {self.position}: {publication.position} would go back")
            self.published.append(publication)
            self.position = publication.position
            if publication.served is not None:
                self.version = publication.served.shown

    def heartbeat(self, ttl_ms: int) -> None:
        with self._wire.operation("heartbeat"):
            self.beats += 1

    def write_status(self, status: WorkerStatus, metrics: bytes, outcomes: Records = NO_RECORDS) -> None:
        with self._wire.operation("status"):
            self.statuses.append(status)
            self.outcomes.extend(outcomes["arrival"].tolist())

    def forget_outcomes(self) -> None:
        with self._wire.operation("forget"):
            self.outcomes.clear()


class Site:
    """The stores, the clock and the files of one graph, and the workers that use them one after the other."""

    def __init__(self, folder: Path, config: EngineConfig = PAIR) -> None:
        self.clock, self.wire = HandClock(), Wire()
        self.log, self.predictions = MemoryLog(self.wire), MemoryPredictions(self.wire)
        self.requests = MemoryRequests(self.wire, self.clock)
        self.checkpoints = folder / "checkpoints"
        self.attempts_file = folder / "attempts"
        self.config = config

    def restore(self) -> Engine:
        return restore_engine(self.checkpoints, self.config, DEVICE)

    @contextmanager
    def worker(self, **settings: object) -> Iterator[Worker]:
        """A worker that is requested to stop when it finds no more entry."""
        given = Settings.model_validate({"checkpoint_interval_s": 3600} | settings)
        attempts = Attempts(self.attempts_file)
        try:
            with Checkpointer(self.checkpoints, keep=2) as checkpointer, Grower() as grower:
                worker = build_worker(
                    self.restore,
                    self.log,
                    self.predictions,
                    self.requests,
                    checkpointer,
                    attempts,
                    given,
                    self.clock,
                    grower,
                )
                self.log.when_empty = worker.stop
                yield worker
        finally:
            attempts.close()

    def run(self, **settings: object) -> None:
        """Run a worker until it has applied all entries."""
        with self.worker(**settings) as worker:
            worker.run()


def bytes_of(engine: Engine) -> dict[str, bytes]:
    """The state of an engine, tensor by tensor."""
    tensors, values = engine.state()
    state = {name: tensor.detach().cpu().contiguous().numpy().tobytes() for name, tensor in tensors.items()}
    return state | {"values": repr(values).encode()}


def text_of(publication: Publication) -> tuple[object, ...]:
    """What makes two publications the same."""
    rows = [
        (u.version, u.nodes, u.probabilities.tobytes(), u.disagreement.tobytes(), u.removed)
        for u in publication.updates
    ]
    return publication.position, publication.applied_events, publication.served, publication.dropped, rows
