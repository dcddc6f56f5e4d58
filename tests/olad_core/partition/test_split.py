"""Parts that were written by another number of ranks, or a whole graph, become those of a new number of ranks."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from olad_core.config import STRUCTURE
from olad_core.events import Event, GraphSchema
from olad_core.graph import DynamicGraph
from olad_core.partition import Partition, Source, Traffic, part_state, run_in_lockstep, split, whole_graph
from olad_core.students import InputShape
from tests.device import DEVICE
from tests.olad_core.partition.runs import CLASSES, Group, group
from tests.olad_core.partition.test_store import SIZES, TYPES, assert_same, timed, typed
from tests.olad_core.serving.test_embedding import student_of
from tests.olad_core.streams import FEATURES, changes, take

pytestmark = pytest.mark.skipif(DEVICE.type != "cpu", reason="ranks compute on CPUs")


def sources(parts: Group) -> list[Source]:
    return [Source(part.state(), part.store.rank, part.store.ranks) for part in parts.parts]


def restored(found: list[Source], ranks: int, students: list[Any]) -> Group:
    parts = [Partition.from_state(part_state(iter(found), rank, ranks), rank, ranks) for rank in range(ranks)]
    for part in parts:
        part.serve(students, CLASSES)
    run_in_lockstep([part.embed() for part in parts])
    return Group(parts, Traffic())


def followed(stream: Iterator[Event], groups: list[Group], sizes: tuple[int, ...], start: int = 0) -> None:
    for turn, size in enumerate(sizes, start):
        events = take(stream, size)
        for each in groups:
            each.apply(events, float(turn))


@pytest.mark.parametrize(("before", "after"), [(1, 2), (3, 1), (2, 3)])
@pytest.mark.parametrize("directed", [False, True])
def test_parts_go_on_as_if_they_had_always_been_so_many(before: int, after: int, directed: bool) -> None:
    settings: dict[str, Any] = {"directed": directed, "edge_lifetime": 12.0}
    for seed, reads in ((0, ()), (1, STRUCTURE)):
        students = [student_of("gcn", FEATURES, reads), student_of("gat", FEATURES, reads)]
        stream = timed(changes(seed), seed)
        first, whole = group(before, students, **settings), DynamicGraph(**settings)
        for turn, size in enumerate(SIZES):
            events = take(stream, size)
            whole.apply(events, float(turn))
            first.apply(events, float(turn))
        second = restored(sources(first), after, students)
        assert_same(second, whole)
        assert [second.served(number) for number in range(2)] == [first.served(number) for number in range(2)]
        for turn, size in enumerate((50, 0, 30)):
            events = take(stream, size)
            expected = whole.apply(events, 20.0 + turn)
            rejected = [outcome.rejected for outcome in second.apply(events, 20.0 + turn)]
            assert all(each == expected.rejected for each in rejected)
            first.apply(events, 20.0 + turn)
            assert_same(second, whole)
        assert [second.served(number) for number in range(2)] == [first.served(number) for number in range(2)]


@pytest.mark.parametrize(("before", "after"), [(1, 2), (2, 1)])
def test_types_and_features_of_edges(before: int, after: int) -> None:
    for seed in range(2):
        whole = DynamicGraph()
        whole.declare(TYPES)
        student = InputShape.of_graph(whole).build("gat", 8, 8, 3)
        stream = typed(timed(changes(seed), seed), seed)
        first = group(before, [student], TYPES)
        for turn, size in enumerate(SIZES):
            events = take(stream, size)
            whole.apply(events, float(turn))
            first.apply(events, float(turn))
        second = restored(sources(first), after, [student])
        assert_same(second, whole)
        assert second.served() == first.served()
        followed(stream, [first, second], (40, 20), start=20)
        assert second.served() == first.served()


@pytest.mark.parametrize("ranks", [1, 2])
def test_a_whole_graph_is_split(ranks: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(split, "EDGES_AT_ONCE", 7)
    settings: dict[str, Any] = {"edge_lifetime": 12.0, "removed_kept": 5}
    stream, whole = timed(changes(3), 3), DynamicGraph(**settings)
    students = [student_of("sage")]
    expected = group(ranks, students, **settings)
    for turn, size in enumerate(SIZES):
        events = take(stream, size)
        whole.apply(events, float(turn))
        expected.apply(events, float(turn))
    found = restored([whole_graph(whole.state())], ranks, students)
    assert_same(found, whole)
    assert found.served() == expected.served()
    followed(stream, [found, expected], (60, 20), start=20)
    assert found.served() == expected.served()


def test_a_part_goes_on_from_its_own_state() -> None:
    """The same number of ranks restores each part as it was: rows, free places and all."""
    students, stream = [student_of("gcn")], timed(changes(2), 2)
    first = group(2, students, edge_lifetime=12.0)
    followed(stream, [first], SIZES)
    parts = [Partition.from_state(part.state(), part.store.rank, 2) for part in first.parts]
    for part in parts:
        part.serve(students, CLASSES)
    run_in_lockstep([part.embed() for part in parts])
    second = Group(parts, Traffic())
    followed(stream, [first, second], (60, 20), start=20)
    assert second.served() == first.served()
    for one, other in zip(first.parts, second.parts, strict=True):
        states = one.state(), other.state()
        assert states[0].keys() == states[1].keys()
        for name, array in states[0].items():
            if name != "number":
                np.testing.assert_array_equal(array, states[1][name], err_msg=name)


def test_edges_are_counted_once() -> None:
    for schema in (GraphSchema(), GraphSchema(directed=True), TYPES):
        whole, parts = DynamicGraph(), group(4, schema=schema)
        whole.declare(schema)
        stream = typed(changes(1), 1) if schema is TYPES else changes(1)
        for size in SIZES:
            events = take(stream, size)
            whole.apply(events, 0.0)
            parts.apply(events)
        assert sum(part.store.count_of_edges for part in parts.parts) == whole.num_edges > 0
