"""Edges of a type that are asked for: those that its task may remember."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from olad_core.engine import Engine
from olad_core.events import GraphSchema, RemoveNode, UpsertEdge
from olad_core.graph_types import EdgeType
from olad_core.task_types import EdgeClassTask, EdgeValueTask, LinkTask
from service.export.asked_edges import AskedEdge, edges_of_type
from service.export.failed import ExportFailed
from service.export.graph_at import graph_at
from service.export.late_edges import LateEdges
from service.settings import Settings
from service.worker.checkpoint import write_checkpoint
from tests.device import DEVICE
from tests.olad_core.runs import PAIR

SCHEMA = GraphSchema(
    edge_types={"paid": EdgeType(directed=True, ids=True), "rated": EdgeType(), "knows": EdgeType()},
    tasks={
        "next": LinkTask(kind="link", edge_type="knows"),
        "fraud": EdgeClassTask(kind="edge_class", edge_type="paid"),
        "rating": EdgeValueTask(kind="edge_value", edge_type="rated"),
    },
)
REMEMBERED = 6


def payment(at: int) -> UpsertEdge:
    return UpsertEdge(f"a{at % 3}", f"b{at}", None, float(at), "paid", f"p{at}")


def rating(at: int) -> UpsertEdge:
    return UpsertEdge(f"z{at}", f"c{at % 3}", None, float(at), "rated")


def asked(settings: Settings, edge_type: str, *later: UpsertEdge) -> tuple[list[AskedEdge], int]:
    late = LateEdges(edge_type)
    graph = graph_at(settings, late=late).graph
    graph.apply(later, 99.0)
    late.take_events(later)
    return edges_of_type(graph, late)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Of a data directory with a checkpoint after 20 payments and ratings; the ends of one have left."""
    engine = Engine(replace(PAIR, arrivals_remembered=REMEMBERED), DEVICE)
    engine.declare("0-1", SCHEMA)
    engine.apply("1-0", [each for at in range(20) for each in (payment(at), rating(at))], 0.0)
    engine.apply("2-0", [UpsertEdge("a0", "z1", type="knows"), RemoveNode("b18"), RemoveNode("z18")], 0.0)
    engine.refresh()
    engine.take_publication()
    settings = Settings(data_dir=tmp_path / "data")
    write_checkpoint(settings.data_dir / "checkpoints" / settings.graph, *engine.state(), keep=3)
    return settings


def test_they_are_those_of_the_checkpoint_and_of_the_log_after_it(settings: Settings) -> None:
    found, others = asked(settings, "paid")
    assert [each.id for each in found] == ["p14", "p15", "p16", "p17", "p19"]
    assert others == 14
    found, others = asked(settings, "paid", payment(30), payment(2), rating(31))
    assert [each.id for each in found] == ["p2", "p14", "p15", "p16", "p17", "p19", "p30"]
    assert others == 13


def test_edges_without_ids_are_known_by_their_ends(settings: Settings) -> None:
    turned = UpsertEdge("c1", "z7", None, 7.0, "rated")
    found, others = asked(settings, "rated", rating(30), turned)
    assert {each.src for each in found} | {each.dst for each in found} >= {
        "z7",
        "z14",
        "z15",
        "z16",
        "z17",
        "z19",
        "z30",
    }
    assert (len(found), others) == (7, 13)


def test_a_type_without_a_task_of_its_edges_is_refused(settings: Settings) -> None:
    with pytest.raises(ExportFailed, match="edges of the type 'knows' have no task"):
        asked(settings, "knows")
