from __future__ import annotations

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from olad_core.events import Event, LabelNode, UpsertEdge, UpsertNode
from olad_core.graph import DynamicGraph
from service.models import MAX_BODY_BYTES
from service.replay.archive_graph import GraphDataset
from service.replay.arrival_stream import BATCH_BYTES, Arrival, batched
from service.replay.label_delay import delay_labels


def _node(name: str, label: str | None = None, edges: int = 0) -> Arrival:
    links = tuple(UpsertEdge(src=name, dst=str(other)) for other in range(edges))
    return Arrival((UpsertNode(id=name), *links), name, None if label is None else (name, label))


_EDGE = Arrival((UpsertEdge(src="a", dst="b"),))
arrival_lists = st.lists(st.integers(0, 4).map(lambda edges: ("node", edges)) | st.just(("edge", 0)), max_size=40).map(
    lambda kinds: [_node(str(i), str(i % 3), size) if kind == "node" else _EDGE for i, (kind, size) in enumerate(kinds)]
)


@given(arrival_lists, st.integers(0, 10))
def test_a_label_follows_exactly_that_many_arrivals_after_its_node(arrivals: list[Arrival], delay: int) -> None:
    order = [arrival.node for arrival in arrivals if arrival.node is not None]
    count = 0
    labelled = []
    for before, after in zip(arrivals, delay_labels(arrivals, delay), strict=True):
        assert after.events[: len(before.events)] == before.events
        count += before.node is not None
        for event in after.events[len(before.events) :]:
            assert isinstance(event, LabelNode)
            assert order.index(str(event.id)) + delay == count - 1
            labelled.append(event.id)
    assert labelled == order[: max(0, len(order) - delay)]


def test_a_node_whose_class_is_unknown_gets_no_label_but_counts_as_an_arrival() -> None:
    stream = delay_labels([_node("a", "x"), _node("b"), _node("c", "z")], 1)
    assert [len(arrival.events) for arrival in stream] == [1, 2, 1]


def test_a_class_that_becomes_known_late_is_sent_at_once() -> None:
    known_late = Arrival((), None, ("a", "x"))
    *_, last = delay_labels([_node("a"), _node("b"), _node("c"), known_late], 1)
    assert last.events == (LabelNode(id="a", label="x"),)


def test_a_label_has_the_greatest_time_of_the_events_before_it() -> None:
    arrivals = [Arrival((UpsertNode(id=str(ts), ts=ts),), str(ts), (str(ts), "x")) for ts in (5.0, 3.0, 9.0)]
    sent = [event for arrival in delay_labels([_node("first", "x"), *arrivals], 1) for event in arrival.events]
    assert [event.ts for event in sent if isinstance(event, LabelNode)] == [5.0, 5.0, 9.0]
    (untimed,) = delay_labels([_node("a", "x")], 0)
    assert untimed.events[1:] == (LabelNode(id="a", label="x"),)


@pytest.mark.parametrize("labels_have_times", [True, False])
def test_contacts_leave_after_their_lifetime_and_no_sooner_whatever_stands_between(labels_have_times: bool) -> None:
    """Living edges at every tenth of a stream of contacts, counted from the contacts themselves."""
    draw = np.random.default_rng(3)
    contacts, people, lifetime = 3000, 60, 500.0
    time = np.sort(draw.integers(1_385_982_020, 1_385_982_020 + 10_000, contacts)).astype(float)
    ends = np.sort(np.stack([draw.integers(0, people, contacts), draw.integers(0, people, contacts)]), axis=0)
    dataset = GraphDataset(draw.integers(0, 3, people), ("a", "b", "c"), ends, edge_time=time)
    graph = DynamicGraph(edge_lifetime=lifetime)
    sent, now = 0, 0.0
    for number, batch in enumerate(batched(delay_labels(dataset.arrivals(), 20), 5, 100)):
        events: list[Event] = [
            event if labels_have_times or not isinstance(event, LabelNode) else structs.replace(event, ts=None)
            for event in batch.events
        ]
        changes = graph.apply(events, 1.7e9 + number)
        assert changes.rejected == []
        sent += sum(isinstance(event, UpsertEdge) for event in events)
        now = max(now, *(event.ts or 0.0 for event in batch.events if isinstance(event, UpsertNode | UpsertEdge)))
        last = {(source, target): ts for source, target, ts in zip(*ends[:, :sent].tolist(), time[:sent], strict=True)}
        assert graph.num_edges == sum(ts >= now - lifetime for ts in last.values()), number
        assert graph.clock == now
    assert sent == contacts


@given(arrival_lists, st.integers(1, 6), st.integers(1, 9))
def test_batches_hold_everything_in_order_within_their_limits(arrivals: list[Arrival], nodes: int, events: int) -> None:
    batches = list(batched(arrivals, nodes, events))
    sent: list[Event] = [event for batch in batches for event in batch.events]
    assert sent == [event for arrival in arrivals for event in arrival.events]
    assert [node for batch in batches for node in batch.nodes] == [a.node for a in arrivals if a.node is not None]
    assert [truth for batch in batches for truth in batch.truths] == [a.truth for a in arrivals if a.truth is not None]
    for batch in batches:
        assert 1 <= len(batch.events) <= events
        assert len(batch.nodes) <= nodes
        assert {event.id for event in batch.events if isinstance(event, UpsertNode)} == set(batch.nodes)


@given(arrival_lists, st.integers(1, 6))
def test_a_node_and_its_edges_stay_together(arrivals: list[Arrival], nodes: int) -> None:
    for batch in batched(arrivals, nodes, events=5):
        for name in batch.nodes:
            whole = next(arrival for arrival in arrivals if arrival.node == name)
            assert set(map(repr, whole.events)) <= set(map(repr, batch.events))


def test_edges_alone_join_the_batch_before_them() -> None:
    batches = list(batched([_node("a"), _node("b"), _EDGE, _node("c")], nodes=2))
    assert [len(batch.events) for batch in batches] == [3, 1]


@given(arrival_lists, st.integers(1, 6), st.integers(1, 400))
def test_batches_hold_so_many_bytes_at_most_or_one_event(arrivals: list[Arrival], nodes: int, size: int) -> None:
    batches = list(batched(arrivals, nodes, size=size))
    sent = [event for batch in batches for event in batch.events]
    assert sent == [event for arrival in arrivals for event in arrival.events]
    assert [node for batch in batches for node in batch.nodes] == [a.node for a in arrivals if a.node is not None]
    for batch in batches:
        assert len(batch.events) == 1 or len(msgspec.json.encode(batch.events)) <= size + 1
        assert {event.id for event in batch.events if isinstance(event, UpsertNode)} == set(batch.nodes)


def test_wide_updates_stay_below_what_the_service_takes() -> None:
    wide = [Arrival((UpsertNode(id=n, x=[0.1234567] * 65_536),), str(n)) for n in range(30)]
    batches = list(batched(wide, 10_000))
    assert [len(batch.nodes) for batch in batches] == [6, 6, 6, 6, 6]
    assert max(len(msgspec.json.encode(batch.events)) for batch in batches) <= BATCH_BYTES < MAX_BODY_BYTES
