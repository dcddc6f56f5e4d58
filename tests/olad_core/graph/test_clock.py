"""What time it is in a graph: each line of docs/events.md about times."""

from __future__ import annotations

import pytest

from olad_core.events import Event, GraphSchema, LabelNode, RemoveEdge, RemoveNode, UpsertEdge, UpsertNode
from olad_core.graph import DynamicGraph

NOW = 1_700_000_000.0
"""When entries arrive, in seconds."""


def graph_of(*events: Event, lifetime: float | None = 10.0, at: float = NOW) -> DynamicGraph:
    graph = DynamicGraph(edge_lifetime=lifetime)
    graph.apply(events, at)
    return graph


def edge(name: str, ts: float | None = None) -> UpsertEdge:
    return UpsertEdge(src=name, dst=f"{name}'", ts=ts)


def edges(graph: DynamicGraph) -> set[str]:
    return {node for node in graph.ids(graph.edge_index()[0]) if not node.endswith("'")}


@pytest.mark.parametrize(
    "untimed",
    [LabelNode(id="a", label="x"), UpsertNode(id="a"), UpsertNode(id="new"), edge("b"), RemoveNode(id="c")],
    ids=lambda event: type(event).__name__,
)
def test_an_event_without_ts_happens_at_the_latest_time(untimed: Event) -> None:
    graph = graph_of(edge("a", 100.0), edge("c", 91.0))
    before = graph.num_edges
    changes = graph.apply([untimed], NOW + 60)
    assert (changes.rejected, changes.expired, graph.clock) == ([], 0, 100.0)
    assert graph.num_edges >= before - (type(untimed) is RemoveNode)


def test_within_a_batch_the_latest_time_is_that_of_the_events_before() -> None:
    graph = graph_of(edge("first", 100.0), edge("at 100"), edge("later", 105.0), edge("at 105"))
    graph.apply([UpsertNode(id="n", ts=112.0)], NOW)
    assert edges(graph) == {"later", "at 105"}


def test_a_late_event_is_of_its_own_time_and_does_not_move_the_clock() -> None:
    graph = graph_of(edge("a", 100.0), edge("late", 95.0), edge("too late", 89.0), edge("untimed"))
    assert (graph.clock, edges(graph)) == (100.0, {"a", "late", "untimed"})


def test_a_graph_that_never_had_a_ts_lives_by_the_times_of_arrival() -> None:
    graph = graph_of(edge("a"))
    graph.apply([edge("b")], NOW + 6)
    assert (graph.clock, graph.clock_from_ts, edges(graph)) == (NOW + 6, False, {"a", "b"})
    graph.apply([UpsertNode(id="n")], NOW + 12)
    assert (graph.clock, edges(graph)) == (NOW + 12, {"b"})


@pytest.mark.parametrize("first_ts", [100.0, 0.0, -5.0, 2 * NOW, NOW * 1000])
def test_what_came_before_the_first_ts_happened_at_it(first_ts: float) -> None:
    graph = graph_of(edge("a"), UpsertNode(id="n"))
    changes = graph.apply([edge("b"), LabelNode(id="n", label="x", ts=first_ts), edge("c")], NOW + 5)
    assert (graph.clock, graph.clock_from_ts, changes.expired, edges(graph)) == (first_ts, True, 0, {"a", "b", "c"})
    graph.apply([edge("d", first_ts + 9.0)], NOW + 500)
    assert edges(graph) == {"a", "b", "c", "d"}
    graph.apply([UpsertNode(id="n", ts=first_ts + 10.5)], NOW + 501)
    assert edges(graph) == {"d"}


def test_an_impossible_event_with_the_first_ts_is_not_the_first_ts() -> None:
    graph = graph_of(edge("a"))
    changes = graph.apply([LabelNode(id="nobody", label="x", ts=5.0)], NOW)
    assert ([rejection.reason for rejection in changes.rejected], graph.clock_from_ts) == (["unknown-node"], False)


@pytest.mark.parametrize("ts", [1e30, 1e15, NOW * 1000, NOW * 1e6, 253_402_300_799.0])
@pytest.mark.parametrize(
    "event", [edge("far"), UpsertNode(id="far", x=[1.0]), LabelNode(id="a", label="x")], ids=lambda e: type(e).__name__
)
@pytest.mark.parametrize(("latest", "lifetime"), [(100.0, 10.0), (NOW, 10.0), (NOW, 3600.0 * 6)])
def test_a_ts_that_cannot_be_meant_is_rejected(ts: float, event: Event, latest: float, lifetime: float) -> None:
    graph = graph_of(edge("a", latest), lifetime=lifetime)
    event = type(event)(**{name: getattr(event, name) for name in event.__struct_fields__} | {"ts": ts})
    changes = graph.apply([event, edge("b", latest + 1)], NOW)
    (rejection,) = changes.rejected
    assert (rejection.index, rejection.reason) == (0, "ts-ahead")
    assert "PUT /clock" in rejection.detail
    assert (graph.clock, edges(graph), graph.num_nodes) == (latest + 1, {"a", "b"}, 4)
    assert graph.classes == []
    assert not len(changes.features)


@pytest.mark.parametrize(
    ("stream", "lifetime"),
    [
        ([1964.0, 1967.0, 2010.0], 5.0),
        ([1.0, 2.0, 49.0], 2.0),
        ([0.0, NOW, NOW + 1], 1.0),
        ([-1.0, NOW, NOW + 1], 1.0),
        ([0.0, NOW * 1e9, (NOW + 1) * 1e9], 1e9),
        ([NOW, NOW + 86_400 * 365 * 40], 1.0),
        ([3600.0, 3600.0 + 86_400 * 90], 10.0),
        ([NOW * 1000, (NOW + 86_400 * 365 * 40) * 1000], 1.0),
        ([-3e9, -2e9, NOW], 60.0),
        ([1e30], None),
    ],
    ids=[
        "years",
        "steps",
        "from no time",
        "from -1",
        "nanoseconds",
        "quiet",
        "from a start",
        "ms",
        "old",
        "no lifetime",
    ],
)
def test_streams_that_are_meant_are_believed(stream: list[float], lifetime: float | None) -> None:
    graph = DynamicGraph(edge_lifetime=lifetime)
    for number, ts in enumerate(stream):
        assert graph.apply([edge(str(number), ts)], NOW).rejected == []
        assert str(number) in edges(graph)
    assert graph.clock == stream[-1]


def test_the_first_ts_is_believed_unless_it_is_no_time_in_any_unit() -> None:
    assert graph_of(edge("a", 9e18)).clock == 9e18
    graph = graph_of(edge("a", 1e30), edge("b", 5.0))
    assert (graph.clock, edges(graph)) == (5.0, {"b"})


def test_a_declared_bound_is_kept_to_in_the_unit_of_ts() -> None:
    graph = graph_of(edge("a", 100.0), lifetime=None)
    graph.declare(GraphSchema(ts_ahead_max=60.0))
    changes = graph.apply([edge("b", 160.0), edge("c", 220.5), edge("d", 220.0), edge("e", 280.0)], NOW)
    assert [(rejection.index, rejection.reason) for rejection in changes.rejected] == [(1, "ts-ahead")]
    assert graph.clock == 280.0
    graph.declare(GraphSchema())
    assert graph.apply([edge("c", 1e9)], NOW).rejected == []


def test_a_jump_of_the_clock_of_arrivals_leaves_event_time_alone() -> None:
    graph = graph_of(edge("a", 100.0))
    graph.apply([edge("b")], 1e12)
    graph.apply([edge("c", 101.0)], NOW)
    assert (graph.clock, edges(graph)) == (101.0, {"a", "b", "c"})


def test_after_a_jump_forth_and_back_times_of_arrival_go_on() -> None:
    graph = graph_of(edge("a"))
    graph.apply([edge("in the future")], 4e9)
    assert edges(graph) == {"in the future"}, "as after a quiet time of that length"
    graph.apply([edge("b")], NOW + 1)
    assert edges(graph) == {"in the future", "b"}
    graph.apply([edge("c")], NOW + 8)
    graph.apply([edge("d")], NOW + 12)
    assert edges(graph) == {"c", "d"}, "edges live as long as ever, by seconds of arrival"


@pytest.mark.parametrize("back_to", [100.0, -3.0])
def test_a_clock_that_is_set_back_lets_edges_live_again(back_to: float) -> None:
    graph = graph_of(edge("a", 0.0), edge("wrong", 5e6))
    assert edges(graph) == {"wrong"}
    graph.set_clock(back_to, NOW)
    graph.apply([edge("b", back_to + 1), edge("untimed")], NOW)
    assert (graph.clock, edges(graph)) == (back_to + 1, {"wrong", "b", "untimed"})
    graph.apply([edge("c", back_to + 10.5)], NOW)
    assert edges(graph) == {"b", "untimed", "c"}, "an edge of the future is of the time that was set"


def test_a_clock_that_is_set_forward_lets_edges_leave_with_the_next_batch() -> None:
    graph = graph_of(edge("a", 0.0))
    graph.set_clock(1e12, NOW)
    assert graph.apply([edge("b", 1e12 + 1)], NOW).rejected == []
    assert edges(graph) == {"b"}


def test_a_clock_that_is_given_up_is_that_of_arrivals_until_the_next_ts() -> None:
    graph = graph_of(edge("a", 100.0))
    graph.set_clock(None, NOW + 1)
    assert (graph.clock, graph.clock_from_ts) == (NOW + 1, False)
    graph.apply([edge("b")], NOW + 9)
    assert edges(graph) == {"a", "b"}
    graph.apply([edge("c")], NOW + 12)
    assert edges(graph) == {"b", "c"}
    graph.apply([edge("d", 7.0)], NOW + 13)
    assert (graph.clock, edges(graph)) == (7.0, {"b", "c", "d"})


def test_the_clock_of_arrivals_can_be_set_too() -> None:
    graph = graph_of(edge("a"))
    graph.set_clock(NOW - 1000, NOW)
    graph.apply([edge("b")], NOW + 9)
    assert (graph.clock, edges(graph)) == (NOW - 991, {"a", "b"})
    graph.apply([edge("c")], NOW + 11)
    assert edges(graph) == {"b", "c"}


def test_a_clock_can_be_set_before_the_first_event() -> None:
    graph = DynamicGraph(edge_lifetime=10.0)
    graph.set_clock(50.0, NOW)
    graph.apply([edge("a")], NOW + 2)
    assert (graph.clock, edges(graph)) == (52.0, {"a"})


@pytest.mark.parametrize("give_up", [True, False])
def test_the_clock_is_part_of_the_state(give_up: bool) -> None:
    graph = graph_of(edge("a", 100.0))
    graph.declare(GraphSchema(edge_lifetime=10.0, ts_ahead_max=30.0))
    graph.apply([edge("b")], NOW - 5)
    if give_up:
        graph.set_clock(None, NOW - 4)
    again = DynamicGraph.from_state(graph.state())
    for one in (graph, again):
        one.apply([edge("c", 1e6), edge("d")], NOW - 3)
        one.apply([edge("e")], NOW + 3)
    assert (again.clock, again.clock_from_ts, edges(again)) == (graph.clock, graph.clock_from_ts, edges(graph))
    assert again.ts_ahead_max == 30.0


@pytest.mark.parametrize(
    ("events", "from_ts"),
    [([edge("a", 100.0)], True), ([edge("a")], False), ([edge("a", 100.0), edge("b", NOW)], False), ([], False)],
    ids=["event time", "arrivals", "moved by an event without ts", "nothing"],
)
def test_a_state_of_an_earlier_release_goes_on(events: list[Event], from_ts: bool) -> None:
    state = graph_of(*events, lifetime=None).state()
    for name in ("clock_from_ts", "clock_arrival", "clock_shift", "ts_ahead_max"):
        del state[name]
    graph = DynamicGraph.from_state(state, arrival=NOW + 30)
    assert (graph.clock_from_ts, graph.ts_ahead_max) == (from_ts, None)
    graph.apply([edge("c", 101.0), edge("d"), RemoveEdge(src="nobody", dst="c")], NOW + 31)
    assert graph.clock == 101.0
    assert {"c", "d"} <= edges(graph)
