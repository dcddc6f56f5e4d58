"""Who teaches whom: the weights of the group's virtual teacher."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from olad_core.judging.assessment import Assessment
from olad_core.learning.lessons import MembersTeaching
from olad_core.learning.twins import ARCHITECTURE

Floats = npt.NDArray[np.float64]

SHARPNESS = 20.0
"""A teacher that is right five percentage points more often has e times the weight."""
OVERFIT, LEARNING = 0.4, 0.7
"""Training loss over loss at arrival, of a student that overfits its labels and of one that still learns."""
DOUBTED = 20.0
"""Scored nodes, imagined, on which teaching helped as much as it can."""

UNDECIDED, DECIDED = 1.0, 3.0
"""Standard errors up to which a difference between twins shows nothing, and from which on it decides alone."""


def worth_teaching(training_loss: Floats, log_loss: Floats, weight: Floats) -> Floats:
    """How much teaching can help each student ``[G]``, from 0 to 1.

    Teaching keeps a student from overfitting its few labels. One whose loss on the labels that it learns from is not
    much below its loss at arrival does not overfit: what it needs is its labels, and the group's predictions would
    only slow it down. So they count for nothing from :data:`LEARNING` of the loss at arrival on, and in full below
    :data:`OVERFIT`.

    Args:
        training_loss: ``[G]``, mean supervised loss of the last steps.
        log_loss: ``[G]``, recent log-loss at arrival; NaN where nothing is scored.
        weight: ``[G]``, how many scored nodes stand behind it; where there are few, it is taken that teaching helps.

    >>> worth_teaching(np.array([0.1, 0.3, 0.6, 0.9]), np.full(4, 1.0), np.full(4, 1e6)).round(2)
    array([1.  , 1.  , 0.33, 0.  ])
    """
    worth: Floats = (weight * _overfits(training_loss, log_loss) + DOUBTED) / (weight + DOUBTED)
    return worth


def assumed_worth(training_loss: Floats, log_loss: Floats, weight: Floats, classes: int) -> Floats:
    """The same where twins can show otherwise: how much teaching is assumed to help each student, from little on.

    Before the first score the loss at arrival is taken to be that of chance. So a student is taught as soon as it has
    learned its labels far better than chance, and one that still learns is not.

    Args:
        training_loss: ``[G]``, mean supervised loss of the last steps.
        log_loss: ``[G]``, recent log-loss at arrival; NaN where nothing is scored.
        weight: ``[G]``, how many scored nodes stand behind it.
        classes: of the graph.

    >>> assumed_worth(np.array([1.0, 0.6, 0.1]), np.full(3, np.nan), np.zeros(3), 3).round(2)
    array([0.  , 0.51, 1.  ])
    """
    chance = np.log(max(classes, 2))
    expected = (weight * np.nan_to_num(log_loss) + DOUBTED * chance) / (weight + DOUBTED)
    return _overfits(training_loss, expected)


def evidence_teaches(quality: Floats, training_loss: Floats, strength: Floats) -> npt.NDArray[np.float32]:
    """Every student is taught by all others, the more by each the better it is and the more it has learned itself.

    Args:
        quality: ``[G]``, expected accuracy; NaN where nothing is known.
        training_loss: ``[G]``, mean supervised loss of the last steps.
        strength: ``[G]``, how much each student is to be taught, from 0 to 1.

    Returns:
        ``[G, G]``, how much student ``j`` teaches student ``i``; rows sum to the strength.

    >>> evidence_teaches(np.array([0.7, 0.8, 0.7]), np.zeros(3), np.array([1.0, 0.5, 1.0])).round(2)
    array([[0.  , 0.88, 0.12],
           [0.25, 0.  , 0.25],
           [0.12, 0.88, 0.  ]], dtype=float32)
    """
    group = len(quality)
    known = np.where(np.isfinite(quality), quality, np.nanmean(quality) if np.isfinite(quality).any() else 0.0)
    worth = np.exp(SHARPNESS * (known - known.max()) - (training_loss - training_loss.min()))
    weight = worth[None, :] * (1 - np.eye(group))
    teaching = strength[:, None] * weight / np.maximum(weight.sum(axis=1, keepdims=True), 1e-12)
    result: npt.NDArray[np.float32] = teaching.astype(np.float32)
    return result


def decided(assumed: Floats, lead: float) -> Floats:
    """How strongly each student ``[G]`` is taught, by what was assumed and by what twins show.

    Up to :data:`UNDECIDED` standard errors the assumption stands. From there to :data:`DECIDED` the strength is moved
    towards what the twins show, which then decides alone.

    Args:
        assumed: ``[G]``, from 0 to 1 (:func:`worth_teaching`).
        lead: standard errors by which the taught twin is ahead (:class:`~olad_core.judging.worth.Worth`).

    >>> decided(np.array([0.2, 1.0]), -0.5), decided(np.array([0.2, 1.0]), -2.0), decided(np.array([0.2, 1.0]), 3.0)
    (array([0.2, 1. ]), array([0. , 0.5]), array([1., 1.]))
    """
    moved = np.sign(lead) * np.clip((abs(lead) - UNDECIDED) / (DECIDED - UNDECIDED), 0, 1)
    strength: Floats = np.clip(assumed + moved, 0, 1)
    return strength


def teaching_of(assessment: Assessment, classes: int) -> npt.NDArray[np.float32]:
    """How much student ``j`` is to teach student ``i``, by all that is known of them: ``[G, G]``.

    Args:
        assessment: of the students.
        classes: of the graph.
    """
    strength = assessment.allowed_strength() * _worth(assessment, classes)
    return evidence_teaches(assessment.quality(), assessment.training_loss(), strength)


def teaching_with_twins(assessment: Assessment, students: Sequence[str], classes: int) -> npt.NDArray[np.float32]:
    """The same, and where there are twins a last row: how much each student teaches the taught one, 1 in all.

    It is taught by those who teach the member of its architecture, or by all where there is none.

    Args:
        assessment: of the students.
        students: their architectures.
        classes: of the graph.
    """
    teaching = teaching_of(assessment, classes)
    if assessment.worth is None:
        return teaching
    fully = evidence_teaches(assessment.quality(), assessment.training_loss(), np.ones(len(students)))
    return np.concatenate([teaching, fully[alike(students)].mean(axis=0, keepdims=True)])


def alike(students: Sequence[str]) -> list[int]:
    """Places of the students of the twins' architecture among these; of all where there is none."""
    return [place for place, name in enumerate(students) if name == ARCHITECTURE] or list(range(len(students)))


def members_teaching(assessment: Assessment, students: Sequence[str], classes: int) -> MembersTeaching | None:
    """Who of the members teaches whom; None where nobody is taught.

    A member teaches as far as teaching can help a student, and labels do not show that the member is less often right.
    Each has a share by its accuracy among the members, as students have it.

    Args:
        assessment: of students and members.
        students: their architectures.
        classes: of the graph.
    """
    teachers = list(assessment.teachers.values())
    if not teachers:
        return None
    strength = np.stack([teacher.strength() for teacher in teachers])
    accuracy = np.array([teacher.accuracy() for teacher in teachers])
    share = np.exp(SHARPNESS * (accuracy - accuracy.max()))
    strength *= (share / share.sum())[:, None]
    worth = _worth(assessment, classes)
    if assessment.worth:
        strength = np.append(strength, strength[:, alike(students)].mean(axis=1, keepdims=True), axis=1)
        worth = np.append(worth, 1.0)
    strength *= worth
    return MembersTeaching(teachers, strength.astype(np.float32)) if strength.any() else None


def _worth(assessment: Assessment, classes: int) -> Floats:
    """How much teaching can help each student ``[G]``: what is assumed, and what twins show where there are any."""
    training_loss = assessment.training_loss()
    at_arrival = assessment.recent_log_loss(), assessment.recent_weight()
    if assessment.worth is None:
        return worth_teaching(training_loss, *at_arrival)
    return decided(assumed_worth(training_loss, *at_arrival, classes), assessment.worth.lead())


def _overfits(training_loss: Floats, log_loss: Floats) -> Floats:
    """From 0 for students that still learn to 1 for those that overfit ``[G]``; 1 where the loss is not known."""
    share = np.divide(training_loss, log_loss, out=np.zeros_like(log_loss), where=log_loss > 0)
    overfits: Floats = np.clip((LEARNING - share) / (LEARNING - OVERFIT), 0, 1)
    return overfits
