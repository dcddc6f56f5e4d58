"""What the service costs when nothing happens."""

from __future__ import annotations

import time

from benchmarks.outside import events
from benchmarks.outside.rows import Plan, Row, Site
from benchmarks.outside.turns import Figures


def idle(plan: Plan) -> Row:
    """Cores of each process some time after the last event."""
    moments = " and ".join(f"{seconds:.0f}" for seconds in plan.idle_after_s)
    conditions = f"{moments} s after the last event, over {plan.idle_for_s:.0f} s"
    at_most = {f"worker_cores_after_{seconds:.0f}_s": 0.02 for seconds in plan.idle_after_s}
    return Row("idle", conditions, _idle, at_most=at_most, once=True)


def _idle(site: Site) -> Figures:
    site.service.until_visible("0", site.service.post(f"[{events.edge(0, 1)}]".encode()))
    last, found = time.monotonic(), Figures()
    for after in site.plan.idle_after_s:
        time.sleep(max(0.0, last + after - time.monotonic()))
        with site.service.metered() as cores:
            time.sleep(site.plan.idle_for_s)
        found |= {f"{role}_after_{after:.0f}_s": used for role, used in cores.items()}
    return found
