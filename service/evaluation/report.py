"""The report of an evaluation: scores, classes, the course over time, and differences from the reference."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from pydantic import TypeAdapter

from olad_core.edge_tasks import TaskReport
from olad_core.judging.balance import fitting_metric
from olad_core.judging.class_report import ClassReport
from olad_core.judging.lead import LeadFigure
from olad_core.judging.metric import Metric, parse_metric
from olad_core.judging.paired import Difference, Differences, Outcomes, differences
from olad_core.judging.prequential import Scores
from olad_core.link_tasks import LinkReport
from olad_core.node_value_tasks import NodeValueReport
from olad_core.value_tasks import ValueTaskReport
from service.evaluation.prequential import Played

POINTS = 20
"""Points of the course over time."""
LEAST_POINT = 50
"""Arrivals of a point, at least."""


@dataclass(frozen=True)
class Summary:
    """Scores over some arrivals.

    Attributes:
        scored: arrivals with a prediction and a known class.
        unanswered: arrivals with a known class, but no prediction.
        accuracy, log_loss, macro_f1: None without scored arrivals.
    """

    scored: int
    unanswered: int
    accuracy: float | None
    log_loss: float | None
    macro_f1: float | None


@dataclass(frozen=True)
class Point:
    """Scores over successive arrivals.

    Attributes:
        first, last: numbers of the arrivals, from 0.
        scored: how many were answered and have a known class.
        accuracy, log_loss: None without any.
    """

    first: int
    last: int
    scored: int
    accuracy: float | None
    log_loss: float | None


@dataclass(frozen=True)
class TaskScore:
    """The scores of a task on edges, of what was answered at each arrival.

    Attributes:
        name: of the task.
        edge_type: of its edges.
        arrived: edges that have arrived.
        scored: edges whose label has come, and that were predicted.
        accuracy, log_loss, macro_f1: None without scored edges.
        base_log_loss: of the shares of the classes, on all labels.
        classes: class by class.
        ranked: the rarest class, whose average precision the differences have; None with fewer than two classes.
        differences: from the same task of the reference, on edges that both predicted; None for the reference itself.
    """

    name: str
    edge_type: str
    arrived: int
    scored: int
    accuracy: float | None
    log_loss: float | None
    macro_f1: float | None
    base_log_loss: float | None
    classes: ClassReport
    ranked: str | None = None
    differences: Differences | None = None


@dataclass(frozen=True)
class ValueTaskScore:
    """The scores of a task that predicts values, of what was answered at each arrival.

    Attributes:
        name: of the task.
        edge_type: of its edges.
        arrived: edges that have arrived.
        scored: edges whose value has come, and that were predicted.
        expected_coverage: share of the values that shall lie in the interval.
        mae, rmse, r2, coverage, width: as :class:`~olad_core.judging.value_scores.ValueTable` has them.
        base_mae, base_rmse: of the mean of what both ends gave and received, on the same edges.
    """

    name: str
    edge_type: str
    arrived: int
    scored: int
    expected_coverage: float
    mae: float | None
    rmse: float | None
    r2: float | None
    coverage: float | None
    width: float | None
    base_mae: float | None
    base_rmse: float | None


@dataclass(frozen=True)
class NodeValueScore:
    """The scores of a task on values of nodes, of what was answered at each arrival.

    Attributes:
        name: of the task.
        node_type: of its nodes.
        arrived: nodes that have arrived.
        scored: nodes whose value has come, and that were predicted.
        expected_coverage: share of the values that shall lie in the interval.
        mae, rmse, r2, coverage, width: as :class:`~olad_core.judging.value_scores.ValueTable` has them.
        base_mae, base_rmse: of the mean of the neighbours' values, on the same nodes.
        difference: mean absolute error less that of the reference, on nodes that both predicted; None for the
            reference itself.
    """

    name: str
    node_type: str
    arrived: int
    scored: int
    expected_coverage: float
    mae: float | None
    rmse: float | None
    r2: float | None
    coverage: float | None
    width: float | None
    base_mae: float | None
    base_rmse: float | None
    difference: Difference | None = None


@dataclass(frozen=True)
class Contestant:
    """What one configuration or baseline reached.

    Attributes:
        name: its name.
        kind: what it is.
        settings: of a configuration: those that decide what is learned; the changes among them are ``changed``.
        changed: settings that differ from the reference's, as they were given.
        decisions: by class, what makes it the label instead of the likeliest one, as in the schema.
        steps: training steps taken.
        rejected: events that it could not apply.
        whole: over all arrivals.
        later: over the arrivals from ``score_from`` on.
        course: over time.
        lead: the score that stands first, over all arrivals, beside that of one who has learned nothing.
        classes: class by class.
        differences: from the reference; None for the reference itself.
        tasks: how the tasks on edges stand at the end of the stream; none for a baseline that has no columns for edges.
        links: how the tasks on links do; none for a baseline.
        value_tasks: the same of those on values of edges.
        node_values: of those on values of nodes.
    """

    name: str
    kind: Literal["configuration", "baseline"]
    settings: Mapping[str, Any]
    changed: Mapping[str, str]
    decisions: Mapping[str, Mapping[str, float]]
    steps: int
    rejected: int
    whole: Summary
    later: Summary
    course: tuple[Point, ...]
    lead: LeadFigure
    classes: ClassReport
    differences: Differences | None
    tasks: tuple[TaskScore, ...] = ()
    links: tuple[LinkReport, ...] = ()
    value_tasks: tuple[ValueTaskScore, ...] = ()
    node_values: tuple[NodeValueScore, ...] = ()


@dataclass(frozen=True)
class Report:
    """The report of an evaluation.

    Attributes:
        source: name of the stream.
        arrivals, entries, events: of the stream.
        labelled: arrivals with a known class.
        score_from: the first arrival of the later scores.
        reference: name of the contestant that the others are compared with.
        contestants: the reference first.
    """

    source: str
    arrivals: int
    entries: int
    events: int
    labelled: int
    score_from: int
    reference: str
    contestants: tuple[Contestant, ...]

    def as_dict(self) -> dict[str, Any]:
        """For machines; :func:`schema` describes it."""
        return asdict(self)


@dataclass(frozen=True)
class Entrant:
    """Who took part: a :class:`Contestant` before its scores; attributes as there."""

    name: str
    kind: Literal["configuration", "baseline"]
    settings: Mapping[str, Any]
    changed: Mapping[str, str]
    decisions: Mapping[str, Mapping[str, float]]
    steps: int
    rejected: int
    tasks: tuple[TaskScore, ...] = ()
    links: tuple[LinkReport, ...] = ()
    value_tasks: tuple[ValueTaskScore, ...] = ()
    node_values: tuple[NodeValueScore, ...] = ()


def task_score(found: TaskReport, ranked: str | None) -> TaskScore:
    """The scores of a task, with the class whose ranking is compared."""
    scores, scored = found.scores, int(found.scores.scored[1])

    def known(values: npt.NDArray[np.float64], predictor: int = 1) -> float | None:
        return float(values[predictor]) if scores.scored[predictor] else None

    return TaskScore(
        name=found.name,
        edge_type=found.edge_type,
        arrived=found.arrived,
        scored=scored,
        accuracy=known(scores.accuracy),
        log_loss=known(scores.log_loss),
        macro_f1=known(scores.macro_f1),
        base_log_loss=known(scores.log_loss, 0),
        classes=found.report,
        ranked=ranked,
    )


def value_task_score(found: ValueTaskReport) -> ValueTaskScore:
    """The scores of a task that predicts values."""
    return ValueTaskScore(
        name=found.name,
        edge_type=found.edge_type,
        arrived=found.arrived,
        scored=found.scored,
        expected_coverage=found.coverage,
        **asdict(found.scores),
        base_mae=found.base.mae,
        base_rmse=found.base.rmse,
    )


def node_value_score(found: NodeValueReport, difference: Difference | None = None) -> NodeValueScore:
    """The scores of a task on values of nodes."""
    return NodeValueScore(
        name=found.name,
        node_type=found.node_type,
        arrived=found.arrived,
        scored=found.scored,
        expected_coverage=found.coverage,
        **asdict(found.scores),
        base_mae=found.base.mae,
        base_rmse=found.base.rmse,
        difference=difference,
    )


def schema() -> dict[str, Any]:
    """The JSON schema of a report."""
    return TypeAdapter(Report).json_schema(mode="serialization")


def build_report(source: str, score_from: int, played: Played, entrants: list[Entrant]) -> Report:
    """The report of a stream that was played; the first of the ``entrants`` is the reference."""
    reference = entrants[0].name
    outcomes = {entrant.name: played.scorings[entrant.name].outcomes for entrant in entrants}
    metric, declared = _metric(played, entrants[0].settings.get("metric"))
    number = played.classes.index(metric.of_class) if metric.of_class in played.classes else None
    late = int(np.count_nonzero(played.arrival >= score_from))
    contestants = []
    for entrant in entrants:
        scoring, own = played.scorings[entrant.name], outcomes[entrant.name]
        paired = None
        if entrant.name != reference:
            paired = differences(own, outcomes[reference], played.truth)
        contestants.append(
            Contestant(
                **vars(entrant),
                whole=_summary(scoring.whole, len(played.truth)),
                later=_summary(scoring.later, late),
                course=_course(own, played),
                lead=scoring.whole.lead_figure(0, metric, played.classes, number, declared=declared),
                classes=scoring.whole.class_report(0, played.classes),
                differences=paired,
            )
        )
    return Report(
        source=source,
        arrivals=played.arrivals,
        entries=played.entries,
        events=played.events,
        labelled=len(played.truth),
        score_from=score_from,
        reference=reference,
        contestants=tuple(contestants),
    )


def _metric(played: Played, declared: str | None) -> tuple[Metric, bool]:
    """What stands first for all contestants, and whether the reference declares it."""
    if declared is not None:
        return parse_metric(declared), True
    return fitting_metric(np.bincount(played.truth).astype(np.float64)), False


def _summary(scores: Scores, known: int) -> Summary:
    scored = int(scores.scored[0])
    values = (scores.accuracy(), scores.log_loss(), scores.macro_f1())
    accuracy, log_loss, macro_f1 = (float(value[0]) if scored else None for value in values)
    return Summary(scored, known - scored, accuracy, log_loss, macro_f1)


def _course(outcomes: Outcomes, played: Played) -> tuple[Point, ...]:
    size = max(LEAST_POINT, -(-played.arrivals // POINTS))
    points = []
    for first in range(0, played.arrivals, size):
        inside = (played.arrival >= first) & (played.arrival < first + size) & outcomes.answered
        right = outcomes.predicted[inside] == played.truth[inside]
        scored = len(right)
        accuracy = float(right.mean()) if scored else None
        log_loss = float(outcomes.loss[inside].mean()) if scored else None
        points.append(Point(first, min(first + size, played.arrivals) - 1, scored, accuracy, log_loss))
    return tuple(points)
