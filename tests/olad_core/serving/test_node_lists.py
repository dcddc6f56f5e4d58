from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from olad_core.events import Event, GraphSchema, LabelNode, UpsertEdge, UpsertNode
from olad_core.serving.list_names import ListName, Order
from olad_core.serving.publication import ListedNodes
from tests.olad_core.runs import PAIR, Run, learned
from tests.olad_core.streams import changes, take, two_communities


def grown(nodes: int = 140) -> Run:
    """A run that serves, with nodes that have no label."""
    run = learned(Run(PAIR))
    run.turn([event for event in two_communities(nodes, labelled=False) if isinstance(event, UpsertNode)][40:])
    return run


def listed(run: Run, name: ListName) -> ListedNodes:
    run.engine.make_list(str(name))
    (found,) = run.engine.take_publication().lists
    return found


def plain(run: Run, name: ListName) -> list[str]:
    """The list out of a full recomputation, by sorting all nodes."""
    engine = run.engine
    graph, served = engine.graph, engine.versions.served
    assert served is not None
    engine.tidy(10**9)
    assert not engine.marked
    rows = np.flatnonzero(graph.alive & ((graph.label < 0) | name.labelled))
    if name.order == "arrived":
        key = graph.arrival[rows].astype(np.float64)
    elif name.order == "disagreement":
        key = served.embedding.disagreement(rows).astype(np.float64)
    elif name.order == "id":
        return sorted(node for node in graph.ids(rows) if node.startswith(name.filter))[: name.size]
    else:
        key = served.embedding.probabilities(rows)[:, served.version.classes.index(name.filter)].astype(np.float64)
    order = sorted(range(len(rows)), key=lambda at: (-key[at], rows[at]))
    return list(graph.ids(rows[order][: name.size]))


NAMES = [
    ListName("top", 100, False, "odd"),
    ListName("top", 1000, True, "even"),
    ListName("disagreement", 100, True),
    ListName("arrived", 100, False),
    ListName("id", 1000, True, "1"),
    ListName("id", 100, False, ""),
]


@pytest.mark.parametrize("name", NAMES, ids=str)
def test_where_nothing_is_marked_it_is_that_of_a_full_sort(name: ListName) -> None:
    run = grown()
    found = listed(run, name)
    assert found.marked == 0
    assert list(found.nodes) == plain(run, name)


@pytest.mark.parametrize("name", NAMES, ids=str)
def test_what_is_listed_is_exact_while_rows_are_marked(name: ListName) -> None:
    run = grown()
    stream: Iterator[Event] = changes(7, nodes=140)
    some_were_marked = False
    for number in range(12):
        run.engine.apply(f"{10**6 + number}-0", take(stream, 30), 0.0)
        run.engine.refresh(most_work=40)
        run.engine.take_publication()
        some_were_marked |= run.engine.marked > 0
        found = listed(run, name)
        assert found.marked == run.engine.marked
        served = run.engine.versions.served
        assert served is not None
        rows = run.engine.graph.rows(found.nodes)
        assert not served.embedding.marks[rows].any()
        # A full recomputation gives the listed nodes the same numbers.
        before = found.probabilities.copy(), found.disagreement.copy()
        run.engine.tidy(10**9)
        again = served.embedding.probabilities(rows)
        shown = served.version.classes.index(name.filter) if name.order == "top" else again.argmax(axis=1)
        np.testing.assert_array_equal(again[np.arange(len(rows)), shown], before[0])
        np.testing.assert_array_equal(served.embedding.disagreement(rows), before[1])
    assert some_were_marked


def test_marked_rows_of_a_list_are_computed_before_others_where_there_is_time() -> None:
    run = grown()
    found = listed(run, ListName("top", 100, False, "odd"))
    last = found.nodes[-1]
    events: list[Event] = [UpsertEdge(src=node, dst=last) for node in range(40)]
    run.engine.apply("2000000-0", events, 0.0)
    run.engine.refresh(most_work=1)
    served = run.engine.versions.served
    assert served is not None
    rows = run.engine.graph.rows(found.nodes)
    marked = int(served.embedding.marks[rows].sum())
    assert 0 < marked < run.engine.marked
    while served.embedding.marks[rows].any():
        before = run.engine.marked - int(served.embedding.marks[rows].sum())
        assert run.engine.tidy(1) > 0
        assert run.engine.marked - int(served.embedding.marks[rows].sum()) == before


def test_nodes_that_changed_last_come_first() -> None:
    run = grown()
    run.turn([UpsertNode(id=77, x=[1.0, 0.0, 0.25])])
    run.turn([UpsertNode(id=88, x=[0.0, 1.0, 0.25])])
    assert listed(run, ListName("changed", 100, False)).nodes[:2] == ("88", "77")
    run.turn([LabelNode(88, "even")])
    assert "88" not in listed(run, ListName("changed", 100, False)).nodes
    assert "88" in listed(run, ListName("changed", 100, True)).nodes


def test_labels_follow_the_rule_and_probabilities_are_of_the_class_that_is_listed() -> None:
    run = grown()
    run.engine.declare("3000000-0", GraphSchema.model_validate({"decisions": {"even": {"threshold": 1e-9}}}))
    found = listed(run, ListName("top", 100, False, "odd"))
    assert set(found.labels) == {"even"}
    assert list(found.probabilities) == sorted(found.probabilities, reverse=True)
    by_doubt = listed(run, ListName("disagreement", 100, False))
    assert set(by_doubt.labels) == {"even"}
    both = dict(zip(found.nodes, found.probabilities, strict=True))
    for node, probability in zip(by_doubt.nodes, by_doubt.probabilities, strict=True):
        if node in both:
            assert probability == pytest.approx(1 - both[node], abs=1e-6)


@pytest.mark.parametrize("name", ["", "top", "top:7:0:odd", "top:100:2:odd", "best:100:0:", "top:100:0:unheard"])
def test_what_is_no_list_is_passed_over(name: str) -> None:
    run = grown(48)
    run.engine.make_list(name)
    assert run.engine.take_publication().lists == ()


def test_before_a_version_is_served_there_is_no_list() -> None:
    run = Run(PAIR)
    run.turn(two_communities(12))
    assert run.engine.make_list(str(ListName("arrived", 100, False))) == 0
    assert run.engine.take_publication().lists == ()


@pytest.mark.parametrize("order", ["top", "disagreement", "changed", "arrived"])
def test_the_name_of_a_list_is_read_back(order: Order) -> None:
    name = ListName(order, 1000, True, "a:b:c" if order == "top" else "")
    assert ListName.parsed(str(name)) == name


def test_an_id_that_is_the_whole_prefix_is_listed_however_many_begin_with_it() -> None:
    run = grown()
    run.turn([UpsertNode(id=f"é{number}", x=[0.0, 0.0, 0.0]) for number in range(120)])
    run.turn([UpsertNode(id="é", x=[0.0, 0.0, 0.0])])
    found = listed(run, ListName("id", 100, False, "é"))
    assert len(found.nodes) == 100
    assert found.nodes[0] == "é"
    assert list(found.nodes) == sorted(found.nodes)
    assert set(found.nodes) <= {"é", *(f"é{number}" for number in range(120))}
    assert listed(run, ListName("id", 100, False, "é11")).nodes == tuple(
        sorted(f"é11{end}" for end in ["", *range(10)])
    )
    assert listed(run, ListName("id", 100, False, "è")).nodes == ()
