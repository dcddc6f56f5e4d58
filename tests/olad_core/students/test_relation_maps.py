"""Students that tell types of edges apart, compared with dense formulas."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from olad_core.events import GraphSchema, UpsertEdge, UpsertNode
from olad_core.graph import DynamicGraph
from olad_core.graph_types import EdgeType
from olad_core.messages.sample import sample, to_block
from olad_core.students import ARCHITECTURES, GCN, SAGE, Block, Student, build_student, stacks
from olad_core.students.check.case import embed, random_adjacency
from olad_core.students.relation_maps import MOST_MAPS, RelationMaps
from tests.olad_core.blocks import block_of, inputs_of

NODES, FEATURES, WIDTH, CLASSES = 9, 4, 8, 3
CPU = torch.device("cpu")


def adjacencies(types: int) -> list[Tensor]:
    """One for each type; the last node has no incoming edges."""
    found = [random_adjacency(NODES, seed, share=0.3) for seed in range(types)]
    for each in found:
        each[-1] = 0
    return found


def features() -> Tensor:
    return torch.randn(NODES, FEATURES, generator=torch.Generator().manual_seed(5))


def typed_block(weights: list[Tensor]) -> Block:
    """All edges, by target and type; built by the graph itself."""
    graph = DynamicGraph()
    graph.declare(GraphSchema(edge_types={str(number): EdgeType(directed=True) for number in range(len(weights))}))
    graph.apply([UpsertNode(str(node)) for node in range(NODES)], 0.0)
    for number, matrix in enumerate(weights):
        edges = matrix.nonzero().tolist()
        batch = [UpsertEdge(str(j), str(i), float(matrix[i, j]), type=str(number)) for i, j in edges]
        graph.apply(batch, 0.0)
    rows = np.arange(NODES)
    block, sources = to_block(graph, rows, graph.in_neighbours(rows), CPU)
    assert sources.tolist() == rows.tolist()
    return block


def built(architecture: str, types: int) -> Student:
    return build_student(architecture, FEATURES, WIDTH, CLASSES, seed=1, relations=types)


def maps_of(maps: RelationMaps, types: int) -> list[Tensor]:
    """The map of each type, by what it makes of unit vectors."""
    units = torch.zeros(WIDTH, types, types, WIDTH)
    for number in range(types):
        units[:, number, number] = torch.eye(WIDTH)
    with torch.no_grad():
        return [maps(units[:, number].reshape(-1, WIDTH), WIDTH) for number in range(types)]


@pytest.mark.parametrize("types", [3, MOST_MAPS + 3])
def test_gcn_is_the_dense_formula_with_a_map_for_each_type(types: int) -> None:
    student, weights = built("gcn", types), adjacencies(types)
    assert isinstance(student, GCN)
    scale = (torch.stack(weights).sum(dim=(0, 2)) + 1).rsqrt()
    with torch.no_grad():
        rows = student.encoder(inputs_of(features()), student.scale)
        for number in (1, 2):
            own = rows * scale[:, None].square()
            received = [scale[:, None] * matrix @ (scale[:, None] * rows) for matrix in weights]
            maps = maps_of(student.relation_maps[number - 1], types)  # type: ignore[arg-type]
            rows = own + sum(each @ w for each, w in zip(received, maps, strict=True))
            rows = torch.relu(rows) if number == 1 else rows
        found = embed(student, inputs_of(features()), typed_block(weights))[1]
    torch.testing.assert_close(found, rows, rtol=1e-4, atol=1e-5)


def test_sage_is_the_dense_formula_with_a_map_for_each_type() -> None:
    student, weights = built("sage", 3), adjacencies(3)
    assert isinstance(student, SAGE)
    total = torch.stack(weights).sum(dim=(0, 2)).clamp_min(1e-12)[:, None]
    with torch.no_grad():
        encoded = student.encoder(inputs_of(features()), student.scale)
        for number in (1, 2):
            own, sent = encoded[:, :WIDTH], encoded[:, WIDTH:]
            maps = maps_of(student.relation_maps[number - 1], 3)  # type: ignore[arg-type]
            mixed = own + sum(matrix / total @ sent @ w for matrix, w in zip(weights, maps, strict=True))
            rows = torch.relu(mixed + (student.second.bias if number == 2 else 0))
            self_map, neighbour_map = student.second.weight.chunk(2, dim=1)
            encoded = torch.cat([rows @ self_map.T, rows @ neighbour_map.T], dim=1)
        found = embed(student, inputs_of(features()), typed_block(weights))[1]
    torch.testing.assert_close(found, rows, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("architecture", ["gcn", "sage", "evolvegcn", "tgcn"])
def test_untrained_a_student_treats_all_types_nearly_alike(architecture: str) -> None:
    weights = adjacencies(3)
    whole = block_of(torch.stack(weights).sum(dim=0))
    alike, _ = embed(build_student(architecture, FEATURES, WIDTH, CLASSES, 1), inputs_of(features()), whole)
    found, _ = embed(built(architecture, 3), inputs_of(features()), typed_block(weights))
    torch.testing.assert_close(found, alike, rtol=0.3, atol=0.3)


@pytest.mark.parametrize("architecture", sorted(ARCHITECTURES.keys() - {"mlp"}))
def test_the_types_of_edges_decide(architecture: str) -> None:
    student, weights = built(architecture, 3), adjacencies(3)
    with torch.no_grad():
        for maps in student.relation_maps.parameters():
            maps.add_(torch.randn(maps.shape, generator=torch.Generator().manual_seed(2)))
    found, _ = embed(student, inputs_of(features()), typed_block(weights))
    turned, _ = embed(student, inputs_of(features()), typed_block(weights[::-1]))
    assert not torch.allclose(found[:-1], turned[:-1])
    assert torch.equal(found[-1], turned[-1]), "the last node has no neighbours"


@pytest.mark.parametrize("architecture", sorted(ARCHITECTURES.keys() - {"mlp"}))
@pytest.mark.parametrize("types", [3, MOST_MAPS + 3])
def test_every_map_learns(architecture: str, types: int) -> None:
    student = built(architecture, types).train()
    logits, _ = student(inputs_of(features()), [typed_block(adjacencies(types))] * 2)
    logits.square().sum().backward()
    for name, parameter in student.relation_maps.named_parameters():
        assert parameter.grad is not None, name
        assert bool((parameter.grad.flatten(1) != 0).any(dim=1).all()), name


@pytest.mark.parametrize("architecture", sorted(ARCHITECTURES))
def test_a_graph_of_one_type_has_no_maps(architecture: str) -> None:
    student = built(architecture, 1)
    assert [name for name in student.state_dict() if "relation" in name] == []


def test_students_of_several_types_do_not_stand_side_by_side() -> None:
    assert len(stacks([built("gcn", 1), built("gcn", 1)])) == 1
    assert len(stacks([built("gcn", 3), built("gcn", 3)])) == 2


def test_a_sample_is_unbiased_for_each_type() -> None:
    graph = DynamicGraph()
    graph.declare(GraphSchema(edge_types={"many": EdgeType(), "few": EdgeType(), "none": EdgeType()}))
    graph.apply([UpsertEdge("a", f"m{number}", type="many") for number in range(20)], 0.0)
    graph.apply([UpsertEdge("a", "f", 4.0, type="few")], 0.0)
    drawn = sample(graph, graph.rows(["a"]), (6,), 0, np.random.default_rng(0), CPU)
    (block,) = drawn.blocks
    assert block.by_relation is not None
    assert block.by_relation.tolist() == [0, 2, 3, 3]
    assert block.weight.tolist() == [10.0, 10.0, 4.0]
