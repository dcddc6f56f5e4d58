"""What is served does not depend on the number of partitions, to the byte, and is what one worker would serve."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from olad_core.config import STRUCTURE
from olad_core.events import RemoveNode, UpsertEdge, UpsertNode
from olad_core.graph import DynamicGraph
from olad_core.students import ARCHITECTURES, InputShape, Student
from tests.device import DEVICE
from tests.olad_core.partition.runs import RANKS, group
from tests.olad_core.partition.test_store import SIZES, TYPES, timed, typed
from tests.olad_core.serving.test_embedding import answers, embedded, full, remembering, student_of
from tests.olad_core.streams import FEATURES, changes, take

pytestmark = pytest.mark.skipif(DEVICE.type != "cpu", reason="ranks compute on CPUs")


def as_array(served: dict[str, bytes], ids: list[str]) -> np.ndarray[Any, Any]:
    return np.stack([np.frombuffer(served[node], np.float32) for node in ids])


@pytest.mark.parametrize("directed", [False, True])
@pytest.mark.parametrize("architecture", sorted(ARCHITECTURES))
def test_served_bytes_are_those_of_one_partition(architecture: str, directed: bool) -> None:
    for seed, features, reads in ((0, FEATURES, ()), (1, 0, ()), (2, FEATURES, STRUCTURE)):
        settings: dict[str, Any] = {"directed": directed, "edge_lifetime": 12.0}
        student = student_of(architecture, features, reads)
        whole = DynamicGraph(**settings)
        groups = [group(ranks, [student], **settings) for ranks in RANKS]
        stream = timed(changes(seed), seed)
        for turn, size in enumerate(SIZES):
            events = take(stream, size)
            whole.apply(events, float(turn))
            for each in groups:
                each.apply(events, float(turn))
            alone, *others = [each.served() for each in groups]
            assert all(each == alone for each in others)
        rows, expected = full(whole, student, remembering(student))
        np.testing.assert_allclose(as_array(alone, whole.ids(rows)), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("architecture", sorted(ARCHITECTURES))
def test_types_and_features_of_edges(architecture: str) -> None:
    for seed in range(2):
        whole = DynamicGraph()
        whole.declare(TYPES)
        student = InputShape.of_graph(whole).build(architecture, 8, 8, 3)
        groups = [group(ranks, [student], TYPES) for ranks in RANKS]
        stream = typed(timed(changes(seed), seed), seed)
        for turn, size in enumerate(SIZES):
            events = take(stream, size)
            whole.apply(events, float(turn))
            for each in groups:
                each.apply(events, float(turn))
            alone, *others = [each.served() for each in groups]
            assert all(each == alone for each in others)
        rows = whole.living()
        np.testing.assert_allclose(
            as_array(alone, whole.ids(rows)), answers(embedded(whole, student), rows), rtol=1e-5, atol=1e-6
        )


def test_what_is_reported_as_changed_is_what_changed() -> None:
    members: list[Student] = [student_of("gcn"), student_of("gat")]
    parts = group(4, members)
    stream = changes(1)
    before: list[dict[str, bytes]] = [{}, {}]
    for size in SIZES:
        outcomes = parts.apply(take(stream, size))
        for number in range(2):
            served = parts.served(number)
            reported = {
                node
                for part, outcome in zip(parts.parts, outcomes, strict=True)
                for node in part.graph.ids(outcome.changed[number])
            }
            changed = {node for node, row in served.items() if before[number].get(node) != row}
            # A node that was removed and is back is new, though its answer may be the one it had.
            assert changed <= reported
            before[number] = served


def test_rows_go_to_each_rank_once_however_many_neighbours_are_there() -> None:
    star = [UpsertEdge("hub", f"leaf {leaf}") for leaf in range(400)]
    parts = group(2, [student_of("sage")])
    parts.apply(star)
    parts.traffic.records.clear()
    parts.apply([UpsertEdge("hub", "leaf 0", weight=3.0), UpsertEdge("hub", "leaf 1", weight=5.0)])
    sent = {kind: count for kind, count in parts.traffic.records.items() if kind.startswith("rows")}
    # The hub and two leaves are others at layer 1.
    assert sum(sent.values()) <= 3
    parts.apply([RemoveNode("hub")])
    assert [part.store.copies for part in parts.parts] == [0, 0]


def test_the_order_in_which_edges_have_left_does_not_count() -> None:
    """Edges of one time leave in the order of rows, which are others at each rank."""
    draw = np.random.default_rng(3)
    leaves = [f"leaf {leaf}" for leaf in range(60)]
    nodes = [UpsertNode(node, draw.normal(size=FEATURES).tolist()) for node in ["hub", *leaves]]
    edges = [UpsertEdge("hub", leaf, float(draw.uniform(0.1, 9)), ts=float(draw.integers(4))) for leaf in leaves[::-1]]
    groups = [group(ranks, [student_of("gat")], edge_lifetime=3.0) for ranks in RANKS]
    orders = set()
    for each in groups:
        each.apply(nodes)
        each.apply(edges)
        each.apply([UpsertEdge("leaf 0", "leaf 1", ts=5.0)])
        part = next(part for part in each.parts if "hub" in part.answers()[0])
        orders.add(tuple(part.graph.ids(part.graph.in_neighbours(part.graph.rows(["hub"])).index)))
    assert len(orders) > 1, "nothing is tested"
    alone, *others = [each.served() for each in groups]
    assert all(each == alone for each in others)


@pytest.mark.parametrize("ranks", [2, 4])
def test_a_node_without_features_does_not_decide_how_those_of_others_are_multiplied(ranks: int) -> None:
    draw = np.random.default_rng(5)
    width, student = 40, student_of("gcn", 40)
    alone, parts = group(1, [student]), group(ranks, [student])
    # Some have few entries, so that blocks of other nodes would be sparse at one rank and dense at another.
    rows = [
        (draw.normal(size=width) * (draw.random(width) < draw.choice([0.05, 0.3, 1.0]))).tolist() for _ in range(300)
    ]
    for events in ([UpsertNode(f"n{at}", x) for at, x in enumerate(rows)], [UpsertNode("n3", rows[4])]):
        alone.apply(events)
        parts.apply(events)
        assert parts.served() == alone.served()
