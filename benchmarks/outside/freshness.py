"""Freshness: from sending a POST until `GET /predict/<touched node>?min_position=<its position>` answers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from benchmarks.outside import events, probe
from benchmarks.outside.rows import Measured, Row, Site
from benchmarks.outside.traffic import Traffic, beside
from benchmarks.outside.turns import Figures

_SETTLE_S = 0.5
_SPARE_S = 10.0
"""Of events, for the last answers; a service that needs longer is probed without them."""


def freshness(name: str, at_most: Mapping[str, float] | None = None, *, per_s: float = 2_000, batch: int = 20) -> Row:
    """Single events, each followed by a read of a node that it touches, beside updates of edges and features."""

    def measure(site: Site) -> Figures:
        asked = probe.Probe("", probe.edges_and_features(site.graph, 0, next(site.seeds)), [])
        stream = Traffic(events.changes(site.graph, 0, next(site.seeds)), per_s, batch)
        return probed(site, (asked,), (stream,))

    conditions = f"{per_s:,.0f} events/s of edges and features in batches of {batch:,}"
    return Row(name, conditions, measure, at_most=at_most or {})


def flatness(rows: Sequence[Measured], sizes: Sequence[int]) -> Iterator[Measured]:
    """How much the median grows from the least to the greatest of the sizes that were measured, in each round."""
    found = [row for size in sizes for row in rows if row.name == f"freshness_{size}_nodes"]
    if len(found) < 2:
        return
    rounds: dict[str, list[Figures | None]] = {
        side: [_ratio(first, last) for first, last in zip(found[0].rounds[side], found[-1].rounds[side], strict=True)]
        for side in found[0].rounds
    }
    conditions = f"p50_ms of {found[-1].name} over that of {found[0].name}"
    yield Measured("freshness_by_size", conditions, rounds, at_most={"largest_to_smallest": 1.5})


def _ratio(first: Figures | None, last: Figures | None) -> Figures | None:
    if first is None or last is None:
        return None
    return {"largest_to_smallest": float(last["p50_ms"]) / float(first["p50_ms"])}


def probed(site: Site, probes: tuple[probe.Probe, ...], streams: tuple[Traffic, ...]) -> Figures:
    """The probes' figures beside streams of events, and the rates that went through."""
    student = site.service.student()
    with beside(site.service.url, *streams, seconds=1.5 * site.plan.seconds + _SPARE_S) as sent:
        probe.ask(site.service.url, probes, _SETTLE_S)
        for each in probes:
            each.times.clear()
        with site.service.metered() as cores:
            probe.ask(site.service.url, probes, site.plan.seconds)
    rates: Figures = {
        f"accepted_of_{stream.per_s:.0f}_per_s": done.per_s for stream, done in zip(streams, sent, strict=True)
    }
    return probe.figures(probes) | rates | {"served_student": student} | cores
