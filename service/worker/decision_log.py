"""Lines of the log file about what is served and what was decided."""

from __future__ import annotations

import structlog

from olad_core.judging.decisions import Decisions
from olad_core.serving.publication import Publication, Version
from service.worker.metrics import WorkerMetrics

log = structlog.get_logger(__name__)


class DecisionLog:
    """Logs each change of the served version, and each decision, once.

    Args:
        metrics: count the decisions.
        decided: decisions that were made before this start.
    """

    def __init__(self, metrics: WorkerMetrics, decided: int) -> None:
        self._metrics = metrics
        self._decided = decided
        self._served: Version | None = None

    def continue_after(self, decided: int) -> None:
        """Another engine is used from now on, which has made so many decisions: do not log those again."""
        self._decided = decided

    def log_served(self, publication: Publication) -> None:
        """Log the version of a publication that readers see, where it is a new one."""
        served, before = publication.served, self._served
        if served is not None and (before is None or served.shown != before.shown):
            log_at = log.debug if before is not None and served.student == before.student else log.info
            log_at("serving", version=served.shown, student=served.student, position=publication.position)
        self._served = served

    def log_decisions(self, decisions: Decisions) -> int:
        """Log and count what was decided since the last call; the number of these decisions."""
        new = decisions.since(self._decided)
        for decision in new:
            self._metrics.decisions.labels(decision.kind).inc()
            # Every version of the same student repeats that it was kept.
            log_at = log.debug if decision.kind == "student-kept" else log.info
            log_at(
                "decided",
                kind=decision.kind,
                student=decision.student,
                version=decision.version,
                reason=decision.reason,
                position=decision.position,
            )
        self._decided = decisions.total
        return len(new)
