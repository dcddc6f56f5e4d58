"""Linear discriminant analysis from sums that every label adds to, with means shrunk column by column."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import numpy.typing as npt

from olad_core.graph import DynamicGraph
from olad_core.graph.arrays import Float32s, Int64s
from olad_core.graph.compiled import compiled

Float64s = npt.NDArray[np.float64]

SHRINKAGE = 4.0
"""The covariance is mixed with the identity as if so many labelled nodes a column had shown that one."""
FAR = 30.0
"""What a class without labels has less than the others, as a logit."""
LEAST_VARIANCE = 1e-9
"""A column that varies less is left out."""
RIDGE = 1e-6
MOST = 1e30
"""No logit is greater."""


@dataclass(frozen=True)
class Discriminant:
    """Logits that are linear in the columns of a table.

    Attributes:
        weight: float32 ``[C, columns]``.
        bias: float32 ``[C]``.
        scale: float32 ``[1]``, what the logits are multiplied by: the inverse of a temperature.
        features: int64 ``[1]``, width of the graph's features when it was solved.
    """

    weight: Float32s
    bias: Float32s
    scale: Float32s
    features: Int64s

    @property
    def columns(self) -> int:
        """Columns of a row."""
        return int(self.weight.shape[1])

    @property
    def classes(self) -> int:
        """Classes that there were when it was solved."""
        return int(self.weight.shape[0])

    def probabilities(self, table: Float32s) -> Float32s:
        """Class probabilities ``[n, C]`` of rows ``[n, columns]``."""
        logits = np.empty((len(table), self.classes))
        _logits(np.ascontiguousarray(table, np.float32), self.weight, self.bias, logits)
        logits = np.clip(np.nan_to_num(logits * float(self.scale[0])), -MOST, MOST)
        shares = np.exp(logits - logits.max(axis=1, keepdims=True))
        found: Float32s = (shares / shares.sum(axis=1, keepdims=True)).astype(np.float32)
        return found

    def answers(self, table: Float32s, classes: int) -> Float32s:
        """Class probabilities ``[n, classes]`` of rows that may have columns of later classes; 0 for these classes."""
        found = self.probabilities(table[:, : self.columns])[:, :classes]
        return found if found.shape[1] == classes else np.pad(found, ((0, 0), (0, classes - found.shape[1])))

    def state(self) -> dict[str, npt.NDArray[np.generic]]:
        """Copies of the arrays, for a checkpoint."""
        return {field.name: getattr(self, field.name).copy() for field in fields(self)}

    @classmethod
    def from_state(cls, state: Mapping[str, npt.NDArray[Any]]) -> Discriminant:
        """The model whose :meth:`state` this was.

        Raises:
            KeyError: an array is missing.
            ValueError: the arrays are no such model.
        """
        found = cls(**{field.name: state[field.name] for field in fields(cls)})
        dtypes = {"weight": "f4", "bias": "f4", "scale": "f4", "features": "i8"}
        for name, kind in dtypes.items():
            array = getattr(found, name)
            if array.dtype != np.dtype(kind) or not np.isfinite(array).all():
                raise ValueError(f"discriminant/{name}: {array.dtype} {list(array.shape)}, or no numbers")
        shapes = (found.bias.shape, found.scale.shape, found.features.shape)
        if found.weight.ndim != 2 or shapes != ((len(found.weight),), (1,), (1,)) or not len(found.weight):
            raise ValueError(f"discriminant: a weight {list(found.weight.shape)} and {shapes}")
        return found

    def check_graph(self, graph: DynamicGraph, columns: int) -> None:
        """See that it can follow a graph.

        Args:
            graph: that it reads.
            columns: of its table with as many classes as the model has.

        Raises:
            ValueError: it is of other features, or of more classes.
        """
        known = int(self.features[0]) in {0, graph.num_features or 0} and self.classes <= len(graph.classes)
        if not known or columns != self.columns:
            raise ValueError(f"discriminant/weight: {list(self.weight.shape)}, of another graph")


class Moments:
    """Sums over labelled rows, from which a discriminant is solved.

    Attributes:
        counts: float64 ``[C]``, labelled rows of each class, older ones counting less.
        sums: float64 ``[C, d]``, of their columns.
        products: float64 ``[d, d]``, of the products of each two columns, over all classes.
    """

    def __init__(self) -> None:
        self.counts: Float64s = np.zeros(0)
        self.sums: Float64s = np.zeros((0, 0))
        self.products: Float64s = np.zeros((0, 0))

    @property
    def classes(self) -> int:
        """C."""
        return len(self.counts)

    def add(self, table: Float32s, label: Int64s, keep: float) -> None:
        """Add rows, after what there is has lost a share for each of them.

        Args:
            table: ``[n, d]``; where it has more columns than there were, these were 0.
            label: classes ``[n]``.
            keep: share that stays for each row.
        """
        self._widen(int(label.max(initial=-1)) + 1, table.shape[1])
        self.fade(keep ** len(label))
        rows = np.zeros((len(table), self.sums.shape[1]))
        rows[:, : table.shape[1]] = table
        self.products += rows.T @ rows
        np.add.at(self.sums, label, rows)
        np.add.at(self.counts, label, 1.0)

    def fade(self, share: float) -> None:
        """Keep this share of what there is."""
        self.counts *= share
        self.sums *= share
        self.products *= share

    def solve(self) -> tuple[Float64s, Float64s]:
        """Weight ``[C, d]`` and bias ``[C]`` of the logits.

        Columns are standardised. The covariance within the classes is shrunk towards the identity. The difference of
        the classes' means in a column is multiplied by ``1 - v / s`` or 0, where ``s`` is how much the means vary and
        ``v`` how much they would by chance, with one standard deviation on top (James and Stein's estimator, column
        by column). So columns that tell nothing add no noise.
        """
        total, there = self.counts.sum(), self.counts > 0
        mean = self.sums.sum(axis=0) / total
        within = self.products - (self.sums.T / np.maximum(self.counts, 1e-9)) @ self.sums
        variance = np.diag(self.products) / total - mean * mean
        varies = variance > LEAST_VARIANCE
        deviation = np.sqrt(np.where(varies, variance, 1.0))
        within /= total * np.outer(deviation, deviation)
        means = self.sums / np.maximum(self.counts, 1e-9)[:, None]
        means = np.where(there[:, None] & varies, (means - mean) / deviation, 0.0)
        freedom = max(1, int(there.sum()) - 1)
        chance = np.diag(within) * (freedom + np.sqrt(2 * freedom)) / total
        spread = (self.counts / total) @ means**2
        means *= np.clip(1 - chance / np.maximum(spread, 1e-12), 0, 1)
        means *= (self.counts / (self.counts + 1))[:, None]
        ridge = SHRINKAGE * varies.sum() / total
        shrunk = within / (1 + ridge)
        shrunk[np.diag_indices_from(shrunk)] += ridge / (1 + ridge) + RIDGE
        weight = np.linalg.solve(shrunk, means.T).T
        bias = np.where(there, -0.5 * (weight * means).sum(axis=1), -FAR)
        bias += np.log((self.counts + 0.5) / (total + 0.5 * self.classes))
        weight = np.where(varies, weight / deviation, 0.0)
        return weight, bias - weight @ mean

    def state(self) -> dict[str, npt.NDArray[np.generic]]:
        """Arrays for a checkpoint: those in use."""
        return {"counts": self.counts, "sums": self.sums, "products": self.products}

    def restore(self, state: Mapping[str, npt.NDArray[Any]]) -> None:
        """Take over the :meth:`state` of others.

        Raises:
            KeyError: an array is missing.
            ValueError: the arrays are no such sums.
        """
        counts, sums, products = (state[name] for name in ("counts", "sums", "products"))
        if any(array.dtype != np.float64 or not np.isfinite(array).all() for array in (counts, sums, products)):
            raise ValueError("linear/moments: no numbers")
        if counts.ndim != 1 or sums.ndim != 2 or len(sums) != len(counts) or products.shape != (sums.shape[1],) * 2:
            raise ValueError(f"linear/moments: {list(counts.shape)}, {list(sums.shape)}, {list(products.shape)}")
        if len(counts) and counts.min() < 0:
            raise ValueError("linear/moments/counts: below 0")
        self.counts, self.sums, self.products = counts.copy(), sums.copy(), products.copy()

    def _widen(self, classes: int, columns: int) -> None:
        more = max(0, classes - self.classes), max(0, columns - self.sums.shape[1])
        if any(more):
            self.counts = np.pad(self.counts, (0, more[0]))
            self.sums = np.pad(self.sums, ((0, more[0]), (0, more[1])))
            self.products = np.pad(self.products, ((0, more[1]), (0, more[1])))


@compiled
def _logits(table: Float32s, weight: Float32s, bias: Float32s, out: Float64s) -> None:
    # Row by row: a row has the same bytes whatever rows are computed with it.
    for at in range(table.shape[0]):
        for of in range(weight.shape[0]):
            total = 0.0
            for column in range(weight.shape[1]):
                total += table[at, column] * weight[of, column]
            out[at, of] = total + bias[of]
