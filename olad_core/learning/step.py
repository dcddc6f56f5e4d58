"""The parts of one training step: draw its nodes, compute the loss terms, descend."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn.utils import clip_grads_with_norm_, get_total_norm

from olad_core.config import TrainerConfig
from olad_core.graph import DynamicGraph
from olad_core.learning.discriminators import seen
from olad_core.learning.group import Group
from olad_core.learning.label_history import Replay, Touched
from olad_core.learning.losses import discriminator_losses, local_losses
from olad_core.messages.sample import Sample, sample
from olad_core.step_size import StepSize
from olad_core.tasks import node_class

Rows = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Knowledge:
    """Which kinds of knowledge a step transfers between students."""

    from_predictions: bool
    from_embeddings: bool

    @property
    def any(self) -> bool:
        """Whether it transfers any."""
        return self.from_predictions or self.from_embeddings


@dataclass(frozen=True)
class StepNodes:
    """The nodes of a step.

    Attributes:
        labelled: rows ``[L]`` whose labels the students learn from.
        sample: the neighbourhoods of the seeds: the labelled rows first, then rows without a label.
    """

    labelled: Rows
    sample: Sample

    @property
    def unlearned(self) -> slice:
        """The seeds whose labels the students do not learn from; all seeds where there is no such one."""
        return slice(len(self.labelled) if self.sample.num_seeds > len(self.labelled) else 0, None)


@dataclass(frozen=True)
class Computed:
    """What the students computed of a step's seeds.

    Attributes:
        encoded: layer 0 of the sample by each stack.
        logits: ``[G, n, C]``.
        embeddings: ``[G, n, width]``.
    """

    encoded: list[Tensor]
    logits: Tensor
    embeddings: Tensor


def knowledge_of(config: TrainerConfig, steps: int, teaching: npt.NDArray[np.float32]) -> Knowledge:
    """The kinds of knowledge that a step transfers: none while the students warm up or where nobody teaches."""
    shares = steps >= config.warmup_steps and len(config.students) > 1 and bool(teaching.any())
    return Knowledge(shares and config.global_weight > 0, shares and config.local_weight > 0)


def draw(
    graph: DynamicGraph, history: Replay, touched: Touched, group: Group, size: StepSize, *, unlabelled: bool
) -> StepNodes | None:
    """Draw the nodes of a step and sample their neighbourhoods; None without a labelled node.

    Args:
        graph: the live graph.
        history: labelled nodes.
        touched: nodes that changed lately.
        group: whose random numbers and configuration it uses.
        size: of the step.
        unlabelled: whether to draw nodes without a label too.
    """
    config = group.config
    labelled = history.draw(max(1, size.of(config.labelled)), graph, group.random)
    if not len(labelled):
        return None
    more = touched.draw(size.of(config.touched), graph, group.random) if unlabelled else labelled[:0]
    # The labels of seeds are hidden. A labelled node among the others would be missing to its neighbours.
    seeds = np.concatenate([labelled, more[graph.label[more] < 0]])
    return StepNodes(labelled, sample(graph, seeds, config.fanouts, group.feature_width, group.random, group.device))


def forward(group: Group, drawn: Sample, classes: int) -> Computed:
    """One pass of all students over a sample, with dropout."""
    encoded = group.encode(drawn)
    logits, embeddings = group.propagate(encoded, drawn.blocks, classes, group.dropout.entries)
    return Computed(encoded, logits, embeddings)


def supervised_terms(graph: DynamicGraph, nodes: StepNodes, computed: Computed, device: torch.device) -> Tensor:
    """Cross entropy ``[G]`` on the labelled nodes."""
    targets = node_class.targets(graph, nodes.labelled, device)
    return node_class.losses(computed.logits[:, : len(nodes.labelled)], targets)


def disagreement_terms(group: Group, nodes: StepNodes, computed: Computed) -> Tensor:
    """Losses ``[G]`` of the disagreement that each student expects; they change no embedding.

    Nodes whose labels are learned from again have more agreement than others, so others are used where there are any.
    """
    own = nodes.unlearned
    pairs = zip(group.students, computed.embeddings.detach(), strict=True)
    doubts = torch.stack([student.disagreement_logits(rows[own]) for student, rows in pairs])
    return node_class.disagreement_losses(doubts, node_class.disagreement(computed.logits[:, own].detach()))


def local_terms(group: Group, nodes: StepNodes, embeddings: Tensor, weights: Tensor) -> tuple[Tensor, Tensor]:
    """The discriminators take a step of their own; then what the students lose by being recognised.

    Args:
        group: students and discriminators.
        nodes: of the step.
        embeddings: by the students ``[G, n, width]``.
        weights: ``[G, G]``, how much student ``j`` teaches student ``i``.

    Returns:
        Losses ``[G]`` of the discriminators, and of the students times ``local_weight``.
    """
    inputs = seen(embeddings, nodes.sample.among_seeds())
    discriminator = _train_discriminators(group, inputs.detach())
    fake = group.discriminators(inputs, next_in_cycle=True)
    return discriminator, group.config.local_weight * weights.sum(dim=1) * local_losses(fake)


def descend(group: Group, total: Tensor) -> Tensor:
    """One step of the students, if the gradients of all are finite; bool ``[G]``, whose are."""
    group.student_optimizer.zero_grad()
    # Gradients of the discriminators are left out: the students' local losses would make them worse.
    total.backward(inputs=group.student_optimizer.parameters)  # type: ignore[no-untyped-call]
    limit = group.config.max_gradient_norm
    weights = [list(student.parameters()) for student in group.students]
    norms = torch.stack([get_total_norm(weight.grad for weight in own if weight.grad is not None) for own in weights])
    sound = torch.isfinite(norms)
    if sound.all():
        for number in torch.nonzero(norms > limit).flatten().tolist():
            clip_grads_with_norm_(weights[number], limit, norms[number])
        group.student_optimizer.step()
    return sound


def _train_discriminators(group: Group, inputs: Tensor) -> Tensor:
    """One step of the discriminators; their losses ``[G]``."""
    real = group.discriminators(inputs, next_in_cycle=False)
    fake = group.discriminators(inputs, next_in_cycle=True)
    losses = discriminator_losses(real, fake)
    if torch.isfinite(losses).all():
        group.discriminator_optimizer.zero_grad()
        losses.sum().backward()  # type: ignore[no-untyped-call]
        group.discriminator_optimizer.step()
    return losses
