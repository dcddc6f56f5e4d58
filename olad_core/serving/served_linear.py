"""What a frozen linear model predicts of all rows. Which rows are due is known to the embedding that holds it."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from olad_core.graph import DynamicGraph, Neighbours
from olad_core.graph.arrays import Float32s, Int64s, lengthened
from olad_core.linear.discriminant import Discriminant
from olad_core.linear.member import linear_answers
from olad_core.linear.table import joined, mean_shares, neighbour_shares
from olad_core.trees.forest import check_probabilities
from olad_core.trees.table import Tables


class ServedLinear:
    """Answers of a linear model, and what it reads of neighbours, of every row as it was when it was computed.

    An answer depends on the shares of classes around the neighbours, which depend on labels and edges. So the shares
    of a row are due where the last but one layer of a student is, and an answer where the last one is.

    Args:
        model: predicts.
        classes: of the answers; 0 for those that came after the model.
    """

    def __init__(self, model: Discriminant, classes: int) -> None:
        self.model = model
        self.classes = classes
        self._answers: Float32s
        self._shares: Float32s
        self.allocate()

    def allocate(self) -> None:
        """Begin without rows."""
        self._answers = np.zeros((0, self.classes), np.float32)
        # Those of later classes are not read.
        self._shares = np.zeros((0, self.model.classes), np.float32)

    def reserve(self, rows: int) -> None:
        """Have so many rows."""
        self._answers = lengthened(self._answers, rows)
        self._shares = lengthened(self._shares, rows)

    def compute_shares(self, graph: DynamicGraph, rows: Int64s, near: Neighbours) -> None:
        """Compute the shares around rows from the graph as it is now, ``near`` being their in-neighbours."""
        shares = neighbour_shares(near, graph.label, len(graph.classes))
        self._shares[rows] = shares[:, : self.model.classes]

    def compute(self, nodes: Tables, near: Neighbours) -> None:
        """Compute answers from the graph as it is now and the shares of the neighbours, which are computed."""
        table = nodes.of(int(self.model.features[0]))
        self.write(nodes.rows, self.of_table(table, mean_shares(near, self._shares)))

    def of_table(self, table: Float32s, far: Float32s) -> Float32s:
        """Answers ``[n, C]`` for rows of the trees' table and mean shares of the neighbours."""
        known = min(self.model.classes, far.shape[1])
        wide = np.zeros((len(far), table.shape[1] - self._own_columns), np.float32)
        wide[:, :known] = far[:, :known]
        return self.model.answers(joined(table, wide), self.classes)

    def predict(self, graph: DynamicGraph, rows: Int64s, hidden: Int64s | None = None) -> Float32s:
        """What it predicts of rows ``[n, C]`` from the graph as it is now.

        Args:
            graph: the live graph.
            rows: ``[n]``.
            hidden: rows whose labels count as unknown.
        """
        return linear_answers(self.model, graph, rows, self.classes, hidden)

    def write(self, rows: Int64s, answers: Float32s) -> None:
        """Write computed rows."""
        self._answers[rows] = answers

    def probabilities(self, rows: Int64s) -> Float32s:
        """Class probabilities ``[n, C]`` of computed rows."""
        found: Float32s = self._answers[rows]
        return found

    def state(self, rows: int | None) -> dict[str, Tensor]:
        """Tensors for a checkpoint, of the first rows; the model is the caller's. Those in use, not copies of them."""
        return {"answers": torch.from_numpy(self._answers[:rows]), "shares": torch.from_numpy(self._shares[:rows])}

    def restore(self, tensors: Mapping[str, Tensor]) -> None:
        """Take over the tensors of :meth:`state`.

        Raises:
            ValueError: they are no probabilities.
        """
        self._answers = tensors["answers"].cpu().numpy().copy()
        self._shares = tensors["shares"].cpu().numpy().copy()
        check_probabilities("linear/answers", self._answers)
        check_probabilities("linear/shares", self._shares)

    @property
    def _own_columns(self) -> int:
        """Columns before those of the classes."""
        return self.model.columns - 2 * self.model.classes
