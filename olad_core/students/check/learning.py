"""Checks of weights: where they come from, that they learn, and that they are kept."""

from __future__ import annotations

import copy

import torch
import torch.nn.functional as F
from torch import Tensor

from olad_core.students.check.case import (
    CLASSES,
    NODES,
    Case,
    adjacency,
    block_of,
    embed,
    inputs,
    require,
    require_close,
)
from olad_core.students.student import Student


def seed_decides_weights(case: Case) -> None:
    """Weights follow from torch's random generator alone: one seed, one student."""
    first, again, other = (case.build(seed=seed).state_dict() for seed in (4, 4, 5))
    differ = [name for name in first if not torch.equal(first[name], again[name])]
    require(not differ, f"two students of one seed have other weights: {', '.join(differ)}")
    same = all(torch.equal(first[name], other[name]) for name in first)
    require(not same, "students of two seeds have the same weights")


def forward_is_repeatable(case: Case) -> None:
    """In evaluation, the same inputs give the same bytes, and leave the state as it was."""
    student, block = case.build().eval(), block_of(adjacency())
    before = {name: value.clone() for name, value in student.state_dict().items()}
    first, _ = embed(student, inputs(), block)
    second, _ = embed(student, inputs(), block)
    require(torch.equal(first, second), "the same inputs give other logits the second time")
    changed = [name for name, value in student.state_dict().items() if not torch.equal(value, before[name])]
    require(not changed, f"a forward pass changed the state: {', '.join(changed)}")


def every_parameter_learns(case: Case) -> None:
    """Gradients of the loss reach all parameters, and are finite."""
    student = case.build()
    logits, embedding = student(inputs(), [block_of(adjacency())] * student.num_layers)
    doubt = student.disagreement_logits(embedding).square().mean()
    loss = F.cross_entropy(logits, torch.arange(NODES) % CLASSES) + doubt
    loss.backward()  # type: ignore[no-untyped-call]
    found = dict(student.named_parameters())
    still = [name for name, value in found.items() if value.grad is None or not value.grad.any()]
    require(not still, f"no gradient reaches {', '.join(still)}")
    spoilt = [name for name, value in found.items() if value.grad is not None and not value.grad.isfinite().all()]
    require(not spoilt, f"the gradients of {', '.join(spoilt)} are not finite")


def growing_keeps_what_was_learned(case: Case) -> None:
    """grow() adds classes, keeps the logits of the others, and names the parameters it replaced."""
    student, more = case.build(), CLASSES + 4
    logits, _ = embed(student, inputs(), block_of(adjacency()))
    before = dict(student.named_parameters())
    replaced = student.grow(more)
    grown, _ = embed(student, inputs(), block_of(adjacency()))
    require(grown.shape == (NODES, more), f"after grow({more}) logits are {list(grown.shape)}")
    require_close(grown[:, :CLASSES], logits, "grow() changed the logits of classes that were there")
    after = dict(student.named_parameters())
    moved = {(id(value), id(after[name])) for name, value in before.items() if after[name] is not value}
    named = {(id(old), id(new)) for old, new in replaced}
    require(moved == named, "grow() must return each replaced parameter with its new one, for the optimizer")
    learned, _ = student(inputs(), [block_of(adjacency())] * student.num_layers)
    learned[:, more - 1].sum().backward()
    gradient = student.head.weight.grad
    require(gradient is not None and bool(gradient[-1].any()), "after grow() the new classes do not learn")


def state_holds_everything(case: Case) -> None:
    """Logits follow from state_dict() alone, also after advance()."""
    student, block = case.build(), block_of(adjacency())
    student.advance()
    logits, _ = embed(student, inputs(), block)
    other = case.build(seed=99)
    other.load_state_dict(student.state_dict())
    found, _ = embed(other, inputs(), block)
    require(torch.equal(found, logits), "a student that loaded the state of another gives other logits")


def copies_are_independent(case: Case) -> None:
    """A deep copy computes the same, also after the original has learned."""
    student, block = case.build(), block_of(adjacency())
    frozen = copy.deepcopy(student)
    logits, _ = embed(student, inputs(), block)
    _disturb(student)
    found, _ = embed(frozen, inputs(), block)
    require(torch.equal(found, logits), "a copy follows the weights of the original")


def _disturb(student: Student) -> None:
    with torch.no_grad():
        values: list[Tensor] = [*student.parameters()]
        for value in values:
            value.mul_(1.5).add_(0.1)
