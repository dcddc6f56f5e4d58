"""The worker's report of an engine that a test drives."""

from __future__ import annotations

from olad_core.engine import Engine
from service.store.status import WorkerStatus
from service.worker.reporting import Rates, report


def engine_report(engine: Engine) -> WorkerStatus:
    """The report of an engine at rest, whose worker has just started and written no checkpoint."""
    return report(
        engine,
        Rates(0.0, 0.0),
        learning="resting",
        learning_since=0.0,
        started_at=0.0,
        now=0.0,
        checkpoint=None,
        checkpoint_failures=0,
        disk_free=None,
        memory_budget=10**9,
    )
