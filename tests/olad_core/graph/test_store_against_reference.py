"""Random events: the store does what the plain-Python reference does, and reports the same."""

from __future__ import annotations

from dataclasses import fields
from itertools import pairwise

import numpy as np
import pytest
import safetensors.numpy
from hypothesis import given, settings
from hypothesis import strategies as st

from olad_core.events import Event
from olad_core.graph import Changes, DynamicGraph
from olad_core.graph.text import unpack
from tests.olad_core.graph.reference import Reference, ahead_maxes, batches, bounds, clock_settings, events

Batches = list[tuple[list[Event], float]]


def arcs_by_row(graph: DynamicGraph) -> dict[tuple[int, int], float]:
    source, target, weight = graph.edge_index()
    arcs = dict(zip(zip(source.tolist(), target.tolist(), strict=True), weight.tolist(), strict=True))
    assert len(arcs) == source.size, "an arc stands twice"
    return arcs


def arcs_by_id(graph: DynamicGraph) -> dict[tuple[str, str], float]:
    return {tuple(graph.ids(ends)): weight for ends, weight in arcs_by_row(graph).items()}  # type: ignore[misc]


def assert_same(graph: DynamicGraph, model: Reference) -> None:
    assert arcs_by_id(graph) == model.arcs()
    assert (graph.num_nodes, graph.num_edges) == (len(model.nodes), len(model.edges))
    assert (graph.num_features, graph.classes, graph.clock) == (model.width, model.classes, model.clock)
    assert graph.clock_from_ts == model.from_ts
    rows = graph.rows(model.nodes)
    assert graph.alive.sum() == len(model.nodes)
    assert graph.alive[rows].all()
    assert graph.ids(rows) == list(model.nodes)
    text, ends = graph.ids_bytes(rows)
    assert [text[a:b].tobytes().decode() for a, b in pairwise(ends)] == list(model.nodes)
    removed = graph.state()
    assert unpack(removed["removed_ids"], removed["removed_id_offsets"]) == list(model.removed)
    assert graph.removed_ids == len(model.removed)
    assert (np.diff(graph.arrival[rows]) > 0).all()
    for row, node in zip(rows, model.nodes.values(), strict=True):
        assert graph.features.has(row) == (node.x is not None)
        assert graph.features.dense(row).tolist() == (node.x or [0.0] * (model.width or 0))
        assert graph.label[row] == (-1 if node.label is None else model.classes.index(node.label))
        assert graph.structure.steps[row].tolist() == model.structure(graph.ids([row])[0])
    assert graph.features.count == sum(node.x is not None for node in model.nodes.values())
    dead = ~graph.alive
    assert not graph.features.dense(np.flatnonzero(dead)).any()
    assert not graph.features.has(np.flatnonzero(dead)).any()
    assert (graph.label[dead] == -1).all()
    assert not graph.in_weight_of(np.flatnonzero(dead)).any()
    assert not graph.structure.steps[dead].any()
    assert_adjacency(graph)


def assert_adjacency(graph: DynamicGraph) -> None:
    arcs = arcs_by_row(graph)
    rows = np.arange(graph.capacity)
    incoming, outgoing = graph.in_neighbours(rows), graph.out_neighbours(rows)
    into, out_of = np.repeat(rows, np.diff(incoming.indptr)), np.repeat(rows, np.diff(outgoing.indptr))
    seen_in = zip(incoming.index.tolist(), into.tolist(), incoming.weight.tolist(), strict=True)
    seen_out = zip(out_of.tolist(), outgoing.index.tolist(), outgoing.weight.tolist(), strict=True)
    expected = sorted((source, target, weight) for (source, target), weight in arcs.items())
    assert sorted(seen_in) == expected
    assert sorted(seen_out) == expected
    assert np.array_equal(graph.in_degree(rows), np.diff(incoming.indptr))
    sums = np.bincount(into, incoming.weight.astype(float), minlength=graph.capacity)
    assert graph.in_weight_of(rows) == pytest.approx(sums, rel=1e-6)


def assert_says_what_changed(
    changes: Changes, before: DynamicGraph, graph: DynamicGraph, model: Reference, batch: list[Event]
) -> None:
    old, new = arcs_by_row(before), arcs_by_row(graph)
    expected = [
        (*arc, old.get(arc, 0.0), new.get(arc, 0.0))
        for arc in sorted(old.keys() | new.keys())
        if old.get(arc) != new.get(arc)
    ]
    columns = (changes.edge_source, changes.edge_target, changes.weight_before, changes.weight_after)
    assert list(zip(*(column.tolist() for column in columns), strict=True)) == expected

    rows = np.flatnonzero(graph.alive)
    fresh = graph.arrival >= int(before.state()["arrivals"])
    assert changes.created.tolist() == sorted(rows[fresh[rows]], key=lambda row: graph.arrival[row])
    gone = [row for row in np.flatnonzero(before.alive) if not graph.alive[row] or fresh[row]]
    assert sorted(changes.removed_rows.tolist()) == gone
    assert before.ids(changes.removed_rows) == changes.removed_ids
    kept = np.array([row for row in rows if not fresh[row]], np.int64)
    had_features = [row for row in rows.tolist() if graph.features.has(row)]
    expected_features = [
        row
        for row in had_features
        if row not in kept
        or not before.features.has(row)
        or before.features.dense(row).tolist() != graph.features.dense(row).tolist()
    ]
    assert changes.features.tolist() == expected_features
    changed_label = {row for row in rows if graph.label[row] != (before.label[row] if row in kept else -1)}
    assert changed_label <= set(changes.labelled.tolist())
    assert graph.alive[changes.labelled].all()
    assert set(changes.labelled[changes.label_differs].tolist()) == changed_label
    named = {str(getattr(event, "id", "")) for event in batch if getattr(event, "label", None) is not None}
    assert set(graph.ids(changes.labelled)) <= named & model.nodes.keys()


@settings(max_examples=150)
@given(
    st.booleans(),
    st.sampled_from([None, 5.0]),
    st.sampled_from([None, 2]),
    ahead_maxes,
    bounds,
    batches,
    clock_settings,
)
def test_every_batch_does_what_its_events_do_one_by_one(
    directed: bool,
    lifetime: float | None,
    width: int | None,
    ahead_max: float | None,
    bounds: tuple[int, int],
    batches: Batches,
    settings: dict[int, float | None],
) -> None:
    kept, classes = bounds
    model = Reference(directed, lifetime, width, ahead_max=ahead_max, removed_kept=kept, max_classes=classes)
    graph = DynamicGraph(
        directed=directed, edge_lifetime=lifetime, feature_width=width, removed_kept=kept, max_classes=classes
    )
    graph.ts_ahead_max = ahead_max
    for number, (batch, time) in enumerate(batches):
        if number in settings:
            graph.set_clock(settings[number], time)
            model.set_clock(settings[number], time)
        before = DynamicGraph.from_state(graph.state())
        rejected, expired = model.apply(batch, time)
        changes = graph.apply(batch, time)
        assert [(rejection.index, rejection.reason) for rejection in changes.rejected] == rejected
        assert all(rejection.op == batch[rejection.index].__struct_config__.tag for rejection in changes.rejected)
        assert changes.expired == expired
        assert_same(graph, model)
        assert_says_what_changed(changes, before, graph, model, batch)


@settings(max_examples=50)
@given(st.booleans(), ahead_maxes, st.lists(events, max_size=60), st.integers(1, 60))
def test_where_a_stream_is_cut_into_batches_makes_no_difference(
    directed: bool, ahead_max: float | None, stream: list[Event], size: int
) -> None:
    whole, cut = DynamicGraph(directed=directed), DynamicGraph(directed=directed)
    whole.ts_ahead_max = cut.ts_ahead_max = ahead_max
    model = Reference(directed, None, None, ahead_max=ahead_max)
    model.apply(stream, 3.0)
    at_once = whole.apply(stream, 3.0)
    rejected = []
    for start in range(0, len(stream), size):
        changes = cut.apply(stream[start : start + size], 3.0)
        rejected += [(start + rejection.index, rejection.detail) for rejection in changes.rejected]
    assert [(rejection.index, rejection.detail) for rejection in at_once.rejected] == rejected
    assert_same(whole, model)
    assert_same(cut, model)


@settings(max_examples=50)
@given(st.booleans(), st.sampled_from([None, 5.0]), ahead_maxes, batches, st.integers(0, 8))
def test_a_restored_graph_goes_on_bit_for_bit(
    directed: bool, lifetime: float | None, ahead_max: float | None, batches: Batches, cut: int
) -> None:
    graph = DynamicGraph(directed=directed, edge_lifetime=lifetime)
    graph.ts_ahead_max = ahead_max
    for batch, time in batches[:cut]:
        graph.apply(batch, time)
    stored = safetensors.numpy.save({name: np.asarray(array) for name, array in graph.state().items()})
    restored = DynamicGraph.from_state(safetensors.numpy.load(stored))
    for batch, time in batches[cut:]:
        assert_equal_changes(graph.apply(batch, time), restored.apply(batch, time))
    state, other = graph.state(), restored.state()
    assert state.keys() == other.keys()
    for name in state:
        assert state[name].dtype == other[name].dtype
        assert state[name].tobytes() == other[name].tobytes(), name
    rows = np.arange(graph.capacity)
    sample, again = (each.sample_in_neighbours(rows, 2, seed=5) for each in (graph, restored))
    assert sample.index.tolist() == again.index.tolist()


def assert_equal_changes(left: Changes, right: Changes) -> None:
    for name in (field.name for field in fields(Changes)):
        one, other = getattr(left, name), getattr(right, name)
        assert np.array_equal(one, other) if isinstance(one, np.ndarray) else one == other
