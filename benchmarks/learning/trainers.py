"""Other teachers than ours, each a small change of the shipped trainer."""

from __future__ import annotations

import copy
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import torch

from olad_core.graph import DynamicGraph
from olad_core.learning.label_history import Replay, Touched
from olad_core.learning.lessons import MembersTeaching
from olad_core.learning.step import Computed, Knowledge, Shown, StepNodes
from olad_core.learning.trainer import StepOutcome, Trainer
from olad_core.parts import Parts
from olad_core.step_size import FULL_SIZE, StepSize
from olad_core.students import Student

Teaching = npt.NDArray[np.float32]


class FixedTeaching(Trainer):
    """Who teaches whom is fixed, whatever the evidence says."""

    def fixed(self, group: int) -> Teaching:
        """``[G, J]``, how much teacher ``j`` teaches student ``i``."""
        raise NotImplementedError

    def step_in_parts(
        self,
        graph: DynamicGraph,
        history: Replay,
        touched: Touched,
        teaching: Teaching,
        size: StepSize = FULL_SIZE,
        members: MembersTeaching | None = None,
    ) -> Parts[StepOutcome]:
        """A step that ignores the evidence, ``teaching``."""
        del teaching
        return super().step_in_parts(graph, history, touched, self.fixed(len(self.group.students)), size, members)


class OthersTeach(FixedTeaching):
    """Every student learns from the mean of all others."""

    def fixed(self, group: int) -> Teaching:
        """Equal parts of the others."""
        return ((1 - np.eye(group)) / max(group - 1, 1)).astype(np.float32)


class AllTeach(FixedTeaching):
    """Every student learns from the whole group's mean, itself included."""

    def fixed(self, group: int) -> Teaching:
        """Equal parts of all."""
        return np.full((group, group), 1 / group, dtype=np.float32)


class SelfTeach(FixedTeaching):
    """Every student learns from itself as it is when no hidden row is dropped."""

    def fixed(self, group: int) -> Teaching:
        """Each its own teacher."""
        return np.eye(group, dtype=np.float32)


class FrozenTeach(AllTeach):
    """Every student learns from the group as it was at the end of the stream's first part; until then from nobody."""

    frozen: tuple[Student, ...] = ()

    def freeze(self) -> None:
        """From now on the group as it is teaches."""
        self.frozen = tuple(copy.deepcopy(student).eval().requires_grad_(False) for student in self.group.students)

    def fixed(self, group: int) -> Teaching:
        """Equal parts of the frozen ones, once there are any."""
        return super().fixed(group) if self.frozen else np.zeros((group, group), dtype=np.float32)

    def show(self, nodes: StepNodes, computed: Computed, knowledge: Knowledge) -> Parts[Shown]:
        """What the students show, with the logits of the frozen group as those of the teachers."""
        shown = yield from super().show(nodes, computed, knowledge)
        if shown.teachers is None:
            return shown
        drawn = nodes.sample
        pairs = zip(self.frozen, self.group.inputs(drawn, self.group.names), strict=True)
        with torch.no_grad():
            logits = [student(inputs, drawn.blocks)[0][:, : nodes.classes] for student, inputs in pairs]
        return replace(shown, teachers=torch.stack(logits))
