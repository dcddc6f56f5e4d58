"""The tasks that a graph's schema may declare."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, field_validator

from olad_core.graph_types import MAX_TYPE_BYTES, NODE_TYPE, RELATION

MAX_TASKS = 8
"""Tasks that a graph may have."""
MAX_EDGE_CLASSES = 16
"""Classes that a task on edges may have."""
FEW_VALUES = 10
"""Before so many values have come to a task, it predicts none."""
MAX_CLASS_BYTES = 256
"""Length of a class name at most, in UTF-8 bytes."""


def distinct_classes(classes: tuple[str, ...]) -> tuple[str, ...]:
    """Class names, each of which must be there once, and neither empty nor too long.

    Raises:
        ValueError: naming what is wrong.
    """
    if len(set(classes)) != len(classes):
        raise ValueError("class names must be distinct")
    for name in classes:
        if not 1 <= len(name.encode()) <= MAX_CLASS_BYTES:
            raise ValueError(f"a class name must have 1 to {MAX_CLASS_BYTES} bytes")
    return classes


class EdgeClassTask(BaseModel):
    """To predict the class of an edge when it arrives."""

    model_config = ConfigDict(frozen=True, extra="forbid", json_schema_serialization_defaults_required=True)

    kind: Literal["edge_class"] = Field(description="What is predicted: `edge_class`, the class of an edge.")
    edge_type: str = Field(
        default=RELATION,
        description=f"The type of these edges, which has one task at most. `{RELATION}` stands for edges of no type.",
        json_schema_extra={"minLength": 1, "maxLength": MAX_TYPE_BYTES},
    )
    classes: tuple[str, ...] = Field(
        default=(),
        max_length=MAX_EDGE_CLASSES,
        description="Class names known from the start. Labels of edges never seen before add to them.",
        json_schema_extra={"uniqueItems": True},
    )

    @field_validator("classes")
    @classmethod
    def _distinct(cls, classes: tuple[str, ...]) -> tuple[str, ...]:
        return distinct_classes(classes)


class LinkTask(BaseModel):
    """To predict whether there will be an edge."""

    model_config = ConfigDict(frozen=True, extra="forbid", json_schema_serialization_defaults_required=True)

    kind: Literal["link"] = Field(description="What is predicted: `link`, whether there will be an edge.")
    edge_type: str = Field(
        default=RELATION,
        description="The type of these edges, which has one task of this kind at most, beside one of another kind. "
        f"`{RELATION}` stands for edges of no type.",
        json_schema_extra={"minLength": 1, "maxLength": MAX_TYPE_BYTES},
    )


class EdgeValueTask(BaseModel):
    """To predict the value of an edge when it arrives, with an interval."""

    model_config = ConfigDict(frozen=True, extra="forbid", json_schema_serialization_defaults_required=True)

    kind: Literal["edge_value"] = Field(description="What is predicted: `edge_value`, a number of an edge.")
    edge_type: str = Field(
        default=RELATION,
        description="The type of these edges, which has one task at most, beside a `link`. "
        f"`{RELATION}` stands for edges of no type.",
        json_schema_extra={"minLength": 1, "maxLength": MAX_TYPE_BYTES},
    )
    coverage: float = Field(
        default=0.9, ge=0.5, le=0.99, description="Share of the values that shall lie in the interval."
    )


class NodeValueTask(BaseModel):
    """To predict the value of a node, with an interval."""

    model_config = ConfigDict(frozen=True, extra="forbid", json_schema_serialization_defaults_required=True)

    kind: Literal["node_value"] = Field(description="What is predicted: `node_value`, a number of a node.")
    node_type: str = Field(
        default=NODE_TYPE,
        description="The type of these nodes, which has one task of this kind at most, beside the classes of nodes. "
        f"`{NODE_TYPE}` stands for nodes of no type.",
        json_schema_extra={"minLength": 1, "maxLength": MAX_TYPE_BYTES},
    )
    coverage: float = Field(
        default=0.9, ge=0.5, le=0.99, description="Share of the values that shall lie in the interval."
    )


EdgeTask: TypeAlias = EdgeClassTask | EdgeValueTask | LinkTask
"""A task on edges."""
Task: TypeAlias = Annotated[EdgeTask | NodeValueTask, Field(discriminator="kind")]
"""A task on edges or nodes."""


def tasks_on_edges(tasks: Mapping[str, Task]) -> dict[str, EdgeTask]:
    """Those of the tasks that are on edges, by name."""
    return {name: task for name, task in tasks.items() if not isinstance(task, NodeValueTask)}
