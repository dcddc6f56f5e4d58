"""What inference does to rows of layers and sums, in two ways: compiled loops on a CPU, tensor operations elsewhere."""

from __future__ import annotations

from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt
from torch import Tensor

from olad_core.graph import Neighbours

Rows = npt.NDArray[np.int64]
Float32s = npt.NDArray[np.float32]
Float64s = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]


class Messages(NamedTuple):
    """What n nodes send into a layer, and what they sent before.

    Attributes:
        rows: int64 ``[n]``, rows of the nodes.
        layer: ``[capacity, d]``, the layer below as it is now.
        first: a message is the columns of a row from here on, times the factor.
        place: int64 ``[n]``, where in ``before`` a node's row is; -1 where it has not changed.
        before: ``[m, d]``, rows of the layer below that changed, as they were.
        factor: ``[n]``.
        factor_before: ``[n]``.
    """

    rows: Rows
    layer: Tensor
    first: int
    place: Rows
    before: Tensor
    factor: Tensor
    factor_before: Tensor


class Operations(Protocol):
    """On float32 tensors of one device; sums are added up in the same order at every call with the same arguments."""

    def send(self, totals: Tensor, near: Neighbours, messages: Messages, limit: int) -> None:
        """Add the differences of messages, times edge weights, to the totals of their receivers.

        Args:
            totals: ``[capacity, w]``, changed in place.
            near: receivers of each sender.
            messages: of the senders.
            limit: totals of rows from here on stay as they are.
        """

    def send_arcs(self, totals: Tensor, target: Rows, weight: Float32s, messages: Messages, limit: int) -> None:
        """Add ``weight[a]`` times the message before of sender a to the total of ``target[a]``, if below ``limit``."""

    def sum_up(self, totals: Tensor, rows: Rows, near: Neighbours, layer: Tensor, first: int, factor: Tensor) -> None:
        """Compute the totals of rows from the messages of all their neighbours, added up in float64.

        ``factor`` is of all rows.
        """

    def mix(self, below: Tensor, totals: Tensor, rows: Rows, own: Tensor, total: Tensor) -> Tensor:
        """``[n, w]``: own rows (their first w columns) and totals, each times a factor; these are of all rows."""

    def exchange(self, layer: Tensor, rows: Rows, values: Tensor) -> tuple[Tensor, Bools]:
        """Write ``[n, d]`` into rows of a layer; what stood there, and bool ``[n]``, whether it was different.

        The memory of ``values`` may be used for the former.
        """
