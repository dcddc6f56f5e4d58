"""Hidden states of the recurrent students, one for each node."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from olad_core.device import to_device

Rows = npt.NDArray[np.int64]


def memory_name(student: str, *, former: bool) -> str:
    """The name under which a student has its hidden states; no student has the name that one of a former group has."""
    return f"{student} (former)" if former else student


class Memory:
    """One hidden state ``[width]`` for each node and recurrent student. It outlives a version of the student.

    All versions of a student read the same memory: it is input to them, like features are. Rows are those of the graph.

    Args:
        students: names of the recurrent students.
        width: of a hidden state.
        device: where the states are.
    """

    def __init__(self, students: Sequence[str], width: int, device: torch.device) -> None:
        self._tables = {name: torch.zeros(0, width, device=device) for name in students}
        self._device = device

    def recall(self, student: str, rows: Rows) -> Tensor | None:
        """Hidden states ``[n, width]``, zeros where there is none yet; None for a student that is not recurrent."""
        if student not in self._tables:
            return None
        self._fit(int(rows.max(initial=-1)) + 1)
        return self._tables[student][to_device(rows, self._device)]

    def remember(self, student: str, rows: Rows, states: Tensor) -> None:
        """Replace the hidden states of rows by ``[n, width]``. A state that is not finite is not stored."""
        self._fit(int(rows.max(initial=-1)) + 1)
        index = to_device(rows, self._device)
        sound = torch.isfinite(states).all(dim=1, keepdim=True)
        self._tables[student][index] = torch.where(sound, states, self._tables[student][index])

    def forget(self, rows: Rows) -> None:
        """Set the hidden states of rows to zero, for new nodes."""
        for table in self._tables.values():
            table[to_device(rows[rows < len(table)], self._device)] = 0

    def begin_anew(self) -> None:
        """Discard all rows and release their memory."""
        self._tables = {name: table[:0].clone() for name, table in self._tables.items()}

    @property
    def students(self) -> int:
        """How many students have hidden states."""
        return len(self._tables)

    def adopt(self, student: str, states: Tensor) -> None:
        """Hold the hidden states ``[rows, width]`` of one more student."""
        self._tables[student] = states.to(self._device, copy=True)

    def discard(self, student: str) -> None:
        """Release the hidden states of a student, if it has any."""
        self._tables.pop(student, None)

    def state(self) -> dict[str, Tensor]:
        """Tensors for a checkpoint: those in use, not copies of them."""
        return dict(self._tables)

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Take over the tensors of :meth:`state`."""
        self._tables = {name: state[name].to(self._device, copy=True) for name in self._tables}

    def _fit(self, rows: int) -> None:
        for name, table in self._tables.items():
            if rows > len(table):
                more = table.new_zeros(max(rows, 2 * len(table)) - len(table), table.shape[1])
                self._tables[name] = torch.cat([table, more])
