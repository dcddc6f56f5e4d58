"""Data frames in and out, against the real API on a real Redis."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

import pyarrow as pa
import pytest
import redis

from olad_core.events import LabelNode, UpsertEdge, UpsertNode
from service.client import Client
from service.client.frames import frame_events, prediction_table
from service.replay.arrival_stream import UnreadableDataset
from service.store.keys import Keys
from service.store.log_reader import LogReader
from service.store.prediction_writer import PredictionWriter
from tests.docs.markdown import ROOT
from tests.service.client.conftest import Connect
from tests.service.publications import publication

MAPPING = {
    "time": {"column": "at", "unit": "own"},
    "source": "payer",
    "node": {"id": "id", "features": ["amount", "land"], "label": "fraud"},
}


class Capsules:
    """A frame of another library: nothing but the interface of Arrow."""

    def __init__(self, table: Any) -> None:
        self._table = table

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        return self._table.__arrow_c_stream__(requested_schema)


def payments(rows: int = 4) -> Any:
    return pa.table(
        {
            "id": [f"p{row}" for row in range(rows)],
            "payer": [f"c{row % 2}" for row in range(rows)],
            "amount": [float(row) for row in range(rows)],
            "land": ["AT", "DE"] * (rows // 2),
            "at": [10.0 + row for row in range(rows)],
            "fraud": ["yes", None] * (rows // 2),
        }
    )


@pytest.fixture
def client(url: str, connect: Connect) -> Client:
    return connect(url, patience_s=10)


@pytest.mark.parametrize("kind", [pa.table, Capsules])
def test_rows_arrive_as_events(client: Client, redis_client: redis.Redis, keys: Keys, kind: Any) -> None:
    sent = client.append_frame(kind(payments()), MAPPING, declare=True)
    assert (sent.batches, sent.position) == (1, client.position)
    entries = LogReader(redis_client, keys).read("0-0", max_events=100)
    events = [event for entry in entries for event in entry.events]
    assert events[:3] == [
        UpsertNode(id="p0", x=[0.0, 1.0, 0.0], ts=10.0),
        UpsertEdge(src="c0", dst="p0", ts=10.0),
        LabelNode(id="p0", label="yes", ts=10.0),
    ]
    assert len(events) == sent.events == 10
    assert client.schema().feature_width == 3
    assert client.schema().classes == ("yes",)


def test_a_frame_with_a_key_is_sent_once(client: Client) -> None:
    first, again = [client.append_frame(payments(20_000), MAPPING, key="k") for _ in range(2)]
    assert first == again
    assert first.batches > 1
    assert client.status().log.appended_events == first.events == 50_000


def test_nothing_is_sent_of_a_frame_with_a_wrong_value(client: Client) -> None:
    wrong = payments().set_column(4, "at", [["10", "yesterday", "11", "12"]])
    with pytest.raises(UnreadableDataset, match="the frame, row 1, column 'at': 'yesterday'"):
        client.append_frame(wrong, MAPPING)
    with pytest.raises(UnreadableDataset, match="no column 'payer'"):
        client.append_frame(payments().drop_columns("payer"), MAPPING)
    with pytest.raises(ValueError, match="a row is an edge, with `source` and `target`"):
        client.append_frame(payments(), {"source": "payer"})
    assert client.status().log.position is None


def test_labels_wait_where_the_mapping_states_a_delay() -> None:
    delayed = {**MAPPING, "node": {"id": "id", "label": {"column": "fraud", "delay": 2}}}
    (events,) = frame_events(payments(), delayed).batches
    kinds = [type(event) for event in events]
    assert kinds.index(LabelNode) > [event for event in events if isinstance(event, UpsertNode)].index(
        UpsertNode(id="p2", ts=12.0)
    )
    assert sum(kind is LabelNode for kind in kinds) == 1


def test_predictions_are_a_table(client: Client, redis_client: redis.Redis, keys: Keys) -> None:
    writer = PredictionWriter(redis_client, keys)
    writer.start()
    position = client.append([UpsertNode(id=name) for name in "pq"]).position
    writer.publish(publication(position, {"p": (0.25, 0.75), "q": (1.0, 0.0)}, applied=2, disagreement=0.5))
    table = client.predict_table(["q", "nobody", "p"])
    assert table.to_pylist()[1:] == [
        {
            "node": "nobody",
            "label": None,
            "probability": None,
            "disagreement": None,
            "position": position,
            "behind": 0,
            "student": "sage",
            "model_version": 1,
            "error": "not-found",
            "p(a)": None,
            "p(b)": None,
        },
        {
            "node": "p",
            "label": "b",
            "probability": 0.75,
            "disagreement": 0.5,
            "position": position,
            "behind": 0,
            "student": "sage",
            "model_version": 1,
            "error": None,
            "p(a)": 0.25,
            "p(b)": 0.75,
        },
    ]
    likeliest = prediction_table(client.predict_arrow(["p"], top=1))
    assert likeliest["probability"].to_pylist() == [0.75]
    assert "p(a)" not in likeliest.column_names
    assert client.predict_table([]).num_rows == 0
    many = client.predict_table(["p"] * 10_001)
    assert many["label"].to_pylist() == ["b"] * 10_001


def test_pandas_frames_go_in_and_come_out(client: Client, redis_client: redis.Redis, keys: Keys) -> None:
    pandas = pytest.importorskip("pandas")
    writer = PredictionWriter(redis_client, keys)
    writer.start()
    sent = client.append_frame(pandas.DataFrame(payments().to_pylist()), MAPPING)
    assert (sent.events, sent.position) == (10, client.position)
    writer.publish(publication(client.position or "", {"p0": (0.25, 0.75)}, applied=10))
    frame = client.predict_frame(["p0"])
    assert isinstance(frame, pandas.DataFrame)
    assert frame["label"].tolist() == ["b"]


def test_neither_pandas_nor_pyarrow_is_imported_before_it_is_used() -> None:
    program = "import json, sys, service.client; print(json.dumps(sorted(sys.modules)))"
    named = {**os.environ, "PYTHONPATH": str(ROOT)}
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, env=named)
    assert {"pandas", "pyarrow", "service.client.frames"}.isdisjoint(json.loads(ended.stdout))
