"""Prequential scores: test on arrival, then train (Gama et al., "On evaluating stream learning algorithms")."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields

import numpy as np
import numpy.typing as npt

from olad_core.config import ARRIVAL_CELLS
from olad_core.judging.calibration import BINS, bin_confidences, calibration_error
from olad_core.judging.class_counts import count_classes, macro_f1, with_classes
from olad_core.judging.fading import Fading
from olad_core.memory_use import remembered

Rows = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

LEAST_PROBABILITY = 1e-6
"""Probabilities are raised to this before their logarithm is taken; that of a class unknown at arrival is zero."""


@dataclass(frozen=True)
class Predictions:
    """Class probabilities of n nodes; NaN where there was no answer.

    Attributes:
        students: float32 ``[n, G, C]``.
        served: float32 ``[n, C]``, what readers got.
    """

    students: npt.NDArray[np.float32]
    served: npt.NDArray[np.float32]

    @property
    def together(self) -> npt.NDArray[np.float32]:
        """``[n, G + 1, C]``: the students, then what was served."""
        return np.concatenate([self.students, self.served[:, None]], axis=1)

    @classmethod
    def apart(cls, together: npt.NDArray[np.float32]) -> Predictions:
        """The inverse of :attr:`together`."""
        return cls(together[:, :-1], together[:, -1])


@dataclass(frozen=True)
class ScoreTable:
    """Prequential scores of predictors, one number each; NaN before the first score.

    Attributes:
        scored: how many predictions were scored.
        accuracy, log_loss, macro_f1: over all scored nodes.
        recent_accuracy, recent_log_loss, recent_macro_f1, recent_calibration_error: with forgetting.
        recent_weight: how many scored nodes stand behind the recent scores.
    """

    scored: Rows
    accuracy: Floats
    log_loss: Floats
    macro_f1: Floats
    recent_accuracy: Floats
    recent_log_loss: Floats
    recent_macro_f1: Floats
    recent_calibration_error: Floats
    recent_weight: Floats

    def part(self, predictors: slice) -> ScoreTable:
        """The scores of some of the predictors."""
        return ScoreTable(*(getattr(self, field.name)[predictors] for field in fields(self)))


class Arrivals:
    """Predictions made at arrival that still wait for their label, the oldest forgotten beyond a limit.

    A prediction that was taken counts for the limit until as many others have come after it. Memory is taken as it is
    used.

    Args:
        predictors: number of predictors P: the students, then the served model.
        limit: nodes that are remembered.
        cells: probabilities that are remembered, which lowers the limit where there are many classes.
    """

    def __init__(self, predictors: int, limit: int, cells: int = ARRIVAL_CELLS) -> None:
        self._most, self._cells = limit, cells
        self._limit = remembered(limit, cells, predictors, 0)
        # A ring once ``limit`` slots are used; the arrays are longer than the slots that are.
        self._used = 0
        self._next = 0
        self._rows = np.empty(0, dtype=np.int64)
        self._arrival = np.empty(0, dtype=np.int64)
        self._probabilities = np.zeros((0, predictors, 0), dtype=np.float32)
        self._slot_of_row = np.empty(0, dtype=np.int64)

    def add(self, rows: Rows, arrival: Rows, probabilities: npt.NDArray[np.float32]) -> None:
        """Remember predictions ``[n, P, C]``; NaN where a predictor had nothing to say."""
        self._hold_classes(probabilities.shape[2])
        rows, arrival, probabilities = rows[-self._limit :], arrival[-self._limit :], probabilities[-self._limit :]
        self._use(min(self._limit, self._used + len(rows)))
        slots = (self._next + np.arange(len(rows))) % self._limit
        self._rows[slots], self._arrival[slots] = rows, arrival
        self._probabilities[slots] = 0
        self._probabilities[slots, :, : probabilities.shape[2]] = probabilities
        self._next = (self._next + len(rows)) % self._limit
        self._index(rows, slots)

    def take(self, rows: Rows, arrival: Rows) -> tuple[Rows, npt.NDArray[np.float32]]:
        """Places in ``rows`` (distinct) that are remembered, and their predictions ``[n, P, C]``, now forgotten."""
        places = np.flatnonzero(rows < len(self._slot_of_row))
        slots = self._slot_of_row[rows[places]]
        # A slot that is no longer there was forgotten.
        there = (slots >= 0) & (slots < self._used)
        places, slots = places[there], slots[there]
        known = (self._rows[slots] == rows[places]) & (self._arrival[slots] == arrival[places])
        self._rows[slots[known]] = -1
        return places[known], self._probabilities[slots[known]]

    def waiting(self) -> tuple[Rows, Rows]:
        """Rows of nodes whose label has not come, and their arrivals, the last first; some may have left."""
        slots = self._oldest_first()[::-1]
        slots = slots[self._rows[slots] >= 0]
        return self._rows[slots], self._arrival[slots]

    def state(self) -> dict[str, npt.NDArray[np.generic]]:
        """Arrays for a checkpoint: rows and arrivals of the slots in use, and probabilities of those not taken."""
        rows = self._rows[: self._used].copy()
        return {
            "rows": rows,
            "arrival": self._arrival[: self._used].copy(),
            "probabilities": self._probabilities[: self._used][rows >= 0],
            "next": np.array([self._next]),
        }

    def restore(self, state: Mapping[str, npt.NDArray[np.generic]]) -> None:
        """Take over the arrays of :meth:`state`; those of earlier releases hold slots that were never used, too."""
        rows, arrival = state["rows"].astype(np.int64), state["arrival"].astype(np.int64)
        found = state["probabilities"].astype(np.float32)
        probabilities = found
        if len(found) != len(rows):
            probabilities = np.zeros((len(rows), *found.shape[1:]), dtype=np.float32)
            probabilities[rows >= 0] = found
        used = int(np.flatnonzero(arrival >= 0).max(initial=-1)) + 1
        self._rows, self._arrival, self._probabilities = rows[:used], arrival[:used], probabilities[:used]
        self._used, self._next = used, int(state["next"][0])
        self._limit = remembered(self._most, self._cells, *found.shape[1:])
        full = used == self._limit and 0 <= self._next < used
        if not full and (used >= self._limit or self._next != used):
            self._put_in_order()
        slots = self._oldest_first()
        slots = slots[self._rows[slots] >= 0]
        self._slot_of_row = np.empty(0, dtype=np.int64)
        self._index(self._rows[slots], slots)

    def _oldest_first(self) -> Rows:
        """Slots in use."""
        begin = self._next if self._next < self._used else 0
        return (begin + np.arange(self._used)) % max(1, self._used)

    def _hold_classes(self, classes: int) -> None:
        """Make room for so many classes; the oldest predictions are forgotten where that lowers the limit."""
        missing = classes - self._probabilities.shape[2]
        if missing <= 0:
            return
        limit = remembered(self._most, self._cells, self._probabilities.shape[1], classes)
        if limit < self._limit:
            self._limit = limit
            self._put_in_order()
            slots = np.flatnonzero(self._rows >= 0)
            self._index(self._rows[slots], slots)
        self._probabilities = np.pad(self._probabilities, ((0, 0), (0, 0), (0, missing)))

    def _put_in_order(self) -> None:
        """Let the slots in use be the first ones, oldest first, and no more than the limit."""
        slots = self._oldest_first()[-self._limit :]
        self._rows, self._arrival = self._rows[slots], self._arrival[slots]
        self._probabilities = self._probabilities[slots]
        self._used, self._next = len(slots), len(slots) % self._limit

    def _use(self, slots: int) -> None:
        """Have so many slots in use, at least."""
        if slots > len(self._rows):
            size = min(self._limit, max(slots, 2 * len(self._rows)))
            more = size - len(self._rows)
            self._rows, self._arrival = (np.pad(array, (0, more)) for array in (self._rows, self._arrival))
            self._probabilities = np.pad(self._probabilities, ((0, more), (0, 0), (0, 0)))
        self._used = max(self._used, slots)

    def _index(self, rows: Rows, slots: Rows) -> None:
        beyond = int(rows.max(initial=-1)) + 1 - len(self._slot_of_row)
        if beyond > 0:
            room = max(beyond, len(self._slot_of_row))
            self._slot_of_row = np.concatenate([self._slot_of_row, np.full(room, -1, dtype=np.int64)])
        self._slot_of_row[rows] = slots


class Scores:
    """Accuracy, macro-F1, log-loss and calibration error of P predictors, over all scored nodes and with forgetting.

    Args:
        predictors: number of predictors P.
        memory: nodes after which a score's weight has fallen to 1/e.
    """

    def __init__(self, predictors: int, memory: float) -> None:
        self._fading = Fading(memory)
        self.scored = np.zeros(predictors, dtype=np.int64)
        self._sums = np.zeros((2, predictors))
        self._faded = np.zeros((3, predictors))
        self._classes = np.zeros((3, predictors, 0))
        self._faded_classes = np.zeros((3, predictors, 0))
        self._faded_bins = np.zeros((3, predictors, BINS))

    def add(self, probabilities: npt.NDArray[np.float32], labels: Rows) -> npt.NDArray[np.bool_]:
        """Score predictions ``[n, P, C]`` of nodes in the order of their labels; what was right, ``[n, P]``."""
        nodes, _, classes = probabilities.shape
        if not classes:
            probabilities = np.zeros((*probabilities.shape[:2], 1), dtype=np.float32)
        spoken: npt.NDArray[np.bool_] = np.logical_not(np.isnan(probabilities).any(axis=2))
        clean = np.where(spoken[:, :, None], probabilities, 0)
        known = labels < classes
        of_truth = clean[np.arange(nodes), :, np.where(known, labels, 0)] * known[:, None]
        said = clean.argmax(axis=2) if classes else np.full(spoken.shape, -1)
        right: npt.NDArray[np.bool_] = (said == labels[:, None]) & spoken
        loss = np.where(spoken, -np.log(np.maximum(of_truth, LEAST_PROBABILITY)), 0.0)
        self.scored += spoken.sum(axis=0)
        self._sums += np.stack([right.sum(axis=0), loss.sum(axis=0)])
        # Each predictor forgets at the pace of its own scored nodes.
        weight = self._fading.weights(spoken)
        terms = np.stack([weight, weight * right, weight * loss]).sum(axis=1)
        faded = self._fading.kept(spoken)
        self._faded = self._faded * faded + terms
        classes = max(classes, int(labels.max(initial=-1)) + 1, self._classes.shape[2])
        self._classes = with_classes(self._classes, classes)
        self._classes += count_classes(said, labels, spoken.astype(np.float64), classes)
        self._faded_classes = with_classes(self._faded_classes, classes) * faded[:, None]
        self._faded_classes += count_classes(said, labels, weight, classes)
        self._faded_bins = self._faded_bins * faded[:, None] + bin_confidences(clean.max(axis=2), right, weight)
        return right

    def forget(self, count: int) -> None:
        """Let recent scores weigh as much as ``count`` nodes at most, so that those to come count for more."""
        share = self._fading.shortened(self._faded[0], count)
        self._faded *= share
        self._faded_classes *= share[:, None]
        self._faded_bins *= share[:, None]

    def accuracy(self) -> Floats:
        """``[P]``, NaN before the first score."""
        return _ratio(self._sums[0], self.scored)

    def log_loss(self) -> Floats:
        """``[P]``, NaN before the first score."""
        return _ratio(self._sums[1], self.scored)

    def recent_accuracy(self) -> Floats:
        """``[P]``, with forgetting; NaN before the first score."""
        return _ratio(self._faded[1], self._faded[0])

    def recent_weight(self) -> Floats:
        """How many scored nodes stand behind the recent scores, ``[P]``."""
        weight: Floats = self._faded[0].copy()
        return weight

    def recent_log_loss(self) -> Floats:
        """``[P]``, with forgetting; NaN before the first score."""
        return _ratio(self._faded[2], self._faded[0])

    def macro_f1(self) -> Floats:
        """``[P]``: mean over classes of the F1 of each, NaN before the first score."""
        return macro_f1(self._classes)

    def recent_macro_f1(self) -> Floats:
        """``[P]``, with forgetting; NaN before the first score."""
        return macro_f1(self._faded_classes)

    def recent_calibration_error(self) -> Floats:
        """Expected calibration error ``[P]``, with forgetting; NaN before the first score."""
        return calibration_error(self._faded_bins)

    def table(self) -> ScoreTable:
        """All scores."""
        return ScoreTable(
            scored=self.scored.copy(),
            accuracy=self.accuracy(),
            log_loss=self.log_loss(),
            macro_f1=self.macro_f1(),
            recent_accuracy=self.recent_accuracy(),
            recent_log_loss=self.recent_log_loss(),
            recent_macro_f1=self.recent_macro_f1(),
            recent_calibration_error=self.recent_calibration_error(),
            recent_weight=self.recent_weight(),
        )

    def state(self) -> dict[str, npt.NDArray[np.generic]]:
        """Arrays for a checkpoint."""
        return {
            "scored": self.scored.copy(),
            "sums": self._sums.copy(),
            "faded": self._faded.copy(),
            "classes": self._classes.copy(),
            "faded_classes": self._faded_classes.copy(),
            "faded_bins": self._faded_bins.copy(),
        }

    def restore(self, state: Mapping[str, npt.NDArray[np.generic]]) -> None:
        """Take over the arrays of :meth:`state`."""
        self.scored = state["scored"].astype(np.int64)
        self._sums = state["sums"].astype(np.float64)
        self._faded = state["faded"].astype(np.float64)
        self._classes = state["classes"].astype(np.float64)
        self._faded_classes = state["faded_classes"].astype(np.float64)
        self._faded_bins = state["faded_bins"].astype(np.float64)


def _ratio(part: Floats, whole: Floats | Rows) -> Floats:
    ratio: Floats = np.divide(part, whole, out=np.full(whole.shape, np.nan), where=whole > 0)
    return ratio
