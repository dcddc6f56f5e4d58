"""Checkpoints of earlier formats, as this release writes them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from olad_core.config import STRUCTURE, STRUCTURE_STEPS
from olad_core.graph.features import from_format_4
from olad_core.named_state import take_part
from olad_core.tasks.node_class import are_wide, head_width

_SUMS = ("totals/", "received/", "sums/", "peak", "turn")
"""Beginnings of the names of running sums, which inference kept up to format 5."""
_PASSES = 2
_ENCODER = re.compile(r"(.*student/(?:\d+/)?encoder)\.labels")
"""A tensor of each student's encoder."""
_VERSIONS_HELD = ("versions/served/", "versions/candidate/")


def converted(tensors: Mapping[str, Tensor], position: str, applied_events: int) -> Mapping[str, Tensor]:
    """The tensors of a checkpoint of any format that can be read.

    Args:
        tensors: as they were written.
        position: of the checkpoint.
        applied_events: events up to there.

    Raises:
        ValueError: they are not what they must be.
    """
    tensors = _reading_no_structure(_with_sparse_features(tensors))
    for role in ("served", "candidate"):
        if f"versions/{role}/frontier" in tensors:
            tensors = _with_marks(tensors, f"versions/{role}/", position, applied_events)
    return tensors


def embedded_again(
    tensors: Mapping[str, Tensor], values: Mapping[str, Any]
) -> tuple[Mapping[str, Tensor], Mapping[str, Any]]:
    """Tensors and values in which a version of many classes holds embeddings.

    Earlier releases kept its answers alone. Its weights are embedded again, as a version on its way; readers keep
    what they see until it is served.

    Args:
        tensors: of a checkpoint, converted.
        values: of the checkpoint.
    """
    versions = values["versions"]
    role = next(
        (role for role in ("served", "candidate") if _keeps_answers(take_part(tensors, f"versions/{role}"))), None
    )
    if role is None:
        return tensors, values
    own = take_part(tensors, f"versions/{role}")
    last = _last_layer(own)
    rows, width = len(own["in_weight"]), own["student/head.weight"].shape[1]
    new = {name: tensor for name, tensor in own.items() if name != f"layer/{last}"}
    new |= {f"marked/{number}": torch.ones(rows, dtype=torch.uint8) for number in range(1, last + 1)}
    new |= {
        "embedding": torch.zeros(rows, width),
        "origin": torch.tensor([0, 0, -1]).repeat(rows, 1),
        "place": torch.tensor([0, 0]),
    }
    others = {name: tensor for name, tensor in tensors.items() if not name.startswith(_VERSIONS_HELD)}
    kept = {name: value for name, value in versions.items() if name not in {"served", "candidate"}}
    again = {**values, "versions": kept | {"candidate": versions[role]}}
    return others | {f"versions/candidate/{name}": tensor for name, tensor in new.items()}, again


def _keeps_answers(own: Mapping[str, Tensor]) -> bool:
    """Whether these are the tensors of a version of many classes as earlier releases wrote it."""
    # Earlier releases had no versions of several students.
    if "in_weight" not in own or "embedding" in own or "layer/0" not in own:
        return False
    return are_wide(own[f"layer/{_last_layer(own)}"].shape[1] - head_width(0))


def _last_layer(own: Mapping[str, Tensor]) -> int:
    return max(int(name.removeprefix("layer/")) for name in own if name.startswith("layer/"))


def _with_sparse_features(tensors: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
    """Format 4 had a row of features for every node."""
    if "graph/has_features" not in tensors:
        return tensors
    features, has = (tensors[f"graph/{name}"].numpy() for name in ("features", "has_features"))
    if (str(features.dtype), str(has.dtype), features.ndim, has.shape) != ("float32", "bool", 2, features.shape[:1]):
        raise ValueError("features: are not float32 [rows, width] with a bool for each row")
    kept = {name: tensor for name, tensor in tensors.items() if name not in {"graph/features", "graph/has_features"}}
    return kept | {f"graph/{name}": torch.from_numpy(array) for name, array in from_format_4(features, has).items()}


def _reading_no_structure(tensors: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
    """Students of earlier releases read no structure. Rows of zeros for it leave their predictions as they are."""
    if "graph/structure" in tensors:
        return tensors
    added: dict[str, Tensor] = {}
    for name, labels in tensors.items():
        found = _ENCODER.fullmatch(name)
        if found and labels.ndim == 2:
            added[f"{found[1]}.structure"] = torch.zeros(len(STRUCTURE) * STRUCTURE_STEPS, labels.shape[1])
            added[f"{found[1]}.reads"] = torch.zeros(len(STRUCTURE), dtype=torch.bool)
    return {**tensors, **added}


def _with_marks(tensors: Mapping[str, Tensor], prefix: str, position: str, applied_events: int) -> Mapping[str, Tensor]:
    """Up to format 5 a version had running sums and no marks: what was computed was of the checkpoint's position."""
    own = take_part(tensors, prefix.rstrip("/"))
    layer, row = own["frontier"].tolist()
    layers = sum(name.startswith("layer/") for name in own)
    rows = len(own["in_weight"])
    new: dict[str, Tensor] = {}
    for number in range(1, layers):
        computed = rows if number < layer else row if number == layer else 0
        marked = np.ones(rows, np.uint8)
        marked[:computed] = 0
        new[f"marked/{number}"] = torch.from_numpy(marked)
    ms, _, sequence = position.partition("-")
    origin = np.full((rows, 3), (int(ms), int(sequence), applied_events), np.int64)
    origin[new[f"marked/{layers - 1}"].numpy() > 0] = (0, 0, -1)
    new["origin"] = torch.from_numpy(origin)
    new["place"] = torch.tensor([layers - 1 + _PASSES, 0] if layer == layers else [layer, row])
    kept = {name: tensor for name, tensor in own.items() if name != "frontier" and not name.startswith(_SUMS)}
    others = {name: tensor for name, tensor in tensors.items() if not name.startswith(prefix)}
    return others | {f"{prefix}{name}": tensor for name, tensor in (kept | new).items()}
