"""An engine driven as the worker drives it, and what readers have of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from olad_core.config import EngineConfig, TrainerConfig
from olad_core.engine import Engine
from olad_core.events import Event
from olad_core.serving.publication import MARKS_PER_BLOCK, Publication
from tests.device import DEVICE
from tests.olad_core.streams import changes, take, two_communities

CONFIG = EngineConfig(
    trainer=TrainerConfig(width=8, labelled=16, touched=8, fanouts=(3, 3), warmup_steps=4, discriminator_width=8),
    publish_steps=5,
    score_memory=50,
    least_remembered=10,
    arrivals_scored=8,
    arrivals_remembered=40,
    advance_events=50,
    serve="auto",
)
PAIR = replace(CONFIG, trainer=replace(CONFIG.trainer, students=("gcn", "sage")))
BEST_OF_PAIR = replace(PAIR, serve="best")
"""The same, with one student at a time served."""


@dataclass
class Reader:
    """What readers of the publications have: a table of predictions and a bitmap of marks a version, and which one is
    served."""

    tables: dict[int, dict[str, npt.NDArray[np.float32]]] = field(default_factory=dict)
    rows: dict[int, dict[str, int]] = field(default_factory=dict)
    blocks: dict[int, dict[int, npt.NDArray[np.uint8]]] = field(default_factory=dict)
    served: int | None = None
    served_in_turn: list[int] = field(default_factory=list)

    def read(self, publication: Publication) -> None:
        for update in publication.updates:
            table = self.tables.setdefault(update.version, {})
            for node in update.removed:
                table.pop(node, None)
            table.update(zip(update.nodes, update.probabilities, strict=True))
            self.rows.setdefault(update.version, {}).update(zip(update.nodes, update.rows.tolist(), strict=True))
            if update.marked:
                bits = np.unpackbits(update.marked.bits, axis=1)
                blocks = self.blocks.setdefault(update.version, {})
                blocks.update(zip(update.marked.first.tolist(), bits, strict=True))
        for version in publication.dropped:
            self.tables.pop(version, None)
            self.rows.pop(version, None)
            self.blocks.pop(version, None)
        if publication.served:
            self.served = publication.served.number
            if self.served_in_turn[-1:] != [self.served]:
                self.served_in_turn.append(self.served)

    @property
    def marked(self) -> set[str]:
        """Nodes whose served predictions are of an earlier position."""
        if self.served is None:
            return set()
        rows, blocks = self.rows[self.served], self.blocks[self.served]
        places = {node: divmod(rows[node], MARKS_PER_BLOCK) for node in self.tables[self.served]}
        return {node for node, (block, bit) in places.items() if blocks[block][bit]}


class Run:
    """An engine as the worker drives it: apply, refresh, publish, learn, publish."""

    def __init__(self, config: EngineConfig = CONFIG, engine: Engine | None = None) -> None:
        self.engine = engine or Engine(config, DEVICE)
        self.reader = Reader()
        self.published: list[Publication] = []

    def publish(self) -> Publication:
        publication = self.engine.take_publication()
        for update in publication.updates:
            assert list(update.nodes) == list(self.engine.graph.ids(update.rows))
        self.published.append(publication)
        self.reader.read(publication)
        return publication

    def turn(self, events: Sequence[Event], steps: int = 0) -> Publication:
        """Apply one entry and publish; then learn."""
        self.engine.apply(f"{self.turns + 1}-0", events, float(self.turns))
        self.engine.refresh()
        publication = self.publish()
        self.engine.learn(steps)
        self.publish()
        return publication

    @property
    def turns(self) -> int:
        return int(self.engine.position.split("-")[0])


def stream(seed: int = 3, turns: int = 24) -> list[list[Event]]:
    """Batches of random changes, after enough labelled nodes to learn from."""
    events = changes(seed, nodes=40)
    return [two_communities(16), *(take(events, 12) for _ in range(turns - 1))]


def learned(run: Run) -> Run:
    """A run with two communities learned and a version served."""
    run.turn(two_communities(40))
    while run.reader.served is None:
        run.turn([], steps=5)
    return run


def assert_readers_are_fresh(run: Run) -> None:
    """Every living node, and no other, has a prediction; those that are not marked have the present one."""
    held = run.engine.versions.served
    assert held is not None
    assert run.reader.served == held.version.number
    table = run.reader.tables[held.version.number]
    rows = np.flatnonzero(run.engine.graph.alive)
    nodes = run.engine.graph.ids(rows)
    assert table.keys() == set(nodes)
    assert run.reader.marked == set(run.engine.graph.ids(held.embedding.marked(run.engine.graph)))
    if rows.size:
        np.testing.assert_array_equal(np.stack([table[node] for node in nodes]), held.embedding.probabilities(rows))
