"""The parts of one training step: draw its nodes, compute the loss terms, backward, update."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.nn.utils import clip_grads_with_norm_, get_total_norm

from olad_core.config import TrainerConfig
from olad_core.graph import DynamicGraph
from olad_core.learning.discriminators import seen
from olad_core.learning.group import Group
from olad_core.learning.label_history import Replay, Touched
from olad_core.learning.lessons import Lesson, lesson_losses
from olad_core.learning.losses import discriminator_losses, local_losses
from olad_core.messages.padding import pad_sample
from olad_core.messages.sample import Sample, sample
from olad_core.parts import Parts
from olad_core.step_size import StepSize
from olad_core.tasks import node_class

_LEAST_NORM = 1e-6
"""Added to a norm before dividing by it, as :func:`torch.nn.utils.clip_grads_with_norm_` does."""


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
class SeedShares:
    """What each seed counts in a mean over them, ``[n]``, where some seeds are there for the shape alone.

    Attributes:
        labelled: in the mean over those whose labels the students learn from.
        unlearned: in the mean over the others, or over all where there are no others.
        all: in the mean over all.
    """

    labelled: Tensor | None = None
    unlearned: Tensor | None = None
    all: Tensor | None = None


@dataclass(frozen=True)
class StepNodes:
    """The nodes of a step, and all that it reads of the graph: it may change while the step is under way.

    Attributes:
        targets: classes ``[L]`` of the first seeds: those whose labels the students learn from.
        sample: the neighbourhoods of the seeds: the labelled ones first, then nodes without a label.
        classes: of the graph.
        unlearned: the seeds whose labels the students do not learn from; all seeds where the step has no such one.
        lessons: what members beside the students teach of the seeds.
        seed_shares: of seeds in means. Without them, all seeds that a mean is over count alike.
    """

    targets: Tensor
    sample: Sample
    classes: int
    unlearned: slice
    lessons: Sequence[Lesson] = ()
    seed_shares: SeedShares = SeedShares()


@dataclass(frozen=True)
class Cut:
    """A tensor at which the backward pass is interrupted.

    Attributes:
        computed: by what comes before.
        leaf: the same values, from which the forward pass continues.
    """

    computed: Tensor
    leaf: Tensor

    def backward(self, inputs: Sequence[Tensor]) -> None:
        """Continue the backward pass behind the cut, with the gradient that has arrived at the leaf."""
        if self.leaf.grad is not None and self.computed.requires_grad:
            torch.autograd.backward(self.computed, self.leaf.grad, inputs=inputs)


@dataclass(frozen=True)
class Computed:
    """What the students of this rank computed of a step's seeds, with dropout.

    Attributes:
        encoded: layer 0 of the sample by each stack.
        embedded: embeddings ``[g, n, width]`` by each stack.
    """

    encoded: list[Cut]
    embedded: list[Cut]

    @property
    def layer_0(self) -> list[Tensor]:
        """Layer 0 by each stack."""
        return [cut.leaf for cut in self.encoded]

    @property
    def by_stack(self) -> list[Tensor]:
        """Embeddings by each stack."""
        return [cut.leaf for cut in self.embedded]

    @property
    def embeddings(self) -> Tensor:
        """``[g, n, width]``."""
        return torch.cat(self.by_stack)


@dataclass(frozen=True)
class Shown:
    """What all students of the group show of a step's seeds. Gradients pass to those of this rank.

    Attributes:
        logits: ``[G, n, C]``.
        teachers: the same without dropout of hidden rows, and without gradients; None where nobody teaches.
        doubts: logits ``[G, m]`` of the disagreement that each expects of the unlearned seeds.
        embeddings: ``[G, n, width]``; None where no local knowledge is transferred.
    """

    logits: Tensor
    teachers: Tensor | None
    doubts: Tensor
    embeddings: Tensor | None


def knowledge_of(config: TrainerConfig, steps: int, teaching: npt.NDArray[np.float32]) -> Knowledge:
    """The kinds of knowledge that a step transfers: none while the students warm up or where nobody teaches."""
    shares = steps >= config.warmup_steps and len(config.students) > 1 and bool(teaching.any())
    return Knowledge(shares and config.global_weight > 0, shares and config.local_weight > 0)


def draw(
    graph: DynamicGraph,
    history: Replay,
    touched: Touched,
    group: Group,
    size: StepSize,
    device: torch.device,
    *,
    unlabelled: bool,
) -> StepNodes | None:
    """Draw the nodes of a step and sample their neighbourhoods; None without a labelled node.

    Args:
        graph: the live graph.
        history: labelled nodes.
        touched: nodes that changed lately.
        group: whose random numbers and configuration it uses.
        size: of the step.
        device: where the tensors go.
        unlabelled: whether to draw nodes without a label too.
    """
    config = group.config
    labelled = history.draw(max(1, size.of(config.labelled)), graph, group.random)
    if not len(labelled):
        return None
    more = touched.draw(size.of(config.touched), graph, group.random) if unlabelled else labelled[:0]
    # The labels of seeds are hidden. A labelled node among the others would be missing to its neighbours.
    seeds = np.concatenate([labelled, more[graph.label[more] < 0]])
    drawn = sample(graph, seeds, config.fanouts, group.shape.feature_width, group.random, device)
    targets = node_class.targets(graph, labelled, device)
    unlearned = slice(len(labelled) if len(seeds) > len(labelled) else 0, None)
    return StepNodes(targets, drawn, len(graph.classes), unlearned)


def pad(nodes: StepNodes, columns: tuple[int, ...]) -> StepNodes:
    """The same step with a few sizes: seeds that are there for the shape alone count nothing in any mean.

    Args:
        nodes: on a CPU.
        columns: of the structure that students read.
    """
    padded = pad_sample(nodes.sample, columns)
    seeds, labelled = nodes.sample.num_seeds, len(nodes.targets)
    numbers = torch.arange(padded.num_seeds)

    def among(first: int, end: int) -> Tensor:
        return ((numbers >= first) & (numbers < end)).to(torch.float32) / (end - first)

    shares = SeedShares(among(0, labelled), among(nodes.unlearned.start or 0, seeds), among(0, seeds))
    targets = F.pad(nodes.targets, (0, padded.num_seeds - labelled))
    return StepNodes(targets, padded, nodes.classes, slice(None), seed_shares=shares)


def forward(group: Group, drawn: Sample) -> Parts[Computed]:
    """One pass of all students of this rank over a sample, with dropout."""
    encoded = [cut(rows) for rows in (yield from group.encode(drawn))]
    embedded = yield from group.embed([each.leaf for each in encoded], drawn.blocks, group.dropout.entries)
    return Computed(encoded, [cut(rows) for rows in embedded])


def cut(computed: Tensor) -> Cut:
    """Interrupt the backward pass at a tensor."""
    return Cut(computed, computed.detach().requires_grad_())


@torch.no_grad()
def sure_rows(group: Group, drawn: Sample, computed: Computed) -> Parts[list[Tensor]]:
    """Embeddings ``[g, n, width]`` by each stack without dropout of hidden rows, and without gradients."""
    return (yield from group.embed(computed.layer_0, drawn.blocks))


def show(group: Group, nodes: StepNodes, computed: Computed, knowledge: Knowledge) -> Parts[Shown]:
    """What all students show of a step's seeds: the one exchange before its losses.

    Args:
        group: the students.
        nodes: of the step.
        computed: by those of this rank, with dropout.
        knowledge: what the step transfers.
    """
    sure = None
    if knowledge.from_predictions and group.config.hidden_dropout:
        sure = yield from sure_rows(group, nodes.sample, computed)
    yield
    embeddings = computed.embeddings
    own = [group.classify(computed.by_stack, nodes.classes).mT, _doubts(group, nodes, embeddings)]
    if knowledge.from_embeddings:
        own.append(embeddings)
    if sure is not None:
        with torch.no_grad():
            own.append(group.classify(sure, nodes.classes).mT)
    logits, doubts, *others = group.division.join("what students show", own)
    teachers = (logits.detach() if sure is None else others.pop()).mT if knowledge.from_predictions else None
    return Shown(logits.mT, teachers, doubts, others[0] if others else None)


def loss_terms(group: Group, nodes: StepNodes, shown: Shown, weights: Tensor) -> Parts[dict[str, Tensor]]:
    """What the students lose by labels, by teachers and by the expected disagreement, over all classes.

    Args:
        group: the students.
        nodes: of the step.
        shown: by all students.
        weights: ``[G, G]``, how much student ``j`` teaches student ``i``.
    """
    config, logits = group.config, shown.logits
    labelled = logits[:, : len(nodes.targets)]
    terms = {"supervised": node_class.losses(labelled, nodes.targets, nodes.seed_shares.labelled)}
    if shown.teachers is not None:
        yield
        terms["global"] = config.global_weight * node_class.global_losses(
            logits, shown.teachers, weights, config.temperature, config.min_confidence, shares=nodes.seed_shares.all
        )
    if nodes.lessons:
        yield
        taught = lesson_losses(logits, nodes.lessons, slice(len(logits)), config)
        terms["global"] = terms["global"] + taught if "global" in terms else taught
    yield
    terms["disagreement"] = disagreement_terms(nodes, shown)
    return terms


def disagreement_terms(nodes: StepNodes, shown: Shown) -> Tensor:
    """Losses ``[G]`` of the disagreement that each student expects; they change no embedding.

    Nodes whose labels are learned from again have more agreement than others, so others are used where there are any.
    """
    found = node_class.disagreement(shown.logits[:, nodes.unlearned].detach())
    return node_class.disagreement_losses(shown.doubts, found, nodes.seed_shares.unlearned)


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
    return discriminator, recognised_terms(group, inputs, weights)


def recognised_terms(group: Group, inputs: Tensor, weights: Tensor) -> Tensor:
    """What the students lose by being recognised ``[G]``, times ``local_weight``.

    Args:
        group: students and discriminators.
        inputs: of the discriminators (:func:`~olad_core.learning.discriminators.seen`).
        weights: ``[G, G]``, how much student ``j`` teaches student ``i``.
    """
    fake = group.discriminators(inputs, next_in_cycle=True)
    return group.config.local_weight * weights.sum(dim=1) * local_losses(fake)


def recognising_terms(group: Group, inputs: Tensor) -> Tensor:
    """Losses ``[G]`` of the discriminators; arguments as above, without gradients."""
    real = group.discriminators(inputs, next_in_cycle=False)
    fake = group.discriminators(inputs, next_in_cycle=True)
    return discriminator_losses(real, fake)


def backward(group: Group, computed: Computed, total: Tensor) -> Parts[None]:
    """The gradients of the sum of the students' losses; two parts a stack, the first of them after the loss terms."""
    backward_to_embeddings(group, computed, total)
    yield from backward_to_inputs(group, computed)


def backward_to_embeddings(group: Group, computed: Computed, total: Tensor, others: Sequence[Tensor] = ()) -> None:
    """The gradients of the sum of the students' losses at their embeddings, and of the weights behind these.

    Gradients of the discriminators are left out: the students' local losses would make them worse.

    Args:
        group: the students.
        computed: by them.
        total: the sum.
        others: further tensors whose gradients are wanted.
    """
    group.student_optimizer.zero_grad()
    torch.autograd.backward(total, inputs=[*group.student_optimizer.parameters, *computed.by_stack, *others])


def backward_to_inputs(group: Group, computed: Computed) -> Parts[None]:
    """Continue from the gradients at the embeddings, after :func:`backward_to_embeddings`; two parts a stack."""
    weights = group.student_optimizer.parameters
    for embedded, encoded in zip(computed.embedded, computed.encoded, strict=True):
        yield
        embedded.backward([*weights, encoded.leaf])
        yield
        encoded.backward(weights)


def update(group: Group) -> Tensor:
    """Clip the gradients and descend, if those of all students are finite; bool ``[G]``, whose are."""
    limit = group.config.max_gradient_norm
    weights = [list(student.parameters()) for student in group.own_students]
    norms = torch.stack([get_total_norm(weight.grad for weight in own if weight.grad is not None) for own in weights])
    sound = torch.isfinite(group.division.join("norms of gradients", [norms])[0])
    if sound.all():
        for number in torch.nonzero(norms > limit).flatten().tolist():
            clip_grads_with_norm_(weights[number], limit, norms[number])
        group.student_optimizer.step()
    return sound


def update_if_sound(group: Group, finite: Tensor) -> Tensor:
    """As :func:`update`, but without reading anything back: bool ``[G]``, whose gradients are finite.

    Args:
        group: all students of one rank.
        finite: bool, a single one: where it is false, no weight changes.
    """
    limit = group.config.max_gradient_norm
    grads = [[each.grad for each in student.parameters() if each.grad is not None] for student in group.students]
    norms = torch.stack([get_total_norm(own) for own in grads])
    scales = torch.where(norms > limit, limit / (norms + _LEAST_NORM), 1.0)
    for own, scale in zip(grads, scales, strict=True):
        torch._foreach_mul_(own, scale)
    sound = torch.isfinite(norms)
    group.student_optimizer.step(1 - (sound.all() & finite).to(torch.float32))
    return sound


def _doubts(group: Group, nodes: StepNodes, embeddings: Tensor) -> Tensor:
    """Logits ``[g, m]`` of the disagreement that each student of this rank expects."""
    pairs = zip(group.own_students, embeddings.detach(), strict=True)
    return torch.stack([student.disagreement_logits(rows[nodes.unlearned]) for student, rows in pairs])


def _train_discriminators(group: Group, inputs: Tensor) -> Tensor:
    """One step of the discriminators; their losses ``[G]``."""
    losses = recognising_terms(group, inputs)
    if torch.isfinite(losses).all():
        group.discriminator_optimizer.zero_grad()
        losses.sum().backward()  # type: ignore[no-untyped-call]
        group.discriminator_optimizer.step()
    return losses
