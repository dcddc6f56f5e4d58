"""Events a second: those that predictions keep up with, and those that the API accepts beside the worker."""

from __future__ import annotations

import time
from collections import deque
from itertools import chain, islice

from benchmarks.outside import events
from benchmarks.outside.rows import Row, Site
from benchmarks.outside.service import post
from benchmarks.outside.turns import Figures
from benchmarks.wire import Connection, closed_loop, post_request

BATCH = 1_000
_UNCONFIRMED = 16
_CONNECTIONS = 4
_LONGEST_S = 60.0
_FASTEST_PER_S, _MADE = 120_000, 600
"""Batches are made beforehand for that rate, but not more than so many."""


def sustained(name: str, at_least: float) -> Row:
    """The rate at which batches become visible, while some are always on their way."""
    conditions = f"edges and features in batches of {BATCH:,}, at most {_UNCONFIRMED} of them not yet visible"
    return Row(name, conditions, _sustained, at_least={"events_per_s": at_least})


def accepted() -> Row:
    """The rate at which the API validates and appends, with the worker at work."""
    conditions = f"new edges in batches of {BATCH:,} over {_CONNECTIONS} connections, accepted; the worker runs"
    return Row("post_events", conditions, _accepted, at_least={"events_per_s": 250_000})


def _sustained(site: Site) -> Figures:
    student, stream = site.service.student(), events.bodies(events.changes(site.graph, 0, next(site.seeds)), BATCH)
    ready = islice(stream, min(_MADE, int(site.plan.seconds * _FASTEST_PER_S / BATCH)))
    made = chain([*ready], stream)
    unconfirmed: deque[str] = deque()
    # The first node has thousands of neighbours, and its row takes longer than a turn: hub_edges measures such rows.
    posted, node = 0, str(len(site.graph) - 1)
    with Connection(site.service.url) as writing, site.service.metered() as cores:
        began = time.monotonic()
        while time.monotonic() - began < site.plan.seconds:
            unconfirmed.append(post(writing, next(made)))
            posted += 1
            if len(unconfirmed) == _UNCONFIRMED:
                site.service.until_visible(node, unconfirmed.popleft())
        while unconfirmed:
            site.service.until_visible(node, unconfirmed.popleft())
        spent = time.monotonic() - began
    return {"events_per_s": BATCH * posted / spent, "served_student": student, **cores}


def _accepted(site: Site) -> Figures:
    count = site.plan.posted_at_once // BATCH
    made = iter([*islice(events.bodies(events.new_edges(len(site.graph), next(site.seeds)), BATCH), count)])

    def request(host: str) -> bytes | None:
        body = next(made, None)
        return None if body is None else post_request(host, "/events", body)

    with site.service.metered() as cores:
        began = time.monotonic()
        times = closed_loop(site.service.url, _CONNECTIONS, _LONGEST_S, request)
        spent = time.monotonic() - began
    return {"events_per_s": BATCH * len(times) / spent, **cores}
