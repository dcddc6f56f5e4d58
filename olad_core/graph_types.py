"""The types that a graph's schema may declare."""

from __future__ import annotations

from typing import Annotated, TypeAlias

from msgspec import Meta
from pydantic import BaseModel, ConfigDict, Field

NODE_TYPE = "node"
"""The type of a node that names none."""
RELATION = "edge"
"""The type of an edge that names none."""
MAX_EDGE_TYPES = 64
"""Types of edges that a graph may have."""
MAX_NODE_TYPES = 64
"""Types of nodes that a graph may have."""
MAX_EDGE_FEATURES = 1_024
"""Width of the features of an edge at most."""
MAX_TYPE_BYTES = 256
"""Length of a type's name at most, in UTF-8 bytes."""

TypeName: TypeAlias = Annotated[
    str,
    Meta(min_length=1, max_length=MAX_TYPE_BYTES, description="A declared type; needed once types are declared."),
]
"""The name of a type, as an event has it."""


class NodeType(BaseModel):
    """A type of nodes, whose features have a width of their own."""

    model_config = ConfigDict(frozen=True, extra="forbid", json_schema_serialization_defaults_required=True)

    feature_width: int | None = Field(
        default=None, ge=1, le=65_536, description="Length of the feature vectors. Null: these nodes have no features."
    )


class EdgeType(BaseModel):
    """A type of edges: a relation with neighbours of its own."""

    model_config = ConfigDict(frozen=True, extra="forbid", json_schema_serialization_defaults_required=True)

    directed: bool | None = Field(
        default=None,
        description="Whether messages pass along these edges in one direction only. Null: as `directed` of the graph.",
    )
    lifetime: float | None = Field(
        default=None,
        gt=0,
        allow_inf_nan=False,
        description="These edges leave this long after their last `ts`, in event time. Null: as `edge_lifetime` of "
        "the graph.",
    )
    ids: bool = Field(
        default=False,
        description="Whether every edge has an id of its own, so that there may be many between two nodes. It stays.",
    )
    feature_width: int | None = Field(
        default=None,
        ge=1,
        le=MAX_EDGE_FEATURES,
        description="Length of the feature vectors of these edges; it stays. Null: they have no features.",
    )

    @property
    def has_table(self) -> bool:
        """Whether its edges are kept one by one beside the sums of each pair of nodes."""
        return self.ids or self.feature_width is not None
