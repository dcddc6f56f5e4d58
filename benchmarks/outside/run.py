"""Load a scene into the service of each tree, then measure its rows in turns."""

from __future__ import annotations

import contextlib
import json
import math
import time
from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from benchmarks.graphs import GraphArrays
from benchmarks.outside import events
from benchmarks.outside.rows import Measured, Plan, Row, Scene, Site
from benchmarks.outside.service import Service, Unserved, post
from benchmarks.outside.tree import Tree
from benchmarks.outside.turns import Figures, turns
from benchmarks.wire import Connection, Refused

_SETTLE_S = 0.5
_BATCH = 1_000


def measure(scene: Scene, trees: Sequence[Tree], plan: Plan, names: Sequence[str] = ()) -> list[Measured]:
    """All rows of a scene, or those that are named. While one tree is measured, the others' processes stand still."""
    rows = [row for row in scene.rows if not names or row.name in names]
    if not rows:
        return []
    graph = scene.graph()
    common = scene.conditions(graph)
    with contextlib.ExitStack() as running:
        sites: dict[str, Site] = {}
        for tree in trees:
            with _reported(f"{scene.name}: {tree.name}"):
                service = running.enter_context(Service(tree, scene.variables))
                sites[tree.name] = _load(service, scene, graph, plan)
                service.freeze()
        names = [tree.name for tree in trees]
        return [
            Measured(
                row.name,
                f"{common}; {row.conditions}",
                _rounds(row, sites, names, plan.rounds),
                row.at_least,
                row.at_most,
            )
            for row in rows
        ]


def _rounds(row: Row, sites: Mapping[str, Site], names: Sequence[str], rounds: int) -> dict[str, list[Figures | None]]:
    found: dict[str, list[Figures | None]] = {name: [] for name in names}
    for number, name in turns(1 if row.once else rounds, names):
        figures: Figures | None = None
        if name in sites:
            with _reported(f"{row.name}: {name}"):
                figures = _once(row, sites[name], prepare=number == 0)
        found[name].append(figures)
        print(f"{row.name}: {name}: {json.dumps(figures)}", flush=True)
    return found


def _once(row: Row, site: Site, *, prepare: bool) -> Figures:
    """The figures of one round."""
    service = site.service
    with _awake(service):
        if math.isfinite(site.until_served_s):
            # Nothing is left over from what was measured before.
            service.until_visible("0", service.post(f"[{events.edge(0, 1)}]".encode()))
        if prepare and row.prepare is not None:
            row.prepare(site)
        return row.measure(site)


@contextlib.contextmanager
def _awake(service: Service) -> Iterator[None]:
    service.thaw()
    time.sleep(_SETTLE_S)
    try:
        yield
    finally:
        service.freeze()


@contextlib.contextmanager
def _reported(what: str) -> Iterator[None]:
    """A service that fails is a result: the failure is printed, and the other measurements follow."""
    try:
        yield
    except (Unserved, Refused, OSError, RuntimeError) as error:
        print(f"{what}: {type(error).__name__}: {error}", flush=True)


def _load(service: Service, scene: Scene, graph: GraphArrays, plan: Plan) -> Site:
    """Post the graph and wait until predictions show its end.

    Raises:
        Unserved: they do not, where the scene needs them.
    """
    hidden = int(scene.hidden_share * len(graph))
    unlabelled = np.sort(np.random.default_rng(0).choice(len(graph), hidden, replace=False))
    began, position = time.monotonic(), ""
    with Connection(service.url) as connection:
        if scene.directed:
            connection.put("/schema", b'{"directed":true}')
        for body in events.bodies(events.graph_events(graph, unlabelled), _BATCH):
            position = post(connection, body)
    posted = time.monotonic()
    print(f"{scene.name}: {service.tree.name}: posted in {posted - began:.1f} s", flush=True)
    try:
        service.until_visible("0", position, plan.until_served_s)
    except Unserved:
        if not scene.unserved_counts:
            raise
        return Site(service, plan, graph, unlabelled, math.inf)
    return Site(service, plan, graph, unlabelled, time.monotonic() - posted)
