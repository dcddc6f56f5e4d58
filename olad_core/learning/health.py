"""Which members of the group spoil training steps, and when one of them must begin with new weights."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

PATIENCE = 20
"""Steps in a row that a student may spoil before it gets new weights."""


class Health:
    """Counts the steps in a row that each student, or the discriminators, have spoilt.

    A step is spoilt where a loss or a gradient is not finite.

    Args:
        group: number of students G.
    """

    def __init__(self, group: int) -> None:
        # Of each student, and last of the discriminators.
        self._spoilt = np.zeros(group + 1, dtype=np.int64)
        self.resets = 0
        """How often a student, or the discriminators, got new weights."""

    def sound_step(self) -> None:
        """Note that nobody has spoilt a step."""
        self._spoilt[:] = 0

    def spoilt_step(self, spoilers: npt.NDArray[np.bool_]) -> tuple[int, ...]:
        """Count a step against the students that spoilt it ``[G]``; where none did, against the discriminators.

        Returns:
            The places in the group of those that must get new weights now; G stands for the discriminators.
        """
        blamed = np.append(spoilers, not spoilers.any())
        self._spoilt = np.where(blamed, self._spoilt + 1, 0)
        failed = tuple(int(place) for place in np.flatnonzero(self._spoilt >= PATIENCE))
        self._spoilt[list(failed)] = 0
        return failed

    def state(self) -> dict[str, object]:
        """Plain values for a checkpoint."""
        return {"resets": self.resets, "spoilt": self._spoilt.tolist()}

    def restore(self, resets: int, spoilt: Sequence[int]) -> None:
        """Take over the values of :meth:`state`."""
        self.resets, self._spoilt = resets, np.array(spoilt, dtype=np.int64)
