"""How the columns of one table become features, times and classes, once the table has been read through."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from olad_core.events import GraphSchema
from olad_core.graph_types import NODE_TYPE, RELATION, EdgeType, NodeType
from olad_core.task_types import EdgeClassTask, EdgeValueTask, NodeValueTask, Task
from service.replay.tables.mapping import EdgeRows, FeatureColumn, NodeRows, RowMapping
from service.replay.tables.times import Unit
from service.replay.tables.values import Mask, categories, numbers

Features = npt.NDArray[np.float64]


@dataclass(frozen=True)
class FeaturePlan:
    """One column as features.

    Attributes:
        column: its name.
        categories: one feature, 0 or 1, for each; None for a number. What is not among them is zeros.
        missing: a further feature is 1 where the value is missing. A row in which every value is missing, and no
            such feature states so, has no features.
    """

    column: str
    categories: tuple[str, ...] | None = None
    missing: bool = False

    @property
    def names(self) -> list[str]:
        """A name for each feature.

        >>> FeaturePlan("land", ("AT", "DE"), missing=True).names
        ['land=AT', 'land=DE', 'land missing']
        """
        own = [self.column] if self.categories is None else [f"{self.column}={name}" for name in self.categories]
        return own + [f"{self.column} missing"] * self.missing

    def encode(self, column: Any) -> tuple[Features, Mask]:
        """The features ``[N, width]`` of a part of the column, and where its value is missing, ``[N]``.

        Raises:
            BadValue: a value does not fit.
        """
        if self.categories is None:
            values, missing = numbers(column)
            own = values[:, None]
        else:
            found = pa.array(categories(column), pa.string())
            place = pc.index_in(found, value_set=pa.array(self.categories, pa.string()))
            places = pc.fill_null(place, -1).to_numpy(zero_copy_only=False)
            own = places[:, None] == np.arange(len(self.categories))
            missing = found.is_null().to_numpy(zero_copy_only=False)
        return np.column_stack([own, missing] if self.missing else [own]).astype(np.float64), missing


@dataclass(frozen=True)
class Plan:
    """Everything that is needed to turn record batches into events.

    Attributes:
        mapping: what the columns are.
        time_unit: of the column of times.
        features: of the rows.
        classes: seen in the column of labels.
        node_types: of rows and ends, with the number of features of each, which are the first ones; empty where nodes
            have no types.
        edge_types: of edges; empty where they have no types.
        notes: what the user should know.
    """

    mapping: RowMapping
    time_unit: Unit = "iso"
    features: tuple[FeaturePlan, ...] = ()
    classes: tuple[str, ...] = ()
    node_types: Mapping[str, int] = field(default_factory=dict)
    edge_types: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def feature_names(self) -> list[str]:
        """A name for each feature."""
        return [name for feature in self.features for name in feature.names]

    def schema(self) -> GraphSchema:
        """What to declare: the width of features, classes, types, and the task of edges, or of the values of nodes."""
        width = len(self.feature_names) or None
        node_types = {name: NodeType(feature_width=width or None) for name, width in self.node_types.items()}
        edge = self.mapping.edge
        if edge is not None:
            edge_type = EdgeType(directed=edge.directed, ids=edge.id is not None, feature_width=width)
            types = dict.fromkeys(self.edge_types or (RELATION,), edge_type)
            return GraphSchema(node_types=node_types, edge_types=types, tasks=self._tasks(edge))
        return GraphSchema(
            feature_width=None if node_types else width,
            classes=self.classes,
            node_types=node_types,
            edge_types={name: EdgeType() for name in self.edge_types},
            tasks={} if self.mapping.node is None else _tasks_of_nodes(self.mapping.node),
        )

    def _tasks(self, edge: EdgeRows) -> dict[str, Task]:
        if edge.task_name is None:
            return {}
        stated = self.mapping.edge_type
        kind = RELATION if stated is None or stated.name is None else stated.name
        if edge.value is not None:
            value = EdgeValueTask(kind="edge_value", edge_type=kind, coverage=edge.value.coverage)
            return {edge.task_name: value}
        return {edge.task_name: EdgeClassTask(kind="edge_class", edge_type=kind, classes=self.classes)}


def _tasks_of_nodes(node: NodeRows) -> dict[str, Task]:
    if node.value is None:
        return {}
    kind = NODE_TYPE if node.type is None or node.type.name is None else node.type.name
    task = NodeValueTask(kind="node_value", node_type=kind, coverage=node.value.coverage)
    return {node.task or node.value.column: task}


def plan_without_reading(mapping: RowMapping) -> Plan:
    """The plan of a table that cannot be read twice, such as standard input.

    Raises:
        ValueError: naming what the mapping leaves open.
    """
    node = mapping.node
    features = tuple(_stated(feature) for feature in mapping.features)
    unit: Unit = "iso"
    if mapping.time is not None:
        if mapping.time.unit == "auto":
            raise ValueError(f"state the unit of the times in {mapping.time.column!r}")
        unit = mapping.time.unit
    for part in mapping.types():
        if part.name is None:
            raise ValueError(f"the types in {part.column!r} are known once all is read: state one `name`")
    width = sum(len(feature.names) for feature in features)
    ends = [end.type for end in (mapping.source, mapping.target) if end is not None]
    node_types = dict.fromkeys((part.name for part in ends if part is not None and part.name is not None), 0)
    if node is not None and node.type is not None and node.type.name is not None:
        node_types[node.type.name] = width
    return Plan(mapping, unit, features, node_types=sorted_types(node_types), edge_types=_stated_edge_types(mapping))


def sorted_types(widths: Mapping[str, int]) -> dict[str, int]:
    """Types by name."""
    return {name: widths[name] for name in sorted(widths)}


def _stated_edge_types(mapping: RowMapping) -> tuple[str, ...]:
    """The types of edges where none is in a column; an edge without one is of the type ``edge``."""
    own = [end.edge_type or mapping.edge_type for end in (mapping.source, mapping.target) if end is not None]
    names = {None if part is None else part.name for part in own}
    return tuple(sorted(RELATION if name is None else name for name in names)) if names - {None} else ()


def _stated(feature: FeatureColumn) -> FeaturePlan:
    if feature.categories:
        return FeaturePlan(feature.column, feature.categories, bool(feature.missing))
    if feature.kind == "number":
        return FeaturePlan(feature.column, None, bool(feature.missing))
    what = "its categories" if feature.kind == "category" else "`kind: number` or its categories"
    raise ValueError(f"state {what} for the feature {feature.column!r}")
