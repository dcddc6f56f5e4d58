"""The worker's report about itself: written to Redis once a second, read by the API."""

from __future__ import annotations

from typing import Literal, get_args

from pydantic import BaseModel, Field, ValidationError

from service.settings import StudentName

LearningState = Literal["learning", "resting"]
_ARCHITECTURES = ", ".join(f"`{name}`" for name in get_args(StudentName))


class Score(BaseModel):
    """Prequential score: predictions made at arrival, scored when the label came."""

    scored: int = Field(description="Nodes scored so far.")
    accuracy: float | None = Field(
        description="Share of right predictions over all scored nodes; null before the first."
    )
    macro_f1: float | None = Field(
        description="Mean over classes of the F1 of each, over all scored nodes: rare classes count as much as others."
    )
    log_loss: float | None = Field(description="Mean negative log-probability of the true class over all scored nodes.")
    accuracy_recent: float | None = Field(
        description="Accuracy with forgetting: the last hundreds of nodes count most."
    )
    macro_f1_recent: float | None = Field(description="Macro-F1 with forgetting.")
    log_loss_recent: float | None = Field(description="Log-loss with forgetting.")
    calibration_error_recent: float | None = Field(
        description="Expected calibration error with forgetting: mean distance of confidence and accuracy over 15 bins."
    )


class StudentStatus(BaseModel):
    """One member of the group."""

    name: str = Field(description="Name within the group, `sage` or `sage-2`.")
    architecture: str = Field(description=f"Kind of network: {_ARCHITECTURES}.")
    parameters: int = Field(description="Number of trained parameters.")
    score: Score
    temperature: float = Field(description="What to divide its logits by, so that confidence is accuracy; 1 at first.")
    served: bool = Field(description="Whether predictions come from this student now.")
    served_since_version: int | None = Field(
        description="First version of the current run of versions from this student."
    )


class DecisionStatus(BaseModel):
    """Something the worker decided by itself."""

    number: int = Field(description="Running number, from 1.")
    position: str = Field(description="Position of the log at that moment.")
    applied_events: int = Field(description="Events up to there.")
    kind: str = Field(
        description=(
            "`first-version`, `student-kept`, `student-switched`: a version was started, and why with this student; "
            "`version-refused`: it will not be served; `drift`: the errors of what was served rose, older scores and "
            "labels count for less; `student-reset`: new weights for one student, or for the discriminators (`student` "
            "is null then); `group-restarted`: for all; `classes-grown`: labels never seen before."
        )
    )
    student: str | None = Field(description="Whom it is about; null for the group.")
    version: int | None = Field(description="The version it is about; null where there is none.")
    reason: str = Field(description="Why, in one sentence.")
    numbers: dict[str, float] = Field(
        description=(
            "What it was decided by. Accuracies and errors: shares; `standing_<student>` the accuracy expected of a "
            "student less that of its group."
        )
    )


class GraphStatus(BaseModel):
    """Size of the live graph."""

    nodes: int
    edges: int
    labelled: int = Field(description="Nodes whose label is known.")
    classes: tuple[str, ...]
    feature_width: int | None
    latest_time: float | None = Field(
        default=None,
        description="The graph's latest time: the greatest `ts`, or where no event had one, the time of arrival in "
        "seconds. Null before the first event.",
    )
    event_time: bool = Field(
        default=False, description="Whether that is a `ts`; until an event has one it is the time of arrival."
    )
    removed_ids: int = Field(default=0, description="Ids of removed nodes that are remembered, 100,000 at most.")


class VersionStatus(BaseModel):
    """A version of the served model, or one on its way."""

    version: int
    student: str
    progress: float = Field(description="Share of its embedding that is done; 1 for the served one.")
    created_position: str = Field(description="Position of the log at which its weights were taken.")


class LearningStatus(BaseModel):
    """What training is at."""

    state: LearningState = Field(
        default="learning",
        description=(
            "`learning`: steps are taken whenever no event waits. `resting`: nothing is left to learn until something "
            "changes; no step is taken, and no version is made."
        ),
    )
    since: float | None = Field(default=None, description="Since when, Unix time in seconds.")
    steps: int
    skipped_steps: int = Field(description="Steps without effect on the students: a loss or gradient was not finite.")
    resets: int = Field(
        default=0,
        description="Times a student, or the discriminators, began anew: losses or gradients stayed not finite.",
    )
    refused_versions: int = Field(
        default=0, description="Versions that were not served: their predictions were broken."
    )
    missing: tuple[str, ...] = Field(description="What is still missing before the first model can be published.")
    losses: dict[str, float] = Field(description="Mean of each loss term over the last steps.")


class CheckpointStatus(BaseModel):
    """The newest checkpoint."""

    position: str
    written_at: float = Field(description="Unix time in seconds.")
    path: str


class MemoryStatus(BaseModel):
    """What the worker needs memory for; batches are held against it before they enter the log."""

    budget: int = Field(description="Bytes the worker may need.")
    needed: int = Field(description="Bytes that the graph and the group are estimated to need, an upper bound.")
    used: int = Field(description="Bytes of memory the worker has now.")
    rows: int = Field(description="Rows of nodes, free ones included.")
    featured: int = Field(description="Nodes that have features.")
    students: int = Field(description="Members of the group.")
    recurrent: int = Field(description="Those of them that have a hidden state for each node.")
    hidden: int = Field(description="Width of their embeddings.")


class WorkerStatus(BaseModel):
    """Everything the worker says about itself."""

    position: str = Field(description="Last log entry that is applied and visible in predictions.")
    applied_events: int
    rejected_events: int
    started_at: float = Field(description="Unix time in seconds.")
    updated_at: float = Field(description="Unix time in seconds.")
    device: str
    events_per_s: float
    steps_per_s: float
    graph: GraphStatus
    learning: LearningStatus
    served: VersionStatus | None
    served_score: Score = Field(description="Score of what was served at each arrival, whichever student it came from.")
    candidate: VersionStatus | None
    students: tuple[StudentStatus, ...]
    decisions: tuple[DecisionStatus, ...] = Field(
        default=(), description="The last ones, newest first; of frequent kinds fewer, so that rare ones stay longer."
    )
    checkpoint: CheckpointStatus | None
    checkpoint_failures: int = Field(default=0, description="Checkpoints that could not be written since the start.")
    disk_free: int | None = Field(default=None, description="Bytes that are free where checkpoints are written.")
    memory: MemoryStatus | None = Field(default=None, description="Its memory; null where it is of an earlier release.")


def read_report(stored: bytes | None) -> WorkerStatus | None:
    """The report as it stands in Redis; None before the first one, and where another release wrote it too differently.

    >>> read_report(b'{"position": "1-0"}') is None
    True
    """
    try:
        return WorkerStatus.model_validate_json(stored) if stored is not None else None
    except ValidationError:
        return None
