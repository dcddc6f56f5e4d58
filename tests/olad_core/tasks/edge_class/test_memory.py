"""What the estimate of memory has for a task is what its ring of remembered edges takes, or more."""

from __future__ import annotations

import numpy as np
import pytest

from olad_core.config import EngineConfig
from olad_core.events import GraphSchema
from olad_core.graph import DynamicGraph
from olad_core.graph_types import EdgeType
from olad_core.memory_use import GroupSizes, Sizes, bytes_needed, numbers_of_task
from olad_core.task_types import EdgeClassTask
from olad_core.tasks.edge_class import Learner


@pytest.mark.parametrize(("classes", "width"), [(2, 0), (3, 5), (16, 0), (2, 1_000)])
def test_the_numbers_of_an_edge_are_those_that_are_remembered(classes: int, width: int) -> None:
    names = [f"class {number}" for number in range(classes)]
    ring = Learner(names, 0, 100, directed=True, features=width).edges
    arrays = (ring.plain, ring.blocks, ring.features, ring.answered, ring.shares, ring.own)
    assert sum(int(np.prod(array.shape[1:])) for array in arrays) == numbers_of_task(classes, width)


def test_a_graph_with_a_task_needs_what_its_ring_needs() -> None:
    graph = DynamicGraph()
    before = bytes_needed(graph.sizes, GroupSizes())
    assert before == bytes_needed(Sizes(), GroupSizes())
    task = EdgeClassTask(kind="edge_class", edge_type="paid", classes=("ok", "fraud"))
    graph.declare(GraphSchema(edge_types={"paid": EdgeType(feature_width=256)}, tasks={"fraud": task}))
    more = bytes_needed(graph.sizes, GroupSizes()) - before
    ring = 4 * EngineConfig.arrivals_remembered * numbers_of_task(2, 256)
    # Two copies for the checkpoint, ids beside them.
    assert 2 * ring < more < 4 * ring
