"""What plays a stream, and first of all the shipped engine."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
import numpy.typing as npt
import torch

from benchmarks.learning.stream import Turn
from benchmarks.learning.trainers import FrozenTeach
from olad_core.config import EngineConfig
from olad_core.engine import Engine
from olad_core.events import GraphSchema
from olad_core.graph import DynamicGraph
from olad_core.learning.group import Group
from olad_core.learning.trainer import Trainer
from olad_core.messages.sample import sample
from olad_core.step_size import StepSize
from olad_core.tasks import node_class
from service.worker.temporal_library import import_temporal_library

Probabilities = npt.NDArray[np.float64]
Rows = npt.NDArray[np.int64]


DISAGREEMENT = "disagreement"


class LeakedLabel(ValueError):
    """A stream asks for a class that it has told already."""


class Learner(Protocol):
    """Follows a stream and answers its questions."""

    def declare(self, schema: GraphSchema) -> None:
        """Begin."""

    def apply(self, number: int, turn: Turn) -> None:
        """Take in the events of a turn."""

    def predict(self, nodes: Sequence[str]) -> dict[str, Probabilities]:
        """Class probabilities ``[n, C]`` by each predictor, ``served`` among them; NaN where one says nothing.

        Under :data:`DISAGREEMENT` there may be what is served of it, ``[n, 1]``.
        """

    def learn(self, steps: int, share: float) -> None:
        """Learn from what is known."""

    def end_first_part(self) -> None:
        """The first part of the stream is over: a teacher that is trained once is trained now."""

    @property
    def steps(self) -> int:
        """Training steps taken."""


class EngineLearner:
    """The engine as the worker drives it, without Redis and HTTP.

    Args:
        config: how it learns.
        device: where it computes.
        trainer_type: what trains the group.
    """

    def __init__(self, config: EngineConfig, device: torch.device, trainer_type: type[Trainer] = Trainer) -> None:
        import_temporal_library()
        self.engine = Engine(config, device)
        self.engine.trainer_type = trainer_type

    def declare(self, schema: GraphSchema) -> None:
        """Begin."""
        self.engine.declare("0-1", schema)

    def apply(self, number: int, turn: Turn) -> None:
        """Apply, refresh and publish one entry."""
        self.engine.apply(f"{number}-0", turn.events, float(number))
        self.engine.refresh()
        self.engine.take_publication()

    def predict(self, nodes: Sequence[str]) -> dict[str, Probabilities]:
        """What is served, what each student predicts now, and their mean, the group's ``ensemble``.

        All see whole neighbourhoods, as what is served does.
        """
        engine, trainer = self.engine, self.engine.trainer
        rows = unlabelled_rows(engine.graph, nodes)
        nothing = np.full((len(nodes), len(engine.graph.classes)), np.nan)
        served = engine.versions.served
        found = {"served": nothing, DISAGREEMENT: nothing[:, :1]}
        if served:
            found["served"] = _widened(served.embedding.probabilities(rows), nothing)
            found[DISAGREEMENT] = served.embedding.disagreement(rows)[:, None].astype(np.float64)
        if trainer is None:
            return found
        students = whole_probabilities(engine.graph, rows, trainer.group)
        found |= {name: _widened(said, nothing) for name, said in zip(trainer.group.names, students, strict=True)}
        if engine.trees:
            found["trees"] = _widened(engine.trees.predict(engine.graph, rows), nothing)
        if engine.linear:
            found["linear"] = _widened(engine.linear.predict(engine.graph, rows), nothing)
        return found | {"ensemble": _widened(students.mean(axis=0), nothing)}

    def learn(self, steps: int, share: float) -> None:
        """Training steps of the whole group."""
        self.engine.learn(steps, StepSize(share))

    def end_first_part(self) -> None:
        """Freeze the teacher, where the method has one."""
        if isinstance(self.engine.trainer, FrozenTeach):
            self.engine.trainer.freeze()

    @property
    def steps(self) -> int:
        """Training steps of the group."""
        return self.engine.trainer.steps if self.engine.trainer else 0


def whole_probabilities(graph: DynamicGraph, rows: Rows, group: Group) -> npt.NDArray[np.float32]:
    """Class probabilities ``[G, n, C]`` of distinct rows by the students as they are now, from whole neighbourhoods.

    The labels of these rows are hidden. Random numbers of the group are not used, so that asking changes nothing.
    """
    everyone = [max(1, graph.num_nodes)] * len(group.config.fanouts)
    drawn = sample(graph, rows, everyone, group.shape.feature_width, np.random.default_rng(0), group.device)
    found = []
    for student, inputs in zip(group.students, group.inputs(drawn, group.names), strict=True):
        with torch.no_grad():
            logits, _ = student(inputs, drawn.blocks)
        found.append(node_class.probabilities(logits[:, : group.num_classes(graph)], student.temperature).cpu())
    return torch.stack(found).numpy()


def unlabelled_rows(graph: DynamicGraph, nodes: Sequence[str]) -> Rows:
    """Rows of the asked nodes.

    Raises:
        LeakedLabel: the graph knows the label of one of them.
    """
    rows = graph.rows(nodes)
    if (told := graph.label[rows] >= 0).any():
        raise LeakedLabel(f"the graph knows the class of {nodes[int(told.argmax())]} when it is asked for")
    return rows


def _widened(said: npt.NDArray[np.float32], nothing: Probabilities) -> Probabilities:
    """Zero for the classes that a predictor does not know yet."""
    wide = np.zeros_like(nothing)
    wide[:, : said.shape[1]] = said
    return wide
