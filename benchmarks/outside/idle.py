"""What the service costs when nothing happens."""

from __future__ import annotations

import math
import time

from benchmarks.outside import events
from benchmarks.outside.rows import Plan, Row, Site
from benchmarks.outside.turns import Figures

_LOOK_EVERY_S = 1.0


def idle(plan: Plan) -> Row:
    """Cores of each process some time after the last event, and once nothing is left to learn."""
    moments = " and ".join(f"{seconds:.0f}" for seconds in plan.idle_after_s)
    conditions = (
        f"over {plan.idle_for_s:.0f} s: {moments} s after the last event, and when the worker has learned what it can, "
        f"for which it has {plan.until_rest_s:.0f} s"
    )
    return Row("idle", conditions, _idle, at_most={"worker_cores_at_rest": 0.02}, once=True)


def _idle(site: Site) -> Figures:
    site.service.until_visible("0", site.service.post(f"[{events.edge(0, 1)}]".encode()))
    last, found = time.monotonic(), Figures()
    for after in site.plan.idle_after_s:
        time.sleep(max(0.0, last + after - time.monotonic()))
        found |= _cores(site, f"after_{after:.0f}_s")
    while not (rests := site.service.rests()) and time.monotonic() - last < site.plan.until_rest_s:
        time.sleep(_LOOK_EVERY_S)
    found["until_rest_s"] = time.monotonic() - last if rests else math.inf
    return found | (_cores(site, "at_rest") if rests else {})


def _cores(site: Site, when: str) -> Figures:
    with site.service.metered() as cores:
        time.sleep(site.plan.idle_for_s)
    return {f"{role}_{when}": used for role, used in cores.items()}
