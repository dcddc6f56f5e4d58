"""The worker's report about itself: written to Redis once a second, read by the API."""

from __future__ import annotations

from typing import Annotated, Any, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError

from olad_core.judging.decision_kinds import Kind
from olad_core.serving.version_reasons import Reason

LearningState = Literal["learning", "resting"]


_POSITION_PATTERN = "^[0-9]{1,20}-[0-9]{1,20}$"
Position = Annotated[str, Field(json_schema_extra={"pattern": _POSITION_PATTERN})]
"""A position as it stands in answers."""


class Answer(BaseModel):
    """An answer of the API, or a part of one: all fields are always there."""

    model_config = ConfigDict(json_schema_serialization_defaults_required=True)


def one_of(words: Any) -> dict[str, JsonValue]:
    """The values that a text may have, for the schema alone: a report of another release may have others.

    Args:
        words: a ``Literal``.
    """
    return {"enum": [*get_args(words)]}


class Score(Answer):
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


class ClassMeasuresStatus(Answer):
    """Measures of one class; null where one is not defined."""

    precision: float | None = Field(description="Share of the nodes predicted to be of the class that are.")
    recall: float | None = Field(description="Share of the nodes of the class that were predicted to be.")
    f1: float | None = Field(description="Harmonic mean of precision and recall.")
    average_precision: float | None = Field(
        description="Mean precision over the ranking by the probability of the class; null beyond the first 64 classes."
    )


class ClassStatus(Answer):
    """One class in the predictions made at arrival."""

    name: str = Field(description="Its name.")
    support: int = Field(description="Scored nodes of the class.")
    predicted: int = Field(description="Scored nodes that were predicted to be of it.")
    whole: ClassMeasuresStatus = Field(description="Over all scored nodes.")
    recent: ClassMeasuresStatus = Field(description="With forgetting: the last hundreds of nodes count most.")


class ConfusionStatus(Answer):
    """The confusion matrix of what was served."""

    classes: tuple[str, ...] = Field(description="Names of rows and columns, the greatest class first.")
    further: bool = Field(description="Whether one more row and column stand for all other classes together.")
    counts: tuple[tuple[int, ...], ...] = Field(
        description="Scored nodes of each class (row) for which each class (column) was predicted."
    )


class ClassReportStatus(Answer):
    """The predictions made at arrival, class by class."""

    scored: int = Field(description="Nodes scored so far.")
    classes: tuple[ClassStatus, ...] = Field(description="The greatest classes, 20 at most, the greatest first.")
    unlisted: int = Field(description="Classes that are not listed.")
    commonest: str | None = Field(description="The class of most scored nodes; null before the first.")
    commonest_accuracy: float | None = Field(description="Accuracy of always predicting it.")
    commonest_macro_f1: float | None = Field(description="Macro-F1 of always predicting it.")
    confusion: ConfusionStatus | None = Field(description="The confusion matrix; null for a student.")


class LeadStatus(Answer):
    """The score on the metric that decides which student is served, beside that of one who has learned nothing."""

    metric: str = Field(
        description="`accuracy`, `macro_f1`, `log_loss`, or `average_precision:` with the name of a class."
    )
    declared: bool = Field(
        description="Whether OLAD_METRIC declares it; else accuracy where classes are balanced, and macro-F1 elsewhere."
    )
    lower_is_better: bool = Field(description="Whether a smaller value is the better one: of log-loss.")
    value: float | None = Field(description="Over all scored nodes; null before the first.")
    recent: float | None = Field(description="With forgetting: the last hundreds of nodes count most.")
    baseline: float | None = Field(description="What `baseline_of` would score on the same nodes.")
    baseline_recent: float | None = Field(description="The same with forgetting.")
    baseline_of: str = Field(
        description="Who knows nothing but the shares of the classes: always the commonest class, the shares as "
        "probabilities, or any order. Empty before the first score."
    )


class StudentStatus(Answer):
    """One member of the group."""

    name: str = Field(description="Name within the group, `sage` or `sage-2`.")
    architecture: str = Field(description="Kind of network: a name as in OLAD_STUDENTS.")
    parameters: int = Field(description="Number of trained parameters.")
    score: Score = Field(description="Score of its predictions at each arrival.")
    lead: LeadStatus | None = Field(
        default=None,
        description="Their score on the metric that decides; null where the worker is of an earlier release.",
    )
    report: ClassReportStatus | None = Field(
        default=None,
        description="The same predictions, class by class; null where the worker is of an earlier release.",
    )
    temperature: float = Field(description="What to divide its logits by, so that confidence is accuracy; 1 at first.")
    served: bool = Field(description="Whether predictions come from this student now.")
    served_since_version: int | None = Field(
        description="First version of the current run of versions from this student."
    )


class TreesStatus(Answer):
    """Boosted trees, a member of the group that is served within it."""

    score: Score = Field(description="Score of their predictions at each arrival, from the first trees on.")
    lead: LeadStatus = Field(description="Their score on the metric that decides.")
    trees: int = Field(description="How many there are; 0 before the first ones.")
    labels: int = Field(description="Labels that had come when they were grown.")
    labels_seen: int = Field(description="Labels that have come.")
    served: bool = Field(description="Whether what is served is of the group, with trees in it.")


class LinearStatus(Answer):
    """A linear model on propagated inputs, a member of the group that is served within it."""

    score: Score = Field(description="Score of its predictions at each arrival, from the first model on.")
    lead: LeadStatus = Field(description="Its score on the metric that decides.")
    columns: int = Field(description="Columns that it reads; 0 before the first model, and where there are too many.")
    fits: bool = Field(description="Whether the graph has so few features and classes that there is a model.")
    labels: int = Field(description="Labels that had come when it was solved.")
    labels_seen: int = Field(description="Labels that have come.")
    served: bool = Field(description="Whether what is served is of the group, with a linear model in it.")


class CombinedStatus(Answer):
    """What the members of the group predict together: each has a weight that is learned from labels."""

    score: Score = Field(
        description="Score of it at each arrival, with the weights of just before the label; served or not."
    )
    lead: LeadStatus = Field(description="Its score on the metric that decides.")
    exponents: dict[str, float] = Field(
        description="Of each student, and of `trees` and `linear`, in the log-linear pool: the product of their "
        "probabilities to these powers."
    )
    best: str | None = Field(
        description="The student, `trees` or `linear` that labels found best; null before the first."
    )
    pool_share: float = Field(description="Share of the log-linear pool in the prediction.")
    mean_share: float = Field(description="Share of the mean of all members.")
    best_share: float = Field(description="Share of the best member.")
    served: bool = Field(description="Whether predictions come from the group now.")
    served_since_version: int | None = Field(description="First version of the current run of versions of the group.")
    trees: TreesStatus | None = Field(
        default=None, description="The boosted trees among the members; null under `OLAD_TREES=false`."
    )
    linear: LinearStatus | None = Field(
        default=None, description="The linear model among the members; null unless `OLAD_LINEAR` is on."
    )


class DecisionStatus(Answer):
    """Something the worker decided by itself."""

    number: int = Field(description="Running number, from 1.")
    position: Position = Field(description="Position of the log at that moment.")
    applied_events: int = Field(description="Events up to there.")
    kind: str = Field(
        description=(
            "`first-version`, `student-kept`, `student-switched`: a version was started, and why with this student. "
            "`version-refused`: it will not be served. `drift`: the errors of what was served rose, older scores and "
            "labels count for less. `student-reset`: new weights for one student, or for the discriminators (`student` "
            "is null then). `group-restarted`: for all, or other students. `classes-grown`: labels never seen before."
        ),
        json_schema_extra=one_of(Kind),
    )
    student: str | None = Field(
        description="Whom it is about: a student, or `group` where a version of all is meant; null for the training of "
        "all."
    )
    version: int | None = Field(description="The version it is about; null where there is none.")
    reason: str = Field(description="Why, in one sentence.")
    numbers: dict[str, float] = Field(
        description=(
            "What it was decided by. Accuracies and errors: shares; `standing_<student>` by how much a student is "
            "expected to score better than its group, on the metric that decides."
        )
    )


class GraphStatus(Answer):
    """Size of the live graph."""

    nodes: int = Field(description="Nodes in the graph.")
    edges: int = Field(description="Edges in the graph.")
    labelled: int = Field(description="Nodes whose label is known.")
    classes: tuple[str, ...] = Field(description="Every class that was declared or seen.")
    feature_width: int | None = Field(description="Length of the feature vectors; null where none is known.")
    latest_time: float | None = Field(
        default=None,
        description="The graph's latest time: the greatest `ts`, or where no event had one, the time of arrival in "
        "seconds. Null before the first event.",
    )
    event_time: bool = Field(
        default=False, description="Whether that is a `ts`; until an event has one it is the time of arrival."
    )
    removed_ids: int = Field(default=0, description="Ids of removed nodes that are remembered, 100,000 at most.")


class VersionStatus(Answer):
    """A version of the served model, or one on its way."""

    version: int = Field(description="Its number, from 1.")
    student: str = Field(description="Member of the group that it is of, or `group`: all of them.")
    progress: float = Field(description="Share of its embedding that is done; 1 for the served one.")
    created_position: Position = Field(description="Position of the log at which its weights were taken.")
    former: bool = Field(
        default=False,
        description="Whether its student is of a group that other students have replaced (docs/operations.md).",
    )


class VersionScore(Answer):
    """Scores of what a version predicted at arrival, counted where the label came while it was served."""

    scored: int = Field(description="Nodes scored.")
    accuracy: float | None = Field(description="Share of right predictions; null before the first.")
    macro_f1: float | None = Field(description="Mean F1 over classes; null before the first.")
    log_loss: float | None = Field(description="Mean log-loss in nats; null before the first.")
    calibration_error: float | None = Field(
        description="Expected calibration error of what was served lately, as its time ended; null while it is served."
    )


class VersionClass(Answer):
    """Scores of a version on one class."""

    name: str = Field(description="The class.")
    support: int = Field(description="Scored nodes of the class.")
    predicted: int = Field(description="Scored nodes that were predicted to be of it.")
    precision: float | None = Field(description="Share of those predicted that are of it; null without any.")
    recall: float | None = Field(description="Share of its nodes that were predicted to be of it; null without any.")
    f1: float | None = Field(description="Harmonic mean of the two; null where neither is defined.")


class Member(Answer):
    """A student of a version."""

    name: str = Field(description="Its name.")
    architecture: str = Field(description="Its architecture.")


class KeptVersion(Answer):
    """A version that is served, or was, with its weights."""

    version: int = Field(ge=1, description="Its number.")
    student: str = Field(description="Member of the group that it is of, or `group`: all of them.")
    members: tuple[Member, ...] = Field(description="The students whose weights it has.")
    reason: str = Field(
        description="Why it was made: the `first`; `due` after 1,000 training steps; `better-student`; `new-students`; "
        "`new-classes`; after a `drift`; after one was `unpinned`.",
        json_schema_extra=one_of(Reason),
    )
    created_position: Position = Field(description="Position of the log at which its weights were taken.")
    step: int = Field(description="Training steps until then.")
    refined: int = Field(description="How often newer weights of the same student took the place of its first ones.")
    served_from: Position = Field(description="Position from which it was served, the last time.")
    served_until: Position | None = Field(
        description="Position at which another one took its place; null while it is served."
    )
    parameters: int = Field(description="Numbers in its weights.")
    bytes: int = Field(description="Bytes of its weights.")
    temperature: float | None = Field(description="What its logits are divided by; null of the group.")
    feature_width: int = Field(description="Features that it reads.")
    width: int = Field(description="Width of its embeddings.")
    edge_types: int = Field(description="Types of edges that it tells apart.")
    classes: int = Field(description="Classes that it can name.")
    nodes: int = Field(description="Nodes of the graph when its weights were taken.")
    edges: int = Field(description="Edges of the graph then.")
    labelled: int = Field(description="Labelled nodes of the graph then.")
    applied_events: int = Field(description="Events up to there.")
    former: bool = Field(description="Whether its students are of a group that other students have replaced.")
    drifts: int = Field(description="Drifts while it was served, among the decisions that are kept.")
    score: VersionScore = Field(description="What it scored while it was served.")
    by_class: tuple[VersionClass, ...] = Field(description="The same for the 20 greatest classes.")


class Configuration(Answer):
    """What the worker learns and decides with."""

    release: str = Field(description="Release of the program.")
    students: tuple[str, ...] = Field(description="Members of the group.")
    width: int = Field(description="Width of their embeddings.")
    serve: str = Field(description="What is served: `auto`, `best` or `group`.")
    metric: str = Field(description="What decides between students.")
    publish_steps: int = Field(description="Training steps between two sets of weights, at least.")
    seed: int = Field(description="Of every random choice.")


Withheld = Literal["settings", "first", "coming", "pinned", "memory", "load", "quiet", "score"]
"""What keeps the group from being served."""


class ChoiceStatus(Answer):
    """What could be served, with its cost."""

    name: str = Field(description="A student, or `group`.")
    cost_us: float | None = Field(
        description="Microseconds that an event takes with it, as lately measured: to change the graph, to predict "
        "what it touches and what readers request, and to publish. Null before events were measured."
    )
    measured: bool = Field(
        description="Whether its own cost was measured while it was served; else a ratio to the served one is assumed."
    )
    load: float | None = Field(
        description="Above 1 it does not keep to OLAD_FRESHNESS_TARGET_MS at the present rate of events. Null before "
        "turns were measured, and with OLAD_STEPS_PER_ENTRY."
    )


class ServingStatus(Answer):
    """Which of the students or their group is served, and why."""

    rule: str = Field(description="OLAD_SERVE: `auto`, `best` or `group`.")
    served: str | None = Field(description="What is served; null before the first version.")
    expected_gain: float | None = Field(
        description="By how much the group was expected to score better than the best student, on the metric that "
        "decides, at the last decision; a share. Null where that is not known."
    )
    withheld: Withheld | None = Field(
        description="What keeps the group from being served. `settings`; the `first` version is a student; its version "
        "is `coming`; another one is `pinned`; no `memory` for it; the `load` is too high; it was not `quiet` for long "
        "enough; its expected `score` is not enough better. Null where the group is served."
    )
    choices: tuple[ChoiceStatus, ...] = Field(description="What is chosen between.")


class VersionsStatus(Answer):
    """The last versions."""

    served: int | None = Field(description="Number of the served version; null before the first.")
    pinned: int | None = Field(description="Number of the version that is pinned; null where the choice is free.")
    rolled_back: bool = Field(description="Whether it is pinned because of a rollback.")
    rollback_to: int | None = Field(
        description="Number of the version that a rollback would go to; null where none is kept."
    )
    versions: tuple[KeptVersion, ...] = Field(description="Newest first.")
    configuration: Configuration | None = Field(description="Of the worker, now; null before its first report.")
    serving: ServingStatus | None = Field(
        default=None, description="What is served and why; null before the worker's first report."
    )


class LearningStatus(Answer):
    """What training is at."""

    state: LearningState = Field(
        default="learning",
        description=(
            "`learning`: steps are taken whenever no event waits. `resting`: nothing is left to learn until something "
            "changes; no step is taken, and no version is made."
        ),
    )
    since: float | None = Field(default=None, description="Since when, Unix time in seconds.")
    steps: int = Field(description="Training steps so far.")
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


class TaskStatus(Answer):
    """A task, scored on predictions made when edges arrived."""

    name: str = Field(description="Its name.")
    kind: str = Field(description="What is predicted: `edge_class`, the class of an edge.")
    edge_type: str = Field(description="Type of the edges.")
    classes: tuple[str, ...] = Field(description="Every class that was declared or seen.")
    arrived: int = Field(description="Edges that have arrived.")
    labels: int = Field(description="Edges whose label has come.")
    waiting: int = Field(description="Edges that are remembered and wait for a label.")
    steps: int = Field(description="Training steps so far.")
    score: Score = Field(description="Score of what was answered at each arrival.")
    base_score: Score = Field(description="What the shares of the classes would score on all labels.")
    report: ClassReportStatus = Field(description="What was answered, class by class.")


class RankStatus(Answer):
    """Scores of ranks of edges at arrival, each among 100 negatives."""

    mrr: float = Field(description="Mean reciprocal rank.")
    hits_1: float = Field(description="Share of the edges that were first.")
    hits_3: float = Field(description="Share of the edges among the first three.")
    hits_10: float = Field(description="Share of the edges among the first ten.")


class LinkStatus(Answer):
    """A task on links, scored on the ranks of edges when they arrived. Scores are null before the first."""

    name: str = Field(description="Its name.")
    edge_type: str = Field(description="Type of the edges.")
    arrived: int = Field(description="Edges that have arrived.")
    scored: int = Field(description="Edges that were ranked: to a node to which edges had led before.")
    steps: int = Field(description="Training steps so far.")
    score: RankStatus | None = Field(description="Scores of what is learned.")
    recent: RankStatus | None = Field(description="The same, with forgetting.")
    popularity: RankStatus | None = Field(description="Scores of a rule: the node with the most edges into it.")
    last_seen: RankStatus | None = Field(description="Scores of a rule: the node with the latest edge into it.")


class ValueScore(Answer):
    """Scores of predicted numbers; null before the first one."""

    mae: float | None = Field(default=None, description="Mean absolute error.")
    rmse: float | None = Field(default=None, description="Root of the mean squared error.")
    r2: float | None = Field(
        default=None, description="Share of the variance that is explained; null where all values are equal too."
    )
    coverage: float | None = Field(default=None, description="Share of the values in the interval.")
    width: float | None = Field(default=None, description="Mean width of the interval.")


class ValueTaskStatus(Answer):
    """A task that predicts values, scored on predictions made when edges arrived."""

    name: str = Field(description="Its name.")
    kind: str = Field(description="What is predicted: `edge_value`, a number of an edge.")
    edge_type: str = Field(description="Type of the edges.")
    coverage: float = Field(description="Share of the values that shall lie in the interval.")
    arrived: int = Field(description="Edges that have arrived.")
    labels: int = Field(description="Edges whose value has come.")
    waiting: int = Field(description="Edges that are remembered and wait for a value.")
    steps: int = Field(description="Training steps so far.")
    scored: int = Field(description="Predictions that were scored.")
    score: ValueScore = Field(description="Of what was answered at each arrival.")
    recent: ValueScore = Field(description="The same, with forgetting.")
    base_score: ValueScore = Field(description="Of the mean of what both ends gave and received.")
    base_recent: ValueScore = Field(description="The same, with forgetting.")


class NodeValueTaskStatus(Answer):
    """A task that predicts values of nodes, scored on predictions made when they arrived."""

    name: str = Field(description="Its name.")
    kind: str = Field(description="What is predicted: `node_value`, a number of a node.")
    node_type: str = Field(description="Type of the nodes.")
    coverage: float = Field(description="Share of the values that shall lie in the interval.")
    arrived: int = Field(description="Nodes that have arrived.")
    labels: int = Field(description="Nodes whose value has come.")
    waiting: int = Field(description="Nodes that have arrived and are remembered, and wait for a value.")
    steps: int = Field(description="Training steps so far.")
    scored: int = Field(description="Predictions that were scored.")
    score: ValueScore = Field(description="Of what was answered at each arrival.")
    recent: ValueScore = Field(description="The same, with forgetting.")
    base_score: ValueScore = Field(description="Of the mean of the neighbours' values.")
    base_recent: ValueScore = Field(description="The same, with forgetting.")


class CheckpointStatus(Answer):
    """The newest checkpoint."""

    position: Position = Field(description="Position of the log that it holds.")
    written_at: float = Field(description="Unix time in seconds.")
    path: str = Field(description="Where it is, as the worker sees it.")


class ArchiveStatus(Answer):
    """The archive of log entries (docs/history.md)."""

    place: str = Field(description="Where it is: a directory, or a URL without secrets.")
    position: Position | None = Field(
        description="Position up to which every entry is in it; null before the worker has found that out."
    )
    written_at: float | None = Field(description="Unix time of the last segment of this start; null before the first.")
    failures: int = Field(description="Attempts to write to it that failed since the start.")
    problem: str | None = Field(
        description="Why the last attempt failed; the log is not trimmed meanwhile. Null where it did not."
    )


class MemoryStatus(Answer):
    """What the worker needs memory for; batches are held against it before they enter the log."""

    budget: int = Field(description="Bytes the worker may need.")
    needed: int = Field(description="Bytes that the graph and the group are estimated to need, an upper bound.")
    used: int = Field(description="Bytes of memory the worker has now.")
    rows: int = Field(description="Rows of nodes, free ones included.")
    featured: int = Field(description="Nodes that have features.")
    edges: int = Field(default=0, description="Edges, those with ids or features counted twice.")
    edge_types: int = Field(default=1, description="Types of edges.")
    edge_numbers: int = Field(default=0, description="Features of all edges together.")
    tasks: int = Field(default=0, description="Tasks on edges.")
    task_numbers: int = Field(default=0, description="Numbers that these tasks remember of an edge, all together.")
    students: int = Field(description="Members of the group.")
    recurrent: int = Field(description="Those of them that have a hidden state for each node.")
    hidden: int = Field(description="Width of their embeddings.")
    served: int = Field(default=1, description="Those of them that a version is of.")
    trees: bool = Field(default=False, description="Whether boosted trees are one more member.")
    kept: int = Field(default=0, description="Students whose weights are kept of versions that were served before.")
    linear: bool = Field(default=False, description="Whether a linear model is one more member.")


class CostStatus(Answer):
    """What a worker costs."""

    cpu_s: float = Field(description="Seconds that processors have worked for it since it was ready, in all threads.")
    events: int = Field(description="Events that it has applied since then.")
    cpu_share: float = Field(description="Processors that it has kept busy lately: 0.5 is half of one.")


class WorkerStatus(Answer):
    """The worker's report about itself."""

    position: Position = Field(description="Last log entry that is applied and visible in predictions.")
    applied_events: int = Field(description="Events up to that position.")
    rejected_events: int = Field(description="Events that could not be applied.")
    started_at: float = Field(description="Unix time in seconds.")
    updated_at: float = Field(description="Unix time in seconds.")
    device: str = Field(description="Where it computes: `cpu`, `cuda`, `cuda:0`.")
    events_per_s: float = Field(description="Events applied a second, lately.")
    steps_per_s: float = Field(description="Training steps a second, lately.")
    graph: GraphStatus = Field(description="The live graph.")
    learning: LearningStatus = Field(description="Training, and what it still waits for.")
    served: VersionStatus | None = Field(description="The version that is served; null before the first.")
    served_score: Score = Field(description="Score of what was served at each arrival, whichever student it came from.")
    lead: LeadStatus | None = Field(
        default=None,
        description="Its score on the metric that decides; null where the worker is of an earlier release.",
    )
    served_report: ClassReportStatus | None = Field(
        default=None, description="The same, class by class; null where the worker is of an earlier release."
    )
    kept: VersionsStatus | None = Field(
        default=None, description="The last versions; null where the worker is of an earlier release."
    )
    candidate: VersionStatus | None = Field(description="The next version, while it is embedded; else null.")
    students: tuple[StudentStatus, ...] = Field(description="The group, in its fixed order; empty before training.")
    combined: CombinedStatus | None = Field(
        default=None, description="What they predict together; null under `OLAD_SERVE=best`, and before training."
    )
    tasks: tuple[TaskStatus, ...] = Field(
        default=(), description="The declared tasks that predict classes, with their scores."
    )
    value_tasks: tuple[ValueTaskStatus, ...] = Field(
        default=(), description="The declared tasks that predict values, with their scores."
    )
    node_value_tasks: tuple[NodeValueTaskStatus, ...] = Field(
        default=(), description="The declared tasks that predict values of nodes, with their scores."
    )
    links: tuple[LinkStatus, ...] = Field(default=(), description="The declared tasks on links, with their scores.")
    decisions: tuple[DecisionStatus, ...] = Field(
        default=(), description="The last ones, newest first; of frequent kinds fewer, so that rare ones stay longer."
    )
    partitions: int = Field(
        default=1, description="Ranks that the graph is spread over; 1 for a worker without partitions."
    )
    student_ranks: int = Field(default=1, description="Ranks that the students are spread over; 1 for one process.")
    checkpoint: CheckpointStatus | None = Field(description="The newest checkpoint; null before the first.")
    checkpoint_failures: int = Field(default=0, description="Checkpoints that could not be written since the start.")
    disk_free: int | None = Field(default=None, description="Bytes that are free where checkpoints are written.")
    archive: ArchiveStatus | None = Field(default=None, description="The archive; null without OLAD_ARCHIVE.")
    memory: MemoryStatus | None = Field(default=None, description="Its memory; null where it is of an earlier release.")
    cost: CostStatus | None = Field(
        default=None, description="Its processor time; null where it is of an earlier release."
    )


def read_report(stored: bytes | None) -> WorkerStatus | None:
    """The report as it stands in Redis; None before the first one, and where another release wrote it too differently.

    >>> read_report(b'{"position": "1-0"}') is None
    True
    """
    try:
        return WorkerStatus.model_validate_json(stored) if stored is not None else None
    except ValidationError:
        return None
