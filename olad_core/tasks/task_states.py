"""The states of several tasks as one: arrays by the number of a task, plain values by its name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import numpy.typing as npt

from olad_core.named_state import join_parts, take_part

Arrays = Mapping[str, npt.NDArray[Any]]


class Kept(Protocol):
    """What has a state."""

    def state(self) -> tuple[Arrays, dict[str, Any]]:
        """Arrays and plain values for a checkpoint."""

    def restore(self, arrays: Arrays, values: Mapping[str, Any]) -> None:
        """Take over the :meth:`state`."""


def joined_states(tasks: Mapping[str, Kept]) -> tuple[dict[str, npt.NDArray[Any]], dict[str, Any]]:
    """The states of all tasks, by name, as one."""
    states = {name: task.state() for name, task in tasks.items()}
    arrays = join_parts({str(number): arrays for number, (arrays, _) in enumerate(states.values())})
    return arrays, {name: values for name, (_, values) in states.items()}


def restore_states(tasks: Mapping[str, Kept], arrays: Arrays, values: Mapping[str, Any]) -> None:
    """Take over what :func:`joined_states` made of the same tasks."""
    for number, (name, task) in enumerate(tasks.items()):
        task.restore(take_part(arrays, str(number)), values[name])
