"""Predictions as they would be after events that are not applied."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from olad_core.events import Event
from olad_core.graph import DynamicGraph, Rejection
from olad_core.graph.part import part_around
from olad_core.serving.shown import Shown, shown_answers
from olad_core.serving.versions import HeldVersion
from olad_core.tasks.label_rule import LabelRule, decide, decide_among

Rows = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Predicted:
    """Predictions of nodes.

    Attributes:
        nodes: ids, each once, N of them.
        answers: of these nodes.
        labels: which class labels each, int64 ``[N]``.
    """

    nodes: tuple[str, ...]
    answers: Shown
    labels: Rows


@dataclass(frozen=True)
class Outcome:
    """What events would lead to.

    Attributes:
        predicted: those of the nodes asked for that are in the graph after the events.
        rejected: events that would be rejected, in order.
        work: that it was, in nodes and edges that were read.
    """

    predicted: Predicted
    rejected: tuple[Rejection, ...]
    work: int


def what_if(
    graph: DynamicGraph, held: HeldVersion, rule: LabelRule, events: Sequence[Event], nodes: Sequence[str], most: int
) -> Outcome:
    """Predict nodes as if events had been applied; neither the graph nor the version changes.

    Weights, hidden states and temperatures are those of now. A new node has no hidden state.

    Args:
        graph: the live graph.
        held: the version that readers get.
        rule: what turns probabilities into labels.
        events: checked events.
        nodes: ids; of no node, too.
        most: nodes and edges that may be read.

    Raises:
        PartTooLarge: more would be read.
    """
    part = part_around(graph, nodes, events, held.embedding.hops, most)
    changes = part.apply(events)
    asked = list(dict.fromkeys(nodes))
    rows = part.graph.rows(asked)
    there = np.flatnonzero(rows >= 0)
    rows = rows[there]
    embedding = held.embedding.on_part(part.graph, part.rows)
    embedding.compute(part.graph, rows)
    answers = shown_answers(embedding, rows)
    predicted = Predicted(
        tuple(asked[place] for place in there.tolist()), answers, labels_of(answers, rule, held.version.classes)
    )
    return Outcome(predicted, tuple(changes.rejected), part.rows.size + part.graph.num_edges)


def labels_of(answers: Shown, rule: LabelRule, classes: Sequence[str]) -> Rows:
    """The class that labels each node, as readers of its row would have it.

    Args:
        answers: of N nodes.
        rule: what turns probabilities into labels.
        classes: of the version.
    """
    if not rule:
        if answers.classes is not None:
            return answers.classes[:, 0].astype(np.int64)
        likeliest: Rows = answers.probabilities.argmax(axis=1)
        return likeliest
    table = rule.table(classes)
    if answers.classes is not None:
        return decide_among(answers.classes, answers.probabilities, table)
    return decide(answers.probabilities, table)
