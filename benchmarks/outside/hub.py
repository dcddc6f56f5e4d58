"""A node with very many neighbours that is touched again and again: what others, and the node itself, wait for."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from benchmarks.outside import events, probe
from benchmarks.outside.freshness import probed
from benchmarks.outside.rows import Row, Site
from benchmarks.outside.traffic import Traffic
from benchmarks.outside.turns import Figures

NEIGHBOURS = 100_000
_TARGETS = {"elsewhere_p50_ms": 20.0, "elsewhere_p99_ms": 100.0, "hub_p50_ms": 50.0, "hub_p99_ms": 200.0}


def rows() -> tuple[Row, ...]:
    """Its edges change, then its features; the first of them makes it."""

    def edges(site: Site) -> Iterator[str]:
        return events.hub_edges(neighbours_of(site), len(site.graph))

    def features(site: Site) -> Iterator[str]:
        return events.hub_features(site.graph)

    beside = "2,000 events/s elsewhere in batches of 20"
    return (
        Row("hub_edges", f"100 updates/s of a hub's edges, {beside}", _row(edges), at_most=_TARGETS, prepare=_make),
        Row("hub_features", f"100 updates/s of a hub's features, {beside}", _row(features), at_most=_TARGETS),
    )


def neighbours_of(site: Site) -> int:
    """Neighbours of the hub; others are left for what happens elsewhere."""
    return min(site.plan.sized(NEIGHBOURS), len(site.graph) * 2 // 3)


def _make(site: Site) -> None:
    position = ""
    for body in events.bodies(events.hub_events(site.graph, neighbours_of(site)), 1_000):
        position = site.service.post(body)
    site.service.until_visible(events.HUB, position)


def _row(
    of_hub: Callable[[Site], Iterator[str]],
) -> Callable[[Site], Figures]:
    def measure(site: Site) -> Figures:
        graph, neighbours = site.graph, neighbours_of(site)
        streams = (
            Traffic(lambda: events.changes(graph, neighbours), 2_000, 20),
            Traffic(lambda: of_hub(site), 100, 1),
        )
        probes = (
            probe.Probe("elsewhere", probe.edges_and_features(graph, neighbours), []),
            probe.Probe("hub", probe.of_hub(of_hub(site)), []),
        )
        return {"neighbours": neighbours} | probed(site, probes, streams)

    return measure
