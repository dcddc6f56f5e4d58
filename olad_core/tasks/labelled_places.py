"""The edges that a task learns from, those labelled last, and the steps that their labels make due."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Rows = npt.NDArray[np.int64]

MOST_LABELLED = 20_000
"""A head learns from so many edges, those labelled last."""
STEPS_ANEW = 500
"""Steps of a head that begins anew, at most."""


class LabelledPlaces:
    """Places of remembered edges whose label has come, in the order of the labels.

    Args:
        labels_a_step: the head takes a step for every so many labels.
    """

    def __init__(self, labels_a_step: int) -> None:
        self._labels_a_step = labels_a_step
        self.places: Rows = np.empty(0, np.int64)
        """Of the edges ``[n]``."""
        self.owed = 0
        """Labels that have made no step due yet."""

    def add(self, place: int) -> None:
        """Note the first label of the edge at a place."""
        self.places = np.append(self.places, place)
        self.owed += 1

    def leave_out(self, places: Rows) -> None:
        """Learn no longer from edges whose places hold others now."""
        self.places = self.places[~np.isin(self.places, places)]

    def keep_last(self) -> None:
        """Learn from the last ones only."""
        self.places = self.places[-MOST_LABELLED:]

    def due(self) -> int:
        """The steps that are due, which are then owed no longer."""
        steps, self.owed = divmod(self.owed, self._labels_a_step)
        return steps

    def steps_anew(self) -> int:
        """Steps of a head that begins anew."""
        return min(STEPS_ANEW, 1 + len(self.places) // self._labels_a_step)
