from __future__ import annotations

import pytest

from olad_core.events import LabelNode, RemoveNode, UpsertEdge, UpsertNode
from service.replay.arrival_stream import UnreadableDataset
from service.replay.label_delay import delay_labels
from service.replay.ndjson import read_ndjson, without_labels

LINES = [
    b'{"op": "upsert_node", "id": 1, "x": [0.5], "label": "red"}\n',
    b"\n",
    b'{"op": "upsert_node", "id": "b"}\n',
    b'{"op": "upsert_edge", "src": 1, "dst": "b"}\n',
    b'{"op": "upsert_node", "id": "1", "x": [0.7]}\n',
    b'{"op": "label", "id": "b", "label": 3}\n',
    b'{"op": "remove_node", "id": "b"}',
]


def test_events_stand_as_they_are_and_a_node_arrives_once() -> None:
    arrivals = list(read_ndjson(LINES, "file"))
    assert [event for arrival in arrivals for event in arrival.events] == [
        UpsertNode(id=1, x=[0.5], label="red"),
        UpsertNode(id="b"),
        UpsertEdge(src=1, dst="b"),
        UpsertNode(id="1", x=[0.7]),
        LabelNode(id="b", label=3),
        RemoveNode(id="b"),
    ]
    assert [arrival.node for arrival in arrivals] == ["1", "b", None, None, None, None]
    assert [arrival.truth for arrival in arrivals if arrival.truth] == [("1", "red"), ("b", "3")]


def test_labels_can_be_taken_out_and_sent_late() -> None:
    stream = list(delay_labels(without_labels(read_ndjson(LINES, "file")), 1))
    events = [event for arrival in stream for event in arrival.events]
    assert UpsertNode(id=1, x=[0.5]) in events
    assert [event for event in events if isinstance(event, LabelNode)] == [LabelNode(id="1", label="red")]
    assert events.index(LabelNode(id="1", label="red")) == events.index(UpsertNode(id="b")) + 1


def test_a_line_that_ends_too_early_is_named() -> None:
    with pytest.raises(UnreadableDataset, match=r"^events, line 2: the object is not whole: fetch or write the file"):
        list(read_ndjson([LINES[0], b'{"op": "upsert_node"\n'], "events"))


@pytest.mark.parametrize("line", [b"{", b"[]", b'{"op": "grow"}', b'{"op": "remove_node"}', b'{"op": "\xff"}'])
def test_a_wrong_line_is_named(line: bytes) -> None:
    with pytest.raises(UnreadableDataset, match=r"^events\.ndjson, line 3: "):
        list(read_ndjson([*LINES[:2], line], "events.ndjson"))
