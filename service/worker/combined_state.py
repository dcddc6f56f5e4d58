"""What a checkpoint holds of the group's combined prediction: taken over whole, or not at all.

It is missing in checkpoints of earlier releases and under ``OLAD_SERVE=best``, and is another one under another
``OLAD_METRIC``, ``OLAD_TREES`` or ``OLAD_LINEAR``. Then what is combined is learned anew.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
from torch import Tensor

Arrays = Mapping[str, npt.NDArray[np.generic]]

COMBINED = "combined/"
"""Beginning of the names of its arrays."""
_ON_METRIC = re.compile(r"combined/standing/(log_loss|rank)/.*")
_CHANGING = (
    (re.compile(r"combined/pool/(weight|labels)"), (0,)),
    (re.compile(r"combined/pool/counts"), (0, 1)),
    (re.compile(r"combined/pool/probabilities"), (0, 2)),
    (re.compile(r"combined/scores/(classes|faded_classes)"), (2,)),
    (re.compile(r"combined/scores/by_class/(ranks|faded_ranks)"), (2,)),
    (re.compile(r"combined/scores/by_class/confusion"), (0, 1)),
    (re.compile(r"combined/standing/f1/counts"), (2,)),
    (re.compile(r"combined/standing/rank/metric"), (0,)),
)
"""Axes whose lengths follow the classes, the labels that have come, or the metric's name."""


def whole_combined(tensors: Mapping[str, Tensor], wanted: Arrays) -> Mapping[str, Tensor]:
    """The tensors, without those of the combined prediction where it is not wanted, or on another metric."""
    found, needed = ({_metric_of(name) for name in names if name.startswith(COMBINED)} for names in (tensors, wanted))
    if found == needed and _members(tensors) in {None, _members(wanted)}:
        return tensors
    return {name: tensor for name, tensor in tensors.items() if not name.startswith(COMBINED)}


def _members(named: Mapping[str, Tensor] | Arrays) -> int | None:
    """How many members are combined: the students, and those beside them."""
    exponents = named.get(f"{COMBINED}pool/weights/exponents")
    return None if exponents is None else int(exponents.shape[0])


def check_combined(tensors: Mapping[str, Tensor], wanted: Arrays) -> None:
    """See that the arrays of the combined prediction are as those of a new one, but for lengths that change.

    Raises:
        KeyError: one is missing.
        ValueError: naming one that is not as it must be.
    """
    there = any(name.startswith(COMBINED) for name in tensors)
    for name, array in wanted.items():
        if not name.startswith(COMBINED) or not there:
            continue
        found, changing = tensors[name].numpy(), _changing(name)
        shapes = [[n for axis, n in enumerate(shape) if axis not in changing] for shape in (found.shape, array.shape)]
        if (found.dtype, found.ndim) != (array.dtype, array.ndim) or shapes[0] != shapes[1]:
            raise ValueError(f"{name}: {found.dtype} {list(found.shape)}, not {array.dtype} {list(array.shape)}")
    if f"{COMBINED}pool/labels" in tensors:
        _check_pool(*(tensors[f"{COMBINED}pool/{name}"] for name in ("weight", "labels", "probabilities", "counts")))


def _check_pool(weight: Tensor, labels: Tensor, probabilities: Tensor, counts: Tensor) -> None:
    nodes, columns = counts.shape
    if not (len(weight) == len(labels) == len(probabilities) == nodes and probabilities.shape[2] == columns):
        raise ValueError("combined/pool: its arrays have different lengths")
    if nodes and not 0 <= int(labels.min()) <= int(labels.max()) < columns:
        raise ValueError("combined/pool/labels: name columns that there are not")


def _metric_of(name: str) -> str | None:
    """The metric that an array is needed for; None of one that is always there."""
    found = _ON_METRIC.fullmatch(name)
    return found[1] if found else None


def _changing(name: str) -> tuple[int, ...]:
    return next((axes for pattern, axes in _CHANGING if pattern.fullmatch(name)), ())
