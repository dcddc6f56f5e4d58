"""The state of an engine in a checkpoint: tensors by part, and what of it stays beside a new group of students."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from olad_core.config import EngineConfig, TrainerConfig
from olad_core.errors import OladError
from olad_core.named_state import join_parts
from olad_core.serving.versions import members_of
from olad_core.students import ARCHITECTURES, memory_name, recurrent

Arrays = Mapping[str, npt.NDArray[Any]]
Values = dict[str, object]
State = tuple[dict[str, Tensor], dict[str, Any]]
"""Tensors and plain values."""

OF_STUDENTS = ("trainer/", "losses/", "combined/", "worth/", "teachers/", "memory/")
"""Parts of the state that new students begin anew, beside the versions."""
_ON_DEVICE = ("versions/", "trainer/", "memory/", "kept/")
"""Parts of the state whose tensors are used on the device; those of the others are numpy's arrays."""


class ServedLost(OladError, ValueError):
    """A state serves a version of a student that is not registered here, so what is served cannot be kept."""


def join_tensors(arrays: Arrays, on_device: Mapping[str, Mapping[str, Tensor]]) -> dict[str, Tensor]:
    """The tensors of a checkpoint.

    Args:
        arrays: numpy's, by ``part/name``.
        on_device: tensors that are used on the device, by part.
    """
    return {name: torch.from_numpy(np.asarray(array)) for name, array in arrays.items()} | join_parts(on_device)


def take_arrays(tensors: Mapping[str, Tensor]) -> dict[str, npt.NDArray[Any]]:
    """Those of :func:`join_tensors` that are numpy's, by ``part/name``."""
    return {name: tensor.numpy() for name, tensor in tensors.items() if not name.startswith(_ON_DEVICE)}


def made_with(config: TrainerConfig) -> Values:
    """What a checkpoint and a configuration must have in common, so that the students are the same."""
    return {"students": list(config.students), "width": config.width}


def asks_for_new_students(config: EngineConfig, values: Mapping[str, Any]) -> bool:
    """Whether the configuration asks for new students, whatever those of the state are."""
    return config.renewal not in {None, values.get("renewal")}


def new_group_reason(config: EngineConfig, values: Mapping[str, Any]) -> str | None:
    """Why a state cannot continue with its students; None where it can.

    Args:
        config: of the engine.
        values: of the state.
    """
    changed = [
        f"{name} {_text(values[name])} became {_text(value)}"
        for name, value in made_with(config.trainer).items()
        if values[name] != value
    ]
    if asks_for_new_students(config, values):
        changed.append("they were asked for")
    return " and ".join(changed) or None


def require_served(values: Mapping[str, Any]) -> None:
    """Refuse a state that serves a version of a student that is not known here.

    Raises:
        ServedLost: naming the student.
    """
    served = values["versions"].get("served")
    unknown = [kind for _, kind in members_of(served) if kind not in ARCHITECTURES] if served else []
    if unknown:
        raise ServedLost(
            f"version {served['number']} is served, of the student {unknown[0]}, which is not known here: "
            "name it in OLAD_STUDENTS, or give up that version with `olad up --new-students` or OLAD_NEW_STUDENTS"
        )


def beside_new_group(
    config: TrainerConfig, tensors: Mapping[str, Tensor], values: Mapping[str, Any], *, keep_served: bool
) -> State:
    """A state without its students, what they have learned, and the version on its way.

    Args:
        config: of the new group.
        tensors: of the state.
        values: of the state.
        keep_served: whether what is served stays, as a version of a former group.
    """
    served = values["versions"].get("served") if keep_served else None
    gone = (*OF_STUDENTS, "versions/candidate/", *(() if served else ("versions/served/",)))
    kept = {name: tensor for name, tensor in tensors.items() if not name.startswith(gone)}
    kept |= {f"memory/{name}": torch.zeros(0, config.width) for name in recurrent(config.students)}
    versions = {name: value for name, value in values["versions"].items() if name not in {"served", "candidate"}}
    if served:
        versions["served"] = {**served, "former": True}
        for name, _ in members_of(served):
            before = memory_name(name, former=bool(served.get("former")))
            if f"memory/{before}" in tensors:
                kept[f"memory/{memory_name(name, former=True)}"] = tensors[f"memory/{before}"]
    begun = {"versions": versions, "version_step": 0, "version_took": 0}
    left_out = ("trainer", "convergence", "version_evidence")
    return kept, {name: value for name, value in values.items() if name not in left_out} | begun


def _text(value: object) -> str:
    return ",".join(map(str, value)) if isinstance(value, list) else str(value)
