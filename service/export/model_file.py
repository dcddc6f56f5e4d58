"""The weights of a kept version in a file."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor

from olad_core.graph.state_check import check_graph_state
from olad_core.graph.store import DynamicGraph
from olad_core.named_state import take_part
from olad_core.serving.kept_versions import KeptVersion, KeptVersions, Weights
from olad_core.serving.versions import Versions
from olad_core.students import Memory
from olad_core.students.plain_layers import NotPlain, plain_weights
from service.export.failed import ExportFailed
from service.export.pyg_lines import pyg_lines
from service.export.whole_file import written_whole
from service.settings import Settings
from service.worker.checkpoint import Checkpoint, OtherFormat, newest_checkpoint
from service.worker.earlier_formats import converted, embedded_again
from service.worker.students import StudentUnusable, register_students

SUFFIX = ".safetensors"
METADATA = "olad"
"""The entry of the file's metadata that holds the configuration as JSON."""
_FORMAT = 1


@dataclass(frozen=True)
class ModelAt:
    """A kept version, and the graph of the same checkpoint.

    Attributes:
        version: with its weights.
        graph: whose schema the file names.
    """

    version: KeptVersion
    graph: DynamicGraph


def model_at(settings: Settings, number: int | None = None) -> ModelAt:
    """A version out of the newest checkpoint.

    Args:
        settings: with data directory and name of the graph.
        number: of the version; None for the served one.

    Raises:
        ExportFailed: there is no checkpoint that can be read, or the version is not in it.
    """
    folder = settings.data_dir / "checkpoints" / settings.graph
    try:
        register_students(settings.students)
        checkpoint, broken = newest_checkpoint(folder)
        if checkpoint is None:
            why = f"that can be read: {broken[0]}" if broken else "yet: name the data directory with --data-dir"
            raise ExportFailed(f"there is no checkpoint in {folder} {why}")
        position, kept, graph = _parts_of(checkpoint, settings)
    except (OtherFormat, StudentUnusable) as error:
        raise ExportFailed(str(error)) from None
    found = kept.served if number is None else kept.get(number)
    if found is None:
        there = ", ".join(str(each.number) for each in reversed(kept.newest_first())) or "none"
        which = "no version is served" if number is None else f"version {number} is not kept"
        raise ExportFailed(f"{which} in the checkpoint at {position}: it has {there}")
    return ModelAt(found, graph)


def _parts_of(checkpoint: Checkpoint, settings: Settings) -> tuple[str, KeptVersions, DynamicGraph]:
    """Position, kept versions and graph of a checkpoint; what learns is left out."""
    device, kept = torch.device("cpu"), KeptVersions(1)
    try:
        values: Mapping[str, Any] = checkpoint.values
        position = values["position"]
        tensors = converted(checkpoint.tensors, position, values["applied_events"])
        arrays = {name: tensor.numpy() for name, tensor in take_part(tensors, "graph").items()}
        check_graph_state(arrays)
        graph = DynamicGraph.from_state(arrays, 0.0, max_classes=settings.max_classes)
        tensors, values = embedded_again(tensors, values)
        versions = Versions(device, Memory((), 1, device), settings.freshness_target_ms / 1000)
        versions.restore(take_part(tensors, "versions"), values["versions"])
        if "kept" in values:  # earlier releases kept none
            kept.restore(take_part(tensors, "kept"), values["kept"], versions.served, device)
    except (KeyError, ValueError, RuntimeError) as error:
        raise ExportFailed(f"{checkpoint.path} cannot be read: {type(error).__name__}: {error}") from None
    return position, kept, graph


@dataclass(frozen=True)
class ExportedModel:
    """What was written.

    Attributes:
        path: of the file.
        config: that its metadata hold.
    """

    path: Path
    config: dict[str, Any]

    @property
    def lines(self) -> str:
        """A program that loads it into plain layers of PyG; empty where they cannot hold it."""
        return pyg_lines(self.config["architecture"], str(self.path)) if self.config["layers"] == "pyg" else ""


def export_model(found: ModelAt, path: Path, member: str | None = None) -> ExportedModel:
    """Write the weights; the file is there whole or not at all.

    They have the names of plain layers of PyG where these compute the same; else those of :meth:`Weights.tensors`.

    Args:
        found: the version.
        path: of the file.
        member: of the group, whose weights alone are written; None for those of all.

    Raises:
        ExportFailed: the file has another suffix, or there is no such member.
        OSError: it cannot be written.
    """
    require_suffix(path)
    weights = found.version.weights
    if member is not None:
        weights = _alone(weights, member)
    tensors, config = _content(found, weights)
    metadata = {"format": "pt", METADATA: json.dumps(config, ensure_ascii=False)}
    with written_whole(path) as part:
        save_file({name: tensor.contiguous().clone() for name, tensor in tensors.items()}, part, metadata)
    return ExportedModel(path, config)


def require_suffix(path: Path) -> None:
    """Check the suffix of a file.

    Raises:
        ExportFailed: it is another one.
    """
    if path.suffix != SUFFIX:
        raise ExportFailed(f"{path}: name a file that ends with {SUFFIX}")


def _alone(weights: Weights, member: str) -> Weights:
    names = [*weights.members]
    if member not in names:
        raise ExportFailed(f"{member} is no student of this version: it has {', '.join(names)}")
    return Weights({member: weights.members[member]}, (weights.students[names.index(member)],))


def _content(found: ModelAt, weights: Weights) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Tensors and configuration of the file."""
    version, student = found.version, weights.students[0]
    config: dict[str, Any] = {
        "format": _FORMAT,
        "version": version.number,
        "student": version.student,
        "architecture": next(iter(weights.members.values())) if len(weights.members) == 1 else None,
        "members": dict(weights.members),
        "position": version.position,
        "step": version.step,
        "width": student.width,
        "depth": student.num_layers,
        "classes": [*version.classes],
        "schema": found.graph.schema.declared().model_dump(mode="json", exclude_none=True),
    }
    ways = {rule.directed for rule in found.graph.relation_rules.values()}
    try:
        if len(weights.students) > 1 or weights.combination:
            raise NotPlain("it is a group, whose answers are combined: name one of its students with --member")
        directed = ways.pop() if len(ways) == 1 else None
        plain = plain_weights(student, len(version.classes), directed=directed)
    except NotPlain as error:
        return weights.tensors(), {**config, "layers": "olad", "reason": str(error), "weights": weights.shape()}
    config |= {"layers": "pyg", "features": student.feature_width, "labels": plain.labels}
    return dict(plain.tensors), {**config, "structure": [*plain.structure]}
