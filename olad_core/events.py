"""Graph-change events and the graph's schema: the one definition that both sides of the log share.

:mod:`olad_core.event_codec` encodes and decodes them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Literal, TypeAlias, TypeVar

import msgspec
from msgspec import Meta, Struct
from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from olad_core.errors import OladError
from olad_core.graph_types import (
    MAX_EDGE_TYPES,
    MAX_NODE_TYPES,
    MAX_TYPE_BYTES,
    RELATION,
    EdgeType,
    NodeType,
    TypeName,
)
from olad_core.task_types import MAX_CLASS_BYTES, MAX_TASKS, Task, distinct_classes

MAX_EVENTS = 10_000
"""Events in one batch at most."""
MAX_ID_BYTES = 256
"""Length of a node id at most, in UTF-8 bytes."""
MAX_LABEL_BYTES = MAX_CLASS_BYTES
"""Length of a class name at most, in UTF-8 bytes."""
MAX_FEATURE_WIDTH = 65_536
"""Width of a feature vector at most."""
MAX_WEIGHT = 1e15
"""Weight of an edge at most: sums of weighted messages must fit into float32."""
MAX_VALUE = 1e15
"""A value at most, either way: squares and sums of values stay finite."""
MAX_TIME = 1e30
"""Greatest event time, either way: sums and differences of times stay finite, in float32 too."""
FLOAT32_MAX = 3.4028234663852886e38

NodeId: TypeAlias = Annotated[
    Annotated[str, Meta(min_length=1, max_length=MAX_ID_BYTES)] | int,
    Meta(description='A node\'s id, 256 bytes at most. `5` and `"5"` are the same.'),
]
"""A node's name as sent. ``5`` and ``"5"`` name the same node: ids are compared as strings."""
EdgeId: TypeAlias = Annotated[
    Annotated[str, Meta(min_length=1, max_length=MAX_ID_BYTES)] | int,
    Meta(
        description="An edge's own id, 256 bytes at most, in types that are declared with `ids`: every id is an edge. "
        '`5` and `"5"` are the same.'
    ),
]
"""An edge's name as sent; compared as a string, within its type."""
Label: TypeAlias = Annotated[
    Annotated[str, Meta(min_length=1, max_length=MAX_LABEL_BYTES)] | int,
    Meta(description='A class, 256 bytes at most. `5` and `"5"` are the same.'),
]
"""A class name as sent; compared as a string, like ids."""
Value: TypeAlias = Annotated[
    float,
    Meta(
        ge=-MAX_VALUE,
        le=MAX_VALUE,
        description="A number, where nodes of the type have a `node_value` task, or edges an `edge_value` task.",
    ),
]
"""A true value as sent."""
Time: TypeAlias = Annotated[
    float,
    Meta(
        ge=-MAX_TIME,
        le=MAX_TIME,
        description="When it happened, in a unit of the client's choice. Left out or null: the graph's latest time.",
    ),
]
"""A time in a unit of the client's choice; times may come in any order."""


class SparseFeatures(Struct, frozen=True, forbid_unknown_fields=True):
    """The non-zero entries of a feature vector; needs a declared feature width."""

    indices: Annotated[
        list[Annotated[int, Meta(ge=0, lt=MAX_FEATURE_WIDTH)]],
        Meta(max_length=MAX_FEATURE_WIDTH, description="Places of the values, each once."),
    ]
    values: Annotated[list[float], Meta(max_length=MAX_FEATURE_WIDTH, description="As many as there are indices.")]


Features: TypeAlias = Annotated[
    Annotated[list[float], Meta(min_length=1, max_length=MAX_FEATURE_WIDTH)] | SparseFeatures,
    Meta(
        description="Features: a list of numbers, or those that are not zero. All nodes, or edges, of a type have the "
        "same width."
    ),
]


class UpsertNode(Struct, tag_field="op", tag="upsert_node", forbid_unknown_fields=True, omit_defaults=True):
    """Create a node or update it; fields left out (or null) stay as they are.

    A value needs a task that predicts values of nodes of the type.
    """

    id: NodeId
    x: Features | None = None
    label: Label | None = None
    ts: Time | None = None
    type: TypeName | None = None
    value: Value | None = None


class RemoveNode(Struct, tag_field="op", tag="remove_node", forbid_unknown_fields=True, omit_defaults=True):
    """Remove a node with all its edges."""

    id: NodeId


class UpsertEdge(Struct, tag_field="op", tag="upsert_edge", forbid_unknown_fields=True, omit_defaults=True):
    """Create an edge or update it; unknown endpoints are created without features.

    A weight left out stays as it is, and is 1 for a new edge. An edge with an id that is there gets these ends.
    A label or a value needs a task for edges of the type.
    """

    src: NodeId
    dst: NodeId
    weight: (
        Annotated[float, Meta(gt=0, le=MAX_WEIGHT, description="Left out or null: as it is, 1 at first.")] | None
    ) = None
    ts: Time | None = None
    type: TypeName | None = None
    id: EdgeId | None = None
    x: Features | None = None
    label: Label | None = None
    value: Value | None = None


class RemoveEdge(Struct, tag_field="op", tag="remove_edge", forbid_unknown_fields=True, omit_defaults=True):
    """Remove an edge, named by both ends, or by its id where edges of the type have ids."""

    src: NodeId | None = None
    dst: NodeId | None = None
    type: TypeName | None = None
    id: EdgeId | None = None


class LabelNode(Struct, tag_field="op", tag="label", forbid_unknown_fields=True, omit_defaults=True):
    """The truth about a node, or about an edge of a type with a task, possibly long after it was predicted.

    A node is named by its ``id``. An edge is named by both ends, or by ``edge`` where edges of the type have ids. There
    is a ``value`` in place of a ``label`` where the task predicts a number.
    """

    id: NodeId = ""
    label: Label = ""
    ts: Time | None = None
    src: NodeId | None = None
    dst: NodeId | None = None
    edge: EdgeId | None = None
    type: TypeName | None = None
    value: Value | None = None

    @property
    def of_edge(self) -> bool:
        """Whether an edge is labelled."""
        return self.edge is not None or self.src is not None or self.dst is not None

    @property
    def of_task(self) -> bool:
        """Whether it is for a task, beside the classes of nodes."""
        return self.of_edge or self.value is not None


Event: TypeAlias = UpsertNode | RemoveNode | UpsertEdge | RemoveEdge | LabelNode
RejectedOp: TypeAlias = Literal[
    "upsert_node", "remove_node", "upsert_edge", "remove_edge", "label", "schema", "version", "batch"
]
"""What can be rejected: an event, a declaration of the schema, a change of the served version, a batch as a whole."""
RejectionReason: TypeAlias = Literal[
    "removed-node",
    "unknown-node",
    "unknown-edge",
    "unknown-type",
    "other-type",
    "edge-id",
    "feature-width",
    "too-many-classes",
    "ts-ahead",
    "schema-conflict",
    "unknown-version",
    "apply-failed",
]
"""Why an accepted event could not be applied."""


_ClassName: TypeAlias = Annotated[str, Field(json_schema_extra={"minLength": 1, "maxLength": MAX_LABEL_BYTES})]
_Type = TypeVar("_Type", EdgeType, NodeType, Task)
_TypeName: TypeAlias = Annotated[str, Field(json_schema_extra={"minLength": 1, "maxLength": MAX_TYPE_BYTES})]


class ClassDecision(BaseModel):
    """When a node is labelled with a class. One of the three is given."""

    model_config = ConfigDict(frozen=True, extra="forbid", json_schema_serialization_defaults_required=True)

    threshold: float | None = Field(
        default=None, gt=0, le=1, description="It is where the probability of the class is at least this."
    )
    cost: float | None = Field(
        default=None,
        gt=0,
        le=1e6,
        description="What missing a node of the class costs, where missing one of another class costs 1.",
    )
    top_share: float | None = Field(
        default=None,
        gt=0,
        le=1,
        description="It is where the probability of the class is among the greatest: 0.01 for the first 1 % of the "
        "nodes without a label. The worker keeps the threshold that this is.",
    )

    @model_validator(mode="after")
    def _one_of_three(self) -> ClassDecision:
        given = [value for value in (self.threshold, self.cost, self.top_share) if value is not None]
        if len(given) != 1:
            raise ValueError("give one of threshold, cost and top_share")
        return self


class GraphSchema(BaseModel):
    """What a graph's events may look like; every field may be left to be found out."""

    model_config = ConfigDict(frozen=True, extra="forbid", json_schema_serialization_defaults_required=True)

    feature_width: int | None = Field(
        default=None,
        ge=1,
        le=MAX_FEATURE_WIDTH,
        description="Length of every node's feature vector. Undeclared: taken from the first features seen, then held.",
    )
    classes: tuple[_ClassName, ...] = Field(
        default=(),
        description="Class names known from the start. Labels never seen before add to them.",
        json_schema_extra={"uniqueItems": True},
    )
    directed: bool = Field(default=False, description="Whether messages pass along an edge in one direction only.")
    edge_lifetime: float | None = Field(
        default=None,
        gt=0,
        allow_inf_nan=False,
        description="Edges leave this long after their last `ts`, in event time. Null: they stay.",
    )
    ts_ahead_max: float | None = Field(
        default=None,
        gt=0,
        le=MAX_TIME,
        description="How far a `ts` may lie ahead of the graph's latest time, in the unit of `ts`; events beyond are "
        "rejected. Null: where edges have a lifetime, a million of them or as far as from 0, whichever is more.",
    )

    decisions: dict[_ClassName, ClassDecision] = Field(
        default={},
        description="What makes the label of an answer other than the likeliest class: by class a threshold, a cost or "
        "a share of the nodes. Probabilities stay as they are, and nothing is trained again. It replaces what was "
        "declared before, and a class that it names is declared with it.",
    )
    edge_types: dict[_TypeName, EdgeType] = Field(
        default={},
        max_length=MAX_EDGE_TYPES,
        description="Types of edges by name. Between two nodes there may be an edge of each type, and a model learns "
        "what each type means. Types are added to, never removed. Once there are any, an edge names one of them; "
        f"`{RELATION}` stands for edges that name none.",
    )

    node_types: dict[_TypeName, NodeType] = Field(
        default={},
        max_length=MAX_NODE_TYPES,
        description="Types of nodes by name, each with a width of features, which stays. Types are added to, never "
        "removed. Once there are any, an `upsert_node` names one of them, and `feature_width` is not declared.",
    )

    tasks: dict[_TypeName, Task] = Field(
        default={},
        max_length=MAX_TASKS,
        description="What is predicted beside the classes of nodes, by name. Tasks are added to, never removed; what a "
        "task is about stays, and its classes are added to.",
    )

    @field_validator("edge_types", "node_types", "tasks")
    @classmethod
    def _nameable(cls, types: dict[str, _Type]) -> dict[str, _Type]:
        for name in types:
            if not 1 <= len(name.encode()) <= MAX_TYPE_BYTES:
                raise ValueError(f"a name must have 1 to {MAX_TYPE_BYTES} bytes")
        return types

    @field_validator("decisions")
    @classmethod
    def _named(cls, decisions: dict[str, ClassDecision]) -> dict[str, ClassDecision]:
        distinct_classes(tuple(decisions))
        return decisions

    @field_validator("classes")
    @classmethod
    def _distinct(cls, classes: tuple[str, ...]) -> tuple[str, ...]:
        return distinct_classes(classes)


class ClockSetting(BaseModel):
    """What to set a graph's clock to."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    time: float | None = Field(
        ge=-MAX_TIME,
        le=MAX_TIME,
        allow_inf_nan=False,
        description="The graph's latest time from now on, in the unit of `ts`; it may be an earlier one. Null: the "
        "time of arrival in seconds, until an event with a `ts` comes.",
    )


class VersionChange(BaseModel):
    """What an operator decides about what is served: an entry of the log.

    Attributes:
        action: ``promote`` makes a variant the champion; the others are about the versions of one variant.
        version: that is pinned.
        variant: that it is about; None for the default one.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    action: Literal["pin", "unpin", "rollback", "promote"]
    version: int | None = Field(default=None, ge=1, le=2**53)
    variant: str | None = None


class EventProblem(Struct, frozen=True):
    """What is wrong with one event of a batch."""

    index: int
    """Place of the event in its batch, from 0; -1 for the batch itself."""
    field: str
    """Dotted path inside the event (``x.indices``); empty for the event as a whole."""
    message: str


class InvalidEvents(OladError, ValueError):
    """A batch that was refused as a whole, with everything that is wrong with it."""

    def __init__(self, problems: Sequence[EventProblem]) -> None:
        super().__init__(f"{len(problems)} invalid event(s), first: {problems[0].message}")
        self.problems = tuple(problems)


def json_schema() -> tuple[dict[str, Any], dict[str, Any]]:
    """JSON Schema of one event and of the components it refers to, for the OpenAPI document."""
    (schema,), components = msgspec.json.schema_components([Event], ref_template="#/components/schemas/{name}")
    # Generators make no type of "one of these two": that a label or a value is needed is in the description alone.
    components["LabelNode"]["required"] = ["op"]
    return schema, components
