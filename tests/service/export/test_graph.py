"""The graph in files: of a checkpoint and the log after it, the same in every format."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import networkx as nx
import numpy as np
import pyarrow.csv
import pytest
import torch
from pyarrow import parquet

from olad_core.engine import Engine
from olad_core.events import Event, GraphSchema, LabelNode, RemoveEdge, RemoveNode, UpsertEdge, UpsertNode
from olad_core.graph_types import EdgeType, NodeType
from service.client.http import Client
from service.export.failed import ExportFailed
from service.export.graph_at import GraphAt, graph_at
from service.export.graph_files import export_graph
from service.replay.arrival_stream import UnreadableDataset
from service.replay.npz import read_npz
from service.replay.pyg_library import safe_classes
from service.replay.sources import open_source
from service.settings import Settings
from service.worker.checkpoint import write_checkpoint
from tests.device import DEVICE
from tests.olad_core.runs import PAIR
from tests.redis_server import RedisServer
from tests.service.api.serving import serving

FIRST = (
    UpsertNode(id="a", x=[0.5, -1.0], label="red", ts=10.0),
    UpsertNode(id="é <&\n'\"", label="blue & green", ts=10.0),
    UpsertEdge(src="a", dst="é <&\n'\"", weight=2.0, ts=11.0),
    UpsertEdge(src="gone", dst="a", ts=12.0),
)
SECOND = (RemoveNode(id="gone"), UpsertEdge(src="a", dst="late", ts=20.0), LabelNode(id="late", label="red", ts=21.0))
THIRD = (RemoveEdge(src="a", dst="late"),)


@pytest.fixture
def settings(redis_server: RedisServer, graph: str, tmp_path: Path) -> Settings:
    return Settings(redis_url=redis_server.url, graph=graph, data_dir=tmp_path / "data")


@pytest.fixture
def positions(settings: Settings, redis_server: RedisServer) -> Iterator[list[str]]:
    """Of three batches in the log."""
    with serving(redis_server.url, settings.graph) as http, Client(str(http.base_url)) as client:
        yield [client.append(events, key=str(number)).position for number, events in enumerate((FIRST, SECOND, THIRD))]


def _checkpoint(settings: Settings, position: str, directed: bool = False) -> None:
    """As a worker writes it after the first batch."""
    engine = Engine(PAIR, DEVICE)
    if directed:
        engine.declare("0-1", GraphSchema(directed=True))
    engine.apply(position, list(FIRST), 0.0)
    engine.refresh()
    engine.take_publication()
    tensors, values = engine.state()
    write_checkpoint(settings.data_dir / "checkpoints" / settings.graph, tensors, values, keep=3)


def _edges(found: GraphAt) -> set[frozenset[str]]:
    edges = found.graph.edge_list()
    sources, targets = found.graph.ids(edges.source), found.graph.ids(edges.target)
    return {frozenset(ends) for ends in zip(sources, targets, strict=True)}


@pytest.mark.parametrize("with_checkpoint", [False, True])
def test_the_graph_at_every_position_is_that_of_the_log_up_to_there(
    settings: Settings, positions: list[str], with_checkpoint: bool
) -> None:
    if with_checkpoint:
        _checkpoint(settings, positions[0])
    first = [frozenset(("a", "é <&\n'\"")), frozenset(("a", "gone"))]
    expected = [{*first}, {first[0], frozenset(("a", "late"))}, {first[0]}]
    for position, edges in zip(positions, expected, strict=True):
        found = graph_at(settings, position)
        assert (found.position, _edges(found)) == (position, edges)
    assert graph_at(settings).position == positions[-1]


def test_without_a_log_it_is_that_of_the_newest_checkpoint_before_the_position(
    settings: Settings, positions: list[str]
) -> None:
    alone = settings.model_copy(update={"redis_url": None})
    with pytest.raises(ExportFailed, match=r"there is no checkpoint in .*, and no Redis with a log: name the data dir"):
        graph_at(alone)
    _checkpoint(settings, positions[0])
    assert graph_at(alone).position == positions[0]
    with pytest.raises(ExportFailed, match=r"the newest checkpoint is at .*: with a running service the log after it"):
        graph_at(alone, positions[1])


def test_what_cannot_be_read_is_one_line(settings: Settings, positions: list[str]) -> None:
    with pytest.raises(ExportFailed, match=r"the log ends at \d+-0, before 9999999999999-0"):
        graph_at(settings, "9999999999999-0")
    with pytest.raises(ExportFailed, match=r"the log after 0-0 cannot be read: .*"):
        graph_at(settings.model_copy(update={"redis_url": "redis://127.0.0.1:9/0"}))
    _checkpoint(settings, positions[0])
    (folder,) = (settings.data_dir / "checkpoints" / settings.graph).iterdir()
    (folder / "tensors.safetensors").write_bytes(b"?")
    with pytest.raises(ExportFailed, match=r"no checkpoint in .* can be read: .*does not match its checksum"):
        graph_at(settings)


@pytest.fixture(params=[False, True], ids=["undirected", "directed"])
def found(request: pytest.FixtureRequest) -> GraphAt:
    engine = Engine(PAIR, DEVICE)
    engine.declare("0-1", GraphSchema(directed=request.param))
    engine.apply("5-0", [*FIRST, *SECOND], 0.0)
    return GraphAt(engine.graph, "5-0")


NODES = {"a": "red", "é <&\n'\"": "blue & green", "late": "red"}
EDGES = {("a", "é <&\n'\""): (2.0, 11.0), ("a", "late"): (1.0, 20.0)}


def test_graphml_is_read_by_networkx(found: GraphAt, tmp_path: Path) -> None:
    (path,) = export_graph(found, tmp_path / "graph.graphml")
    graph: Any = nx.read_graphml(path)
    assert graph.graph["position"] == "5-0"
    assert graph.is_directed() == found.graph.directed
    assert {node: parts["label"] for node, parts in graph.nodes(data=True)} == NODES
    assert (graph.nodes["a"]["x0"], graph.nodes["a"]["x1"]) == (0.5, -1.0)
    assert "x0" not in graph.nodes["late"]
    assert {
        ends: (parts["weight"], parts["time"]) for *ends_, parts in graph.edges(data=True) for ends in [tuple(ends_)]
    } == EDGES


def test_npz_is_read_by_replay(found: GraphAt, tmp_path: Path) -> None:
    (path,) = export_graph(found, tmp_path / "graph.npz")
    dataset = read_npz(path)
    with np.load(path) as arrays:
        ids = arrays["id"].tolist()
        assert str(arrays["position"]) == "5-0"
    assert {node: dataset.classes[label] for node, label in zip(ids, dataset.labels, strict=True)} == NODES
    assert {(ids[src], ids[dst]) for src, dst in dataset.edges.T} == {*EDGES}
    assert isinstance(dataset.features, np.ndarray)
    assert dataset.features[ids.index("a")].tolist() == [0.5, -1.0]


def test_pt_is_a_data_of_pyg_without_objects_of_its_own(found: GraphAt, tmp_path: Path) -> None:
    (path,) = export_graph(found, tmp_path / "graph.pt")
    with torch.serialization.safe_globals(safe_classes()):
        data = torch.load(path, weights_only=True)
    assert data.validate()
    assert data.position == "5-0"
    assert {node: data.classes[label] for node, label in zip(data.node_id, data.y.tolist(), strict=True)} == NODES
    ends = [(data.node_id[src], data.node_id[dst]) for src, dst in data.edge_index.T.tolist()]
    found_edges = dict(zip(ends, zip(data.edge_weight.tolist(), data.edge_time.tolist(), strict=True), strict=True))
    back = {} if found.graph.directed else {(dst, src): values for (src, dst), values in EDGES.items()}
    assert found_edges == EDGES | back
    assert data.is_undirected() == (not found.graph.directed)


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_tables_hold_nodes_and_edges(found: GraphAt, tmp_path: Path, suffix: str) -> None:
    files = export_graph(found, tmp_path / f"graph.{suffix}")
    assert [path.name for path in files] == [f"graph.nodes.{suffix}", f"graph.edges.{suffix}"]
    reading = pyarrow.csv.read_csv if suffix == "csv" else parquet.read_table
    options = {"parse_options": pyarrow.csv.ParseOptions(newlines_in_values=True)} if suffix == "csv" else {}
    nodes, edges = (reading(path, **options).to_pylist() for path in files)
    assert {row["node"]: row["label"] for row in nodes} == NODES
    assert [row["x1"] for row in nodes] == [-1.0, None, None]
    assert {(row["source"], row["target"]): (row["weight"], row["time"]) for row in edges} == EDGES
    assert {row["position"] for row in nodes + edges} == {"5-0"}


@pytest.fixture
def typed() -> GraphAt:
    engine = Engine(PAIR, DEVICE)
    engine.declare("0-1", GraphSchema(edge_types={"knows": EdgeType(), "sent": EdgeType(directed=True)}))
    engine.apply("5-0", [UpsertEdge("a", "b", type=kind, ts=1.0) for kind in ("knows", "sent")], 0.0)
    return GraphAt(engine.graph, "5-0")


def test_types_of_edges_are_in_every_format(typed: GraphAt, tmp_path: Path) -> None:
    (path,) = export_graph(typed, tmp_path / "graph.graphml")
    graph: Any = nx.read_graphml(path, force_multigraph=True)
    assert sorted(parts["type"] for _, _, parts in graph.edges(data=True)) == ["knows", "knows", "sent"]
    path.write_text(path.read_text().replace('"directed"', '"way"'))
    with pytest.raises(UnreadableDataset, match=r"'types' of the graph does not fit .*: export it again"):
        open_source(str(path))
    (path,) = export_graph(typed, tmp_path / "graph.npz")
    dataset = read_npz(path)
    assert dataset.edge_type is not None
    assert ([*dataset.edge_types], dataset.edge_type.tolist()) == (["knows", "sent"], [0, 1])
    assert [each.directed for each in dataset.edge_types.values()] == [False, True]
    (path,) = export_graph(typed, tmp_path / "graph.pt")
    with torch.serialization.safe_globals(safe_classes()):
        data = torch.load(path, weights_only=True)
    assert (data.edge_types, data.edge_type.tolist()) == (["knows", "sent"], [0, 1, 0])
    assert data.edge_index.tolist() == [[0, 0, 1], [1, 1, 0]]  # "knows" stands in both directions
    _, path = export_graph(typed, tmp_path / "graph.csv")
    assert [row["type"] for row in pyarrow.csv.read_csv(path).to_pylist()] == ["knows", "sent"]


@pytest.fixture
def paying() -> GraphAt:
    engine = Engine(PAIR, DEVICE)
    types = {"knows": EdgeType(), "paid": EdgeType(directed=True, ids=True, feature_width=2)}
    engine.declare("0-1", GraphSchema(edge_types=types))
    paid = [UpsertEdge("a", "b", float(at), 1.0, "paid", f"p{at}", [float(at), 0.5]) for at in (1, 2)]
    engine.apply("5-0", [UpsertEdge("a", "b", type="knows", ts=1.0), *paid], 0.0)
    return GraphAt(engine.graph, "5-0")


def test_ids_and_features_of_edges_are_read_back(paying: GraphAt, tmp_path: Path) -> None:
    (path,) = export_graph(paying, tmp_path / "graph.npz")
    dataset = read_npz(path)
    types = {name: (each.ids, each.feature_width) for name, each in dataset.schema().edge_types.items()}
    assert types == {"knows": (False, None), "paid": (True, 2)}
    sent = [event for arrival in dataset.arrivals() for event in arrival.events if isinstance(event, UpsertEdge)]
    expected = [(None, 1.0, None), ("p1", 1.0, [1.0, 0.5]), ("p2", 2.0, [2.0, 0.5])]
    assert [(event.id, event.weight, event.x) for event in sent] == expected


def test_ids_and_features_of_edges_are_in_every_format(paying: GraphAt, tmp_path: Path) -> None:
    (path,) = export_graph(paying, tmp_path / "graph.graphml")
    graph: Any = nx.read_graphml(path, force_multigraph=True)
    found = [(parts.get("edge_id"), parts.get("edge_x0")) for *_, parts in graph.edges(data=True)]
    assert found == [(None, None), ("p1", 1.0), ("p2", 2.0), (None, None)]
    (path,) = export_graph(paying, tmp_path / "graph.pt")
    with torch.serialization.safe_globals(safe_classes()):
        data = torch.load(path, weights_only=True)
    assert data.edge_id == ["", "p1", "p2", ""]
    assert data.edge_attr.tolist() == [[0.0, 0.0], [1.0, 0.5], [2.0, 0.5], [0.0, 0.0]]
    _, path = export_graph(paying, tmp_path / "graph.csv")
    rows = pyarrow.csv.read_csv(path).to_pylist()
    assert [(row["id"], row["x0"]) for row in rows] == [("", None), ("p1", 1.0), ("p2", 2.0)]


def test_features_of_edges_are_those_of_their_types_in_a_hetero_data(tmp_path: Path) -> None:
    engine = Engine(PAIR, DEVICE)
    nodes = {"account": NodeType(feature_width=1)}
    types = {"paid": EdgeType(directed=True, ids=True, feature_width=1), "met": EdgeType(feature_width=2)}
    engine.declare("0-1", GraphSchema(node_types=nodes, edge_types=types))
    made: list[Event] = [UpsertNode(name, [1.0], type="account") for name in "ab"]
    made += [UpsertEdge("a", "b", type="paid", id="p", x=[3.0]), UpsertEdge("a", "b", type="met", x=[4.0, 5.0])]
    engine.apply("5-0", made, 0.0)
    (path,) = export_graph(GraphAt(engine.graph, "5-0"), tmp_path / "graph.pt")
    with torch.serialization.safe_globals(safe_classes()):
        data = torch.load(path, weights_only=True)
    paid, met = (data["account", name, "account"] for name in ("paid", "met"))
    assert (paid.edge_id, paid.edge_attr.tolist()) == (["p"], [[3.0]])
    assert met.edge_attr.tolist() == [[4.0, 5.0], [4.0, 5.0]]


def test_types_of_nodes_are_in_every_format(tmp_path: Path) -> None:
    engine = Engine(PAIR, DEVICE)
    types = {"account": NodeType(feature_width=1), "payment": NodeType(feature_width=2), "device": NodeType()}
    engine.declare("0-1", GraphSchema(node_types=types))
    nodes: list[Event] = [
        UpsertNode("a", [5.0], type="account"),
        UpsertNode("p", [1.0, 2.0], type="payment"),
        UpsertNode("d", type="device"),
    ]
    engine.apply("5-0", [*nodes, UpsertEdge("a", "late")], 0.0)
    found = GraphAt(engine.graph, "5-0")
    (path,) = export_graph(found, tmp_path / "graph.graphml")
    graph: Any = nx.read_graphml(path)
    assert {node: parts.get("node_type") for node, parts in graph.nodes(data=True)} == {
        "a": "account", "p": "payment", "d": "device", "late": None
    }  # fmt: skip
    (path,) = export_graph(found, tmp_path / "graph.npz")
    dataset = read_npz(path)
    assert dataset.schema().node_types == types
    sent = [event for arrival in dataset.arrivals() for event in arrival.events if isinstance(event, UpsertNode)]
    assert {(event.id, event.type, tuple(event.x or ())) for event in sent} == {  # type: ignore[arg-type]
        ("a", "account", (5.0,)), ("p", "payment", (1.0, 2.0)), ("d", "device", ())
    }  # fmt: skip
    (path,) = export_graph(found, tmp_path / "graph.pt")
    with torch.serialization.safe_globals(safe_classes()):
        data = torch.load(path, weights_only=True)
    assert {kind: data[kind].node_id for kind in data.node_types} == {
        "account": ["a"], "payment": ["p"], "device": ["d"], "node": ["late"]
    }  # fmt: skip
    assert (data["payment"].x.tolist(), data["account"].x.tolist()) == ([[1.0, 2.0]], [[5.0]])
    assert data.edge_types == [("account", "edge", "node"), ("node", "rev_edge", "account")]
    path, _ = export_graph(found, tmp_path / "graph.csv")
    assert [row["type"] for row in pyarrow.csv.read_csv(path).to_pylist()] == ["account", "payment", "device", ""]


def test_a_failed_export_leaves_what_was_there(found: GraphAt, tmp_path: Path) -> None:
    path = tmp_path / "graph.graphml"
    path.write_text("before")
    found.graph.apply([UpsertNode(id="\x01")], 0.0)
    with pytest.raises(ExportFailed, match=r'XML cannot hold the characters of "\\u0001": export another format'):
        export_graph(found, path)
    assert [(file.name, file.read_text()) for file in tmp_path.iterdir()] == [("graph.graphml", "before")]
    with pytest.raises(ExportFailed, match=r"graph.xls: name a file that ends with .npz, .graphml"):
        export_graph(found, tmp_path / "graph.xls")
