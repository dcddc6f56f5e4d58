"""Models of the bodies of requests and answers over HTTP, shared by the API and the client.

The API makes its OpenAPI document from them. Answers that must be fast are encoded in :mod:`service.api.answers`.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints
from pydantic.json_schema import SkipJsonSchema

from olad_core.events import MAX_EVENTS, GraphSchema, RejectedOp, RejectionReason
from service.store.status import (
    Answer,
    CombinedStatus,
    Configuration,
    DecisionStatus,
    KeptVersion,
    Position,
    Score,
    ServingStatus,
    StudentStatus,
    WorkerStatus,
    one_of,
)

MAX_NODES = MAX_EVENTS
"""Nodes in one POST /predict at most."""
MAX_BODY_BYTES = 16 * 2**20
"""Length of a batch of events, or of a list of nodes, at most."""

MAX_TRIED_EVENTS = 1_000
"""Events in one POST /what-if at most."""
MAX_TRIED_NODES = 1_000
"""Nodes in one POST /what-if at most."""
MAX_ASKED_EDGES = 100
"""Edges in one POST /predict/edge at most."""
MAX_VALUED_NODES = 1_000
"""Nodes in one POST /predict with a task on values at most."""
MAX_EFFECTS = 1_000
"""Effects in one answer of GET /explain at most."""
MAX_EARLIER_LABELS = 64
"""Labels of earlier edges in one answer of GET /explain/edge at most."""
MAX_EDGES = 1_000
"""Edges in one answer of GET /neighbours at most."""
MAX_PARTNERS = 1_000
"""Nodes in one answer of GET /links at most."""
MAX_EMBEDDED_NODES = 1_000
"""Nodes in one POST /embeddings at most."""
MAX_TRIED_BYTES = 4 * 2**20
"""Length of the body of POST /what-if at most."""

DISAGREEMENT = (
    "How far the members of the group differ about this node: 0 where all predict the same, 1 where they differ as "
    "much as possible. The higher it is, the more often predictions are wrong."
)

_STUDENT = "Member of the group that made the prediction, or `group`: all of them together."
_MODEL_VERSION = "Published version that made it."
_PROBABILITIES = (
    "Probability of each class. With `top`, and where the graph has more than 64 classes, of the likeliest, in falling "
    "order."
)
_REST = "Probability of all classes that are not shown; only where the graph has more than 64 classes."
_POSITION = "Position of the log up to which the graph was known."
_BEHIND = "Events in the log after that position."
_VARIANT = "The variant that answered; left out where there is only one and the request named none."
_LINK_SCORE = (
    "Probability that this is the pair that is linked next, and not a random pair of the source, at even odds. It "
    "ranks pairs, and is no probability that the edge comes."
)

Share = Annotated[float, Field(ge=0, le=1)]


class AcceptedBatch(Answer):
    """A batch that is in the log."""

    position: Position = Field(description="Log entry of the batch. Pass it as `min_position` to read your own write.")
    accepted: int = Field(description="Number of events in the batch.")


class Prediction(BaseModel):
    """The prediction of the served student, or of the group, for a node."""

    node: str = Field(description="The node as it was asked for.")
    label: str = Field(
        description="The class of greatest probability, unless the `decisions` of the schema lead to another one."
    )
    probabilities: dict[str, Share] = Field(description=_PROBABILITIES)
    rest: Share | SkipJsonSchema[None] = Field(default=None, description=_REST)
    disagreement: Share = Field(description=DISAGREEMENT)
    student: str = Field(description=_STUDENT)
    model_version: int = Field(ge=1, description=_MODEL_VERSION)
    position: Position = Field(description=_POSITION)
    behind: int = Field(ge=0, description=_BEHIND)
    variant: str | SkipJsonSchema[None] = Field(default=None, description=_VARIANT)
    marked: bool | SkipJsonSchema[None] = Field(
        default=None,
        description="Only with `at`: whether the row was of an earlier position than predictions showed then, because "
        "an event had reached it from afar.",
    )


class PredictionAnswer(BaseModel):
    """One answer of a bulk request; an unknown node has no label and `error` is `not-found`."""

    node: str | int = Field(description="The node as it was asked for.")
    label: str | None = Field(description="As of one node; null for an unknown node.")
    probabilities: dict[str, Share] | SkipJsonSchema[None] = Field(
        default=None,
        description=f"{_PROBABILITIES} Left out for an unknown node.",
    )
    rest: Share | SkipJsonSchema[None] = Field(default=None, description=_REST)
    disagreement: Share | SkipJsonSchema[None] = Field(
        default=None, description=f"{DISAGREEMENT} Left out for an unknown node."
    )
    error: Literal["not-found"] | SkipJsonSchema[None] = Field(
        default=None, description="Only for a node that is not in the graph."
    )
    student: str = Field(description=_STUDENT)
    model_version: int = Field(ge=1, description=_MODEL_VERSION)
    position: Position = Field(description=_POSITION)
    behind: int = Field(ge=0, description=_BEHIND)
    variant: str | SkipJsonSchema[None] = Field(default=None, description=_VARIANT)


class PredictionList(Answer):
    """Answers in the order of the question, all of one version, each with its own position."""

    predictions: list[PredictionAnswer] = Field(max_length=MAX_NODES, description="One answer for each node.")


class NodeEmbedding(BaseModel):
    """The embedding of a node; an unknown node has none, and `error` is `not-found`."""

    node: str | int = Field(description="The node as it was asked for.")
    embedding: list[float] | None = Field(
        description="As many numbers as the student is wide, float32; null for an unknown node."
    )
    error: Literal["not-found"] | SkipJsonSchema[None] = Field(
        default=None, description="Only for a node that is not in the graph."
    )
    student: str = Field(
        description="Member of the group whose embedding it is. Where the group is served, it is the student that "
        "counts most in its answers."
    )
    model_version: int = Field(ge=1, description="Published version that the student is of.")
    position: Position = Field(description=_POSITION)
    behind: int = Field(ge=0, description=_BEHIND)
    variant: str | SkipJsonSchema[None] = Field(default=None, description=_VARIANT)


class EmbeddingList(Answer):
    """Embeddings in the order of the question, all of one version and student, each with its own position."""

    embeddings: list[NodeEmbedding] = Field(max_length=MAX_EMBEDDED_NODES, description="One answer for each node.")


class EmbeddingsWanted(BaseModel):
    """Nodes to embed."""

    model_config = ConfigDict(extra="forbid")

    nodes: Annotated[
        list[Annotated[str, StringConstraints(min_length=1)] | int], Field(min_length=1, max_length=MAX_EMBEDDED_NODES)
    ] = Field(description="Node ids, strings or integers.")


class ListedNode(Answer):
    """A node in a list."""

    node: str = Field(description="Its id.")
    label: str = Field(description="Its label, as `GET /predict/{node}` answers it.")
    probability: Share = Field(description="Probability of the class that is listed, else of the label.")
    disagreement: Share = Field(description=DISAGREEMENT)


class NodeList(BaseModel):
    """A list of nodes, all of it exact at one position."""

    nodes: list[ListedNode] = Field(max_length=1000, description="In the order that was asked for.")
    marked: int = Field(
        ge=0,
        description="Nodes of the graph whose answer is of an earlier position. None of them is listed, and one of "
        "them may belong into a list by probability or disagreement.",
    )
    student: str = Field(description=_STUDENT)
    model_version: int = Field(ge=1, description=_MODEL_VERSION)
    position: Position = Field(description="Position of the log at which the list is exact.")
    behind: int = Field(ge=0, description=_BEHIND)
    variant: str | SkipJsonSchema[None] = Field(default=None, description=_VARIANT)


class NodesAsked(BaseModel):
    """Nodes to predict."""

    model_config = ConfigDict(extra="forbid")

    nodes: Annotated[list[Annotated[str, StringConstraints(min_length=1)] | int], Field(max_length=MAX_NODES)] = Field(
        description="Node ids, strings or integers."
    )


class SchemaChange(GraphSchema):
    """What to declare; fields left out stay as they are."""

    feature_width_held: bool | None = Field(
        default=None, description="Ignored, so that an answer of GET /schema can be sent back."
    )


class Group(Answer):
    """The group."""

    students: list[StudentStatus] = Field(description="Empty until a worker has reported.")
    combined: CombinedStatus | None = Field(
        default=None, description="What they predict together; null under `OLAD_SERVE=best`, and before training."
    )
    decisions: list[DecisionStatus] = Field(
        max_length=100,
        description=(
            "What the worker decided by itself and why, newest first, 100 at most; of frequent kinds fewer, so that "
            "rare ones stay longer."
        ),
    )


class TriedPrediction(BaseModel):
    """The prediction of a node as it would be; a node that would not be there has no label."""

    node: str | int = Field(description="The node as it was asked for.")
    label: str | None = Field(description="As of `GET /predict`; null for a node that would not be in the graph.")
    probabilities: dict[str, Share] | SkipJsonSchema[None] = Field(default=None, description=_PROBABILITIES)
    rest: Share | SkipJsonSchema[None] = Field(default=None, description=_REST)
    disagreement: Share | SkipJsonSchema[None] = Field(default=None, description=DISAGREEMENT)
    error: Literal["not-found"] | SkipJsonSchema[None] = Field(
        default=None, description="Only for a node that would not be in the graph."
    )


class TriedRejection(BaseModel):
    """An event that could not be applied."""

    index: int = Field(ge=0, description="Its place among the events, from 0.")
    op: str = Field(description="Kind of event.", json_schema_extra=one_of(RejectedOp))
    reason: str = Field(description="Kind of reason.", json_schema_extra=one_of(RejectionReason))
    detail: str = Field(description="The reason in words.")


class WhatIfAnswer(BaseModel):
    """What events would lead to."""

    predictions: list[TriedPrediction] = Field(description="One for each node, in their order.")
    rejected: list[TriedRejection] = Field(description="Events that could not be applied, in their order.")
    student: str = Field(description=_STUDENT)
    model_version: int = Field(ge=1, description="Published version that predicts.")
    position: Position = Field(description="Position of the log after which the events would be applied.")
    behind: int = Field(ge=0, description=_BEHIND)
    variant: str | SkipJsonSchema[None] = Field(default=None, description=_VARIANT)


class ShownEffect(BaseModel):
    """What taking away one thing does."""

    kind: Literal["edge", "label", "features"] = Field(
        description="`edge`: an edge into the explained node; those with ids from one node count as one. `label`: the "
        "known label of a node, as an input. `features`: those of a node, which become zeros."
    )
    node: str = Field(description="Where the edge comes from, or whose label or features they are.")
    type: str | SkipJsonSchema[None] = Field(
        default=None, description="Type of the edge; only where the schema declares types of edges."
    )
    label: str | SkipJsonSchema[None] = Field(default=None, description="The known label; only where it is one.")
    change: float = Field(ge=-1, le=1, description="Change of the probability of the explained label.")


class ExplainAnswer(BaseModel):
    """Why a node has its label."""

    node: str = Field(description="The node as it was asked for.")
    label: str = Field(description="As of `GET /predict`: the label that is explained.")
    probability: Share = Field(description="Of the label.")
    effects: list[ShownEffect] = Field(
        max_length=MAX_EFFECTS, description="Those of the largest change, the largest first."
    )
    count: int = Field(ge=0, description="How many effects there are, listed or not.")
    total: float = Field(ge=-1, le=1, description="Change without all edges into the node, its label and its features.")
    interaction: float = Field(description="`total` less the sum of the changes of all effects.")
    student: str = Field(description=_STUDENT)
    model_version: int = Field(ge=1, description=_MODEL_VERSION)
    position: Position = Field(description=_POSITION)
    behind: int = Field(ge=0, description=_BEHIND)
    variant: str | SkipJsonSchema[None] = Field(default=None, description=_VARIANT)


class NeighbourEdge(BaseModel):
    """An edge of a node. Edges with ids between the same two nodes count as one."""

    node: str = Field(description="The other end.")
    direction: Literal["in", "out", "both"] = Field(
        description="`in`: it leads into the node. `out`: out of it. `both`: edges of the type have no direction."
    )
    weight: float = Field(description="Its weight.")
    type: str | SkipJsonSchema[None] = Field(
        default=None, description="Its type; only where the schema declares types of edges."
    )
    label: str | SkipJsonSchema[None] = Field(default=None, description="The known label of the other end.")


class NeighbourList(BaseModel):
    """The edges of a node."""

    node: str = Field(description="The node as it was asked for.")
    label: str | None = Field(description="The known label of the node; null where it is not known.")
    edges: list[NeighbourEdge] = Field(
        max_length=MAX_EDGES, description="Those of the greatest weight, the greatest first."
    )
    count: int = Field(ge=0, description="How many edges the node has, listed or not.")
    position: Position = Field(description=_POSITION)
    behind: int = Field(ge=0, description=_BEHIND)
    variant: str | SkipJsonSchema[None] = Field(default=None, description=_VARIANT)


class KeyAnswer(BaseModel):
    """What a key allows."""

    name: str | None = Field(description="Name of the key; null where the API needs none.")
    scopes: list[Literal["read", "write", "admin"]] = Field(
        description="What may be asked with it. `admin` includes the others."
    )


class EdgePrediction(BaseModel):
    """The prediction of an edge, whether it is there or not."""

    src: str | SkipJsonSchema[None] = Field(default=None, description="As it was asked for; not with `id`.")
    dst: str | SkipJsonSchema[None] = Field(default=None, description="As it was asked for; not with `id`.")
    id: str | SkipJsonSchema[None] = Field(default=None, description="As it was asked for; not with `src` and `dst`.")
    type: str = Field(description="Type of the edge; `edge` where none is named.")
    task: str = Field(description="The task that predicts.")
    label: str = Field(description="The likeliest class.")
    probabilities: dict[str, Share] = Field(
        description="By class. Of an edge that has arrived they are of what was known then, by the model as it is now."
    )
    arrived: bool = Field(
        description="Whether the edge has arrived and is remembered; else it is predicted as if it came now."
    )
    at_arrival: dict[str, Share] | None = Field(
        description="The probabilities when it arrived, which are scored; null where there were none."
    )
    truth: str | None = Field(description="The label of the edge; null where it is not known.")
    model_version: int = Field(ge=1, description="Steps that the model of the task had taken.")
    position: Position = Field(description=_POSITION)
    behind: int = Field(ge=0, description=_BEHIND)
    variant: str | SkipJsonSchema[None] = Field(default=None, description=_VARIANT)


class ShownPart(BaseModel):
    """What taking away a part of what is known of an edge does."""

    kind: Literal["features", "weight", "between", "edges", "labels", "joined"] = Field(
        description="`features`, `weight`: of the edge; they become zeros and 1. `between`: earlier edges between both "
        "ends, and their labels. `edges`: how many edges the end had, how long ago, and of what weight. `labels`: "
        "those of its edges and around them. `joined`: those where its edges of other types lead."
    )
    end: Literal["source", "target"] | SkipJsonSchema[None] = Field(
        default=None, description="Which end; only for `edges`, `labels` and `joined`."
    )
    change: float = Field(ge=-1, le=1, description="Change of the probability of the explained class.")


class EarlierLabel(BaseModel):
    """What taking away the label of an earlier edge does."""

    id: str | SkipJsonSchema[None] = Field(default=None, description="Id of the edge, where it has one.")
    src: str = Field(description="Where the edge begins.")
    dst: str = Field(description="Where it ends.")
    label: str = Field(description="Its known label.")
    change: float = Field(ge=-1, le=1, description="Change of the probability as if the label had not come.")


class ExplainEdgeAnswer(BaseModel):
    """Why an edge has its class."""

    src: str | SkipJsonSchema[None] = Field(default=None, description="As it was asked for; not with `id`.")
    dst: str | SkipJsonSchema[None] = Field(default=None, description="As it was asked for; not with `id`.")
    id: str | SkipJsonSchema[None] = Field(default=None, description="As it was asked for; not with `src` and `dst`.")
    type: str = Field(description="Type of the edge; `edge` where none is named.")
    task: str = Field(description="The task that predicts.")
    label: str = Field(description="The likeliest class, as of `GET /predict/edge`: it is explained.")
    probability: Share = Field(description="Of the class.")
    arrived: bool = Field(
        description="Whether the edge has arrived and is remembered; then its inputs are those of its arrival."
    )
    effects: list[ShownPart] = Field(description="Of all parts of which anything is known, the largest change first.")
    total: float = Field(ge=-1, le=1, description="Change without all of these parts.")
    interaction: float = Field(description="`total` less the sum of the changes of `effects`.")
    labels: list[EarlierLabel] = Field(
        max_length=MAX_EARLIER_LABELS,
        description="Those of earlier edges at both ends whose change is the largest, the largest first; empty for an "
        "edge that has arrived.",
    )
    count: int = Field(ge=0, description="Labels that were taken away, listed or not: of the last edges, 64 at most.")
    model_version: int = Field(ge=1, description="Steps that the model of the task had taken.")
    position: Position = Field(description=_POSITION)
    behind: int = Field(ge=0, description=_BEHIND)
    variant: str | SkipJsonSchema[None] = Field(default=None, description=_VARIANT)


class EdgeNamed(BaseModel):
    """An edge to predict, by `src` and `dst` or by `id`."""

    model_config = ConfigDict(extra="forbid")

    src: str | int | SkipJsonSchema[None] = Field(default=None, description="Where it begins.")
    dst: str | int | SkipJsonSchema[None] = Field(default=None, description="Where it ends.")
    id: str | int | SkipJsonSchema[None] = Field(default=None, description="Its id, instead of both ends.")
    type: str | SkipJsonSchema[None] = Field(default=None, description="Its type; `edge` if left out.")
    weight: Annotated[float, Field(gt=0)] | SkipJsonSchema[None] = Field(
        default=None, description="Of an edge that has not arrived."
    )
    x: list[float] | dict[str, list[float]] | SkipJsonSchema[None] = Field(
        default=None, description="Features of an edge that has not arrived, as in `upsert_edge`; zeros if left out."
    )


class EdgesAsked(BaseModel):
    """Edges to predict."""

    model_config = ConfigDict(extra="forbid")

    edges: Annotated[list[EdgeNamed], Field(min_length=1, max_length=MAX_ASKED_EDGES)] = Field(
        description="Edges that have arrived, and such that have not."
    )


class EdgeOfMany(BaseModel):
    """The prediction of one of several edges; one without a prediction has no label."""

    src: str | int | SkipJsonSchema[None] = Field(default=None, description="As it was asked for; not with `id`.")
    dst: str | int | SkipJsonSchema[None] = Field(default=None, description="As it was asked for; not with `id`.")
    id: str | int | SkipJsonSchema[None] = Field(default=None, description="As it was asked for.")
    type: str = Field(description="Type of the edge; `edge` where none is named.")
    label: str | None = Field(description="The likeliest class; null without a prediction.")
    error: Literal["no-task", "unknown-edge", "no-model"] | SkipJsonSchema[None] = Field(
        default=None, description="Only without a prediction: why. As the problems of `GET /predict/edge`."
    )
    task: str | SkipJsonSchema[None] = Field(default=None, description="The task that predicts.")
    probabilities: dict[str, Share] | SkipJsonSchema[None] = Field(
        default=None, description="As of `GET /predict/edge`."
    )
    arrived: bool | SkipJsonSchema[None] = Field(default=None, description="As of `GET /predict/edge`.")
    at_arrival: dict[str, Share] | None = Field(default=None, description="As of `GET /predict/edge`.")
    truth: str | None = Field(default=None, description="As of `GET /predict/edge`.")
    model_version: Annotated[int, Field(ge=1)] | SkipJsonSchema[None] = Field(
        default=None, description="Steps that the model of the task had taken."
    )


class ValueAtArrival(BaseModel):
    """The value that was predicted when an edge or a node arrived."""

    value: float = Field(description="The median.")
    interval: list[float] = Field(min_length=2, max_length=2, description="Its low and its high end.")


class NodeValuePrediction(BaseModel):
    """The predicted value of a node."""

    node: str = Field(description="As it was asked for.")
    task: str = Field(description="The task that predicts.")
    value: float = Field(description="The median: as many values are above as below.")
    interval: list[float] = Field(
        min_length=2, max_length=2, description="Low and high end; a share of `coverage` lies between them."
    )
    coverage: float = Field(gt=0, lt=1, description="Share of the values that shall lie in the interval.")
    at_arrival: ValueAtArrival | None = Field(
        description="What was predicted when it arrived, which is scored; null where nothing was, or where it is not "
        "remembered."
    )
    truth: float | None = Field(description="The value of the node; null where it is not known.")
    model_version: int = Field(ge=1, description="Steps that the model of the task had taken.")
    position: Position = Field(description=_POSITION)
    behind: int = Field(ge=0, description=_BEHIND)
    variant: str | SkipJsonSchema[None] = Field(default=None, description=_VARIANT)


class NodeValueOfMany(BaseModel):
    """The predicted value of one of several nodes; one without a prediction has no value."""

    node: str | int = Field(description="As it was asked for.")
    value: float | None = Field(description="As of `GET /predict/{node}`; null without a prediction.")
    error: Literal["not-found", "no-task", "no-model", "too-large"] | SkipJsonSchema[None] = Field(
        default=None, description="Only without a prediction: why."
    )
    task: str | SkipJsonSchema[None] = Field(default=None, description="The task that predicts.")
    interval: Annotated[list[float], Field(min_length=2, max_length=2)] | SkipJsonSchema[None] = Field(
        default=None, description="As of `GET /predict/{node}`."
    )
    coverage: Annotated[float, Field(gt=0, lt=1)] | SkipJsonSchema[None] = Field(
        default=None, description="As of `GET /predict/{node}`."
    )
    at_arrival: ValueAtArrival | None = Field(default=None, description="As of `GET /predict/{node}`.")
    truth: float | None = Field(default=None, description="As of `GET /predict/{node}`.")
    model_version: Annotated[int, Field(ge=1)] | SkipJsonSchema[None] = Field(
        default=None, description="Steps that the model of the task had taken."
    )


class NodeValues(BaseModel):
    """The predicted values of nodes, all of one position."""

    predictions: list[NodeValueOfMany] = Field(description="One for each node, in their order.")
    position: Position = Field(description=_POSITION)
    behind: int = Field(ge=0, description=_BEHIND)
    variant: str | SkipJsonSchema[None] = Field(default=None, description=_VARIANT)


class EdgeValueOfMany(BaseModel):
    """The predicted value of one of several edges."""

    src: str | int | SkipJsonSchema[None] = Field(default=None, description="As it was asked for; not with `id`.")
    dst: str | int | SkipJsonSchema[None] = Field(default=None, description="As it was asked for; not with `id`.")
    id: str | int | SkipJsonSchema[None] = Field(default=None, description="As it was asked for.")
    type: str = Field(description="Type of the edge; `edge` where none is named.")
    task: str = Field(description="The task that predicts.")
    value: float = Field(description="As of `GET /predict/edge`.")
    interval: list[float] = Field(min_length=2, max_length=2, description="As of `GET /predict/edge`.")
    coverage: float = Field(gt=0, lt=1, description="As of `GET /predict/edge`.")
    arrived: bool = Field(description="As of `GET /predict/edge`.")
    at_arrival: ValueAtArrival | None = Field(description="As of `GET /predict/edge`.")
    truth: float | None = Field(description="As of `GET /predict/edge`.")
    model_version: int = Field(ge=1, description="Steps that the model of the task had taken.")


class EdgePredictions(BaseModel):
    """The predictions of edges, all of one position."""

    predictions: list[EdgeOfMany | EdgeValueOfMany] = Field(description="One for each edge, in their order.")
    position: Position = Field(description=_POSITION)
    behind: int = Field(ge=0, description=_BEHIND)
    variant: str | SkipJsonSchema[None] = Field(default=None, description=_VARIANT)


class EdgeValuePrediction(BaseModel):
    """The predicted value of an edge, whether it is there or not."""

    src: str | SkipJsonSchema[None] = Field(default=None, description="As it was asked for; not with `id`.")
    dst: str | SkipJsonSchema[None] = Field(default=None, description="As it was asked for; not with `id`.")
    id: str | SkipJsonSchema[None] = Field(default=None, description="As it was asked for; not with `src` and `dst`.")
    type: str = Field(description="Type of the edge; `edge` where none is named.")
    task: str = Field(description="The task that predicts.")
    value: float = Field(
        description="The median: as many values are above as below. Of an edge that has arrived it is of what was "
        "known then, by the model as it is now."
    )
    interval: list[float] = Field(
        min_length=2, max_length=2, description="Low and high end; a share of `coverage` lies between them."
    )
    coverage: float = Field(gt=0, lt=1, description="Share of the values that shall lie in the interval.")
    arrived: bool = Field(
        description="Whether the edge has arrived and is remembered; else it is predicted as if it came now."
    )
    at_arrival: ValueAtArrival | None = Field(
        description="What was predicted when it arrived, which is scored; null where nothing was."
    )
    truth: float | None = Field(description="The value of the edge; null where it is not known.")
    model_version: int = Field(ge=1, description="Steps that the model of the task had taken.")
    position: Position = Field(description=_POSITION)
    behind: int = Field(ge=0, description=_BEHIND)
    variant: str | SkipJsonSchema[None] = Field(default=None, description=_VARIANT)


class LinkPrediction(BaseModel):
    """How likely an edge is."""

    src: str = Field(description="As it was asked for.")
    dst: str = Field(description="As it was asked for.")
    type: str = Field(description="Type of the edge; `edge` where none is named.")
    task: str = Field(description="The task that predicts.")
    score: Share = Field(description=_LINK_SCORE)
    linked: bool = Field(description="Whether there is such an edge now.")
    model_version: int = Field(ge=1, description="Steps that the model of the task had taken.")
    position: Position = Field(description=_POSITION)
    behind: int = Field(ge=0, description=_BEHIND)
    variant: str | SkipJsonSchema[None] = Field(default=None, description=_VARIANT)


class Partner(Answer):
    """A node to which an edge may lead."""

    node: str = Field(description="Its id.")
    score: Share = Field(description=_LINK_SCORE)
    linked: bool = Field(description="Whether there is such an edge now.")


class PartnerList(BaseModel):
    """The nodes to which an edge is likeliest."""

    node: str = Field(description="As it was asked for: where the edges would begin.")
    type: str = Field(description="Type of the edges; `edge` where none is named.")
    task: str = Field(description="The task that predicts.")
    links: list[Partner] = Field(max_length=MAX_PARTNERS, description="The likeliest first.")
    scored: int = Field(ge=0, description="Candidates that were scored: nodes to which edges of the type have led.")
    all: bool = Field(description="Whether these were all candidates. Of more than 10,000 the likeliest are scored.")
    model_version: int = Field(ge=1, description="Steps that the model of the task had taken.")
    position: Position = Field(description=_POSITION)
    behind: int = Field(ge=0, description=_BEHIND)
    variant: str | SkipJsonSchema[None] = Field(default=None, description=_VARIANT)


class RankedEdge(BaseModel):
    """An edge of a list."""

    id: str | SkipJsonSchema[None] = Field(default=None, description="Its id, where edges of the type have ids.")
    src: str = Field(description="Where it begins.")
    dst: str = Field(description="Where it ends.")
    probability: Share = Field(description="Of the class, now, from what was known when the edge arrived.")
    label: str = Field(description="The likeliest class.")


class EdgeList(BaseModel):
    """Edges without a label that are likeliest to be of a class."""

    edges: list[RankedEdge] = Field(description="The likeliest first.")
    type: str = Field(description="Type of the edges.")
    task: str = Field(description="The task that predicts.")
    compared: int = Field(ge=0, description="Edges among which they were found: the newest ones without a label.")
    waiting: int = Field(ge=0, description="Edges that are remembered and have no label.")
    model_version: int = Field(ge=1, description="Steps that the model of the task had taken.")
    position: Position = Field(description=_POSITION)
    behind: int = Field(ge=0, description=_BEHIND)
    variant: str | SkipJsonSchema[None] = Field(default=None, description=_VARIANT)


class ClockSet(Answer):
    """A setting of the clock that is in the log."""

    position: Position = Field(description="Position of the setting in the log. It holds from there on.")


class LogStatus(Answer):
    """The log's length and lag."""

    position: Position | None = Field(description="Newest entry ever appended; null before the first.")
    entries: int = Field(description="Entries kept; older ones are trimmed behind the oldest checkpoint.")
    appended_events: int = Field(description="Events ever appended.")
    behind_events: int = Field(description="Events not yet visible in predictions.")


class ServiceStatus(Answer):
    """The state of the service."""

    graph: str = Field(description="Name of the graph.")
    log_id: str | None = Field(
        default=None,
        description="Random identity of the log: another one stands for another log, that of an emptied Redis or of "
        "one that has lost entries. Null while Redis cannot keep one.",
    )
    heartbeat: bool = Field(
        description="Whether the worker is there: its heartbeat is fresh, and its connection to Redis is open."
    )
    position: Position | None = Field(description="Position that predictions show; null before the first publication.")
    log: LogStatus = Field(description="The log now.")
    checkpoint_age_s: float | None = Field(description="Seconds since the newest checkpoint; null without one.")
    worker: WorkerStatus | None = Field(
        description="The worker's last report; null before the first, and where it is of a release too different."
    )
    variant: str = Field(description="The variant whose worker this is.")
    champion: str = Field(description="The variant that answers where a request names none.")


class Rejected(Answer):
    """An accepted event that could not be applied."""

    position: Position = Field(description="Position of its batch.")
    index: int = Field(description="Its place in the batch, from 0; -1 for the batch itself.")
    op: str = Field(
        description="Kind of event; `schema` for a declaration of the schema, `batch` for the batch itself.",
        json_schema_extra=one_of(RejectedOp),
    )
    reason: str = Field(description="Kind of reason.", json_schema_extra=one_of(RejectionReason))
    detail: str = Field(description="The reason in words.")
    content: str | None = Field(
        default=None, description="The whole batch as JSON, where it was skipped because applying it failed."
    )


class RejectedPage(Answer):
    """Rejected events, newest first."""

    rejected: list[Rejected] = Field(max_length=1000, description="One page of them.")
    next: Position | None = Field(description="Pass it as `after` for the older ones; null when there are none.")
    total: int = Field(description="Rejected events kept: the newest 100,000 or so. Older ones are deleted.")
    oldest: Position | None = Field(
        default=None, description="Position of the batch of the oldest one that is kept; null when there are none."
    )
    rejected_events: int | None = Field(
        default=None,
        description="Rejected events ever, as the worker last reported; above `total` where some were deleted.",
    )


class PinAsked(BaseModel):
    """Which version to serve."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    version: int = Field(ge=1, le=2**53, description="Number of a version that is kept (`GET /versions`).")


class VersionChangeAccepted(Answer):
    """A change of the served version is in the log."""

    position: Position = Field(description="Its position; the version is swapped in some time after it.")
    version: int | None = Field(description="Number of the version that will be served; null where none is pinned.")


class ModelCard(Answer):
    """What there is to know about one version."""

    graph: str = Field(description="Name of the graph.")
    pinned: bool = Field(description="Whether it is pinned.")
    version: KeptVersion = Field(description="The version, with its data and scores.")
    configuration: Configuration | None = Field(description="Of the worker, now.")
    serving: ServingStatus | None = Field(
        default=None, description="Why it is served; null of a version that is not served now."
    )


class LiveAnswer(Answer):
    """The process answers."""

    live: Literal[True] = Field(default=True, description="Always true.")


class ReadyAnswer(Answer):
    """Events are accepted."""

    ready: Literal[True] = Field(default=True, description="Always true; else the answer is 503.")


class PredictingAnswer(Answer):
    """Predictions are served."""

    predicting: Literal[True] = Field(default=True, description="Always true; else the answer is 503.")
    worker: bool = Field(
        description="Whether the worker is there. Without it predictions stay as they are, and fall behind."
    )


class PairedDifference(Answer):
    """A score of a variant less that of the champion, on the same nodes."""

    value: float = Field(description="The difference.")
    low: float | None = Field(description="Lower end of its 95 % interval; null with fewer than 100 nodes.")
    high: float | None = Field(description="Upper end of its 95 % interval; null with fewer than 100 nodes.")


class VariantDifferences(Answer):
    """What a variant served, less what the champion did, on nodes that both have scored (docs/variants.md)."""

    pairs: int = Field(description="Nodes that both have scored.")
    since: float = Field(description="Unix time in seconds at which the label of the first one came.")
    until: float = Field(description="Unix time in seconds at which the label of the last one came.")
    accuracy: PairedDifference | None = Field(description="Of the share of right predictions.")
    log_loss: PairedDifference | None = Field(description="Of the mean negative log-probability of the true class.")
    macro_f1: PairedDifference | None = Field(description="Of the mean over classes of the F1 of each.")
    average_precision: PairedDifference | None = Field(
        description="Of the declared class; null where not both variants declare its average precision as OLAD_METRIC."
    )


class VariantComparison(Answer):
    """A variant compared with the champion."""

    metric: str = Field(description="The champion's metric that decides, as in `lead` of GET /status.")
    lower_is_better: bool = Field(description="Whether a smaller value of it is the better one: of log-loss.")
    outcome: Literal["ahead", "behind", "unclear"] = Field(
        description="Whether the interval on that metric is clear of zero, and to which side."
    )
    difference: PairedDifference | None = Field(
        description="On that metric, positive where its value is the greater one; null where it cannot be computed."
    )
    whole: VariantDifferences = Field(description="Over the last nodes that both have scored, 10,000 at most.")
    windows: list[VariantDifferences] = Field(
        description="Over parts of these, of as many nodes each, the oldest first; empty with fewer than 200."
    )


class VariantCost(Answer):
    """What a variant costs."""

    cpu_ms_per_event: float | None = Field(
        description="Milliseconds of processor time for each event since its worker was ready, learning included; null "
        "before the first event."
    )
    cpu_share: float = Field(description="Processors that its worker has kept busy lately: 0.5 is half of one.")


class VariantStatus(Answer):
    """One variant: a worker on the graph with a configuration of its own."""

    name: str = Field(description="Its name, for `?variant=`.")
    alive: bool = Field(description="Whether its worker is there.")
    position: Position | None = Field(description="Position that its predictions show; null before the first.")
    behind_events: int = Field(description="Events in the log after that position.")
    needs_log_after: Position = Field(
        description="The log is kept after this position for it, unless its worker has been away for a day."
    )
    version: int | None = Field(description="Version that it serves; null before the first.")
    student: str | None = Field(description="Student that made it; null before the first.")
    students: list[str] = Field(description="Its group; empty before training.")
    score: Score | None = Field(description="Score of what it served at each arrival; null before its first report.")
    memory_used: int | None = Field(description="Bytes of memory of its worker; null before its first report.")
    cost: VariantCost | None = Field(
        description="What its worker costs; null before its first report, and where it is of an earlier release."
    )
    comparison: VariantComparison | None = Field(
        description="With the champion; null for the champion itself, and while both have scored no node in common."
    )


class VariantPromoted(Answer):
    """A variant is the champion."""

    champion: str = Field(description="The variant that answers from now on where a request names none.")
    before: str = Field(description="The champion before; the same where it was the champion already.")
    position: Position = Field(description="Position that it showed then: no reader had seen a later one.")
    log_position: Position | None = Field(
        description="Position of the log's entry that records it; null where it was the champion already."
    )


class VariantRemoved(Answer):
    """A variant is gone."""

    removed: str = Field(description="Its name.")


class PromotionStatus(VariantPromoted):
    """A change of the champion."""

    time: float = Field(description="Unix time in seconds.")


class VariantList(Answer):
    """The variants of the graph."""

    champion: str = Field(description="The variant that answers where a request names none.")
    variants: list[VariantStatus] = Field(description="The default one first, then by name.")
    promotions: list[PromotionStatus] = Field(description="The last changes of the champion, newest first.")
