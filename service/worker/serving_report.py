"""What is served and why, in the worker's report."""

from __future__ import annotations

import numpy as np

from olad_core.config import GROUP
from olad_core.engine import Engine
from service.store.status import ChoiceStatus, ServingStatus, Withheld


def serving_status(engine: Engine) -> ServingStatus:
    """What is chosen between, with the measured cost of each, and what keeps the group from being served."""
    load, served = engine.versions.load, engine.versions.served
    names = engine.trainer.group.names if engine.trainer else ()
    choices = (*names, GROUP) if names and engine.config.combines else names
    costs = [load.event_s(name) for name in choices]
    loads = load.expected(choices) if load.measured else np.full(len(choices), np.nan)
    return ServingStatus(
        rule=engine.config.serve,
        served=served.version.student if served else None,
        expected_gain=engine.schedule.expected_gain,
        withheld=_withheld(engine),
        choices=tuple(
            ChoiceStatus(
                name=name,
                cost_us=None if cost is None else 1e6 * cost,
                measured=load.was_measured(name),
                load=float(found) if load.measured else None,
            )
            for name, cost, found in zip(choices, costs, loads, strict=True)
        ),
    )


def _withheld(engine: Engine) -> Withheld | None:
    """What keeps the group from being served; None where it is served."""
    served = engine.versions.served
    if served is not None and served.version.student == GROUP:
        return None
    if not engine.config.combines or engine.config.serve == "best":
        return "settings"
    if engine.kept.pinned is not None:
        return "pinned"
    if engine.versions.load.exceeds(GROUP):
        return "load"
    candidate = engine.versions.candidate
    if candidate is not None and candidate.version.student == GROUP:
        return "coming"
    return engine.schedule.withheld or "first"
