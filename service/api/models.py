"""What the routes answer with, for the OpenAPI document and for answers that need not be fast."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, Field, StringConstraints

from olad_core.events import MAX_EVENTS, GraphSchema
from service.store.status import DecisionStatus, StudentStatus, WorkerStatus

MAX_NODES = MAX_EVENTS
"""Nodes in one POST /predict at most."""


DISAGREEMENT = (
    "How far the members of the group differ about this node: 0 where all say the same, 1 where they could not differ "
    "more. The higher it is, the more often predictions are wrong."
)


class Accepted(BaseModel):
    """A batch that stands in the log."""

    position: str = Field(description="Where: the batch's log entry. Pass it as `min_position` to read your own write.")
    accepted: int = Field(description="Number of events in the batch.")


class Prediction(BaseModel):
    """What the served student says about a node."""

    node: str = Field(description="The node as it was asked for.")
    label: str = Field(description="The class of greatest probability.")
    probabilities: dict[str, float] = Field(description="Probability of each class.")
    disagreement: float = Field(description=DISAGREEMENT)
    student: str = Field(description="Member of the group that made the prediction.")
    model_version: int = Field(description="Published version that made it.")
    position: str = Field(description="Position of the log up to which the graph was known.")
    behind: int = Field(description="Events in the log after that position.")


class PredictionAnswer(BaseModel):
    """One answer of a bulk request; an unknown node has no label and says so."""

    node: str | int = Field(description="The node as it was asked for.")
    label: str | None = Field(description="The class of greatest probability; null for an unknown node.")
    probabilities: dict[str, float] | None = Field(
        default=None, description="Probability of each class; left out for an unknown node."
    )
    disagreement: float | None = Field(default=None, description=f"{DISAGREEMENT} Left out for an unknown node.")
    error: Literal["not-found"] | None = Field(default=None, description="Only for a node that is not in the graph.")
    student: str
    model_version: int
    position: str
    behind: int


class Predictions(BaseModel):
    """Answers in the order of the question, all of one moment."""

    predictions: list[PredictionAnswer]


class NodesAsked(BaseModel):
    """Nodes to predict."""

    nodes: Annotated[list[Annotated[str, StringConstraints(min_length=1)] | int], Field(max_length=MAX_NODES)] = Field(
        description="Node ids, strings or integers."
    )


class SchemaChange(GraphSchema):
    """What to declare; fields left out stay as they are."""

    feature_width_held: bool | None = Field(
        default=None, description="Ignored, so that an answer of GET /schema can be sent back."
    )


class Students(BaseModel):
    """The group."""

    students: list[StudentStatus] = Field(description="Empty until a worker has reported.")
    decisions: list[DecisionStatus] = Field(
        description=(
            "What the worker decided by itself and why, newest first, 100 at most; of frequent kinds fewer, so that "
            "rare ones stay longer."
        )
    )


class ClockSet(BaseModel):
    """A setting of the clock that stands in the log."""

    position: str = Field(description="Where: from there on it holds.")


class LogStatus(BaseModel):
    """How far the log is."""

    position: str | None = Field(description="Newest entry ever appended; null before the first.")
    entries: int = Field(description="Entries kept; older ones are trimmed behind the oldest checkpoint.")
    appended_events: int = Field(description="Events ever appended.")
    behind_events: int = Field(description="Events not yet visible in predictions.")


class ServiceStatus(BaseModel):
    """Everything at one glance."""

    graph: str = Field(description="Name of the graph.")
    log_id: str | None = Field(
        default=None,
        description="Random identity of the log: another one stands for another log, that of an emptied Redis or of "
        "one that has lost entries. Null while Redis cannot keep one.",
    )
    heartbeat: bool = Field(description="Whether the worker's heartbeat is fresh.")
    position: str | None = Field(description="Position that predictions show; null before the first publication.")
    log: LogStatus
    checkpoint_age_s: float | None = Field(description="Seconds since the newest checkpoint; null without one.")
    worker: WorkerStatus | None = Field(
        description="The worker's last report; null before the first, and where it is of a release too different."
    )


class Rejected(BaseModel):
    """An accepted event that could not be applied."""

    position: str = Field(description="Position of its batch.")
    index: int = Field(description="Its place in the batch, from 0; -1 for the batch itself.")
    op: str = Field(description="Kind of event; `batch` for the batch itself.")
    reason: str = Field(description="Kind of reason, one word.")
    detail: str = Field(description="The reason in words.")
    content: str | None = Field(
        default=None, description="The whole batch as JSON, where it was skipped because applying it failed."
    )


class RejectedPage(BaseModel):
    """Rejected events, newest first."""

    rejected: list[Rejected]
    next: str | None = Field(description="Pass it as `after` for the older ones; null when there are none.")
    total: int = Field(description="Rejected events kept: the newest 100,000 or so. Older ones are forgotten.")
    oldest: str | None = Field(
        default=None, description="Position of the batch of the oldest one that is kept; null when there are none."
    )
    rejected_events: int | None = Field(
        default=None,
        description="Rejected events ever, as the worker last reported; above `total` where some are forgotten.",
    )


class Live(BaseModel):
    """The process answers."""

    live: Literal[True] = True


class Ready(BaseModel):
    """Events are accepted."""

    ready: Literal[True] = True


class Predicting(BaseModel):
    """Predictions are served."""

    predicting: Literal[True] = True
    worker: bool = Field(
        description="Whether the worker's heartbeat is there. Without it predictions stay as they are, and fall behind."
    )
