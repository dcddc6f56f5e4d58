"""What the students and the served version predict of nodes, for judging and choice: these nodes' labels are hidden."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from olad_core.beside_students import BesideStudents
from olad_core.config import GROUP
from olad_core.graph import DynamicGraph
from olad_core.judging.arrivals import Predictions
from olad_core.judging.assessment import Assessment
from olad_core.learning.group import Group
from olad_core.learning.trainer import Trainer
from olad_core.parts import Parts, whole
from olad_core.serving.choice import Candidates
from olad_core.serving.combination import Combination
from olad_core.serving.versions import HeldVersion
from olad_core.tasks import node_class
from olad_core.tasks.label_rule import LabelRule
from olad_core.tasks.node_class import NO_CLASS

Rows = npt.NDArray[np.int64]


def predict_arrivals(graph: DynamicGraph, rows: Rows, trainer: Trainer, served: HeldVersion | None) -> Predictions:
    """Predictions of nodes that have just arrived.

    Args:
        graph: the live graph, with the nodes in it.
        rows: of the nodes ``[n]``, distinct.
        trainer: of the students, as they are now.
        served: the version that readers get; None while there is none.
    """
    group, twins = trainer.group, trainer.twins
    found = whole(group.present(graph, rows, twins.students if twins else {})).transpose(1, 0, 2)
    students = found[:, : len(group.students)]
    answers = np.full((len(rows), students.shape[2]), np.nan, dtype=np.float32)
    if served:
        answers[:] = 0
        answers[:, : served.embedding.classes] = predict_served(graph, rows, group, served)
    return Predictions(students, answers, found[:, len(group.students) :] if twins else None)


def served_labels(predictions: Predictions, rule: LabelRule, classes: Sequence[str]) -> Rows | None:
    """The classes ``[n]`` that readers got as labels; negative without an answer. None where they are the likeliest.

    Args:
        predictions: of n nodes.
        rule: by which labels are decided.
        classes: names of the columns.
    """
    if not rule:
        return None
    answered = np.isfinite(predictions.served).all(axis=1)
    known = predictions.served.shape[1]
    labels = node_class.decided_classes(np.nan_to_num(predictions.served), rule.table(classes[:known]))
    return np.where(answered, labels, NO_CLASS)


def predict_served(graph: DynamicGraph, rows: Rows, group: Group, served: HeldVersion) -> npt.NDArray[np.float32]:
    """Class probabilities ``[n, C]`` as readers get them, but where a label came with the node it is hidden.

    It is an input of what is served, and must not help to predict itself.

    Args:
        graph: the live graph, with the nodes in it.
        rows: of the nodes ``[n]``, distinct.
        group: the students; draws the neighbourhoods of nodes with a label.
        served: the version that readers get.
    """
    embedding = served.embedding
    answers = embedding.probabilities(rows)
    labelled = graph.label[rows] >= 0
    if labelled.any():
        found = group.probabilities(graph, rows[labelled], served.students, embedding.classes)
        answers = np.array(answers)
        answers[labelled] = embedding.of_students(graph, rows[labelled], whole(found).transpose(1, 0, 2))
    return answers


def predict_now(graph: DynamicGraph, rows: Rows, group: Group) -> Parts[npt.NDArray[np.float32]]:
    """Class probabilities ``[n, G, C]`` by the students as they are now; one part a student.

    Args:
        graph: the live graph, read before the first pause; neighbourhoods are sampled.
        rows: of the nodes ``[n]``, distinct.
        group: the students.
    """
    found = yield from group.present(graph, rows, {})
    return found.transpose(1, 0, 2)


def compare_now(
    graph: DynamicGraph,
    trainer: Trainer,
    assessment: Assessment,
    most: int,
    beside: BesideStudents,
    *,
    group_fits: bool = True,
    served: HeldVersion | None = None,
) -> Parts[Candidates]:
    """The students to choose from, and the group, after the assessment has observed what they predict now.

    Args:
        graph: the live graph.
        trainer: of the students.
        assessment: of the students; observes their predictions of the last nodes without a label.
        most: nodes to predict; at least one is.
        beside: members of the group that are no students.
        group_fits: whether there is memory to serve the group.
        served: the version that readers get.
    """
    group, combined = trainer.group, assessment.combined
    if combined:
        combined.fit()
    if beside.linear:
        beside.linear.solve()
    rows = without_label(graph, *assessment.waiting())[: max(1, most)]
    if len(rows):
        by_others = beside.predict(graph, rows)
        assessment.observe((yield from predict_now(graph, rows, group)), by_others)
    standing, gain, combination = assessment.standing(), assessment.gain(), None
    ahead = assessment.ahead(_number_of(served, group.names, combined=combined is not None))
    group.share_weights()
    if combined and group_fits:
        forest = beside.trees.forest if beside.trees else None
        linear = beside.linear.model if beside.linear else None
        combination = Combination(combined.weights(), forest, linear)
    elif combined:
        standing, gain = standing[:-1], None if gain is None else gain[:-1]
        ahead = None if ahead is None else ahead[:-1]
    return Candidates(
        names=group.names,
        students=group.students,
        standing=standing,
        metric=assessment.metric,
        gain=gain,
        ahead=ahead,
        combination=combination,
        training_loss=assessment.training_loss(),
        temperatures=assessment.temperatures(),
        classes=graph.classes[: group.num_classes(graph)],
        evidence=(assessment.scored(), trainer.health.resets),
    )


def _number_of(served: HeldVersion | None, names: Sequence[str], *, combined: bool) -> int | None:
    """The number of what is served among the students, and the group behind them; None where it is none of them."""
    choices = [*names, GROUP] if combined else [*names]
    if served is None or served.former or served.version.student not in choices:
        return None
    return choices.index(served.version.student)


def without_label(graph: DynamicGraph, rows: Rows, arrival: Rows) -> Rows:
    """Those of the rows that still hold the node of that arrival, without a label.

    Args:
        graph: the live graph.
        rows: ``[n]``.
        arrival: number of the arrival that is meant ``[n]``.
    """
    kept: Rows = rows[graph.alive[rows] & (graph.arrival[rows] == arrival) & (graph.label[rows] < 0)]
    return kept
