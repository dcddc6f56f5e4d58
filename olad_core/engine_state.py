"""The state of an engine in a checkpoint: tensors by part, and the students that it was made with."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from olad_core.config import TrainerConfig
from olad_core.errors import OladError
from olad_core.named_state import join_parts

Arrays = Mapping[str, npt.NDArray[Any]]
Values = dict[str, object]

_ON_DEVICE = ("versions/", "trainer/", "memory/")
"""Parts of the state whose tensors are used on the device; those of the others are numpy's arrays."""


class OtherStudents(OladError, ValueError):
    """A checkpoint that was made with other students than the configuration asks for."""


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
    """What a checkpoint and a configuration must have in common."""
    return {"students": list(config.students), "width": config.width}


def require_same_students(config: TrainerConfig, values: Mapping[str, Any]) -> None:
    """Refuse a checkpoint whose students are not those of the configuration.

    Raises:
        OtherStudents: it was made with other students, or with students of another width.
    """
    for name, value in made_with(config).items():
        if values[name] != value:
            raise OtherStudents(
                f"the checkpoint was made with {name} {values[name]}, the settings ask for {value}: "
                f"set OLAD_{name.upper()} to the former or take an empty data directory"
            )
