"""Students that read the features of edges, compared with dense formulas."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from olad_core.events import GraphSchema, UpsertEdge, UpsertNode
from olad_core.graph import DynamicGraph
from olad_core.graph_types import EdgeType
from olad_core.messages.edge_attention import attend_to_edges, by_operations
from olad_core.messages.sample import sample, to_block
from olad_core.students import ARCHITECTURES, GAT, GCN, Block, Student, build_student, stacks
from olad_core.students.check.case import embed, random_adjacency
from olad_core.students.edge_maps import EdgeMaps
from tests.olad_core.blocks import inputs_of

NODES, FEATURES, WIDTH, CLASSES, EDGE_WIDTH = 9, 4, 8, 3, 2
CPU = torch.device("cpu")


def features() -> Tensor:
    return torch.randn(NODES, FEATURES, generator=torch.Generator().manual_seed(5))


def adjacencies() -> list[Tensor]:
    """One for each of two types; the last node has no incoming edges."""
    found = [random_adjacency(NODES, seed, share=0.3) for seed in (0, 1)]
    for each in found:
        each[-1] = 0
    return found


def edge_features(seed: int = 3) -> list[Tensor]:
    """``[N, N, D]`` for each type, of the edge from j to i."""
    draw = torch.Generator().manual_seed(seed)
    return [2 * torch.randn(NODES, NODES, EDGE_WIDTH, generator=draw) for _ in range(2)]


def block_with(x: list[Tensor], weights: list[Tensor]) -> Block:
    """All edges with their features; built by the graph itself."""
    graph = DynamicGraph()
    types = {str(at): EdgeType(directed=True, feature_width=EDGE_WIDTH) for at in range(len(weights))}
    graph.declare(GraphSchema(edge_types=types))
    graph.apply([UpsertNode(str(node)) for node in range(NODES)], 0.0)
    for number, matrix in enumerate(weights):
        edges = matrix.nonzero().tolist()
        batch = [
            UpsertEdge(str(j), str(i), float(matrix[i, j]), type=str(number), x=x[number][i, j].tolist())
            for i, j in edges
        ]
        assert not graph.apply(batch, 0.0).rejected
    rows = np.arange(NODES)
    return to_block(graph, rows, graph.in_neighbours(rows), CPU)[0]


def built(architecture: str, edge_width: int = EDGE_WIDTH, types: int = 2) -> Student:
    return build_student(architecture, FEATURES, WIDTH, CLASSES, 1, types, (), edge_width)


def test_gcn_adds_a_map_of_the_features_to_what_is_sent() -> None:
    student, weights, x = built("gcn"), adjacencies(), edge_features()
    assert isinstance(student, GCN)
    root = (torch.stack(weights).sum(dim=(0, 2)) + 1).rsqrt()
    with torch.no_grad():
        rows = student.encoder(inputs_of(features()), student.scale)
        for number in (1, 2):
            maps = student.edge_maps[number - 1]
            assert isinstance(maps, EdgeMaps)
            mixed = rows * root[:, None].square()
            for at, matrix in enumerate(weights):
                shares = root[:, None] * matrix * root
                of_rows = torch.zeros(NODES, 2, WIDTH)
                of_rows[:, at] = shares @ rows
                mixed += student.relation_maps[number - 1](of_rows.flatten(0, 1), NODES)
                mixed += torch.einsum("ij,ijd,dw->iw", shares, x[at].asinh(), maps.maps[at])
            rows = torch.relu(mixed) if number == 1 else mixed
        found = embed(student, inputs_of(features()), block_with(x, weights))[1]
    torch.testing.assert_close(found, rows, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("architecture", sorted(ARCHITECTURES.keys() - {"mlp"}))
def test_features_decide_and_their_maps_learn(architecture: str) -> None:
    student, weights = built(architecture).train(), adjacencies()
    one, other = (block_with(edge_features(seed), weights) for seed in (3, 4))
    found, changed = (embed(student, inputs_of(features()), block)[1] for block in (one, other))
    assert not torch.allclose(found[:-1], changed[:-1])
    assert torch.equal(found[-1], changed[-1]), "the last node has no neighbours"
    logits, _ = student(inputs_of(features()), [one] * 2)
    logits.square().sum().backward()
    for name, parameter in student.edge_maps.named_parameters():
        assert parameter.grad is not None, name
        assert bool((parameter.grad.flatten(1) != 0).any(dim=1).all()), name


def test_the_compiled_attention_is_that_of_the_operations() -> None:
    block = block_with(edge_features(), adjacencies()).of_types
    draw = torch.Generator().manual_seed(2)
    prepared = torch.randn(NODES, WIDTH + 4, generator=draw)
    terms = torch.randn(len(block.sources), 2, generator=draw)
    expected = by_operations(prepared, 2, block, 0.2, terms)
    with torch.no_grad():
        found = attend_to_edges(prepared, 2, block, 0.2, terms)
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("types", [1, 2])
def test_attention_without_features_is_that_of_a_graph_without(types: int) -> None:
    student, plain = built("gat", types=types), built("gat", 0, types)
    assert isinstance(student, GAT)
    plain.load_state_dict({name: held for name, held in student.state_dict().items() if "edge_maps" not in name})
    block = block_with([torch.zeros(NODES, NODES, EDGE_WIDTH)] * 2, adjacencies()[:types])
    found, expected = (embed(each, inputs_of(features()), block)[1] for each in (student, plain))
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("architecture", sorted(ARCHITECTURES))
def test_features_of_a_type_that_came_later_are_passed_over(architecture: str) -> None:
    student, weights, x = built(architecture, types=1), adjacencies(), edge_features()
    only, both = (block_with(x, each) for each in ([weights[0], 0 * weights[1]], weights))
    assert both.x is not None
    wider = replace(both, x=torch.cat([both.x, torch.ones(len(both.x), 1)], dim=1))
    assert torch.equal(*(embed(student, inputs_of(features()), each)[1] for each in (both, wider)))
    assert embed(student, inputs_of(features()), only)[1].isfinite().all()


def test_students_that_read_features_do_not_stand_side_by_side() -> None:
    assert len(stacks([built("gcn", 0, 1), built("gcn", 0, 1)])) == 1
    assert len(stacks([built("gcn", 2, 1), built("gcn", 2, 1)])) == 2


def test_a_sample_has_the_features_of_its_edges() -> None:
    graph = DynamicGraph()
    graph.declare(GraphSchema(edge_types={"plain": EdgeType(), "paid": EdgeType(ids=True, feature_width=1)}))
    graph.apply([UpsertEdge("a", f"n{at}", type="plain") for at in range(9)], 0.0)
    graph.apply([UpsertEdge("a", f"p{at}", type="paid", id=str(at), x=[float(at)]) for at in range(9)], 0.0)
    drawn = sample(graph, graph.rows(["a"]), (4,), 0, np.random.default_rng(0), CPU)
    (block,) = drawn.blocks
    assert block.x is not None
    sent = [name[1:] if name[0] == "p" else "0" for name in graph.ids(drawn.rows[block.sources.numpy()])]
    np.testing.assert_allclose(block.x[:, 0], np.arcsinh([float(each) for each in sent]), rtol=1e-6)
