"""Twins: two small students beside the group that differ only in whether the group teaches them.

What teaching is worth cannot be seen by comparing taught students with one another. So two students outside the group
begin with the same weights and learn from the same nodes, with the same entries dropped. The group teaches the second
as it would teach a member, and the first not at all. Neither teaches, and neither is served.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from olad_core.learning.group import Group
from olad_core.learning.lessons import lesson_losses
from olad_core.learning.step import StepNodes, update, update_if_sound
from olad_core.messages.sample import Sample
from olad_core.parts import Parts
from olad_core.students import Memory, Stack, Student
from olad_core.tasks import node_class

ARCHITECTURE = "sage"
"""Of both: it is cheap, and of all students it depends least on neighbours being alike."""
UNTAUGHT, TAUGHT = 0, 1
"""Places of the twins."""
TWINS = 2
LEAST_WIDTH = 16
"""Of their embeddings, which are else half as wide as those of the group."""


@dataclass(frozen=True)
class LossShares:
    """Which shares of the mean losses of a step are computed here.

    Attributes:
        labelled: of those over labelled seeds.
        seeds: of those over all seeds.
    """

    labelled: float = 1.0
    seeds: float = 1.0


WHOLE = LossShares()
"""All of them."""


class Twins:
    """The two students, with what trains them.

    Args:
        group: beside which they learn.
    """

    def __init__(self, group: Group) -> None:
        config = group.config
        width = max(LEAST_WIDTH, config.width // 2)
        own = replace(config, students=(ARCHITECTURE,) * TWINS, width=width, measures_teaching=False)
        self.group = Group(own, group.shape, group.capacity, group.device, Memory((), width, group.device))
        """The two, as a group of their own."""
        untaught, taught = self.group.students
        taught.load_state_dict(untaught.state_dict())

    @property
    def students(self) -> dict[str, Student]:
        """By name: the untaught one, then the taught one."""
        return {f"twin-{place}": student for place, student in enumerate(self.group.students)}

    def fit(self, group: Group, learning_rate: float) -> None:
        """Have the classes and the learning rate of the group in its next step."""
        self.group.fit_classes(group.capacity)
        self.group.set_learning_rate(learning_rate)

    def follow_scale(self, group: Group) -> None:
        """Have the scale of features of the group."""
        for student in self.group.students:
            student.mean_square.copy_(group.students[0].mean_square)

    def learn(
        self, nodes: StepNodes, teachers: Tensor | None, weights: Tensor, shares: LossShares = WHOLE
    ) -> Parts[None]:
        """The gradients of both from the nodes of a step of the group; two parts a twin. No weight changes.

        Args:
            nodes: of the step.
            teachers: logits of the group ``[G, n, C]``; None where nobody is taught in this step.
            weights: ``[G]``, how much each student teaches the taught twin; they sum to one.
            shares: of the losses that are computed here.
        """
        config, labelled = self.group.config, len(nodes.targets)
        drop_again = self.group.dropout.mark()
        self.group.student_optimizer.zero_grad()
        for place, student in enumerate(self.group.students):
            yield
            # Both drop the same: what differs between them is the teaching.
            drop_again()
            logits = self._logits(student, nodes.sample)[None, :, : nodes.classes]
            loss = logits.new_zeros(1)
            if labelled:  # The mean over no seed is not a number.
                own = node_class.losses(logits[:, :labelled], nodes.targets, nodes.seed_shares.labelled)
                loss = loss + shares.labelled * own
            if place == TAUGHT and teachers is not None:
                loss = loss + shares.seeds * config.global_weight * node_class.global_losses(
                    logits,
                    teachers,
                    weights[None],
                    config.temperature,
                    config.min_confidence,
                    shares=nodes.seed_shares.all,
                )
            if place == TAUGHT and nodes.lessons:
                loss = loss + lesson_losses(logits, nodes.lessons, slice(-1, None), config)
            yield
            if loss.requires_grad:
                loss.backward()  # type: ignore[no-untyped-call]

    def descend(self) -> None:
        """Change the weights by the gradients of :meth:`learn`, if those of both are finite."""
        update(self.group)

    def descend_if_sound(self) -> None:
        """The same without reading anything back."""
        update_if_sound(self.group, torch.ones((), dtype=torch.bool, device=self.group.device))

    def state(self) -> tuple[dict[str, Tensor], dict[str, object]]:
        """Tensors and plain values for a checkpoint."""
        return self.group.state()

    def restore(self, tensors: Mapping[str, Tensor], values: Mapping[str, Any]) -> None:
        """Take over a :meth:`state`."""
        own = self.group
        self.group = Group.restore(own.config, tensors, values, own.device, own.memory)

    def numbers_to_drop(self, drawn: Sample) -> int:
        """How many random numbers the dropout of both takes: they drop the same."""
        shapes = Stack(self.group.students[:1]).shapes(drawn.blocks)
        return self.group.dropout.numbers_of(len(drawn.inputs.label), [drawn.inputs.x.shape[1]], shapes)

    def _logits(self, student: Student, drawn: Sample) -> Tensor:
        """Logits ``[n, class_capacity]`` of a sample's seeds, with dropout."""
        dropout = self.group.dropout
        inputs = replace(drawn.inputs, label=dropout.labels(drawn.inputs.label))
        kept = dropout.columns(drawn.inputs.x.shape[1])
        rows = student.encode(inputs, student.scale if kept is None else student.scale * kept)
        for number, block in enumerate(drawn.blocks, start=1):
            rows = student.layer(number, dropout.entries(rows), block)
        return student.classify(rows)
