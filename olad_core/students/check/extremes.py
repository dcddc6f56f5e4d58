"""Checks of unusual inputs: the service must serve numbers, whatever a graph holds."""

from __future__ import annotations

from dataclasses import replace

import torch

from olad_core.events import MAX_WEIGHT
from olad_core.messages.block import Block
from olad_core.messages.inputs import Inputs
from olad_core.students.check.case import (
    CLASSES,
    NODES,
    Case,
    adjacency,
    block_of,
    embed,
    features,
    inputs,
    require,
    require_close,
    sparse,
)
from olad_core.students.student import Student

HUGE = 3e38
"""Near the end of float32."""


def finite_without_edges(case: Case) -> None:
    """Nodes without neighbours, and blocks without targets, are fine."""
    student = case.build()
    _require_finite(student, inputs(), block_of(torch.zeros(NODES, NODES)), "nodes without neighbours")
    with torch.no_grad():
        rows = student.encode(inputs(), student.scale)
        found = student.layer(1, rows, block_of(adjacency(), []))
    shape = (0, student.layer_widths[1])
    require(found.shape == shape, f"layer 1 without targets must give {list(shape)}, and gives {list(found.shape)}")


def finite_without_features(case: Case) -> None:
    """Features of zero are fine, and so is a graph without features (feature_width 0, one column of degrees)."""
    block = block_of(adjacency())
    zeros = replace(inputs(), x=torch.zeros_like(features()))
    _require_finite(case.build(), zeros, block, "features that are all zero")
    degree = replace(inputs(), x=block.in_weight.log1p().unsqueeze(1))
    _require_finite(case.build(feature_width=0), degree, block, "feature_width 0")


def finite_on_huge_features(case: Case) -> None:
    """Features near the end of float32 leave logits and gradients finite."""
    student = case.build()
    huge = replace(inputs(), x=HUGE * features().clamp(-1, 1))
    block = block_of(adjacency())
    _require_finite(student, huge, block, "features near the end of float32")
    logits, _ = student(huge, [block] * student.num_layers)
    logits.softmax(dim=1)[:, 0].sum().backward()
    gradients = [parameter.grad for parameter in student.parameters() if parameter.grad is not None]
    finite = all(bool(gradient.isfinite().all()) for gradient in gradients)
    require(finite, "features near the end of float32 make gradients that are not finite")


def finite_on_huge_weights(case: Case) -> None:
    """Edges of the greatest weight there is leave logits finite."""
    block = block_of(adjacency() * MAX_WEIGHT)
    most = torch.finfo(torch.float32).max
    _require_finite(case.build(), inputs(), replace(block, in_weight=block.in_weight.clamp_max(most)), "huge weights")


def labels_beyond_capacity_are_unknown(case: Case) -> None:
    """A label that the student has no class for counts as not known."""
    student, block = case.build(), block_of(adjacency())
    unknown, _ = embed(student, replace(inputs(), label=torch.full((NODES,), -1)), block)
    beyond, _ = embed(student, replace(inputs(), label=torch.full((NODES,), CLASSES)), block)
    require_close(beyond, unknown, f"a label of {CLASSES} is not one of {CLASSES} classes, but changes logits")


def sparse_features_are_features(case: Case) -> None:
    """Features given as their non-zero entries are the same features."""
    student, block = case.build(), block_of(adjacency())
    x = features() * (features() > 0.5)
    dense, _ = embed(student, replace(inputs(), x=x), block)
    found, _ = embed(student, replace(inputs(), x=sparse(x)), block)
    require_close(found, dense, "sparse features give other logits than the same features as a tensor")


def _require_finite(student: Student, given: Inputs, block: Block, what: str) -> None:
    logits, embedding = embed(student, given, block)
    finite = bool(logits.isfinite().all()) and bool(embedding.isfinite().all())
    require(finite, f"{what}: logits or embeddings are not finite")
