"""Scores: what predictions of labelled nodes yield, and which classes predictors and their group predict."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from olad_core.tasks.label_rule import RuleTable, decide

Rows = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]
Probabilities = npt.NDArray[np.float32]

LEAST_PROBABILITY = 1e-6
"""Probabilities are raised to this before their logarithm is taken; that of a class unknown at arrival is zero."""
NO_CLASS = -1
"""Predicted class where there is no answer, or no class is known."""


@dataclass(frozen=True)
class NodeScores:
    """What the predictions of n nodes by P predictors yield.

    Attributes:
        answered: ``[n, P]``, whether there was an answer.
        predicted: classes ``[n, P]``; :data:`NO_CLASS` where there is none.
        right: ``[n, P]``, whether the predicted class is the label.
        loss: log-loss ``[n, P]``; 0 without an answer.
        confidence: probability of the predicted class ``[n, P]``; 0 without an answer.
    """

    answered: Flags
    predicted: Rows
    right: Flags
    loss: npt.NDArray[np.float32]
    confidence: Probabilities


def score(probabilities: Probabilities, labels: Rows) -> NodeScores:
    """Score class probabilities ``[n, P, C]``, NaN without an answer, by the classes ``[n]`` of the nodes.

    >>> found = score(np.array([[[0.75, 0.25], [np.nan, np.nan]]], dtype=np.float32), np.array([0]))
    >>> found.right.tolist(), found.confidence.tolist(), found.loss.round(2)
    ([[True, False]], [[0.75, 0.0]], array([[0.29, 0.  ]], dtype=float32))
    """
    nodes, predictors, classes = probabilities.shape
    predicted = predicted_classes(probabilities)
    if not classes:
        # Predictors that know no class give the truth no probability.
        probabilities = np.zeros((nodes, predictors, 1), dtype=np.float32)
    answered = _answered(probabilities)
    clean = _without_nan(probabilities, answered)
    known = labels < classes
    of_truth = clean[np.arange(nodes), :, np.where(known, labels, 0)] * known[:, None]
    return NodeScores(
        answered=answered,
        predicted=predicted,
        right=np.asarray((predicted == labels[:, None]) & answered),
        loss=np.where(answered, -np.log(np.maximum(of_truth, LEAST_PROBABILITY)), 0.0),
        confidence=clean.max(axis=2),
    )


def predicted_classes(probabilities: Probabilities) -> Rows:
    """The class that each predictor predicts, ``[n, P]``, from probabilities ``[n, P, C]``; else :data:`NO_CLASS`."""
    answered = _answered(probabilities)
    if not probabilities.shape[2]:
        return np.full(answered.shape, NO_CLASS)
    return np.where(answered, _without_nan(probabilities, answered).argmax(axis=2), NO_CLASS)


def group_classes(probabilities: Probabilities) -> Rows:
    """The class ``[n]`` that the group predicts: that of its mean, over the members ``[n, G, C]`` with an answer."""
    classes: Rows = group_probabilities(probabilities).argmax(axis=1)
    return classes


def group_probabilities(probabilities: Probabilities) -> Probabilities:
    """The mean ``[n, C]`` of the members' probabilities ``[n, G, C]``; a member without an answer adds nothing."""
    mean: Probabilities = _without_nan(probabilities, _answered(probabilities)).mean(axis=1)
    return mean


def labels_of_group(probabilities: Probabilities, table: RuleTable | None = None) -> tuple[Rows, Rows]:
    """The classes that label nodes, by each member ``[n, G]`` and by the group ``[n]``.

    Args:
        probabilities: ``[n, G, C]``, C at least 1; NaN where a member had no answer, which is :data:`NO_CLASS`.
        table: what decides labels; None: the likeliest class is the label.
    """
    if table is None:
        return predicted_classes(probabilities), group_classes(probabilities)
    answered = _answered(probabilities)
    nodes, members, classes = probabilities.shape
    own = decide(_without_nan(probabilities, answered).reshape(-1, classes), table).reshape(nodes, members)
    return np.where(answered, own, NO_CLASS), decide(group_probabilities(probabilities), table)


def taught_classes(probabilities: Probabilities, teaching: npt.NDArray[np.float32]) -> Rows:
    """The class ``[n, G]`` that the teachers of each student predict together.

    Args:
        probabilities: of the students ``[n, G, C]``.
        teaching: ``[G, G]``, how much student ``j`` teaches student ``i``.
    """
    return predicted_classes(np.einsum("ij,njc->nic", teaching, probabilities))


def _answered(probabilities: Probabilities) -> Flags:
    answered: Flags = np.asarray(np.isfinite(probabilities).all(axis=2))
    return answered


def _without_nan(probabilities: Probabilities, answered: Flags) -> Probabilities:
    return np.where(answered[:, :, None], probabilities, np.float32(0))
