"""What the first rank reports of learning, for all ranks: it is the same at each of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from olad_core.partition import PartitionedLearner
from olad_core.serving.publication import Version
from service.store.status import DecisionStatus, LearningState, LearningStatus, Score, VersionStatus
from service.worker.reporting import lead_status, learning_status, report_status, score_status, student_statuses

_NOT_SCORED = Score(
    scored=0,
    accuracy=None,
    macro_f1=None,
    log_loss=None,
    accuracy_recent=None,
    macro_f1_recent=None,
    log_loss_recent=None,
    calibration_error_recent=None,
)


class RankLearningReport:
    """Reports how learning goes, and since when it rests or does not.

    Args:
        now: the time, as people read it.
    """

    def __init__(self, now: float) -> None:
        self._state: LearningState = "learning"
        self._since = now

    def report(self, learner: PartitionedLearner | None, classes: Sequence[str], now: float) -> dict[str, Any]:
        """The members of a worker's status that are about learning.

        Args:
            learner: of this rank; None where weights are fixed, which is reported as rest.
            classes: of the graph.
            now: the time.
        """
        state: LearningState = "resting" if learner is None or learner.resting else "learning"
        if state != self._state:
            self._state, self._since = state, now
        if learner is None:
            nothing = _nothing_learned(self._since)
            return {"learning": nothing, "served_score": _NOT_SCORED, "candidate": None, "students": ()}
        assessment, trainer, served = learner.assessment, learner.trainer, learner.served
        learning = learning_status(
            trainer, assessment, state, self._since, missing=learner.missing(), refused=learner.refused
        )
        candidate = learner.candidate
        return {
            "learning": learning,
            "served_score": score_status(assessment.served_score()),
            "lead": lead_status(assessment.served_lead(classes)),
            "served_report": report_status(assessment.served_report(classes)),
            "candidate": candidate and version_status(candidate, learner.candidate_made_at, learner.progress),
            "students": student_statuses(trainer, assessment, classes, served.student if served else None, None),
            "decisions": tuple(DecisionStatus(**asdict(decision)) for decision in learner.decisions.newest_first()),
        }


def version_status(version: Version, position: str, progress: float = 1.0) -> VersionStatus:
    """A version as it is reported.

    Args:
        version: the version.
        position: at which its weights were taken.
        progress: share of it that is embedded.
    """
    return VersionStatus(version=version.shown, student=version.student, progress=progress, created_position=position)


def _nothing_learned(since: float) -> LearningStatus:
    return LearningStatus(
        state="resting", since=since, steps=0, skipped_steps=0, resets=0, refused_versions=0, missing=(), losses={}
    )
