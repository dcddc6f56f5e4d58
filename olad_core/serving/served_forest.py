"""What frozen trees predict of all rows. Which rows are due is known to the embedding that holds it."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from olad_core.graph import DynamicGraph
from olad_core.graph.arrays import Float32s, Int64s, lengthened
from olad_core.trees.forest import Forest, check_probabilities
from olad_core.trees.member import forest_answers, table_answers
from olad_core.trees.table import Tables


class ServedForest:
    """Answers of a forest, of every row as it was when it was computed.

    A row depends on a node and its in-neighbours: their features, edges and labels. So it is due at the latest where
    the second layer of a student is.

    Args:
        forest: predicts.
        classes: of the answers; 0 for those that came after the forest.
    """

    def __init__(self, forest: Forest, classes: int) -> None:
        self.forest = forest
        self.classes = classes
        self._answers: Float32s
        self.allocate()

    def allocate(self) -> None:
        """Begin without rows."""
        self._answers = np.zeros((0, self.classes), np.float32)

    def reserve(self, rows: int) -> None:
        """Have so many rows."""
        self._answers = lengthened(self._answers, rows)

    def compute(self, nodes: Tables) -> None:
        """Compute rows from the graph as it is now."""
        self.write(nodes.rows, table_answers(self.forest, nodes.of(self.forest.features), self.classes))

    def predict(self, graph: DynamicGraph, rows: Int64s) -> Float32s:
        """What it predicts of rows ``[n, C]`` from the graph as it is now."""
        return forest_answers(self.forest, graph, rows, self.classes)

    def write(self, rows: Int64s, answers: Float32s) -> None:
        """Write computed rows."""
        self._answers[rows] = answers

    def probabilities(self, rows: Int64s) -> Float32s:
        """Class probabilities ``[n, C]`` of computed rows."""
        found: Float32s = self._answers[rows]
        return found

    def state(self, rows: int | None) -> dict[str, Tensor]:
        """Tensors for a checkpoint, of the first rows; the trees are the caller's. Those in use, not copies of them."""
        return {"answers": torch.from_numpy(self._answers[:rows])}

    def restore(self, tensors: Mapping[str, Tensor]) -> None:
        """Take over the tensors of :meth:`state`.

        Raises:
            ValueError: they are no probabilities.
        """
        self._answers = tensors["answers"].cpu().numpy().copy()
        check_probabilities("forest/answers", self._answers)
