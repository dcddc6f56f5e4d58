"""Drift: a rise in the errors of what is served."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from olad_core.judging.adwin import Adwin

ONE_DRIFT = 100
"""Errors within which further alarms belong to the drift that was reported before."""


@dataclass(frozen=True)
class Drift:
    """A rise.

    Attributes:
        before: mean error before it.
        after: mean error since.
        width: nodes since.
        is_new: whether it is another one than the last.
    """

    before: float
    after: float
    width: int
    is_new: bool


class DriftWatch:
    """Searches a stream of errors for rises; a fall only moves the beginning of the window.

    The first cut may leave some of what came before a rise in the window; a further one then belongs to the same rise.

    Args:
        delta: probability that a search finds a change where there is none, at most.
    """

    def __init__(self, delta: float) -> None:
        self._window = Adwin(delta)
        self._since_reported = ONE_DRIFT

    def add(self, errors: npt.NDArray[np.bool_]) -> Drift | None:
        """Take in errors in the order of their labels; the drift that stands at their end, if there is one."""
        found = None
        for error in errors.tolist():
            self._since_reported = min(self._since_reported + 1, ONE_DRIFT)
            cut = self._window.add(error)
            if cut and cut.after > cut.before:
                is_new = self._since_reported == ONE_DRIFT
                if is_new:
                    self._since_reported = 0
                before = found.before if found else cut.before
                found = Drift(before, cut.after, self._window.width, is_new or (found is not None and found.is_new))
        return found

    def state(self) -> dict[str, npt.NDArray[np.generic]]:
        """Arrays for a checkpoint."""
        return {**self._window.state(), "since_told": np.array([self._since_reported], dtype=np.int64)}

    def restore(self, state: Mapping[str, npt.NDArray[np.generic]]) -> None:
        """Take over the arrays of :meth:`state`."""
        self._window.restore(state)
        self._since_reported = int(state["since_told"][0])
