"""What members beside the students teach them: predictions that they made when the nodes of a step arrived."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from olad_core.config import TrainerConfig
from olad_core.device import to_device
from olad_core.graph.arrays import Float32s, Int64s
from olad_core.judging.member_teacher import MemberTeacher
from olad_core.tasks import node_class


@dataclass(frozen=True)
class Lesson:
    """What one member teaches in a step.

    Attributes:
        places: of the nodes that it teaches among the seeds ``[m]``.
        logits: float32 ``[m, C]``.
        strength: how much it teaches each student, float32 ``[G]``; behind them the taught twin, where there is one.
    """

    places: Int64s
    logits: Float32s
    strength: Float32s


@dataclass(frozen=True)
class MembersTeaching:
    """Members that teach students.

    Attributes:
        teachers: the members.
        strength: ``[K, G]``, how much each teaches each student; behind these the taught twin, where there is one.
    """

    teachers: Sequence[MemberTeacher]
    strength: Float32s

    def lessons(self, arrival: Int64s, classes: int) -> list[Lesson]:
        """What they teach of nodes of which they have predicted anything.

        Args:
            arrival: numbers of the nodes' arrivals ``[n]``.
            classes: of the graph.
        """
        found = [
            Lesson(*teacher.known(arrival, classes), own)
            for teacher, own in zip(self.teachers, self.strength, strict=True)
            if own.any()
        ]
        return [lesson for lesson in found if len(lesson.places)]


def lesson_losses(logits: Tensor, lessons: Sequence[Lesson], of: slice, config: TrainerConfig) -> Tensor:
    """What students lose by what members teach, ``[g]``: the divergence of the global knowledge.

    It is a mean over all seeds; those that a member does not teach count as 0. What a member says is calibrated, so
    it is taught where the member is not sure, too.

    Args:
        logits: of the students ``[g, n, C]``.
        lessons: of the members.
        of: which numbers of their strengths are of these students.
        config: of the group.
    """
    total = torch.zeros(len(logits), device=logits.device)
    for lesson in lessons:
        places, said = to_device(lesson.places, logits.device), to_device(lesson.logits, logits.device)
        strength = to_device(lesson.strength[of], logits.device)[:, None]
        losses = node_class.global_losses(logits[:, places], said[None], strength, config.temperature)
        total = total + losses * (len(places) / logits.shape[1])
    return config.global_weight * total
