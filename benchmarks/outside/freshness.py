"""Freshness: from sending a POST until `GET /predict/<touched node>?min_position=<its position>` answers."""

from __future__ import annotations

from collections.abc import Mapping

from benchmarks.outside import events, probe
from benchmarks.outside.rows import Row, Site
from benchmarks.outside.traffic import Traffic, beside
from benchmarks.outside.turns import Figures

_SETTLE_S = 0.5


def freshness(name: str, at_most: Mapping[str, float] | None = None, *, per_s: float = 2_000, batch: int = 20) -> Row:
    """Single events, each followed by a read of a node that it touches, beside updates of edges and features."""

    def measure(site: Site) -> Figures:
        graph = site.graph
        asked = probe.Probe("", probe.edges_and_features(graph), [])
        stream = Traffic(lambda: events.changes(graph), per_s, batch)
        return probed(site, (asked,), (stream,))

    conditions = f"{per_s:,.0f} events/s of edges and features in batches of {batch:,}"
    return Row(name, conditions, measure, at_most=at_most or {})


def probed(site: Site, probes: tuple[probe.Probe, ...], streams: tuple[Traffic, ...]) -> Figures:
    """The probes' figures beside streams of events, and the rates that went through."""
    student = site.service.student()
    with beside(site.service.url, *streams, seconds=2 * site.plan.seconds + 60) as sent:
        probe.ask(site.service.url, probes, _SETTLE_S)
        for each in probes:
            each.times.clear()
        with site.service.metered() as cores:
            probe.ask(site.service.url, probes, site.plan.seconds)
    rates: Figures = {
        f"accepted_of_{stream.per_s:.0f}_per_s": done.per_s for stream, done in zip(streams, sent, strict=True)
    }
    return probe.figures(probes) | rates | {"served_student": student} | cores
