"""Weights and moments of students that other ranks train: every rank gets them to serve them, or to keep them."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from olad_core.learning.adam import Adam
from olad_core.learning.spread import Division, Shared


@torch.no_grad()
def share_weights(students: Sequence[nn.Module], division: Division) -> None:
    """Have the present weights of all students at all ranks.

    Args:
        students: of the group, in its order.
        division: who trains which.
    """
    pairs = zip(students, division.owners, strict=True)
    held = [(owner, value) for student, owner in pairs for value in student.state_dict().values()]
    found = division.share("weights", [Shared(owner, value.shape, value) for owner, value in held])
    for (owner, value), new in zip(held, found, strict=True):
        if owner != division.spread.rank:
            value.copy_(new)


def share_moments(students: Sequence[nn.Module], optimizer: Adam, division: Division) -> None:
    """Have what the optimizer remembers of all students at all ranks.

    Args:
        students: of the group, in its order.
        optimizer: of all of them.
        division: who trains which.
    """
    pairs = zip(students, division.owners, strict=True)
    owner_of = {parameter: owner for student, owner in pairs for parameter in student.parameters()}
    there = [torch.tensor([float(bool(optimizer.state.get(each)))]) for each in optimizer.parameters]
    flags = [Shared(owner_of[each], (1,), has) for each, has in zip(optimizer.parameters, there, strict=True)]
    names, moments = [], []
    for number, has in enumerate(division.share("which moments there are", flags)):
        if not has:
            continue
        parameter = optimizer.parameters[number]
        own = optimizer.state.get(parameter, {})
        for field, shape in (("step", ()), ("exp_avg", parameter.shape), ("exp_avg_sq", parameter.shape)):
            names.append(f"{number}/{field}")
            moments.append(Shared(owner_of[parameter], shape, own.get(field, parameter)))
    found = zip(names, moments, division.share("moments", moments), strict=True)
    rank = division.spread.rank
    optimizer.restore({name: value for name, shared, value in found if shared.owner != rank})
