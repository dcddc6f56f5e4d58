"""Nouns of the table: how long and how large, a row, and the scene that rows share."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from benchmarks.graphs import GraphArrays
from benchmarks.outside.service import Service
from benchmarks.outside.turns import Figures


@dataclass(frozen=True)
class Plan:
    """How long and how large.

    Attributes:
        scale: of the graphs.
        seconds: of one measurement.
        rounds: of each row; with two trees they take turns in each.
        idle_after_s: when the idle service is measured, in seconds after the last event.
        until_rest_s: longest wait after the last event for the end of learning.
        posted_at_once: events of the burst that the API accepts without waiting for the worker.
        until_served_s: longest wait for a first model.
        quick: leave out what cannot be made small.
    """

    scale: float = 1.0
    seconds: float = 20.0
    rounds: int = 3
    idle_after_s: tuple[float, ...] = (60.0, 180.0)
    idle_for_s: float = 20.0
    until_rest_s: float = 1800.0
    posted_at_once: int = 200_000
    until_served_s: float = 120.0
    quick: bool = False

    def sized(self, count: int) -> int:
        """A number of nodes or edges at this scale."""
        return max(200, int(count * self.scale))


QUICK = Plan(0.05, 2.0, 1, (5.0,), 2.0, 30.0, 20_000, 60.0, quick=True)
"""For a look: nothing in it is at the size that the targets are of."""


@dataclass(frozen=True)
class Site:
    """A graph in a running service.

    Attributes:
        service: that holds it.
        plan: how long and how large.
        graph: as arrays.
        unlabelled: nodes whose label the service does not know.
        seeds: another one for each measurement: events that were sent before would change nothing.
        until_served_s: seconds from the last event's POST until a prediction showed it; infinite where none did.
    """

    service: Service
    plan: Plan
    graph: GraphArrays
    unlabelled: npt.NDArray[np.int64]
    until_served_s: float
    seeds: Iterator[int] = field(default_factory=lambda: itertools.count(1))


@dataclass(frozen=True)
class Row:
    """One row of the table.

    Attributes:
        name: in the table.
        conditions: beside those of the scene.
        measure: finds the figures once.
        at_least: targets at full size.
        at_most: targets at full size.
        prepare: posts what the row needs, once for each service.
        once: whether it takes so long that one round is enough.
    """

    name: str
    conditions: str
    measure: Callable[[Site], Figures]
    at_least: Mapping[str, float] = field(default_factory=dict)
    at_most: Mapping[str, float] = field(default_factory=dict)
    prepare: Callable[[Site], None] | None = None
    once: bool = False


@dataclass(frozen=True)
class Measured:
    """What the rounds of a row found for each tree; None stands for a round that failed."""

    name: str
    conditions: str
    rounds: Mapping[str, Sequence[Figures | None]]
    at_least: Mapping[str, float] = field(default_factory=dict)
    at_most: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Scene:
    """A graph in a service of its own, on which rows are measured one after the other.

    Attributes:
        name: for the terminal.
        graph: makes it.
        rows: in their order; the last ones may leave the service behind.
        directed: declared so; where it is False nothing is declared.
        variables: settings that are not default.
        hidden_share: share of the nodes whose label is not given.
        unserved_counts: whether a service without a model is a result and no failure.
    """

    name: str
    graph: Callable[[], GraphArrays]
    rows: tuple[Row, ...]
    directed: bool = False
    variables: Mapping[str, str] = field(default_factory=dict)
    hidden_share: float = 0.0
    unserved_counts: bool = False

    def conditions(self, graph: GraphArrays) -> str:
        """What holds for all its rows."""
        settings = ", ".join(f"{name}={value}" for name, value in self.variables.items()) or "default settings"
        return (
            f"{len(graph):,} nodes, {len(graph.src):,} edges, {graph.x.shape[1]} features, {graph.classes:,} classes, "
            f"{'declared directed' if self.directed else 'nothing declared (undirected)'}, {settings}"
        )
