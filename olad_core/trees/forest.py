"""Trees as arrays: they are read without the library that grew them, and a checkpoint holds them as they are."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from olad_core.graph import DynamicGraph
from olad_core.graph.arrays import Float32s, Int32s, UInt8s
from olad_core.graph.compiled import compiled

LEAF = -1
MOST_OF_LEAF = 1e30
"""Of the value of a leaf: the sum of many stays finite."""


class _Tree(msgspec.Struct):
    left_children: list[int]
    right_children: list[int]
    split_indices: list[int]
    split_conditions: list[float]
    default_left: list[int]


class _Trees(msgspec.Struct):
    trees: list[_Tree]
    tree_info: list[int]


class _Booster(msgspec.Struct):
    model: _Trees


class _Learner(msgspec.Struct):
    gradient_booster: _Booster


class _Model(msgspec.Struct):
    """What is read of an XGBoost model (its documentation, "Introduction to Model IO")."""

    learner: _Learner


_DECODER = msgspec.json.Decoder(_Model)


@dataclass(frozen=True)
class Forest:
    """Boosted trees for C classes: the margin of a class is the sum of a leaf of each of its trees.

    Attributes:
        column: int32 ``[M]``, what each node compares; meaningless for leaves.
        threshold: float32 ``[M]``: rows with less go left. Of a leaf: its value.
        left: int32 ``[M]``, the node that follows; :data:`LEAF` for leaves.
        right: int32 ``[M]``.
        missing_left: uint8 ``[M]``, whether NaN goes left.
        root: int32 ``[T]``, the first node of each tree.
        of_class: int32 ``[T]``, the class of each tree.
        shape: int64 ``[3]``: columns of a row, classes, and how many of the columns are features of the node.
    """

    column: Int32s
    threshold: Float32s
    left: Int32s
    right: Int32s
    missing_left: UInt8s
    root: Int32s
    of_class: Int32s
    shape: npt.NDArray[np.int64]

    @property
    def columns(self) -> int:
        """Columns of a row."""
        return int(self.shape[0])

    @property
    def classes(self) -> int:
        """Classes that there were when it was grown."""
        return int(self.shape[1])

    @property
    def features(self) -> int:
        """Width of the graph's features when it was grown."""
        return int(self.shape[2])

    def probabilities(self, table: Float32s) -> Float32s:
        """Class probabilities ``[n, C]`` of rows ``[n, columns]``."""
        margins = np.zeros((len(table), self.classes), np.float32)
        trees = (self.column, self.threshold, self.left, self.right, self.missing_left, self.root, self.of_class)
        _sum_leaves(np.ascontiguousarray(table, np.float32), *trees, margins)
        margins -= margins.max(axis=1, keepdims=True)
        shares: Float32s = np.exp(margins)
        shares /= shares.sum(axis=1, keepdims=True)
        return shares

    def state(self) -> dict[str, npt.NDArray[np.generic]]:
        """Copies of the arrays, for a checkpoint, which may hold the same forest twice."""
        return {field.name: getattr(self, field.name).copy() for field in fields(self)}

    @classmethod
    def from_state(cls, state: Mapping[str, npt.NDArray[Any]]) -> Forest:
        """The forest whose :meth:`state` this was.

        Raises:
            KeyError: an array is missing.
            ValueError: the arrays are no forest.
        """
        forest = cls(**{field.name: state[field.name] for field in fields(cls)})
        forest._check()
        return forest

    def check_graph(self, graph: DynamicGraph) -> None:
        """See that it can follow a graph.

        Raises:
            ValueError: it is of other features, or of more classes.
        """
        if self.features not in {0, graph.num_features or 0} or self.classes > len(graph.classes):
            raise ValueError(f"forest/shape: {self.shape.tolist()}, of another graph")

    def _check(self) -> None:
        """See that walking the trees ends, and reads and writes nothing outside the arrays."""
        nodes = np.arange(len(self.column))
        kinds = {"column": "i4", "threshold": "f4", "left": "i4", "right": "i4", "missing_left": "u1", "root": "i4"}
        for name, kind in (kinds | {"of_class": "i4", "shape": "i8"}).items():
            array = getattr(self, name)
            if array.dtype != np.dtype(kind) or array.ndim != 1:
                raise ValueError(f"forest/{name}: {array.dtype} {list(array.shape)}")
        if self.shape.shape != (3,) or self.columns < 0 or self.classes < 1 or not 0 <= self.features <= self.columns:
            raise ValueError(f"forest/shape: {self.shape.tolist()}")
        per_node = (self.threshold, self.left, self.right, self.missing_left)
        if any(len(array) != len(nodes) for array in per_node) or len(self.root) != len(self.of_class):
            raise ValueError("forest: its arrays have different lengths")
        inner = self.left != LEAF
        for child in (self.left[inner], self.right[inner]):
            # A child stands behind its parent, so that no walk comes back.
            if not ((child > nodes[inner]) & (child < len(nodes))).all():
                raise ValueError("forest: a node leads to one that does not follow it")
        if not (np.isfinite(self.threshold).all() and (np.abs(self.threshold[~inner]) <= MOST_OF_LEAF).all()):
            raise ValueError("forest/threshold: holds numbers that no tree has")
        of_inner = self.column[inner]
        for name, array, end in (
            ("root", self.root, len(nodes)),
            ("of_class", self.of_class, self.classes),
            ("column", of_inner, self.columns),
        ):
            if len(array) and not 0 <= array.min() <= array.max() < end:
                raise ValueError(f"forest/{name}: {array.min()} to {array.max()}, where there are {end}")

    @classmethod
    def of_models(cls, models: Iterable[bytes | bytearray], columns: int, classes: int, features: int) -> Forest:
        """The trees of XGBoost models, one after the other: a model in parts.

        Args:
            models: as JSON, grown with ``base_score`` 0.
            columns: of a row.
            classes: C.
            features: how many of the columns are features.
        """
        parts = [_DECODER.decode(model).learner.gradient_booster.model for model in models]
        trees = [tree for part in parts for tree in part.trees]
        sizes = [len(tree.left_children) for tree in trees]
        first = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)

        def joined(name: str, kind: type) -> npt.NDArray[Any]:
            return np.concatenate([np.asarray(getattr(tree, name), kind) for tree in trees])

        offset = np.repeat(first[:-1], sizes)
        left = joined("left_children", np.int64)
        is_leaf = left < 0
        return cls(
            column=joined("split_indices", np.int32),
            threshold=joined("split_conditions", np.float32),
            left=np.where(is_leaf, LEAF, left + offset).astype(np.int32),
            right=np.where(is_leaf, LEAF, joined("right_children", np.int64) + offset).astype(np.int32),
            missing_left=joined("default_left", np.uint8),
            root=first[:-1].astype(np.int32),
            of_class=np.concatenate([np.asarray(part.tree_info, np.int32) for part in parts]),
            shape=np.array([columns, classes, features], np.int64),
        )


_ROUNDING = 1e-2
"""Weights are summed in float32, of up to some hundred thousand neighbours."""


def check_probabilities(name: str, found: Float32s) -> None:
    """See that an array out of a checkpoint holds probabilities, or NaN.

    Sums of rounded shares may be a little above 1.

    Raises:
        ValueError: naming it.
    """
    if not (np.isnan(found) | ((found >= 0) & (found <= 1 + _ROUNDING))).all():
        raise ValueError(f"{name}: holds numbers that are no probabilities")


@compiled
def _sum_leaves(
    table: Float32s,
    column: Int32s,
    threshold: Float32s,
    left: Int32s,
    right: Int32s,
    missing_left: UInt8s,
    root: Int32s,
    of_class: Int32s,
    margins: Float32s,
) -> None:
    for at in range(table.shape[0]):
        for tree in range(root.size):
            node = root[tree]
            while left[node] != LEAF:
                value = table[at, column[node]]
                goes_left = value < threshold[node] or (math.isnan(value) and missing_left[node] != 0)
                node = left[node] if goes_left else right[node]
            margins[at, of_class[tree]] += threshold[node]
