"""Rows of JSON, and changes of rows: the events of the same rows as CSV, and of what is left after all changes."""

from __future__ import annotations

import gzip
import io
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from olad_core.events import Event, LabelNode, RemoveEdge, RemoveNode, UpsertEdge, UpsertNode
from service.replay.arrival_stream import UnreadableDataset
from service.replay.sources import Source, StreamOptions, open_source
from service.replay.table_options import TableOptions, WrongMapping
from tests.service.replay.payments import COLUMNS, TABLE, payment_rows, payments_csv

PAYMENTS = replace(TABLE, source="payer.id")
ALL = StreamOptions(label_delay=0, scored=False)


def _events(source: Source) -> list[Event]:
    return [event for batch in source.batches for event in batch.events]


def _rows(count: int = 300) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = [dict(zip(COLUMNS, row, strict=True)) for row in payment_rows(rows=count)]
    for number, row in enumerate(rows):
        row["payer"] = {"id": row["payer"], "country": None}
        row["amount"] = float(row["amount"]) if row["amount"] else None
        if row["amount"] is None and number % 2:
            del row["amount"]
    return rows


def _lines(rows: list[Any]) -> bytes:
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


def _zstd(content: bytes) -> bytes:
    return bytes(pa.Codec("zstd").compress(content, asbytes=True))


@pytest.mark.parametrize(
    "written",
    [
        lambda rows: json.dumps(rows).encode(),
        lambda rows: json.dumps(rows, indent=2).encode("utf-8-sig"),
        lambda rows: json.dumps(rows).encode("utf-16"),
        _lines,
        lambda rows: gzip.compress(_lines(rows)),
        lambda rows: _zstd(json.dumps(rows).encode()),
    ],
    ids=["array", "indented", "UTF-16", "lines", "gzip", "zstd"],
)
def test_rows_of_json_give_the_events_of_the_csv(tmp_path: Path, written: Callable[[Any], bytes]) -> None:
    csv, path = tmp_path / "payments.csv", tmp_path / "payments.json"
    csv.write_text(payments_csv(rows=300))
    path.write_bytes(written(_rows()))
    as_csv = TABLE
    expected = open_source(str(csv), ALL, tables=as_csv)
    found = open_source(str(path), ALL, tables=PAYMENTS)
    assert _events(found) == _events(expected)
    assert found.proposal == expected.proposal
    assert found.identity is not None


def test_an_array_of_events_is_read(tmp_path: Path) -> None:
    path = tmp_path / "events.json"
    path.write_text('[{"op": "upsert_node", "id": 1, "x": [0.5]},\n {"op": "remove_node", "id": 1}]')
    assert _events(open_source(str(path))) == [UpsertNode(id=1, x=[0.5]), RemoveNode(id=1)]


EDGES = TableOptions(source="a", target="b")
NODES = TableOptions(source="a", target="b", as_node=True, features=("x",))
WRONG: dict[str, tuple[str, TableOptions, str]] = {
    "no columns stated": (
        '[{"a": 1, "b": {"id": 2}}]',
        TableOptions(),
        "is JSON, and no events; .* columns a, b.id: name",
    ),
    "an unknown column": ('{"a": 1, "bb": 2}', EDGES, r"no column 'b' \(did you mean 'bb'\?\)"),
    "a nested value": ('{"a": 1, "b": {"id": 2}}', TableOptions(source="a", target="b"), r"no column 'b'.*a, b\.id"),
    "a value that is nested later": (
        '{"a": 1, "b": 2}\n\n{"a": 1, "b": {"id": 2}}',
        EDGES,
        r"line 3 .object 2.: column 'b' is an object: name a part of it, as b\.id",
    ),
    "an array in a row": ('{"a": 1, "b": [2]}', EDGES, "line 1: column 'b' is an array: write its parts as columns"),
    "no object": ('[{"a": 1, "b": 2},\n7]', EDGES, "line 2: a number, where a row must be an object"),
    "no rows": ("[]", EDGES, "holds no rows: write one JSON object for each"),
    "no id": ('{"a": 1, "b": 2}\n{"a": null, "b": 2}', EDGES, "line 2, column 'a': the id of a node is missing"),
    "no number": (
        '[\n{"a":1,"b":2,"x":1},\n{"a":1,"b":2,"x":"1,5"}\n]',
        NODES,
        "line 3 .object 2., column 'x': '1,5' is no number",
    ),
    "several in a line": ('[{"a": 1, "b": 2}, {"a": 1, "b": [2]}]', EDGES, "line 1 .object 2.: column 'b' is an array"),
    "half": ('[{"a": 1, "b": 2},\n{"a": 1', EDGES, "line 2: "),
    "half of a character": ('{"a": "\\ud800", "b": 2}', EDGES, r"line 1: column 'a' has half of a character"),
    "Debezium without mapping": ('{"op": "c", "after": {}}', TableOptions(), "change events of Debezium: state their"),
    "an envelope without mapping": ('{"schema": {}, "payload": {"op": "c"}}', TableOptions(), "events of Debezium"),
}


@pytest.mark.parametrize("kind", sorted(WRONG))
def test_one_line_names_what_it_is_where_and_what_to_do(tmp_path: Path, kind: str) -> None:
    content, tables, message = WRONG[kind]
    path = tmp_path / "rows.json"
    path.write_text(content)
    with pytest.raises(UnreadableDataset, match=message) as error:
        open_source(str(path), tables=tables)
    assert str(error.value).startswith(str(path))
    assert "\n" not in str(error.value)


def test_latin_1_is_named(tmp_path: Path) -> None:
    path = tmp_path / "rows.json"
    path.write_bytes('{"a": "José", "b": 1}'.encode("latin-1"))
    with pytest.raises(
        UnreadableDataset, match=r"rows.json, after line 1: not whole UTF-8 .*: convert it, as with iconv"
    ):
        open_source(str(path), tables=EDGES)


def _mapping(tmp_path: Path, text: str) -> TableOptions:
    path = tmp_path / "mapping.yaml"
    path.write_text(text)
    return TableOptions(mapping=path)


AS_EDGES = "{source: payer, target: payee, weight: amount, changes: debezium}"
AS_NODES = """
changes: debezium
source: payer
target: payee
time: {column: ts_ms, unit: ms}
node: {id: id, features: [amount], label: outcome}
"""


def _message(op: str, before: Any, after: Any, time: int = 0) -> dict[str, Any]:
    return {"before": before, "after": after, "op": op, "ts_ms": time, "source": {"table": "payments"}}


def _row(number: int, payer: str = "p", amount: float = 1.0, outcome: str | None = None) -> dict[str, Any]:
    return {"id": number, "payer": payer, "payee": "q", "amount": amount, "outcome": outcome}


def test_changes_of_rows_that_are_nodes(tmp_path: Path) -> None:
    first, moved, judged = _row(1), _row(1, payer="other"), _row(1, payer="other", outcome="fraud")
    messages: list[Any] = [
        {"schema": {"type": "struct"}, "payload": _message("r", None, first, 1_000)},
        _message("c", None, _row(2, amount=3.0), 2_000),
        _message("m", None, None),
        _message("u", first, moved, 3_000),
        {"payload": _message("u", None, judged, 4_000)},
        _message("d", _row(2, outcome="ok"), None, 5_000),
        None,
        {"schema": None, "payload": None},
    ]
    path = tmp_path / "changes.ndjson"
    path.write_bytes(_lines(messages))
    source = open_source(str(path), ALL, tables=_mapping(tmp_path, AS_NODES))
    assert _events(source) == [
        *(
            UpsertNode(id="1", x=[1.0], ts=1.0),
            UpsertEdge(src="p", dst="1", ts=1.0),
            UpsertEdge(src="1", dst="q", ts=1.0),
        ),
        *(
            UpsertNode(id="2", x=[3.0], ts=2.0),
            UpsertEdge(src="p", dst="2", ts=2.0),
            UpsertEdge(src="2", dst="q", ts=2.0),
        ),
        *(RemoveEdge(src="p", dst="1"), RemoveEdge(src="1", dst="q")),
        *(UpsertNode(id="1", x=[1.0], ts=3.0), UpsertEdge(src="other", dst="1", ts=3.0)),
        UpsertEdge(src="1", dst="q", ts=3.0),
        *(UpsertNode(id="1", x=[1.0], ts=4.0), UpsertEdge(src="other", dst="1", ts=4.0)),
        *(UpsertEdge(src="1", dst="q", ts=4.0), LabelNode(id="1", label="fraud", ts=4.0)),
        RemoveNode(id="2"),
    ]
    assert [batch.nodes for batch in open_source(str(path), tables=_mapping(tmp_path, AS_NODES)).batches] == [
        ("1", "2")
    ]


def test_flattened_changes(tmp_path: Path) -> None:
    path = tmp_path / "changes.ndjson"
    rows = [_row(1) | {"__deleted": "false"}, _row(1, amount=2.0) | {"__op": "u"}, _row(1) | {"__deleted": "true"}]
    path.write_bytes(_lines(rows))
    assert _events(open_source(str(path), ALL, tables=_mapping(tmp_path, AS_EDGES))) == [
        UpsertEdge(src="p", dst="q", weight=1.0),
        UpsertEdge(src="p", dst="q", weight=2.0),
        RemoveEdge(src="p", dst="q"),
    ]


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 5), st.sampled_from("ab"), st.sampled_from("xy"), st.booleans()), max_size=30))
def test_what_is_left_is_the_table(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[int, str, str, bool]]
) -> None:
    """Whatever is written to a table of edges, one row a key, its changes leave an edge for each of its rows."""
    table: dict[int, dict[str, Any]] = {}
    messages: list[Any] = []
    for key, payer, payee, removed in steps:
        before = table.pop(key, None)
        if removed:
            if before is not None:
                messages += [_message("d", before, None), None]
            continue
        # Each key has ends of its own, so that no two rows are one edge.
        table[key] = {"id": key, "payer": f"{payer}{key}", "payee": f"{payee}{key}", "amount": 1}
        messages.append(_message("c" if before is None else "u", before, table[key]))
    messages.append(_message("c", None, {"payer": "always", "payee": "there", "amount": 1}))
    folder = tmp_path_factory.mktemp("changes")
    (folder / "changes.ndjson").write_bytes(_lines(messages))
    edges: set[tuple[Any, Any]] = set()
    for event in _events(open_source(str(folder / "changes.ndjson"), ALL, tables=_mapping(folder, AS_EDGES))):
        if isinstance(event, UpsertEdge):
            edges.add((event.src, event.dst))
        else:
            assert isinstance(event, RemoveEdge)
            edges.remove((event.src, event.dst))
    assert edges == {(row["payer"], row["payee"]) for row in table.values()} | {("always", "there")}


class _Input:
    def __init__(self, content: bytes) -> None:
        self.buffer = io.BytesIO(content)


@pytest.mark.parametrize("packed", [bytes, gzip.compress, _zstd])
def test_changes_from_standard_input(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, packed: Callable[[bytes], bytes]
) -> None:
    messages = [_message("c", None, _row(number, payer=f"p{number}")) for number in range(50)]
    monkeypatch.setattr("sys.stdin", _Input(packed(_lines(messages))))
    source = open_source("-", ALL, tables=_mapping(tmp_path, AS_EDGES))
    assert source.identity is None
    assert len(_events(source)) == 50


WRONG_CHANGES: dict[str, tuple[list[Any], str]] = {
    "no change": ([_row(1)], "line 1: no change event of Debezium: it has neither 'op'"),
    "truncate": ([_message("c", None, _row(1)), _message("t", None, None)], "line 2: op 't' empties the table"),
    "an unknown op": ([_message("x", None, None)], "line 1: op 'x' is none of c, r, u, d"),
    "nothing after": ([_message("c", None, None)], "line 1: op 'c' without 'after'"),
    "a removal of nothing": (
        [_message("d", None, None)],
        "line 1: a row is removed without its 'payer': .*IDENTITY FULL",
    ),
    "text in the payload": ([{"payload": "{}"}], "line 1: no change event of Debezium: write the value"),
    "an array": ([[1]], "no change event of Debezium"),
}


@pytest.mark.parametrize("kind", sorted(WRONG_CHANGES))
def test_wrong_changes_are_named(tmp_path: Path, kind: str) -> None:
    messages, message = WRONG_CHANGES[kind]
    path = tmp_path / "changes.ndjson"
    path.write_bytes(_lines(messages))
    with pytest.raises(UnreadableDataset, match=message) as error:
        open_source(str(path), tables=_mapping(tmp_path, AS_EDGES))
    assert "\n" not in str(error.value)


def test_changes_need_an_id_and_json(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_text("payer,payee,amount\na,b,1\n")
    with pytest.raises(UnreadableDataset, match="is no JSON, which change events of Debezium are"):
        open_source(str(path), tables=_mapping(tmp_path, AS_EDGES))
    with pytest.raises(WrongMapping, match="changes of rows that are nodes need `node"):
        open_source(str(path), tables=_mapping(tmp_path, AS_NODES.replace("id: id, ", "")))
