"""Weights in a file: in plain layers of PyG they give the served probabilities, and otherwise nothing is lost."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors import safe_open
from typer.testing import CliRunner

from olad_core.config import STRUCTURE, EngineConfig, StructureColumn
from olad_core.engine import Engine
from olad_core.events import Event, GraphSchema, UpsertEdge, UpsertNode
from olad_core.graph_types import EdgeType
from olad_core.serving.kept_versions import Weights
from service.cli import app
from service.export.failed import ExportFailed
from service.export.graph_at import GraphAt
from service.export.graph_files import export_graph
from service.export.model_file import METADATA, ModelAt, export_model, model_at
from service.export.pyg_lines import pyg_lines
from service.settings import Settings
from service.worker.checkpoint import write_checkpoint
from tests.docs.markdown import ROOT
from tests.olad_core.runs import CONFIG, Run, learned
from tests.olad_core.streams import changes, take

PLAIN = ("gcn", "sage", "gat", "evolvegcn", "mlp", "sign")
FROM_EDGES: tuple[StructureColumn, ...] = ("in_degree", "out_degree", "in_weight", "out_weight")


def config_of(*students: str, structure: tuple[StructureColumn, ...] = FROM_EDGES) -> EngineConfig:
    return replace(CONFIG, trainer=replace(CONFIG.trainer, students=students, structure=structure))


def served_by(config: EngineConfig, schema: GraphSchema, *, weighted: bool = True, plain: bool = True) -> Engine:
    """An engine that serves a version on a graph with loops, weights, removals, and nodes without features."""
    run = Run(config)
    run.engine.declare("0-1", schema)
    learned(run)
    events = take(changes(5), 150) if plain else []
    run.turn([event if weighted else _unweighted(event) for event in events], steps=8)
    assert run.engine.versions.marked(run.engine.graph) == 0
    return run.engine


def _unweighted(event: Event) -> Event:
    return UpsertEdge(event.src, event.dst) if isinstance(event, UpsertEdge) else event


def exported(engine: Engine, folder: Path, member: str | None = None) -> tuple[dict[str, Any], dict[str, torch.Tensor]]:
    """Configuration and tensors of the file of what is served."""
    kept = engine.kept.served
    assert kept is not None
    done = export_model(ModelAt(kept, engine.graph), folder / "model.safetensors", member)
    with safe_open(done.path, "pt") as file:
        assert json.loads(file.metadata()[METADATA]) == done.config
        return done.config, {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (it is no mapping)


def predicted(engine: Engine, architecture: str, folder: Path) -> np.ndarray[Any, Any]:
    """What the lines compute out of the exported files."""
    graph, model = folder / "graph.pt", folder / "model.safetensors"
    export_graph(GraphAt(engine.graph, engine.position), graph)
    names: dict[str, Any] = {}
    exec(pyg_lines(architecture, str(model), str(graph)), names)
    found: np.ndarray[Any, Any] = names["probabilities"].numpy()
    return found


def assert_served(engine: Engine, found: np.ndarray[Any, Any], member: int | None = None) -> None:
    served = engine.versions.served
    assert served is not None
    rows, embedding = engine.graph.living(), served.embedding
    expected = embedding.probabilities(rows) if member is None else embedding.members[member].probabilities(rows)
    assert found.shape == expected.shape
    assert np.ptp(expected, axis=0).max() > 0.1, "all nodes are predicted alike: nothing would be compared"
    np.testing.assert_allclose(found, expected, atol=1e-5)


@pytest.mark.parametrize("directed", [False, True], ids=["undirected", "directed"])
@pytest.mark.parametrize("architecture", PLAIN)
def test_plain_layers_predict_what_is_served(architecture: str, directed: bool, tmp_path: Path) -> None:
    # GATConv knows no weights of edges.
    engine = served_by(config_of(architecture), GraphSchema(directed=directed), weighted=architecture != "gat")
    config, _ = exported(engine, tmp_path)
    assert (config["layers"], config["members"]) == ("pyg", {architecture: architecture})
    assert config["structure"] == [name for name in FROM_EDGES if directed or name.startswith("in_")]
    assert config["classes"] == engine.graph.classes[: len(config["classes"])]
    assert_served(engine, predicted(engine, architecture, tmp_path))


def test_without_features_the_weights_that_a_node_receives_stand_in_their_place(tmp_path: Path) -> None:
    run = Run(config_of("sage", structure=()))
    nodes: list[Event] = [UpsertNode(str(node), label="ab"[node % 2]) for node in range(30)]
    edges = [UpsertEdge(str(node), str((node + 2) % 30), 1.0 + node % 2) for node in range(30)]
    run.turn([*nodes, *edges, UpsertEdge("0", "new")])
    while run.reader.served is None:
        run.turn([], steps=5)
    config, _ = exported(run.engine, tmp_path)
    assert (config["features"], config["structure"]) == (0, [])
    assert_served(run.engine, predicted(run.engine, "sage", tmp_path))


def test_a_student_of_a_group_is_exported_alone(tmp_path: Path) -> None:
    engine = served_by(replace(config_of("gcn", "sage"), serve="group"), GraphSchema())
    config, tensors = exported(engine, tmp_path)
    assert (config["layers"], config["student"]) == ("olad", "group")
    assert config["reason"].startswith("it is a group, whose answers are combined")
    assert {name.split("/")[0] for name in tensors} == {"student", "combination"}
    config, _ = exported(engine, tmp_path, member="sage")
    assert (config["layers"], config["members"]) == ("pyg", {"sage": "sage"})
    assert_served(engine, predicted(engine, "sage", tmp_path), member=1)
    with pytest.raises(ExportFailed, match="mlp is no student of this version: it has gcn, sage"):
        exported(engine, tmp_path, member="mlp")


TYPES = GraphSchema(edge_types={"knows": EdgeType(), "sent": EdgeType(directed=True)})


@pytest.mark.parametrize(
    ("config", "schema", "reason"),
    [
        (config_of("tgcn"), GraphSchema(), "T-GCN reads a hidden state of each node, which is no weight"),
        (config_of("gcn", structure=STRUCTURE), GraphSchema(), "it reads the age of a node's edges, which follows"),
        (config_of("gat"), TYPES, "it has a map of the messages along each type of edges"),
        (config_of("mlp"), TYPES, "it reads outgoing edges, and only some types of edges are directed"),
    ],
)
def test_what_plain_layers_cannot_hold_is_whole_under_names_of_its_own(
    config: EngineConfig, schema: GraphSchema, reason: str, tmp_path: Path
) -> None:
    engine = served_by(config, schema, plain=not schema.edge_types)
    written, tensors = exported(engine, tmp_path)
    assert written["layers"] == "olad"
    assert written["reason"].startswith(reason)
    assert [*written["schema"].get("edge_types", {})] == [*schema.edge_types]
    kept = engine.kept.served
    assert kept is not None
    again = Weights.of(written["weights"], tensors, torch.device("cpu"))
    assert again.members == kept.weights.members
    for name, tensor in again.tensors().items():
        assert torch.equal(tensor, kept.weights.tensors()[name]), name


def test_the_page_shows_the_program_that_is_printed() -> None:
    assert f"```python\n{pyg_lines('gcn')}```" in (ROOT / "docs" / "versions.md").read_text()


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(data_dir=tmp_path / "data", graph="own")


def test_the_command_prints_lines_that_load_the_file(runner: CliRunner, settings: Settings, tmp_path: Path) -> None:
    engine = served_by(config_of("gcn"), GraphSchema())
    write_checkpoint(settings.data_dir / "checkpoints" / "own", *engine.state(), keep=1)
    kept = engine.kept.served
    assert kept is not None
    export_graph(GraphAt(engine.graph, engine.position), tmp_path / "graph.pt")
    place = {"OLAD_DATA_DIR": str(settings.data_dir), "OLAD_GRAPH": "own"}
    command = ["export", "model", "model.safetensors", "--version", str(kept.number)]
    printed = runner.invoke(app, command, env=place)
    assert printed.exit_code == 0, printed.output
    first, program = printed.stdout.split("\n\nIn plain PyG, on the file of `olad export graph graph.pt`:\n\n")
    assert first == f"model.safetensors: version {kept.number} of gcn, weights of position {kept.position}"
    names: dict[str, Any] = {}
    exec(program, names)
    assert_served(engine, names["probabilities"].numpy())
    listed = json.loads(runner.invoke(app, [*command, "--json"], env=place).stdout)
    assert (listed["file"], listed["version"], listed["architecture"]) == ("model.safetensors", kept.number, "gcn")
    missing = runner.invoke(app, [*command[:-1], "99"], env=place)
    assert missing.exit_code == 1
    there = ", ".join(str(each.number) for each in reversed(engine.kept.newest_first()))
    assert f"version 99 is not kept in the checkpoint at {engine.position}: it has {there}" in " ".join(
        missing.stderr.split()
    )


def test_an_earlier_version_has_the_weights_of_its_time(settings: Settings, tmp_path: Path) -> None:
    engine = served_by(replace(config_of("gcn"), serve="best"), GraphSchema(classes=("red", "blue")))
    before = engine.kept.served
    assert before is not None
    run = Run(engine=engine)
    for _ in range(40):  # a label of a new class makes a version with a number of its own
        run.turn([UpsertNode(f"new-{run.turns}", [1.0, 0.0, 0.0], "violet")], steps=10)
        if engine.kept.served is not before and engine.kept.get(before.number):
            break
    served, earlier = engine.kept.served, engine.kept.get(before.number)
    assert served is not None
    assert earlier is not None
    assert served.number > earlier.number
    write_checkpoint(settings.data_dir / "checkpoints" / "own", *engine.state(), keep=1)
    for number, kept in ((earlier.number, earlier), (None, served)):
        found = model_at(settings, number)
        assert found.version.number == kept.number
        for name, tensor in kept.weights.tensors().items():
            assert torch.equal(found.version.weights.tensors()[name], tensor), name


def test_what_is_wrong_is_one_line(settings: Settings, tmp_path: Path) -> None:
    with pytest.raises(
        ExportFailed, match=r"there is no checkpoint in .* yet: name the data directory with --data-dir"
    ):
        model_at(settings)
    engine = Run(config_of("gcn")).engine
    folder = settings.data_dir / "checkpoints" / "own"
    path = write_checkpoint(folder, *engine.state(), keep=1)
    with pytest.raises(ExportFailed, match="no version is served in the checkpoint at 0-0: it has none"):
        model_at(settings)
    (path / "values.json").write_text("{")
    with pytest.raises(ExportFailed, match=r"there is no checkpoint in .* that can be read: .*checksum"):
        model_at(settings)
    served = served_by(config_of("mlp"), GraphSchema())
    assert served.kept.served is not None
    with pytest.raises(ExportFailed, match=r"model.bin: name a file that ends with .safetensors"):
        export_model(ModelAt(served.kept.served, served.graph), tmp_path / "model.bin")
