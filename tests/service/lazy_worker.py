"""A worker that renews rows on request, with a graph in which only the time of a change counts.

The prediction of a node at a position is a number that is drawn when the node changes. So an answer shows for which
position it was computed, and the whole history is there to compare with.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from random import Random

import numpy as np
import numpy.typing as npt
import redis

from olad_core.serving.publication import (
    MARKS_PER_BLOCK,
    MarkedBlocks,
    Publication,
    RowOrigins,
    TableUpdate,
    Version,
    WholeAnswer,
)
from olad_core.tasks import node_class
from olad_core.tasks.label_rule import LabelRule
from service.store.keys import Keys
from service.store.positions import PositionPair
from service.store.prediction_writer import PredictionWriter
from service.store.request_reader import Request, RequestReader

STEPS = 4_096
CLASSES = ("a", "b")


@dataclass
class Held:
    """What is held of one node: the graph's row, the value that was computed last and where."""

    row: int
    value: int
    position: PositionPair
    applied: int


@dataclass
class LazyEngine:
    """A graph whose predictions are computed when asked for.

    Attributes:
        position: of the last entry.
        applied: events up to there.
        truth: the right value of each node that is there.
        history: by node the positions at which its right value changed, with the value; None where it was removed.
        applied_at: events up to each position.
        held: what is computed.
        marked: nodes whose computed value is of an earlier position.
        later: nodes that are not computed when they are asked for.
        version: that is served.
        classes: of all versions.
        rule: by which labels are decided.
    """

    random: Random
    position: PositionPair = (0, 0)
    applied: int = 0
    truth: dict[str, int] = field(default_factory=dict)
    history: dict[str, list[tuple[PositionPair, int | None]]] = field(default_factory=dict)
    applied_at: dict[PositionPair, int] = field(default_factory=dict)
    held: dict[str, Held] = field(default_factory=dict)
    marked: set[str] = field(default_factory=set)
    later: set[str] = field(default_factory=set)
    version: int = 1
    classes: tuple[str, ...] = CLASSES
    rule: LabelRule = field(default_factory=LabelRule)
    _changed: set[str] = field(default_factory=set)
    _removed: set[str] = field(default_factory=set)
    _dropped: list[int] = field(default_factory=list)
    _free: list[int] = field(default_factory=list)
    _blocks: set[int] = field(default_factory=set)

    def apply(self, changed: Iterable[str], far: Iterable[str] = (), removed: Iterable[str] = ()) -> None:
        """One entry: it changes some nodes, which are computed at once, and others, which are only marked."""
        self.position = (self.position[0] + self.random.randint(0, 1), self.position[1] + 1)
        self.applied += self.random.randint(1, 3)
        self.applied_at[self.position] = self.applied
        for node in removed:
            if self.truth.pop(node, None) is not None:
                self.history[node].append((self.position, None))
                self._free.append(self.held.pop(node).row)
                self.marked.discard(node)
                self._changed.discard(node)
                self._removed.add(node)
        for node in changed:
            self._change(node)
        for node in far:
            if node in self.held:
                self._change(node)
        self.ask([node for node in changed if node in self.truth])

    def _change(self, node: str) -> None:
        value = self.random.randrange(STEPS)
        self.truth[node] = value
        self.history.setdefault(node, []).append((self.position, value))
        if node not in self.held:
            # Rows far apart lie in several blocks.
            row = self._free.pop(0) if self._free else len(self.held) * 1_500
            while row in {held.row for held in self.held.values()}:
                row += 1
            self.held[node] = Held(row, value, self.position, self.applied)
            self._removed.discard(node)
        self.marked.add(node)
        self._blocks.add(self.held[node].row // MARKS_PER_BLOCK)

    def ask(self, nodes: Iterable[str]) -> None:
        """Compute nodes; one that is not in the graph is passed over."""
        for node in nodes:
            if node in self.held and node in self.marked and node not in self.later:
                self.marked.remove(node)
                held = self.held[node]
                self.held[node] = Held(held.row, self.truth[node], self.position, self.applied)
                self._blocks.add(held.row // MARKS_PER_BLOCK)
                self._changed.add(node)

    def next_version(self) -> None:
        """Serve another version, with everything in it that the last one held."""
        self._dropped.append(self.version)
        self.version += 1
        self.republish()

    def republish(self) -> None:
        """Let the next publication hold all rows and all marks."""
        self._changed |= self.held.keys()
        self._blocks |= {held.row // MARKS_PER_BLOCK for held in self.held.values()}

    def publication(self) -> Publication:
        """Everything since the last one."""
        nodes = tuple(sorted(self._changed))
        held = [self.held[node] for node in nodes]
        probabilities, best = self._shares(held), None
        if node_class.are_wide(len(self.classes)):
            best, probabilities = node_class.best_classes(probabilities)
        update = TableUpdate(
            self.version,
            nodes,
            probabilities,
            np.zeros(len(held), np.float32),
            tuple(sorted(self._removed)),
            rows=np.array([one.row for one in held], np.int64),
            origins=RowOrigins(
                np.array([one.position[0] for one in held], np.uint64),
                np.array([one.position[1] for one in held], np.uint32),
                np.array([one.applied for one in held], np.uint64),
            ),
            marked=self._marked_blocks(),
            classes=best,
        )
        dropped = tuple(self._dropped)
        self._changed, self._removed, self._dropped, self._blocks = set(), set(), [], set()
        position = f"{self.position[0]}-{self.position[1]}"
        return Publication(
            position, self.applied, (update,), Version(self.version, "sage", self.classes), dropped, rule=self.rule
        )

    def whole(self, nodes: Iterable[str]) -> TableUpdate:
        """All classes of nodes."""
        self.ask(nodes)
        there = tuple(node for node in nodes if node in self.held)
        held = [self.held[node] for node in there]
        rows = np.array([one.row for one in held], np.int64)
        return TableUpdate(self.version, there, self._shares(held), np.zeros(len(held), np.float32), rows=rows)

    def _shares(self, held: Sequence[Held]) -> npt.NDArray[np.float32]:
        found = [shares(one.value, len(self.classes)) for one in held]
        return np.array(found, np.float32).reshape(len(held), len(self.classes))

    def _marked_blocks(self) -> MarkedBlocks:
        numbers = self.random.sample(sorted(self._blocks), len(self._blocks))
        bits = np.zeros((len(numbers), MARKS_PER_BLOCK), np.bool_)
        for row in (self.held[node].row for node in self.marked):
            if row // MARKS_PER_BLOCK in self._blocks:
                bits[numbers.index(row // MARKS_PER_BLOCK), row % MARKS_PER_BLOCK] = True
        return MarkedBlocks(np.array(numbers, np.int64), np.packbits(bits, axis=1))

    def value_at(self, node: str, position: PositionPair) -> int | None:
        """The right value of a node at a position; None where it was not there."""
        found = None
        for since, value in self.history.get(node, []):
            if since <= position:
                found = value
        return found


def shares(value: int, classes: int = 2) -> list[float]:
    """The probabilities that stand for a value."""
    if classes == len(CLASSES):
        return [value / STEPS, 1 - value / STEPS]
    drawn: list[float] = np.random.default_rng(value).dirichlet(np.full(classes, 0.1)).astype(np.float32).tolist()
    return drawn


class LazyWorker:
    """Publishes what an engine holds, and answers requests in a thread while it is told to.

    Args:
        client: of Redis.
        keys: of the graph.
        engine: what to publish.
        past_rows: of earlier positions that are kept.
    """

    def __init__(self, client: redis.Redis, keys: Keys, engine: LazyEngine, past_rows: int = 0) -> None:
        self.engine = engine
        self._client, self._keys = client, keys
        self._writer = PredictionWriter(client, keys, past_rows=past_rows)
        self._writer.start()
        self._requests = RequestReader(client, keys)
        self._requests.begin()
        self.lock = threading.RLock()
        self.visible: list[PositionPair] = []
        self.seen: list[Sequence[str]] = []
        """Nodes of each request that was answered."""

    def publish(self, answered: str | None = None, wholes: Sequence[Request] = ()) -> None:
        """Publish what is new, with whole rows for those who requested them."""
        with self.lock:
            whole = tuple(WholeAnswer(request.number, self.engine.whole(request.nodes)) for request in wholes)
            self._client.set(self._keys.appended, self.engine.applied)
            self._writer.publish(replace(self.engine.publication(), answered=answered, whole=whole))
            self.visible.append(self.engine.position)

    def live(self, ttl_ms: int = 60_000) -> None:
        """Show a heartbeat."""
        self._writer.heartbeat(ttl_ms)

    def answer(self, *, between: Sequence[str] = (), wait_ms: int = 1) -> int:
        """Answer the requests that are there; how many.

        Args:
            between: nodes that are marked again before the answer is published.
            wait_ms: how long to wait for a first one.
        """
        self._requests.wait("9999999999999-0", wait_ms)
        requests = self._requests.read(100)
        with self.lock:
            for request in requests:
                self.engine.ask(request.nodes)
                self.seen.append(request.nodes)
            if requests:
                if between:
                    self.engine.apply((), between)
                self.publish(requests[-1].number, [request for request in requests if request.whole])
        return len(requests)

    @contextlib.contextmanager
    def answering(self) -> Iterator[None]:
        """Inside, requests are answered."""
        stop = threading.Event()

        def answer() -> None:
            while not stop.is_set():
                self.answer(wait_ms=20)

        thread = threading.Thread(target=answer)
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join()
