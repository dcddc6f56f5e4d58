"""Why an edge is predicted as it is: what the probability of its class becomes without each part that is known."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from olad_core.tasks.edge_class.history import UNKNOWN, Asked, History, Inputs
from olad_core.tasks.edge_class.input_parts import Part, parts_of, without
from olad_core.tasks.edge_class.learner import Learner

Rows = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float32]

MOST_LABELS = 64
"""Labels of earlier edges that are taken away one by one: those of the edges that arrived last."""


@dataclass(frozen=True)
class Arriving:
    """An edge that has not arrived.

    Attributes:
        ends: rows of source and target, -1 for a node that is not there.
        weight: of the edge.
        time: at which it would arrive.
        features: as they would be sent ``[F]``.
    """

    ends: tuple[int, int]
    weight: float
    time: float
    features: Floats


@dataclass(frozen=True)
class PartEffect:
    """What taking away one part does: the change of the probability that is explained."""

    part: Part
    change: float


@dataclass(frozen=True)
class LabelEffect:
    """What taking away the label of one earlier edge does.

    Attributes:
        place: of the earlier edge.
        change: of the probability that is explained, as if the label had not come.
    """

    place: int
    change: float


@dataclass(frozen=True)
class EdgeExplanation:
    """Why an edge has its class.

    Attributes:
        label: the class that is explained.
        probability: of the class.
        effects: of all parts that are known, the largest change first.
        total: change of the probability where nothing is known but that there is an edge.
        interaction: what is left of it beyond the sum of all effects.
        labels: of earlier edges at the ends, those of the largest change, the largest first; none of an edge that has
            arrived: its inputs are sums of then, of which no single label can be taken away.
        counted: labels that were taken away, listed or not.
        remembered: whether the edge has arrived.
    """

    label: str
    probability: float
    effects: tuple[PartEffect, ...]
    total: float
    interaction: float
    labels: tuple[LabelEffect, ...]
    counted: int
    remembered: bool


def explain_edge(learner: Learner, edge: Arriving | int, shown: int) -> EdgeExplanation:
    """Explain the prediction of an edge by taking away one part at a time; the learner stays as it is.

    Args:
        learner: of the task; it answers.
        edge: one that has not arrived, or the place of one that has.
        shown: how many labels are listed at most.
    """
    if isinstance(edge, Arriving):
        inputs = _inputs(learner.history, _asked(learner, edge), edge)
    else:
        inputs = learner.edges.inputs(np.array([edge]))
    parts = parts_of(inputs)
    variants = [inputs, *(without(inputs, (part,)) for part in parts), without(inputs, parts)]
    found = learner.predict(_together(variants)).mixed
    number = int(found[0].argmax())
    probability = float(found[0, number])
    change = found[1:, number].astype(np.float64) - probability
    effects = [PartEffect(part, float(of_part)) for part, of_part in zip(parts, change[:-1], strict=True)]
    labels = _label_effects(learner, edge, number, probability) if isinstance(edge, Arriving) else []
    return EdgeExplanation(
        learner.classes[number],
        probability,
        tuple(sorted(effects, key=lambda effect: -abs(effect.change))),
        float(change[-1]),
        float(change[-1] - change[:-1].sum()),
        tuple(sorted(labels, key=lambda effect: -abs(effect.change))[:shown]),
        len(labels),
        not isinstance(edge, Arriving),
    )


def _asked(learner: Learner, edge: Arriving) -> Asked:
    return learner.asked(np.array([edge.ends]), np.array([edge.weight]), np.array([edge.time]))


def _inputs(history: History, asked: Asked, edge: Arriving) -> Inputs:
    return history.inputs(asked, edge.features[None])


def _together(variants: Sequence[Inputs]) -> Inputs:
    plain, blocks, features = (np.concatenate(arrays) for arrays in zip(*variants, strict=True))
    return Inputs(plain, blocks, features)


def _label_effects(learner: Learner, edge: Arriving, number: int, probability: float) -> list[LabelEffect]:
    """The effect of each label of an earlier edge at one of the ends.

    What the head has learned from the label stays, and how far answers go from the shares of the classes to it.
    """
    ends = np.array([row for row in edge.ends if row >= 0], np.int64)
    places = learner.edges.labelled_at(ends, MOST_LABELS)
    if not places.size:
        return []
    # A copy of what is held of the nodes that matter: at the ends, where their links lead, and at the other ends.
    rows = np.unique(np.concatenate([ends, learner.history.links.near(ends), learner.edges.ring.ends[places].ravel()]))
    small, asked = learner.history.part(rows), _asked(learner, edge)
    source, target = (np.searchsorted(rows, row) if row >= 0 else row for row in edge.ends)
    asked = asked._replace(source=np.array([source]), target=np.array([target]))
    effects = []
    for place in places.tolist():
        history, of_pair = History.from_state(small.state()), _without_label(learner, edge, asked, place)
        of_edge = np.searchsorted(rows, learner.edges.ring.ends[place]).tolist()
        history.label(of_edge[0], of_edge[1], int(learner.edges.label[place]), UNKNOWN)
        found = learner.predict(_inputs(history, of_pair, edge), history.total).mixed
        effects.append(LabelEffect(place, float(found[0, number]) - probability))
    return effects


def _without_label(learner: Learner, edge: Arriving, asked: Asked, place: int) -> Asked:
    """The edge as it is asked for where the label of an earlier one is unknown, which may be between the same ends."""
    ring, (source, target), unknown = learner.edges.ring, edge.ends, np.array([UNKNOWN])
    if ring.between(source, target) == place:
        asked = asked._replace(same=unknown)
    return asked._replace(turned=unknown) if ring.between(target, source) == place else asked
