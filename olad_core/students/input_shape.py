"""What of a graph the weights of students depend on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from olad_core.graph import DynamicGraph
from olad_core.students.registry import build_student
from olad_core.students.student import Student


@dataclass(frozen=True)
class InputShape:
    """Sizes of what students read, for which their weights are made.

    Attributes:
        feature_width: number of features of a node; 0 for a graph without features.
        relations: types of edges.
        type_widths: of the features of each type of nodes, where nodes have types.
        edge_width: number of features of an edge.

    >>> InputShape(3, edge_width=2).values()
    {'feature_width': 3, 'edge_width': 2}
    >>> InputShape.read(InputShape(3, 2, (1, 0)).values()) == InputShape(3, 2, (1, 0))
    True
    """

    feature_width: int
    relations: int = 1
    type_widths: tuple[int, ...] = ()
    edge_width: int = 0

    @classmethod
    def of_graph(cls, graph: DynamicGraph) -> InputShape:
        """What students of this graph read now."""
        widths = tuple(each.feature_width or 0 for each in graph.node_types.values())
        return cls(graph.num_features or 0, len(graph.relations), widths, graph.edge_feature_width)

    @classmethod
    def of_student(cls, student: Student) -> InputShape:
        """What a student reads."""
        return cls(student.feature_width, student.relations, student.type_widths, student.edge_width)

    @classmethod
    def read(cls, values: Mapping[str, Any]) -> InputShape:
        """The shape whose :meth:`values` are among these."""
        return cls(
            int(values["feature_width"]),
            int(values.get("relations", 1)),
            tuple(values.get("type_widths", ())),
            int(values.get("edge_width", 0)),
        )

    def values(self) -> dict[str, object]:
        """Plain values for a checkpoint; those that a graph has not are left out."""
        return {
            "feature_width": self.feature_width,
            **({"relations": self.relations} if self.relations > 1 else {}),
            **({"type_widths": list(self.type_widths)} if self.type_widths else {}),
            **({"edge_width": self.edge_width} if self.edge_width else {}),
        }

    def explain_change(self, before: InputShape) -> tuple[str, dict[str, float]]:
        """How it differs from another shape, as a sentence, and the number that is another.

        >>> InputShape(3, edge_width=2).explain_change(InputShape(3))
        ('edges have 2 features now', {'edge_features': 2})
        """
        if self.feature_width != before.feature_width:
            return f"features of width {self.feature_width} have appeared", {"feature_width": self.feature_width}
        if self.relations != before.relations:
            return f"edges have {self.relations} types now", {"edge_types": self.relations}
        return f"edges have {self.edge_width} features now", {"edge_features": self.edge_width}

    def build(self, architecture: str, width: int, class_capacity: int, seed: int) -> Student:
        """A student for it (:func:`~olad_core.students.build_student`)."""
        sizes = self.relations, self.type_widths, self.edge_width
        return build_student(architecture, self.feature_width, width, class_capacity, seed, *sizes)
