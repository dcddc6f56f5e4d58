"""A stream that several ranks learn from, in one process."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
import torch

from olad_core.config import EngineConfig
from olad_core.events import Event, GraphSchema, LabelNode, RemoveNode, UpsertEdge, UpsertNode
from olad_core.partition import LearnerState, Partition, PartitionedLearner, Traffic, run_in_lockstep
from tests.olad_core.runs import CONFIG
from tests.olad_core.streams import FEATURES, take

LEARNING = replace(
    CONFIG,
    trainer=replace(CONFIG.trainer, labelled=24, touched=12, fanouts=(4, 4), recent_labels=60, recent_touched=40),
    publish_steps=3,
    advance_events=60,
)


def stream(seed: int, nodes: int = 200) -> Iterator[Event]:
    """Nodes of two classes that features and neighbours show; labels follow, some nodes leave, some labels change."""
    draw = np.random.default_rng(seed)
    for node in range(nodes):
        side = node % 2
        x = draw.normal(0, 1, FEATURES)
        x[0] += 2 * side - 1
        yield UpsertNode(str(node), x.tolist(), ("even", "odd")[side] if draw.random() < 0.2 else None)
        for other in draw.integers(max(1, node), size=2).tolist():
            near = other if other % 2 == side or draw.random() < 0.2 else max(0, other - 1)
            yield UpsertEdge(str(node), str(near), float(draw.uniform(0.5, 2)))
        if node > 20 and draw.random() < 0.6:
            late = int(draw.integers(node - 20, node))
            yield LabelNode(str(late), ("even", "odd")[late % 2])
        if node > 50 and draw.random() < 0.1:
            yield RemoveNode(str(int(draw.integers(node))))


class Ranks:
    """Ranks that learn in lockstep."""

    def __init__(self, ranks: int, config: EngineConfig = LEARNING, schema: GraphSchema | None = None) -> None:
        self.parts = [Partition(rank, ranks) for rank in range(ranks)]
        for part in self.parts:
            if schema is not None:
                part.declare(schema)
        self.learners = [PartitionedLearner(config, part) for part in self.parts]
        self.traffic = Traffic()
        self.losses: list[dict[str, np.ndarray[tuple[int], np.dtype[np.float64]]]] = []
        self.batches = 0

    @property
    def first(self) -> PartitionedLearner:
        return self.learners[0]

    def apply(self, events: Sequence[Event], *, learning: bool = True) -> None:
        self.batches += 1
        followed = run_in_lockstep([part.apply(events, float(self.batches)) for part in self.parts])
        if learning:
            pairs = zip(self.learners, followed, strict=True)
            position = f"{self.batches}-0"
            run_in_lockstep([each.follow(position, len(events), what) for each, what in pairs], self.traffic)

    def learn(self, steps: int, rows: int = 16) -> None:
        for _ in range(steps):
            taken = run_in_lockstep([each.step() for each in self.learners], self.traffic)
            run_in_lockstep([each.embed(rows) for each in self.learners], self.traffic)
            self.switch()
            assert len(set(taken)) == 1

    def switch(self) -> None:
        """Serve the version on its way where it is embedded, which all ranks find at once."""
        assert len({each.embedded for each in self.learners}) == 1
        for each in self.learners:
            if each.embedded:
                each.switch()

    def play(self, events: Iterator[Event], batches: int, steps: int, size: int = 40) -> None:
        for _ in range(batches):
            self.apply(take(events, size))
            self.learn(steps)

    def weights(self) -> set[bytes]:
        """The bytes of everything that is to be the same at all ranks; one item where it is."""
        return {shared_bytes(each.state()) for each in self.learners}

    def served(self) -> dict[str, bytes]:
        """What is served of each node."""
        found: dict[str, bytes] = {}
        for part, each in zip(self.parts, self.learners, strict=True):
            rows = np.flatnonzero(part.store.owned)
            answers = each.answers(rows)
            found |= {node: row.tobytes() for node, row in zip(part.graph.ids(rows), answers, strict=True)}
        return found


def shared_bytes(state: LearnerState) -> bytes:
    tensors = b"".join(name.encode() + state.tensors[name].numpy().tobytes() for name in sorted(state.tensors))
    return tensors + repr(state.values).encode()


def supervised(ranks: Ranks) -> float:
    return float(np.mean(ranks.first.assessment.training_loss()))


def vector(ranks: Ranks) -> torch.Tensor:
    trainer = ranks.first.trainer
    assert trainer
    return torch.cat([weight.detach().flatten() for weight in trainer.group.student_optimizer.parameters])


def beside_group(ranks: Ranks) -> torch.Tensor:
    """The weights of the discriminators, and of twins where there are any."""
    trainer = ranks.first.trainer
    assert trainer
    twins = trainer.twins.group.student_optimizer.parameters if trainer.twins else []
    weights = [*trainer.group.discriminator_optimizer.parameters, *twins]
    return torch.cat([weight.detach().flatten() for weight in weights])
