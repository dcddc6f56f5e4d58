"""What inference does to rows of layers, in two ways: compiled loops on a CPU, tensor operations elsewhere."""

from __future__ import annotations

from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt
from torch import Tensor

from olad_core.graph import Neighbours
from olad_core.students.linear import Factors

Rows = npt.NDArray[np.int64]
Float32s = npt.NDArray[np.float32]
Float64s = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]


class Mixture(NamedTuple):
    """What a linear layer mixes.

    Attributes:
        below: ``[capacity, d]``, prepared rows of the layer below.
        first: a message is the columns of a row from here on.
        width: number of columns that are mixed.
        factors: of all rows.
    """

    below: Tensor
    first: int
    width: int
    factors: Factors


class Operations(Protocol):
    """On float32 tensors of one device; sums are added up in the same order at every call with the same arguments."""

    def mix(self, mixture: Mixture, rows: Rows, near: Neighbours) -> Tensor:
        """``[n, width]``: own rows and sums of messages from all neighbours, each times a factor.

        The sums are added up in float64. A row depends on its own neighbours alone, not on the other rows.
        """

    def exchange(self, layer: Tensor, rows: Rows, values: Tensor) -> Bools:
        """Write ``[n, d]`` into rows of a layer; bool ``[n]``, whether something else stood there."""
