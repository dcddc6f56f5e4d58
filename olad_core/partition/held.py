"""A version at a rank: its weights, the layers computed from them, and the pass that fills these."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from olad_core.graph.arrays import Float32s, Int64s
from olad_core.partition.filling import Filling
from olad_core.partition.layers import BLOCK, PartitionLayers
from olad_core.partition.store import PartitionStore
from olad_core.serving.combination import Combination
from olad_core.serving.kept_versions import Weights
from olad_core.serving.naming import Made
from olad_core.serving.publication import Version
from olad_core.students import Student, registered_name

_CPU = torch.device("cpu")


@dataclass(frozen=True)
class HeldPart:
    """A version with what is computed from it at one rank.

    Attributes:
        version: its number, what it is of, and its classes.
        made: why it has a number of its own, and after how many training steps its weights were taken.
        position: of the log at which they were taken.
        weights: of its students.
        filling: the pass that computes their layers for all nodes.
    """

    version: Version
    made: Made
    position: str
    weights: Weights
    filling: Filling

    @property
    def students(self) -> dict[str, Student]:
        """Its students by name."""
        return dict(zip(self.weights.members, self.weights.students, strict=True))

    def answers(self, rows: Int64s) -> Float32s:
        """Answers ``[n, 1 + C]`` of owned rows: the disagreement, then class probabilities."""
        members = [layers.answers(rows) for layers in self.filling.members]
        if self.weights.combination is None:
            return members[0]
        apart = np.stack(members, axis=1)
        found = np.empty_like(members[0])
        # Blocks of one size: vectorised functions round by the place in memory.
        for first in range(0, rows.size, BLOCK):
            at = np.minimum(np.arange(first, first + BLOCK), rows.size - 1)
            together = combined(self.weights.combination, apart[at, :, 1:])
            found[first : first + BLOCK] = together[: rows.size - first]
        return found

    @classmethod
    def begun(
        cls,
        version: Version,
        made: Made,
        position: str,
        students: Mapping[str, Student],
        combination: Combination | None,
        store: PartitionStore,
    ) -> HeldPart:
        """A version whose layers are to be filled.

        Args:
            version: as above.
            made: as above.
            position: as above.
            students: by name; their weights must not change any more.
            combination: of their answers; None of a student alone.
            store: this rank's part.
        """
        kinds = {name: registered_name(student) for name, student in students.items()}
        weights = Weights(kinds, tuple(students.values()), combination)
        return cls(version, made, position, weights, _new_filling(weights, version, store))

    def values(self) -> dict[str, object]:
        """Plain values for a checkpoint, beside the tensors of the weights."""
        version = self.version
        return self.weights.shape() | {
            "number": version.number,
            "shown": version.shown,
            "student": version.student,
            "classes": list(version.classes),
            "reason": self.made.reason,
            "step": self.made.step,
            "position": self.position,
        }

    @classmethod
    def restored(cls, values: Mapping[str, Any], tensors: Mapping[str, Tensor], store: PartitionStore) -> HeldPart:
        """The version whose :meth:`values` and tensors these were, with layers that are to be filled."""
        version = Version(values["number"], values["student"], tuple(values["classes"]), values["shown"])
        weights = Weights.of(values, tensors, _CPU)
        made = Made(values["reason"], values["step"])
        return cls(version, made, values["position"], weights, _new_filling(weights, version, store))


def combined(combination: Combination, members: Float32s) -> Float32s:
    """The answers of the group ``[n, 1 + C]`` from class probabilities by its members ``[n, G, C]``."""
    found = np.column_stack([combination.disagreement(members), combination.probabilities(members)])
    return found.astype(np.float32, copy=False)


def _new_filling(weights: Weights, version: Version, store: PartitionStore) -> Filling:
    return Filling(tuple(PartitionLayers(student, len(version.classes), store) for student in weights.students))
