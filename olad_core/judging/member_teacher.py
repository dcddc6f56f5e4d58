"""A member beside the students as their teacher: what it predicted at arrival, and whom it is ahead of."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from olad_core.graph.arrays import Float32s, Int64s
from olad_core.judging.calibration import Temperatures
from olad_core.judging.evidence import strength_by_evidence
from olad_core.judging.fading import Fading
from olad_core.named_state import join_parts, take_part
from olad_core.tasks.node_class import predicted_classes
from olad_core.trees.forest import check_probabilities
from olad_core.trees.kept_rows import KeptRows

Floats = npt.NDArray[np.float64]

KEPT = 600
"""Nodes whose predictions are kept: those of long ago are of a member that knew less, and mislead."""
LEAST = np.float32(1e-30)
"""Probability that a class counts for at least, so that its logarithm is finite."""


class MemberTeacher:
    """Keeps what one member predicted of the last nodes that arrived, and compares it with G students.

    A prediction is made when a node arrives, before the member can have learned from its label. So it shows what the
    member knows of a node that is new to it, and it stays when the label comes. It is found by the number of the
    arrival, which no other node has: what was predicted of a node that has left is not found any more.

    Args:
        students: G.
        memory: scored nodes after which the weight of a comparison has fallen to 1/e.
    """

    def __init__(self, students: int, memory: float) -> None:
        self._kept = KeptRows(KEPT)
        self._fading = Fading(memory)
        self._temperature = Temperatures(1, memory)
        # Faded numbers of nodes: predicted, rightly predicted.
        self._right = np.zeros((2, 1))
        # Faded numbers of nodes: compared with each student, on which the member alone was right, the student alone.
        self._paired = np.zeros((3, students))

    def remember(self, arrival: Int64s, probabilities: Float32s) -> None:
        """Keep what it predicts of nodes that have just arrived.

        Args:
            arrival: numbers of their arrivals ``[n]``.
            probabilities: ``[n, C]``; NaN where it has no answer.
        """
        answered = np.isfinite(probabilities).all(axis=1)
        if answered.any():
            self._kept.add(arrival[answered], probabilities[answered])

    def compare(self, students: Float32s, own: Float32s, labels: Int64s) -> None:
        """Compare it with the students on nodes whose labels have come.

        Args:
            students: what they predicted at the nodes' arrival ``[n, G, C]``.
            own: what the member predicted then, ``[n, C]``; NaN where it had no answer. There, nothing is compared.
            labels: ``[n]``, in their order.
        """
        answered = np.isfinite(own).all(axis=1)
        if not own.shape[1] or not answered.any():
            return
        students, own, labels = students[answered], own[answered], labels[answered]
        self._temperature.add(own[:, None], labels)
        right = predicted_classes(own[:, None]) == labels[:, None]
        of_students = predicted_classes(students) == labels[:, None]
        self._right = self._fading.added(self._right, np.ones_like(right), right)
        counted = np.ones_like(of_students), right & ~of_students, ~right & of_students
        self._paired = self._fading.added(self._paired, *counted)

    def accuracy(self) -> float:
        """With forgetting; 0 before the first score."""
        predicted, right = self._right[:, 0].tolist()
        return float(right / predicted) if predicted else 0.0

    def strength(self) -> Floats:
        """How much it is to teach each student ``[G]``: 1, and down to 0 where it is less often right.

        0 before the first comparison.
        """
        compared, better, worse = self._paired
        return (compared > 0) * strength_by_evidence(better, worse)

    def known(self, arrival: Int64s, classes: int) -> tuple[Int64s, Float32s]:
        """What it predicted of nodes: places in ``arrival`` of those that are kept ``[m]``, and logits ``[m, C]``.

        The logits are divided by a temperature, so that the confidence is the accuracy.

        Args:
            arrival: numbers of arrivals ``[n]``.
            classes: C.
        """
        places, found = self._kept.find(arrival)
        shares = np.full((len(places), classes), LEAST, np.float32)
        shares[:, : found.shape[1]] = np.fmax(found[:, :classes], LEAST)
        return places, (np.log(shares) / self._temperature.values()).astype(np.float32)

    def forget_arrivals(self) -> None:
        """Forget what it predicted of all nodes."""
        self._kept = KeptRows(KEPT)

    def forget(self, count: int) -> None:
        """Let what is known weigh as much as ``count`` scored nodes at most."""
        self._temperature.forget(count)
        self._right *= self._fading.shortened(self._right[0], count)
        self._paired *= self._fading.shortened(self._paired[0], count)

    def state(self) -> dict[str, npt.NDArray[np.generic]]:
        """Arrays for a checkpoint: those in use, not copies of them."""
        parts = {"kept": self._kept.state(), "temperature": self._temperature.state()}
        return join_parts(parts) | {"right": self._right, "paired": self._paired}

    def restore(self, state: Mapping[str, npt.NDArray[Any]]) -> None:
        """Take over the arrays of :meth:`state`.

        Raises:
            KeyError: an array is missing.
            ValueError: the arrays are not such a state.
        """
        for name, wanted in self.state().items():
            if name.startswith("kept/"):
                continue
            found = state[name]
            if (found.dtype, found.shape) != (wanted.dtype, wanted.shape) or not np.isfinite(found).all():
                raise ValueError(f"teachers/{name}: {found.dtype} {list(found.shape)}")
        self._kept.restore(take_part(state, "kept"))
        check_probabilities("teachers/kept", self._kept.in_order()[1])
        self._temperature.restore(take_part(state, "temperature"))
        self._right, self._paired = state["right"].copy(), state["paired"].copy()
