"""How the answers of a group's members become the one that is served."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from olad_core.judging.pool_weights import NOBODY, PoolWeights, filled
from olad_core.linear.discriminant import Discriminant
from olad_core.named_state import join_parts, take_part
from olad_core.tasks import node_class
from olad_core.trees.forest import Forest

FOREST = "forest"
"""Name of the forest's part of the state."""
LINEAR = "linear"
"""Name of the linear model's part of the state."""

MOST_BESIDE = 2
"""Members beside the students, at most."""

Probabilities = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Combination:
    """Frozen with a version of the group.

    Attributes:
        weights: of the members.
        forest: a member, after the students; None where there was none yet, or trees are no member.
        linear: the last member; None as for the forest.
    """

    weights: PoolWeights
    forest: Forest | None = None
    linear: Discriminant | None = None

    @property
    def beside(self) -> int:
        """Members that are no students and that there are."""
        return (self.forest is not None) + (self.linear is not None)

    def probabilities(self, members: Probabilities) -> Probabilities:
        """The prediction of the group ``[n, C]`` from those of its members ``[n, G, C]``.

        Trees and a linear model are left out where there were none yet.
        """
        missing = len(self.weights.exponents) - members.shape[1]
        if missing:
            nodes, _, classes = members.shape
            place = members.shape[1] - (self.linear is not None)
            nothing = np.full((nodes, missing, classes), np.nan, np.float32)
            members = np.concatenate([members[:, :place], nothing, members[:, place:]], axis=1)
        return self.weights.combine(members)

    def state(self) -> dict[str, torch.Tensor]:
        """Tensors for a checkpoint."""
        arrays = self.weights.state()
        if self.forest:
            arrays |= join_parts({FOREST: self.forest.state()})
        if self.linear:
            arrays |= join_parts({LINEAR: self.linear.state()})
        return {name: torch.from_numpy(array) for name, array in arrays.items()}

    @classmethod
    def restored(cls, tensors: Mapping[str, torch.Tensor], members: int) -> Combination:
        """The combination whose :meth:`state` this was.

        Args:
            tensors: of the state.
            members: students; there may be trees and a linear model beside them.

        Raises:
            ValueError: it is not one of so many students.
        """
        grown = {name: tensor.cpu().numpy() for name, tensor in take_part(tensors, FOREST).items()}
        forest = Forest.from_state(grown) if grown else None
        solved = {name: tensor.cpu().numpy() for name, tensor in take_part(tensors, LINEAR).items()}
        linear = Discriminant.from_state(solved) if solved else None
        # Those that were not there yet have their exponents all the same.
        least = (forest is not None) + (linear is not None)
        members += min(max(least, tensors["exponents"].numel() - members), MOST_BESIDE)
        wanted = cls(PoolWeights.of_equals(members)).state()
        for name, tensor in wanted.items():
            if (tensors[name].dtype, tensors[name].shape) != (tensor.dtype, tensor.shape):
                raise ValueError(f"combination/{name}: {tensors[name].dtype} {list(tensors[name].shape)}")
        arrays = {name: tensors[name].cpu().numpy() for name in wanted}
        if not NOBODY <= int(arrays["best"][0]) < members:
            raise ValueError(f"combination/best: {int(arrays['best'][0])} of {members} members")
        return cls(PoolWeights.restored(arrays), forest, linear)

    def disagreement(self, members: Probabilities) -> npt.NDArray[np.float32]:
        """How far the members differ ``[n]``, from 0 to 1; one without an answer has the mean of the others."""
        logs = torch.from_numpy(filled(members)).clamp_min(node_class.LEAST_PROBABILITY).log()
        return node_class.disagreement(logs.transpose(0, 1)).float().numpy()
