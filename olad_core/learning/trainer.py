"""One training step after the other: draw, forward, losses, descend."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
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
from olad_core.learning.many_classes import candidate_terms, narrow
from olad_core.learning.step import (
    Computed,
    Knowledge,
    StepNodes,
    descend,
    disagreement_terms,
    draw,
    forward,
    knowledge_of,
    local_terms,
    supervised_terms,
)
from olad_core.messages.sample import Sample
from olad_core.step_size import FULL_SIZE, StepSize, learning_rate_of
from olad_core.tasks import node_class

Terms = dict[str, Tensor]


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
    ) -> StepOutcome:
        """One bounded training step.

        The students do not learn from a step whose losses or gradients are not finite. It counts among
        ``skipped_steps`` instead of ``steps``.

        Args:
            graph: the live graph.
            history: labelled nodes.
            touched: nodes that changed lately.
            teaching: ``[G, G]``, how much student ``j`` teaches student ``i``.
            size: of the step.
        """
        group = self.group
        group.set_learning_rate(learning_rate_of(self.config.learning_rate, size))
        group.fit_classes(len(graph.classes))
        knowledge = knowledge_of(self.config, self.steps, teaching)
        nodes = draw(graph, history, touched, group, size, unlabelled=knowledge.any)
        if nodes is None:
            return StepOutcome({})
        group.follow_scale(nodes.sample.inputs.x, self.steps)
        weights = to_device(teaching, group.device)
        if node_class.are_many(len(graph.classes)):
            narrowed = narrow(graph, nodes, group, knowledge)
            embeddings, terms = narrowed.embeddings, candidate_terms(nodes, group, narrowed, knowledge, weights)
        else:
            computed = forward(group, nodes.sample, len(graph.classes))
            embeddings, terms = computed.embeddings, self._terms(graph, nodes, computed, knowledge, weights)
        if knowledge.from_embeddings:
            terms["discriminator"], terms["local"] = local_terms(group, nodes, embeddings, weights)
        renewed = self._learn(terms)
        return StepOutcome({name: term.detach().cpu().numpy() for name, term in terms.items()}, renewed)

    def teachers(self, drawn: Sample, computed: Computed) -> Tensor:
        """Logits ``[J, n, C]`` of the teachers: those of the students, computed without dropout of hidden rows.

        Args:
            drawn: the step's nodes with their neighbourhoods.
            computed: by the students, with dropout.
        """
        if not self.config.hidden_dropout:
            return computed.logits.detach()
        with torch.no_grad():
            return self.group.propagate(computed.encoded, drawn.blocks, computed.logits.shape[2])[0]

    def state(self) -> tuple[dict[str, Tensor], dict[str, object]]:
        """Tensors and plain values for a checkpoint."""
        tensors, values = self.group.state()
        counts = {"steps": self.steps, "skipped_steps": self.skipped_steps}
        return tensors, counts | self.health.state() | values

    @classmethod
    def restore(cls, group: Group, values: Mapping[str, Any]) -> Trainer:
        """The trainer whose :meth:`state` this was.

        Args:
            group: restored from the same state.
            values: of the state.
        """
        trainer = cls(group)
        trainer.health.restore(values["resets"], values["spoilt"])
        trainer.steps, trainer.skipped_steps = values["steps"], values["skipped_steps"]
        return trainer

    def _terms(
        self, graph: DynamicGraph, nodes: StepNodes, computed: Computed, knowledge: Knowledge, weights: Tensor
    ) -> Terms:
        """What the students lose by labels, by teachers and by the expected disagreement, over all classes."""
        terms = {"supervised": supervised_terms(graph, nodes, computed, self.group.device)}
        if knowledge.from_predictions:
            terms["global"] = self._global_terms(nodes, computed, weights)
        terms["disagreement"] = disagreement_terms(self.group, nodes, computed)
        return terms

    def _global_terms(self, nodes: StepNodes, computed: Computed, weights: Tensor) -> Tensor:
        """Divergence ``[G]`` of each student from its teachers, times ``global_weight``."""
        config = self.config
        teachers = self.teachers(nodes.sample, computed)
        return config.global_weight * node_class.global_losses(
            computed.logits, teachers, weights, config.temperature, config.min_confidence
        )

    def _learn(self, terms: Terms) -> tuple[str, ...]:
        """Descend on the sum of the students' terms; names of those that got new weights."""
        total = sum((term.sum() for name, term in terms.items() if name != "discriminator"), torch.zeros(()))
        finite = bool(torch.isfinite(total))
        sound = descend(self.group, total) if finite else torch.isfinite(terms["supervised"].detach())
        if finite and bool(sound.all()):
            self.steps += 1
            self.health.sound_step()
            return ()
        self.skipped_steps += 1
        return tuple(map(self._renew, self.health.spoilt_step(~sound.cpu().numpy())))

    def _renew(self, place: int) -> str:
        self.health.resets += 1
        return self.group.renew(place, self.health.resets)
