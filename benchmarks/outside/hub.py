"""A node with very many neighbours that is touched again and again: what others, and the node itself, wait for."""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks.outside import events, probe
from benchmarks.outside.freshness import probed
from benchmarks.outside.rows import Row, Site
from benchmarks.outside.traffic import Traffic
from benchmarks.outside.turns import Figures

NEIGHBOURS = 100_000
_TARGETS = {"elsewhere_p50_ms": 20.0, "elsewhere_p99_ms": 100.0, "hub_p50_ms": 50.0, "hub_p99_ms": 200.0}


def rows() -> tuple[Row, ...]:
    """Its edges change, then its features; the first of them makes it."""
    beside = "2,000 events/s elsewhere in batches of 20"
    return (
        Row("hub_edges", f"100 updates/s of a hub's edges, {beside}", _edges, at_most=_TARGETS, prepare=_make),
        Row("hub_features", f"100 updates/s of a hub's features, {beside}", _features, at_most=_TARGETS),
    )


def neighbours_of(site: Site) -> int:
    """Neighbours of the hub; others are left for what happens elsewhere."""
    return min(site.plan.sized(NEIGHBOURS), len(site.graph) * 2 // 3)


def _make(site: Site) -> None:
    position = ""
    for body in events.bodies(events.hub_events(site.graph, neighbours_of(site)), 1_000):
        position = site.service.post(body)
    site.service.until_visible(events.HUB, position)


def _edges(site: Site) -> Figures:
    first, nodes = neighbours_of(site), len(site.graph)
    half = (first + nodes) // 2
    return _beside(site, events.hub_edges(first, half), events.hub_edges(half, nodes))


def _features(site: Site) -> Figures:
    return _beside(site, events.hub_features(site.graph), events.hub_features(site.graph))


def _beside(site: Site, sent: Iterator[str], asked: Iterator[str]) -> Figures:
    """Events of the hub are sent, others of it are asked for, beside what happens elsewhere."""
    graph, neighbours = site.graph, neighbours_of(site)
    probes = (
        probe.Probe("elsewhere", probe.edges_and_features(graph, neighbours, next(site.seeds)), []),
        probe.Probe("hub", probe.of_hub(asked), []),
    )
    elsewhere = Traffic(events.changes(graph, neighbours, next(site.seeds)), 2_000, 20)
    return {"neighbours": neighbours} | probed(site, probes, (elsewhere, Traffic(sent, 100, 1)))
