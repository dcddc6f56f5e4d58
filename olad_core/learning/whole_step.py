"""A training step as a whole, without a pause and without reading anything back: as it is recorded on a GPU."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from olad_core.learning.group import Group, scale_share, usual_square
from olad_core.learning.recorded import RecordedSteps
from olad_core.learning.step import (
    Knowledge,
    StepNodes,
    backward,
    forward,
    loss_terms,
    pad,
    show,
    update_if_sound,
)
from olad_core.learning.twins import Twins
from olad_core.parts import whole
from olad_core.tasks import node_class


@dataclass(frozen=True)
class StepInputs:
    """All that changes from one step to the next of a shape, but for weights and random numbers.

    Attributes:
        nodes: padded.
        usual: usual mean square ``[T]`` of the features of the step's nodes, for each type of nodes.
        share: of the way that the followed mean square goes there.
        teaching: ``[G, G]``, how much student ``j`` teaches student ``i``; where twins learn, a last row is how much it
            teaches the taught one.
    """

    nodes: StepNodes
    usual: Tensor
    share: Tensor
    teaching: Tensor


class Taken(NamedTuple):
    """What a step did.

    Attributes:
        losses: each loss term ``[G]`` by its name.
        sound: bool ``[G]``, whose losses and gradients were finite.
        finite: whether the sum of all losses was.
    """

    losses: dict[str, npt.NDArray[np.float32]]
    sound: npt.NDArray[np.bool_]
    finite: bool


def can_be_recorded(group: Group, nodes: StepNodes, knowledge: Knowledge) -> bool:
    """Whether a step consists of the same operations whatever the values are.

    It does not with many classes, with discriminators, where members beside the students teach, with students that have
    hidden states, or where several ranks train the students.
    """
    remembers = any(student.remembers for student in group.students)
    taught_otherwise = knowledge.from_embeddings or bool(nodes.lessons)
    return not (remembers or taught_otherwise or node_class.are_many(nodes.classes)) and group.division.alone


def step_inputs(group: Group, nodes: StepNodes, steps: int, teaching: npt.NDArray[np.float32]) -> StepInputs:
    """Inputs of a step.

    Args:
        group: the students.
        nodes: of the step, on a CPU.
        steps: taken before.
        teaching: as in :class:`StepInputs`.
    """
    usual = torch.stack([usual_square(squares) for squares in group.squares(nodes.sample.inputs.x)])
    share = torch.tensor(scale_share(steps))
    return StepInputs(pad(nodes, group.students[0].encoder.columns), usual, share, torch.from_numpy(teaching))


def take_recorded(
    recorded: RecordedSteps, group: Group, twins: Twins | None, inputs: StepInputs, knowledge: Knowledge
) -> Taken:
    """Take a step by a recording, or as it will be recorded.

    Args:
        recorded: takes it.
        group: the students.
        twins: where they learn in this step.
        inputs: on a CPU.
        knowledge: what the step transfers.

    Raises:
        RuntimeError: the step cannot be recorded, and was not taken.
    """
    groups, numbers = [group], [group.numbers_to_drop(inputs.nodes.sample)]
    if twins:
        groups, numbers = [group, twins.group], [*numbers, twins.numbers_to_drop(inputs.nodes.sample)]
    begun = tuple(student.begun for student in group.students)
    key = knowledge, twins is not None, inputs.nodes.classes, group.capacity, begun
    found = recorded.take(key, groups, numbers, inputs, lambda there: whole_step(group, twins, there, knowledge))
    *terms, sound, finite = found.numpy()
    losses = dict(zip(term_names(knowledge), terms, strict=True))
    return Taken(losses, sound > 0, bool(finite.all()))


def term_names(knowledge: Knowledge) -> tuple[str, ...]:
    """Names of the loss terms of a step that can be recorded, in order."""
    return ("supervised", *(["global"] if knowledge.from_predictions else []), "disagreement")


def whole_step(group: Group, twins: Twins | None, inputs: StepInputs, knowledge: Knowledge) -> Tensor:
    """A step of the group, and of the twins where they learn in it.

    Returns:
        ``[terms + 2, G]``: the loss terms, then 1 for each student whose losses and gradients are finite, then 1 where
        the sum of all losses is.
    """
    nodes, names = inputs.nodes, term_names(knowledge)
    group.follow_usual(inputs.usual, inputs.share)
    if twins:
        twins.follow_scale(group)
    computed = whole(forward(group, nodes.sample))
    shown = whole(show(group, nodes, computed, knowledge))
    terms = whole(loss_terms(group, nodes, shown, inputs.teaching[: len(group.students)]))
    if twins:
        whole(twins.learn(nodes, shown.teachers, inputs.teaching[-1]))
    losses = torch.stack([terms[name] for name in names])
    total = losses.sum()
    whole(backward(group, computed, total))
    finite = torch.isfinite(total.detach())
    sound = torch.where(finite, update_if_sound(group, finite), torch.isfinite(terms["supervised"].detach()))
    if twins:
        twins.descend_if_sound()
    return torch.cat([losses.detach(), sound.to(losses.dtype)[None], finite.to(losses.dtype).expand(1, len(sound))])
