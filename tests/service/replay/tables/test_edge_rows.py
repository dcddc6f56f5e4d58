"""Rows that are edges with an id, features and a class."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

import pytest
import torch

from olad_core.config import EngineConfig
from olad_core.edge_tasks import TaskAnswer
from olad_core.engine import Engine
from olad_core.events import Event, LabelNode, RemoveEdge, UpsertEdge, UpsertNode
from olad_core.graph_types import EdgeType
from olad_core.task_types import EdgeClassTask, EdgeValueTask
from service.client.frames import frame_events
from service.replay.arrival_stream import UnreadableDataset
from service.replay.label_delay import Duration
from service.replay.sources import Source, StreamOptions, open_source
from service.replay.table_options import TableOptions, WrongMapping
from tests.service.replay.payments import payment_rows, payments_csv

EXAMPLES = Path(__file__).parents[4] / "docs" / "examples"
MAPPING = "source: payer\ntarget: payee\nedge:\n  id: id\n  features: [amount]\n  label: outcome\n"
TABLE = "id,payer,payee,amount,outcome\nP1,a,b,2.5,ok\nP2,a,b,,fraud\nP3,b,a,1,\n"


def opened(folder: Path, mapping: str, content: str, name: str = "rows.csv", **options: object) -> Source:
    (folder / "mapping.yaml").write_text(mapping)
    (folder / name).write_text(content)
    chosen = StreamOptions(**{"scored": False, **options})  # type: ignore[arg-type]
    return open_source(str(folder / name), chosen, tables=TableOptions(mapping=folder / "mapping.yaml"))


def events_of(source: Source) -> list[Event]:
    return [event for batch in source.batches for event in batch.events]


def test_each_payment_is_an_edge_of_its_own_and_its_label_comes_two_weeks_later(tmp_path: Path) -> None:
    rows = payment_rows(rows=900)
    source = opened(tmp_path, (EXAMPLES / "payments_as_edges.yaml").read_text(), payments_csv(rows=900))
    expected: list[tuple[float, int, Event]] = []
    for number, (name, booked, payer, payee, amount, currency, channel, outcome) in enumerate(rows):
        ts = datetime.fromisoformat(booked).timestamp()
        x = [float(amount or 0), float(not amount)]
        x += [float(currency == name) for name in ("EUR", "GBP", "USD")]
        x += [float(channel == name) for name in ("app", "branch", "web")]
        weight = float(amount) if amount else None
        expected.append((ts, 1 + number, UpsertEdge(payer, payee, weight, ts, "paid", name, x)))
        due = ts + 14 * 86_400
        expected.append((due, 0, LabelNode(label=outcome, ts=due, edge=name, type="paid")))
    last = datetime.fromisoformat(rows[-1][1]).timestamp()
    found = events_of(source)
    assert found == [event for ts, _, event in sorted(expected, key=lambda each: each[:2]) if ts <= last]
    assert 300 < sum(isinstance(event, LabelNode) for event in found) < 900
    schema = source.proposal
    assert schema is not None
    assert schema.edge_types == {"paid": EdgeType(directed=True, ids=True, feature_width=8)}
    assert schema.tasks == {"fraud": EdgeClassTask(kind="edge_class", edge_type="paid", classes=("fraud", "ok"))}
    assert (schema.feature_width, schema.classes, schema.node_types) == (None, (), {})


def test_what_is_read_is_applied_and_each_payment_is_predicted(tmp_path: Path) -> None:
    source = opened(tmp_path, (EXAMPLES / "payments_as_edges.yaml").read_text(), payments_csv(rows=900))
    engine = Engine(EngineConfig(), torch.device("cpu"))
    assert source.proposal is not None
    engine.declare("0-1", source.proposal)
    for number, batch in enumerate(source.batches, 1):
        result = engine.apply(f"{number}-0", batch.events, float(number))
        assert not result.rejected
        engine.refresh()
        engine.take_publication()
    for name in ("P0000", "P0899"):
        answer = engine.edge_tasks.answer(engine.graph, "paid", None, name, 1.0)
        assert isinstance(answer, TaskAnswer)
        assert answer.edge.probabilities is not None
        assert set(answer.edge.probabilities) == {"fraud", "ok"}


def test_without_types_and_times_labels_wait_for_arriving_edges(tmp_path: Path) -> None:
    source = opened(tmp_path, MAPPING, TABLE, label_delay=1)
    schema = source.proposal
    assert schema is not None
    assert schema.edge_types == {"edge": EdgeType(ids=True, feature_width=2)}
    assert schema.tasks == {"outcome": EdgeClassTask(kind="edge_class", classes=("fraud", "ok"))}
    assert events_of(source) == [
        UpsertEdge("a", "b", id="P1", x=[2.5, 0.0]),
        UpsertEdge("a", "b", id="P2", x=[0.0, 1.0]),
        LabelNode(label="ok", edge="P1"),
        UpsertEdge("b", "a", id="P3", x=[1.0, 0.0]),
        LabelNode(label="fraud", edge="P2"),
    ]


def test_an_edge_without_an_id_is_labelled_by_its_ends(tmp_path: Path) -> None:
    mapping = "source: payer\ntarget: payee\nedge: {label: outcome}\n"
    found = events_of(opened(tmp_path, mapping, TABLE))
    assert found[:2] == [UpsertEdge("a", "b"), LabelNode(label="ok", src="a", dst="b")]


def test_edges_with_a_label_are_arrivals_of_a_batch_and_of_the_limit(tmp_path: Path) -> None:
    source = opened(tmp_path, MAPPING, TABLE, batch_size=1, limit=2)
    sizes = [[type(event) for event in batch.events] for batch in source.batches]
    assert sizes == [[UpsertEdge, LabelNode]] * 2
    plain = opened(tmp_path, MAPPING.partition("edge")[0], TABLE, batch_size=1, limit=2)
    assert [len(batch.events) for batch in plain.batches] == [3]


def test_a_replay_delays_labels_by_a_hundred_edges(tmp_path: Path) -> None:
    rows = "".join(f"P{number},a,b,1,ok\n" for number in range(150))
    found = events_of(opened(tmp_path, MAPPING, TABLE.partition("\n")[0] + "\n" + rows, scored=True))
    labels = [number for number, event in enumerate(found) if isinstance(event, LabelNode)]
    assert (labels[0], len(labels)) == (101, 50)


def test_ends_have_types_beside_features_of_edges(tmp_path: Path) -> None:
    mapping = MAPPING.replace("source: payer", "source: {column: payer, type: {name: account}}")
    source = opened(tmp_path, mapping.replace("target: payee", "target: {column: payee, type: {name: shop}}"), TABLE)
    assert source.proposal is not None
    assert {name: kind.feature_width for name, kind in source.proposal.node_types.items()} == {
        "account": None,
        "shop": None,
    }
    assert events_of(source)[:2] == [UpsertNode(id="a", type="account"), UpsertNode(id="b", type="shop")]


def test_types_of_edges_in_a_column_have_ids_and_features(tmp_path: Path) -> None:
    mapping = MAPPING.replace("  label: outcome\n", "edge_type: outcome\n")
    source = opened(tmp_path, mapping, TABLE)
    assert source.proposal is not None
    assert source.proposal.edge_types == dict.fromkeys(("edge", "fraud", "ok"), EdgeType(ids=True, feature_width=2))
    assert not source.proposal.tasks


def test_change_events_move_label_and_remove_edges_by_id(tmp_path: Path) -> None:
    row = {"id": "P1", "payer": "a", "payee": "b", "amount": 2, "outcome": None}
    changes: Sequence[dict[str, object]] = [
        {"op": "c", "before": None, "after": row, "ts_ms": 1_767_225_600_000},
        {"op": "u", "before": row, "after": {**row, "payee": "c", "outcome": "ok"}, "ts_ms": 1_767_225_601_000},
        {"op": "d", "before": {"id": "P1"}, "after": None, "ts_ms": 1_767_225_602_000},
    ]
    mapping = MAPPING + "changes: debezium\ntime: {column: ts_ms, unit: ms}\n"
    content = "\n".join(map(json.dumps, changes))
    assert events_of(opened(tmp_path, mapping, content, "changes.ndjson")) == [
        UpsertEdge("a", "b", ts=1_767_225_600.0, id="P1", x=[2.0]),
        UpsertEdge("a", "c", ts=1_767_225_601.0, id="P1", x=[2.0]),
        LabelNode(label="ok", ts=1_767_225_601.0, edge="P1"),
        RemoveEdge(id="P1"),
    ]


def test_change_events_without_ids_name_edges_by_their_ends(tmp_path: Path) -> None:
    row = {"payer": "a", "payee": "b", "outcome": "ok"}
    changes: Sequence[dict[str, object]] = [
        {"op": "c", "before": None, "after": row},
        {"op": "u", "before": row, "after": {**row, "payee": "c"}},
        {"op": "d", "before": {**row, "payee": "c"}, "after": None},
    ]
    mapping = "changes: debezium\nsource: payer\ntarget: payee\nedge: {label: outcome}\n"
    content = "\n".join(map(json.dumps, changes))
    assert events_of(opened(tmp_path, mapping, content, "changes.ndjson")) == [
        UpsertEdge("a", "b"),
        LabelNode(label="ok", src="a", dst="b"),
        RemoveEdge("a", "b"),
        UpsertEdge("a", "c"),
        LabelNode(label="ok", src="a", dst="c"),
        RemoveEdge("a", "c"),
    ]


def test_rows_of_a_frame_become_the_events_of_the_file(tmp_path: Path) -> None:
    from pyarrow import csv  # noqa: PLC0415 (as a user would)

    source = opened(tmp_path, MAPPING, TABLE)
    mapping = {"source": "payer", "target": "payee"} | {
        "edge": {"id": "id", "features": ["amount"], "label": "outcome"}
    }
    frame = frame_events(csv.read_csv(tmp_path / "rows.csv"), mapping)
    assert [event for batch in frame.batches for event in batch] == events_of(source)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (TABLE.replace("P2", ""), r"rows.csv, line 3, column 'id': the id of an edge is missing: fill it in"),
        (TABLE.replace("P2", "P" * 300), r"rows.csv, line 3, column 'id': an id of 300 bytes: 256 at most"),
        (TABLE.replace("2.5", "5 EUR"), r"rows.csv, line 2, column 'amount': '5 EUR'"),
        (TABLE.replace(",b,a,", ",,a,"), r"rows.csv, line 4, column 'payer': the id of a node is missing"),
        (
            TABLE + "".join(f"Q{number},a,b,1,class {number}\n" for number in range(15)),
            r"rows.csv, line 19, column 'outcome' has more than 16 different classes",
        ),
    ],
)
def test_a_value_that_does_not_fit_is_named_with_line_and_column(tmp_path: Path, content: str, message: str) -> None:
    with pytest.raises(UnreadableDataset, match=message):
        opened(tmp_path, MAPPING, content)


@pytest.mark.parametrize(
    ("mapping", "message"),
    [
        (MAPPING + "node: {id: id}\n", "a row is a node, with `node`, or an edge, with `edge`"),
        (MAPPING + "edge_type: outcome\n", "a task is of one type of edges: state one `name` in `edge_type`"),
        ("source: payer\ntarget: payee\nedge: {task: fraud}\n", "mapping.yaml: edge: .*a task needs `label`"),
        ("edge: {id: id}\n", "a row is an edge, with `source` and `target`"),
    ],
)
def test_a_combination_that_does_not_fit_is_named(tmp_path: Path, mapping: str, message: str) -> None:
    with pytest.raises(WrongMapping, match=message):
        opened(tmp_path, mapping, TABLE)


def test_more_features_than_an_edge_may_have_are_refused(tmp_path: Path) -> None:
    names = [f"f{number}" for number in range(1_025)]
    mapping = f"source: a\ntarget: b\nedge: {{features: [{', '.join(names)}]}}\n"
    with pytest.raises(UnreadableDataset, match=r"rows.csv: 1,025 features, 1,024 at most"):
        opened(tmp_path, mapping, f"a,b,{','.join(names)}\n1,2,{','.join('1' for _ in names)}\n")


def test_a_delay_in_time_needs_times(tmp_path: Path) -> None:
    with pytest.raises(UnreadableDataset, match="a label delay in time needs times"):
        opened(tmp_path, MAPPING, TABLE, label_delay=Duration(5.0))


def test_values_of_edges_are_labels_with_a_task_of_their_own(tmp_path: Path) -> None:
    mapping = "source: payer\ntarget: payee\nedge: {id: id, value: {column: amount, delay: 1, coverage: 0.8}}\n"
    source = opened(tmp_path, mapping, TABLE)
    assert source.proposal is not None
    assert source.proposal.tasks == {"amount": EdgeValueTask(kind="edge_value", coverage=0.8)}
    assert events_of(source) == [
        UpsertEdge("a", "b", id="P1"),
        UpsertEdge("a", "b", id="P2"),
        LabelNode(value=2.5, edge="P1"),
        UpsertEdge("b", "a", id="P3"),
    ]


@pytest.mark.parametrize(
    ("edge", "content", "problem"),
    [
        ("{id: id, value: amount}", TABLE.replace("2.5", "much"), "much"),
        ("{id: id, value: amount}", TABLE.replace("2.5", "1e20"), "a value of 1e\\+20"),
        ("{id: id, value: amount, label: outcome}", TABLE, "one task"),
    ],
)
def test_a_value_that_does_not_fit_is_named(tmp_path: Path, edge: str, content: str, problem: str) -> None:
    with pytest.raises((UnreadableDataset, WrongMapping), match=problem):
        opened(tmp_path, f"source: payer\ntarget: payee\nedge: {edge}\n", content)
