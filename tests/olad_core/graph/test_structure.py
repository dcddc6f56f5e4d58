"""What changes of structure are reported, and how seldom it changes; the reference checks what it is."""

from __future__ import annotations

import numpy as np
import pytest
import safetensors.numpy
from hypothesis import given, settings
from hypothesis import strategies as st

from olad_core.config import STRUCTURE
from olad_core.events import Event, RemoveEdge, RemoveNode, UpsertEdge
from olad_core.graph import DynamicGraph
from olad_core.graph.structure import IN_DEGREE, OUT_WEIGHT
from tests.olad_core.graph.reference import Reference, batches, clock_settings
from tests.olad_core.graph.test_store_against_reference import Batches


def steps(graph: DynamicGraph) -> list[list[int]]:
    """The steps of all rows, those not in use included."""
    found: list[list[int]] = graph.structure.steps.tolist()
    return found + [[0] * len(STRUCTURE)] * (256 - len(found))


@pytest.mark.parametrize("directed", [False, True])
@pytest.mark.parametrize("lifetime", [None, 5.0])
@given(batches, clock_settings)
@settings(max_examples=60)
def test_every_other_step_is_reported_once(
    directed: bool, lifetime: float | None, played: Batches, clocks: dict[int, float | None]
) -> None:
    graph = DynamicGraph(directed=directed, edge_lifetime=lifetime)
    for number, (events, time) in enumerate(played):
        if number in clocks:
            graph.set_clock(clocks[number], time)
        before = steps(graph)
        changes = graph.apply(events, time)
        after, alive = steps(graph), graph.alive
        columns = dict(zip(changes.stepped.tolist(), changes.stepped_columns.tolist(), strict=True))
        assert len(columns) == len(changes.stepped)
        for row in np.flatnonzero(alive).tolist():
            pairs = enumerate(zip(before[row], after[row], strict=True))
            differing = sum(1 << column for column, (one, other) in pairs if one != other)
            assert columns.get(row, 0) == differing


@given(batches, st.integers(0, 8), clock_settings)
def test_it_goes_on_from_its_state(played: Batches, stop: int, clocks: dict[int, float | None]) -> None:
    graph, model = DynamicGraph(directed=True, edge_lifetime=9.0), Reference(True, 9.0, None)
    for number, (events, time) in enumerate(played):
        for each in (graph, model) if number in clocks else ():
            each.set_clock(clocks[number], time)
        if number == stop:
            graph = DynamicGraph.from_state(safetensors.numpy.load(safetensors.numpy.save(graph.state())), time)
        graph.apply(events, time)
        model.apply(events, time)
        for name, row in zip(model.nodes, graph.rows(model.nodes).tolist(), strict=True):
            assert graph.structure.steps[row].tolist() == model.structure(name)


def test_a_state_of_an_earlier_release_is_counted() -> None:
    graph = DynamicGraph(directed=True)
    edges: list[Event] = [UpsertEdge(str(node), "hub", 3.0, ts=float(node)) for node in range(9)]
    graph.apply(edges, 0.0)
    names = {"structure", "structure_due", "out_weight", "edge_first", "edge_last", "edge_gap"}
    state = {name: array for name, array in graph.state().items() if name not in names}
    earlier = DynamicGraph.from_state(state)
    timeless = graph.structure.steps.copy()
    timeless[:, OUT_WEIGHT + 1 :] = 0
    np.testing.assert_array_equal(earlier.structure.steps, timeless)
    for each in (graph, earlier):
        each.apply([RemoveEdge("3", "hub"), UpsertEdge("hub", "4", 5.0)], 0.0)
    assert earlier.structure.steps[:, : OUT_WEIGHT + 1].tolist() == graph.structure.steps[:, : OUT_WEIGHT + 1].tolist()


def test_the_degree_of_a_hub_seldom_changes() -> None:
    graph = DynamicGraph()
    found = [graph.apply([UpsertEdge(str(node), "hub")], 0.0) for node in range(2000)]
    hub = graph.row("hub")
    assert sum(hub in change.stepped for change in found) == 12
    assert graph.structure.steps[hub, IN_DEGREE] == 12
    gone = [graph.apply([RemoveNode(str(node))], 0.0) for node in range(2000)]
    assert sum(hub in change.stepped for change in gone) == 12
    assert graph.structure.steps[hub].tolist() == [0] * len(STRUCTURE)
