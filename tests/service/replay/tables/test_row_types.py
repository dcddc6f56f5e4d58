"""Types of nodes and edges in tables: columns or names in a mapping file become types of events, and a schema."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest

from olad_core.events import Event, GraphSchema, RemoveEdge, UpsertEdge, UpsertNode
from olad_core.graph_types import EdgeType, NodeType
from service.replay.arrival_stream import UnreadableDataset
from service.replay.sources import StreamOptions, open_source
from service.replay.table_options import TableOptions, WrongMapping
from service.replay.tables import row_types

PAYMENTS = """\
payment,payer,payee,kind,amount,limit
P1,A1,A2,payment,5,
P2,A2,A1,payment,7,
L1,A1,,loan,9,3
"""
TYPED = """\
edge_type: {name: joins}
source: {column: payer, type: {name: account}, edge_type: {name: pays}}
target: {column: payee, type: {name: account}}
node:
  id: payment
  type: kind
  features: [amount, limit]
"""


def _read(folder: Path, content: str, mapping: str, name: str = "rows.csv") -> tuple[list[Event], GraphSchema]:
    (folder / name).write_text(content)
    (folder / "mapping.yaml").write_text(mapping)
    tables = TableOptions(mapping=folder / "mapping.yaml")
    source = open_source(str(folder / name), StreamOptions(scored=False), tables=tables)
    assert source.proposal is not None
    return [event for batch in source.batches for event in batch.events], source.proposal


def test_rows_ends_and_edges_have_their_types(tmp_path: Path) -> None:
    events, schema = _read(tmp_path, PAYMENTS, TYPED)
    assert events == [
        UpsertNode(id="P1", x=[5.0], type="payment"),
        UpsertNode(id="A1", type="account"),
        UpsertNode(id="A2", type="account"),
        UpsertEdge(src="A1", dst="P1", type="pays"),
        UpsertEdge(src="P1", dst="A2", type="joins"),
        UpsertNode(id="P2", x=[7.0], type="payment"),
        UpsertEdge(src="A2", dst="P2", type="pays"),
        UpsertEdge(src="P2", dst="A1", type="joins"),
        UpsertNode(id="L1", x=[9.0, 3.0], type="loan"),
        UpsertEdge(src="A1", dst="L1", type="pays"),
    ]
    # The features of a type are those up to the last one that any of its rows has. None of its rows misses another.
    widths = {"account": None, "loan": 2, "payment": 1}
    assert schema == GraphSchema(
        node_types={name: NodeType(feature_width=width) for name, width in widths.items()},
        edge_types={"joins": EdgeType(), "pays": EdgeType()},
    )


def test_rows_that_are_edges_have_a_type_from_a_column(tmp_path: Path) -> None:
    mapping = "source: {column: a, type: {name: user}}\ntarget: {column: b, type: sort}\nedge_type: kind\n"
    events, schema = _read(tmp_path, "a,b,sort,kind\nu,1,film,likes\nu,2,song,\n", mapping)
    assert events == [
        UpsertNode(id="u", type="user"),
        UpsertNode(id="1", type="film"),
        UpsertEdge(src="u", dst="1", type="likes"),
        UpsertNode(id="2", type="song"),
        UpsertEdge(src="u", dst="2"),
    ]
    # An edge without a type is of the type "edge", which is declared with the others.
    assert [*schema.edge_types] == ["edge", "likes"]
    assert [*schema.node_types] == ["film", "song", "user"]


def test_an_end_is_created_with_its_type_again_once_many_have_come(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(row_types, "_NAMED", 2)
    mapping = "source: {column: a, type: {name: user}}\ntarget: b\n"
    events, _ = _read(tmp_path, "a,b\nu,1\nv,1\nu,1\nw,1\nu,1\n", mapping)
    assert [event.id for event in events if isinstance(event, UpsertNode)] == ["u", "v", "w", "u"]


def test_changes_of_rows_have_types(tmp_path: Path) -> None:
    rows: list[dict[str, Any]] = [
        {"op": "c", "before": None, "after": {"id": 7, "from": "A", "to": "B", "kind": "paid"}},
        {"op": "d", "before": {"id": 7, "from": "A", "to": "B", "kind": "paid"}, "after": None},
    ]
    mapping = "changes: debezium\nsource: from\ntarget: to\nedge_type: kind\n"
    events, _ = _read(tmp_path, "\n".join(map(json.dumps, rows)), mapping, "rows.json")
    assert events == [UpsertEdge(src="A", dst="B", type="paid"), RemoveEdge(src="A", dst="B", type="paid")]


def test_types_of_a_graph_file_are_named(tmp_path: Path) -> None:
    graph = {
        "nodes": [{"id": "a", "sort": "user", "x": 1}, {"id": "b", "sort": "film"}],
        "links": [{"source": "a", "target": "b", "kind": "likes"}],
    }
    (tmp_path / "graph.json").write_text(json.dumps(graph))
    (tmp_path / "mapping.yaml").write_text("edge_type: kind\nnode: {type: sort, features: [x]}\n")
    tables = TableOptions(mapping=tmp_path / "mapping.yaml")
    for scored in (False, True):
        source = open_source(str(tmp_path / "graph.json"), StreamOptions(scored=scored), tables=tables)
        events = [event for batch in source.batches for event in batch.events]
        nodes = {event.id: (event.type, event.x) for event in events if isinstance(event, UpsertNode)}
        assert nodes == {"a": ("user", [1.0]), "b": ("film", None)}
        assert [event.type for event in events if isinstance(event, UpsertEdge)] == ["likes"]
        assert source.schema is not None
        assert source.schema.node_types == {"film": NodeType(), "user": NodeType(feature_width=1)}
        assert source.schema.edge_types == {"likes": EdgeType()}


@pytest.mark.parametrize(
    ("content", "mapping", "message"),
    [
        (PAYMENTS.replace("loan", ""), TYPED, r"rows.csv, line 4, column 'kind': the type of a node is missing"),
        (PAYMENTS.replace("loan", "l" * 300), TYPED, r"line 4, column 'kind': a type of 300 bytes: 256 at most"),
        (
            "a,b,k\n" + "".join(f"u,v,{n}\n" for n in range(65)),
            "source: a\ntarget: b\nedge_type: k\n",
            r"rows.csv has more than 64 types of edges, .*is 'k' the column of types\?",
        ),
    ],
)
def test_types_that_do_not_fit_are_one_line(tmp_path: Path, content: str, mapping: str, message: str) -> None:
    with pytest.raises(UnreadableDataset, match=message) as error:
        _read(tmp_path, content, mapping)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("mapping", "message"),
    [
        ("source: {column: a, type: {}}\ntarget: b\n", "a type is a `column`, or one `name`"),
        ("source: {column: a, edge_type: k}\ntarget: b\n", "state `edge_type` beside `source` and `target`"),
        ("source: {column: a, type: k}\nnode: {}\n", "state `type` of `node`"),
    ],
)
def test_wrong_mappings_of_types_are_named(tmp_path: Path, mapping: str, message: str) -> None:
    with pytest.raises(WrongMapping, match=message):
        _read(tmp_path, "a,b,k\nu,v,w\n", mapping)


def test_a_graph_file_refuses_types_of_ends(tmp_path: Path) -> None:
    with pytest.raises(WrongMapping, match="a graph has its nodes by themselves"):
        _read(tmp_path, '{"nodes": [], "links": []}', "source: {column: a, type: k}\nnode: {type: k}\n", "graph.json")


def test_standard_input_needs_the_names_of_types(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    named = "source: {column: a, type: {name: user}}\ntarget: b\nedge_type: {name: likes}\n"
    (tmp_path / "mapping.yaml").write_text(named)
    tables = TableOptions(mapping=tmp_path / "mapping.yaml")
    monkeypatch.setattr("sys.stdin", type("Input", (), {"buffer": io.BytesIO(b"a,b,k\nu,v,w\n")}))
    source = open_source("-", StreamOptions(scored=False), tables=tables)
    assert source.proposal == GraphSchema(node_types={"user": NodeType()}, edge_types={"likes": EdgeType()})
    (batch,) = source.batches
    assert batch.events == (UpsertNode(id="u", type="user"), UpsertEdge(src="u", dst="v", type="likes"))
    (tmp_path / "mapping.yaml").write_text("source: a\ntarget: b\nedge_type: k\n")
    monkeypatch.setattr("sys.stdin", type("Input", (), {"buffer": io.BytesIO(b"a,b,k\nu,v,w\n")}))
    with pytest.raises(UnreadableDataset, match="the types in 'k' are known once all is read: state one `name`"):
        open_source("-", tables=tables)
