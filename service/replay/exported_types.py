"""What ``olad export`` writes about types where a format has a place for the graph itself, and how it is read back."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from olad_core.events import MAX_FEATURE_WIDTH
from olad_core.graph_types import EdgeType, NodeType


class ExportedTypes(BaseModel):
    """The types that a graph declares.

    Attributes:
        directed: whether edges go one way whose type states nothing else.
        edge_types: whether the edges of each type go one way; empty where edges have no types.
        node_types: number of features of each type; empty where nodes have no types.
    """

    model_config = ConfigDict(frozen=True)

    directed: bool
    edge_types: dict[str, bool]
    node_types: dict[str, Annotated[int, Field(ge=1, le=MAX_FEATURE_WIDTH)] | None]

    @property
    def of_nodes(self) -> dict[str, NodeType]:
        """Types of nodes as a schema declares them."""
        return {name: NodeType(feature_width=width) for name, width in self.node_types.items()}

    @property
    def of_edges(self) -> dict[str, EdgeType]:
        """Types of edges as a schema declares them."""
        return {name: EdgeType(directed=way) for name, way in self.edge_types.items()}
