"""A data directory with a checkpoint of an Arxiv-shaped graph that serves a model, made once for each core."""

from __future__ import annotations

import argparse
import hashlib
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path

import redis
import torch

from benchmarks.graphs import GraphArrays, arxiv_shaped
from olad_core.engine import Engine
from olad_core.event_codec import encode_log
from olad_core.events import Event, GraphSchema, UpsertEdge, UpsertNode
from olad_core.schema import HeldSchema
from service.settings import Settings, StudentName
from service.store.keys import Keys
from service.store.schema import dump_schema
from service.worker.assembly import engine_config
from service.worker.checkpoint import write_checkpoint
from service.worker.temporal_library import import_temporal_library

GROUP: tuple[StudentName, ...] = ("gcn", "sage", "gat", "evolvegcn")
_POSITION = "1000-0"
_STEPS = 60
_CORE = Path(__file__).parent.parent / "olad_core"


@dataclass(frozen=True)
class Prepared:
    """A graph, and where the checkpoint of an engine stands that holds it."""

    graph: GraphArrays
    directory: Path
    schema: GraphSchema
    students: tuple[StudentName, ...]

    def announce(self, client: redis.Redis, keys: Keys) -> None:
        """Let an empty Redis look as if the graph had come through it."""
        held = HeldSchema(**self.schema.model_dump(), feature_width_held=True)
        client.set(keys.schema, dump_schema(held))
        applied = len(self.graph) + len(self.graph.src)
        client.set(keys.appended, applied)
        client.hset(keys.served, mapping={"position": _POSITION, "rejected_to": _POSITION, "applied": applied})
        client.xadd(keys.log, {"events": encode_log([]), "n": 0}, id=_POSITION)


def add_size(parser: argparse.ArgumentParser) -> None:
    """The option that makes the graph smaller."""
    parser.add_argument("--scale", type=float, default=1.0, help="of the graph")


def size_of(given: argparse.Namespace) -> tuple[int, int]:
    """Nodes and edges of the Arxiv-shaped graph, at the scale asked for."""
    return int(169_343 * given.scale), int(1_166_243 * given.scale)


def prepared(nodes: int, edges: int, features: int = 128, students: str = ",".join(GROUP)) -> Prepared:
    """Generate, train a little, write the checkpoint; taken from the temporary directory where it is there already."""
    graph = arxiv_shaped(nodes, edges, features)
    schema = GraphSchema(feature_width=graph.x.shape[1], classes=tuple(map(str, range(graph.classes))), directed=True)
    sources = [*sorted(_CORE.rglob("*.py")), Path(__file__), Path(__file__).parent / "graphs.py"]
    state = hashlib.sha256(b"".join(path.read_bytes() for path in sources)).hexdigest()[:16]
    root = Path(tempfile.gettempdir())
    name = f"olad-prepared-{nodes}-{edges}-{features}-{students.replace(',', '-')}"
    settings = Settings.model_validate({"data_dir": root / f"{name}@{state}", "students": students})
    found = settings.data_dir
    if not found.exists():
        for outdated in root.glob(f"{name}@*"):
            shutil.rmtree(outdated)
        unfinished = found.with_suffix(".unfinished")
        engine = _engine(graph, schema, settings)
        write_checkpoint(unfinished / "checkpoints" / settings.graph, *engine.state(), keep=1)
        unfinished.rename(found)
    return Prepared(graph, found, schema, settings.students)


def _engine(graph: GraphArrays, schema: GraphSchema, settings: Settings) -> Engine:
    torch.set_num_threads(1)
    import_temporal_library()
    engine = Engine(engine_config(settings), torch.device("cpu"))
    engine.declare(_POSITION, schema)
    for events in chain(in_parts(_nodes(graph)), in_parts(_edges(graph))):
        engine.apply(_POSITION, events, 0.0)
        engine.refresh()
    engine.learn(_STEPS)
    while engine.versions.served is None:
        engine.learn(1)
    engine.take_publication()
    return engine


def _nodes(graph: GraphArrays) -> Iterator[Event]:
    for node, (x, label) in enumerate(zip(graph.x, graph.label.tolist(), strict=True)):
        yield UpsertNode(id=str(node), x=x.tolist(), label=str(label))


def _edges(graph: GraphArrays) -> Iterator[Event]:
    for src, dst in zip(graph.src.tolist(), graph.dst.tolist(), strict=True):
        yield UpsertEdge(src=str(src), dst=str(dst))


def in_parts(events: Iterator[Event]) -> Iterator[list[Event]]:
    """Batches of 10,000 events, the last one shorter."""
    while part := list(islice(events, 10_000)):
        yield part
