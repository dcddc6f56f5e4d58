"""Rows that are nodes with a value to predict."""

from __future__ import annotations

from pathlib import Path

import pytest

from olad_core.events import LabelNode, UpsertEdge, UpsertNode
from olad_core.graph_types import NodeType
from olad_core.task_types import NodeValueTask
from service.client.frames import frame_events
from service.replay.arrival_stream import UnreadableDataset
from service.replay.table_options import WrongMapping
from tests.service.replay.tables.test_edge_rows import events_of, opened

TABLE = "id,near,area,price\nh1,,50,100.5\nh2,h1,80,\nh3,h1,60,130\n"
MAPPING = "target: near\nnode:\n  id: id\n  features: [area]\n  value: {column: price, delay: 1, coverage: 0.8}\n"


def test_values_of_nodes_are_labels_with_a_task_of_their_own(tmp_path: Path) -> None:
    source = opened(tmp_path, MAPPING, TABLE)
    assert source.proposal is not None
    assert source.proposal.tasks == {"price": NodeValueTask(kind="node_value", coverage=0.8)}
    assert source.proposal.classes == ()
    assert events_of(source) == [
        UpsertNode("h1", [50.0]),
        UpsertNode("h2", [80.0]),
        UpsertEdge("h2", "h1"),
        LabelNode("h1", value=100.5),
        UpsertNode("h3", [60.0]),
        UpsertEdge("h3", "h1"),
    ]
    scored = opened(tmp_path, MAPPING.replace("delay: 1, ", ""), TABLE, scored=True, label_delay=0)
    assert LabelNode("h3", value=130.0) in events_of(scored)


def test_the_task_is_of_the_type_of_the_rows(tmp_path: Path) -> None:
    mapping = MAPPING.replace("target: near\n", "").replace("id: id", "id: id\n  type: {name: house}\n  task: sold for")
    source = opened(tmp_path, mapping, TABLE)
    assert source.proposal is not None
    assert source.proposal.tasks == {"sold for": NodeValueTask(kind="node_value", node_type="house", coverage=0.8)}
    assert source.proposal.node_types == {"house": NodeType(feature_width=1)}


def test_a_frame_has_values_too() -> None:
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame({"id": ["a", "b"], "price": [1.5, None]})
    found = frame_events(frame, {"node": {"id": "id", "value": "price"}})
    assert found.schema.tasks == {"price": NodeValueTask(kind="node_value")}
    assert [event for batch in found.batches for event in batch] == [
        UpsertNode("a"),
        LabelNode("a", value=1.5),
        UpsertNode("b"),
    ]


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (("130", "much"), "much"),
        (("130", "1e20"), "a value of 1e\\+20"),
        (("id: id", "id: id\n  label: area"), "rows have classes or values"),
        (("id: id", "id: id\n  type: area"), "a task is of one type of nodes"),
        (("value: {column: price, delay: 1, coverage: 0.8}", "task: price"), "a task of nodes needs `value`"),
    ],
)
def test_a_value_that_does_not_fit_is_named(tmp_path: Path, change: tuple[str, str], problem: str) -> None:
    with pytest.raises((UnreadableDataset, WrongMapping), match=problem):
        opened(tmp_path, MAPPING.replace(*change), TABLE.replace(*change))
