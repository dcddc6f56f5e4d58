"""One training step after the other: draw, forward, losses, backward, update."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from olad_core.config import TrainerConfig
from olad_core.device import to_device
from olad_core.graph import DynamicGraph
from olad_core.learning.group import Group
from olad_core.learning.health import Health
from olad_core.learning.label_history import Replay, Touched
from olad_core.learning.lessons import MembersTeaching
from olad_core.learning.many_classes import candidate_terms
from olad_core.learning.recorded import CudaRecorder, RecordedSteps, map_tensors
from olad_core.learning.spread import NotSpread
from olad_core.learning.step import (
    Computed,
    Knowledge,
    Shown,
    StepNodes,
    backward,
    draw,
    forward,
    knowledge_of,
    local_terms,
    loss_terms,
    show,
    update,
)
from olad_core.learning.twins import Twins
from olad_core.learning.whole_step import can_be_recorded, step_inputs, take_recorded
from olad_core.named_state import join_parts, take_part
from olad_core.parts import Parts, whole
from olad_core.step_size import FULL_SIZE, StepSize, learning_rate_of
from olad_core.tasks import node_class

Terms = dict[str, Tensor]

_CPU = torch.device("cpu")

EVERY, SELDOM = 2, 4
"""Twins learn in each second step, and in each fourth one where the group is taught hardly at all."""
HARDLY = 0.1
"""Strength below which a group is taught hardly at all."""


@dataclass(frozen=True)
class StepOutcome:
    """What a training step did.

    Attributes:
        losses: each loss term ``[G]`` by its name; empty where there was no labelled node, and so no step.
        renewed: names of the students, or ``discriminators``, that got new weights because they had spoilt
            :data:`~olad_core.learning.health.PATIENCE` steps in a row.
    """

    losses: dict[str, npt.NDArray[np.float32]]
    renewed: tuple[str, ...] = ()

    @property
    def taken(self) -> bool:
        """Whether there was a step."""
        return bool(self.losses)


class Trainer:
    """Trains a group of students, which teach each other.

    Args:
        group: the students, with what trains them.
    """

    def __init__(self, group: Group) -> None:
        self.group = group
        self.health = Health(len(group.students))
        self.twins = Twins(group) if group.config.has_twins else None
        """Learn beside the group where it is measured what teaching is worth; else None."""
        self.recorded: RecordedSteps | None = None
        """Takes the steps that can be recorded; None where the device does not wait for launches."""
        plain = type(self).show is Trainer.show
        if plain and group.config.cuda_graphs and group.device.type == "cuda":
            self.recorded = RecordedSteps(CudaRecorder(group.device), group.device)
        self.not_recorded: str | None = None
        """Why steps are not recorded any more."""
        self.steps = 0
        self.skipped_steps = 0

    @property
    def config(self) -> TrainerConfig:
        """How the group learns."""
        return self.group.config

    def step(
        self,
        graph: DynamicGraph,
        history: Replay,
        touched: Touched,
        teaching: npt.NDArray[np.float32],
        size: StepSize = FULL_SIZE,
        members: MembersTeaching | None = None,
    ) -> StepOutcome:
        """One bounded training step, whole; see :meth:`step_in_parts`."""
        return whole(self.step_in_parts(graph, history, touched, teaching, size, members))

    def step_in_parts(
        self,
        graph: DynamicGraph,
        history: Replay,
        touched: Touched,
        teaching: npt.NDArray[np.float32],
        size: StepSize = FULL_SIZE,
        members: MembersTeaching | None = None,
    ) -> Parts[StepOutcome]:
        """One bounded training step: draw, forward, losses, backward, update.

        All that it reads of the graph is read before the first pause, and the weights change after the last one. So
        whatever happens in between, to the graph too, changes nothing of the step; and a step that is not continued
        has changed no weight of a student.

        The students do not learn from a step whose losses or gradients are not finite. It counts among
        ``skipped_steps`` instead of ``steps``.

        Args:
            graph: the live graph.
            history: labelled nodes.
            touched: nodes that changed lately.
            teaching: ``[G, G]``, how much student ``j`` teaches student ``i``. Where there are twins, a last row is
                how much it teaches the taught one.
            size: of the step.
            members: those beside the students that teach them; None where none does.

        Raises:
            NotSpread: several ranks train the students, and there are too many classes to compute all of them.
        """
        group = self.group
        learning_rate = learning_rate_of(self.config.learning_rate, size)
        group.set_learning_rate(learning_rate)
        group.fit_classes(len(graph.classes))
        teaching, twins = self.with_twins(teaching)
        knowledge = knowledge_of(self.config, self.steps, teaching)
        if self.steps < self.config.warmup_steps or not self.config.global_weight:
            members = None
        drawn_on = group.device if self.recorded is None else _CPU
        unlabelled = knowledge.any or members is not None
        nodes = draw(graph, history, touched, group, size, drawn_on, unlabelled=unlabelled)
        if nodes is None:
            return StepOutcome({})
        if members:
            seeds = nodes.sample.rows[: nodes.sample.num_seeds]
            nodes = replace(nodes, lessons=members.lessons(graph.arrival[seeds], nodes.classes))
        if self.twins:
            self.twins.fit(group, learning_rate)
        if self.recorded is not None:
            outcome = yield from self._record(self.recorded, nodes, knowledge, teaching, twins)
            if outcome is not None:
                return outcome
            nodes = map_tensors(nodes, lambda _, tensor: tensor.to(group.device))
        return (yield from self._step_in_parts(nodes, knowledge, teaching, twins))

    def _step_in_parts(
        self, nodes: StepNodes, knowledge: Knowledge, teaching: npt.NDArray[np.float32], twins: Twins | None
    ) -> Parts[StepOutcome]:
        """What follows the drawing of a step that is not recorded."""
        group = self.group
        group.follow_scale(nodes.sample.inputs.x, self.steps)
        weights = to_device(teaching[: len(group.students)], group.device)
        if self.twins:
            self.twins.follow_scale(group)
        computed = yield from forward(group, nodes.sample)
        if node_class.are_many(nodes.classes):
            if not group.division.alone:
                raise NotSpread(f"{nodes.classes} classes: with so many, students are trained by one rank only")
            terms, twins = (yield from candidate_terms(nodes, group, computed, knowledge, weights)), None
            embeddings = computed.embeddings if knowledge.from_embeddings else None
        else:
            shown = yield from self.show(nodes, computed, knowledge)
            embeddings = shown.embeddings
            terms = yield from self.terms(nodes, shown, weights)
            if twins:
                yield from twins.learn(nodes, shown.teachers, to_device(teaching[-1], group.device))
        if embeddings is not None:
            yield
            terms["discriminator"], terms["local"] = local_terms(group, nodes, embeddings, weights)
        renewed = yield from self._learn(computed, terms)
        if twins:
            twins.descend()
        return StepOutcome({name: term.detach().cpu().numpy() for name, term in terms.items()}, renewed)

    def show(self, nodes: StepNodes, computed: Computed, knowledge: Knowledge) -> Parts[Shown]:
        """What all students show of a step's seeds; see :func:`~olad_core.learning.step.show`."""
        return (yield from show(self.group, nodes, computed, knowledge))

    def terms(self, nodes: StepNodes, shown: Shown, weights: Tensor) -> Parts[Terms]:
        """What the students lose by labels, by teachers and by the expected disagreement, over all classes."""
        return (yield from loss_terms(self.group, nodes, shown, weights))

    def state(self) -> tuple[dict[str, Tensor], dict[str, object]]:
        """Tensors and plain values for a checkpoint."""
        tensors, values = self.group.state()
        counts = {"steps": self.steps, "skipped_steps": self.skipped_steps}
        if self.twins:
            own, values["twins"] = self.twins.state()
            tensors |= join_parts({"twins": own})
        return tensors, counts | self.health.state() | values

    @classmethod
    def restore(cls, group: Group, tensors: Mapping[str, Tensor], values: Mapping[str, Any]) -> Trainer:
        """The trainer whose :meth:`state` this was; twins begin where the state has none.

        Args:
            group: restored from the same state.
            tensors: of the state.
            values: of the state.
        """
        trainer = cls(group)
        trainer.health.restore(values["resets"], values["spoilt"])
        trainer.steps, trainer.skipped_steps = values["steps"], values["skipped_steps"]
        if trainer.twins and (own := take_part(tensors, "twins")):
            trainer.twins.restore(own, values["twins"])
        return trainer

    def with_twins(self, teaching: npt.NDArray[np.float32]) -> tuple[npt.NDArray[np.float32], Twins | None]:
        """The teaching of the next step, and the twins where they learn in it; else it has no row of theirs.

        Where the group is taught hardly at all, it is taught only when twins learn, which is seldom: a step without
        teaching draws fewer nodes.
        """
        if self.twins is None:
            return teaching, None
        hardly = teaching[:-1].sum(axis=1).max() < HARDLY
        if self.steps % (SELDOM if hardly else EVERY) == 0:
            return teaching, self.twins
        return np.zeros_like(teaching) if hardly else teaching[:-1], None

    def _record(
        self,
        recorded: RecordedSteps,
        nodes: StepNodes,
        knowledge: Knowledge,
        teaching: npt.NDArray[np.float32],
        twins: Twins | None,
    ) -> Parts[StepOutcome | None]:
        """Take a step by a recording; None where it has to be computed in parts."""
        if not can_be_recorded(self.group, nodes, knowledge):
            return None
        inputs = step_inputs(self.group, nodes, self.steps, teaching)
        yield
        try:
            taken = take_recorded(recorded, self.group, twins, inputs, knowledge)
        except RuntimeError as error:
            self.recorded, self.not_recorded = None, str(error)
            return None
        return StepOutcome(taken.losses, self._count(taken.sound, finite=taken.finite))

    def _learn(self, computed: Computed, terms: Terms) -> Parts[tuple[str, ...]]:
        """Descend on the sum of the students' terms; names of those that got new weights."""
        total = sum((term.sum() for name, term in terms.items() if name != "discriminator"), torch.zeros(()))
        finite = bool(torch.isfinite(total))
        if finite:
            yield
            yield from backward(self.group, computed, total)
            yield
        return self.descend(terms["supervised"].detach(), finite=finite)

    def descend(self, supervised: Tensor, *, finite: bool) -> tuple[str, ...]:
        """Descend along the gradients, and count the step; names of the students that got new weights.

        Args:
            supervised: what the students lose by labels ``[G]``.
            finite: whether the sum of all losses is finite. Where it is not, nobody learns from the step.
        """
        sound = update(self.group) if finite else torch.isfinite(supervised)
        return self._count(sound.cpu().numpy(), finite=finite)

    def _count(self, sound: npt.NDArray[np.bool_], *, finite: bool) -> tuple[str, ...]:
        """Count a step; names of the students that got new weights."""
        if finite and sound.all():
            self.steps += 1
            self.health.sound_step()
            return ()
        self.skipped_steps += 1
        return tuple(map(self._renew, self.health.spoilt_step(~sound)))

    def _renew(self, place: int) -> str:
        self.health.resets += 1
        return self.group.renew(place, self.health.resets)
