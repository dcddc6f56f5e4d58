"""What the built-in students do beyond the contract (test_check.py): each computes the formula it is named after."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from olad_core.messages.sparse_features import SparseRows, mean_squares
from olad_core.students import (
    ARCHITECTURES,
    GAT,
    GCN,
    MLP,
    SAGE,
    SIGN,
    TGCN,
    Block,
    EvolveGCN,
    Inputs,
    Student,
    build_student,
)
from tests.olad_core.blocks import block_of, embed, inputs_of, random_adjacency, row_mean, symmetric

NODES, FEATURES, WIDTH, CLASSES = 9, 5, 8, 3


def features(width: int = FEATURES) -> Tensor:
    return torch.randn(NODES, width, generator=torch.Generator().manual_seed(11))


def inputs() -> Inputs:
    """Features, labels of some, and hidden states."""
    memory = torch.randn(NODES, WIDTH, generator=torch.Generator().manual_seed(12)).tanh()
    return Inputs(features(), torch.arange(NODES) % (CLASSES + 1) - 1, memory)


def built(architecture: str, feature_width: int = FEATURES, seed: int = 4) -> Student:
    student = build_student(architecture, feature_width, WIDTH, CLASSES, seed)
    student.mean_square.fill_(1.7)
    return student


READ_NEIGHBOURS = ARCHITECTURES.keys() - {"mlp"}


@pytest.fixture(params=sorted(ARCHITECTURES))
def student(request: pytest.FixtureRequest) -> Student:
    return built(request.param)


@pytest.fixture(params=sorted(READ_NEIGHBOURS))
def reader(request: pytest.FixtureRequest) -> Student:
    return built(request.param)


@pytest.fixture
def adjacency() -> Tensor:
    weights = random_adjacency(NODES, seed=2)
    weights[3] = 0
    return weights


class TestEveryArchitecture:
    def test_is_listed_under_its_own_name(self, student: Student) -> None:
        assert ARCHITECTURES[student.architecture] is type(student)

    def test_an_edge_of_weight_two_is_two_edges(self, student: Student) -> None:
        def block(sources: list[int], weight: list[float]) -> Block:
            return Block(
                targets=torch.tensor([0]),
                sources=torch.tensor(sources),
                offsets=torch.tensor([0, len(sources)]),
                weight=torch.tensor(weight),
                in_weight=torch.tensor([3.0, 1.0, 2.0]),
            )

        with torch.no_grad():
            for number in range(1, student.num_layers + 1):
                rows = torch.randn(3, student.layer_widths[number - 1], generator=torch.Generator().manual_seed(6))
                twice = student.layer(number, rows, block([1, 1, 2], [1.0, 1.0, 1.0]))
                doubled = student.layer(number, rows, block([1, 2], [2.0, 1.0]))
                torch.testing.assert_close(twice, doubled)

    def test_the_weight_of_an_edge_matters(self, reader: Student, adjacency: Tensor) -> None:
        logits, _ = embed(reader, inputs(), block_of(adjacency))
        target, source = adjacency.nonzero()[0]
        adjacency[target, source] *= 5
        changed, _ = embed(reader, inputs(), block_of(adjacency))
        assert not torch.allclose(changed[target], logits[target])

    def test_a_node_without_edges_hears_itself_alone(self, student: Student, adjacency: Tensor) -> None:
        logits, _ = embed(student, inputs(), block_of(adjacency))
        alone, _ = embed(student, inputs(), block_of(torch.zeros(NODES, NODES)))
        assert alone.isfinite().all()
        torch.testing.assert_close(alone[3], logits[3])
        assert not torch.allclose(alone[0], alone[1])

    def test_begins_with_the_vote_of_the_labelled_neighbours(self, reader: Student) -> None:
        """Nodes of which nothing is known but the labels around them: three of one class, and one of another."""
        adjacency, label = torch.zeros(100, 100), torch.full((100,), -1)
        wanted = torch.arange(20) % CLASSES
        for node in range(20):
            near = 20 + 4 * node + torch.arange(4)
            adjacency[node, near], label[near] = 1.0, wanted[node]
            label[near[3]] = (wanted[node] + 1) % CLASSES
        right = []
        for seed in range(10):
            new = build_student(reader.architecture, 0, 64, CLASSES, seed)
            logits, _ = embed(new, Inputs(torch.zeros(100, 1), label), block_of(adjacency))
            right.append(logits[:20].argmax(dim=1) == wanted)
        assert torch.cat(right).float().mean() > 0.8

    def test_a_class_that_appears_begins_with_the_vote_too(self, reader: Student) -> None:
        adjacency = torch.zeros(5, 5)
        adjacency[0, 1:] = 1.0
        grown = build_student(reader.architecture, FEATURES, 64, CLASSES, 4)
        grown.grow(CLASSES + 2)
        told_labels = Inputs(torch.zeros(5, FEATURES), torch.tensor([-1, *[CLASSES + 1] * 4]))
        assert embed(grown, told_labels, block_of(adjacency))[0][0].argmax() == CLASSES + 1

    def test_features_reach_as_far_as_there_are_layers(self, reader: Student) -> None:
        # A path 0 -> 1 -> 2 -> 3: two hops lead from 1 to 3, three from 0.
        path = torch.zeros(4, 4)
        path[[1, 2, 3], [0, 1, 2]] = 1
        x = features()[:4].requires_grad_()
        logits, _ = reader(inputs_of(x), [block_of(path)] * reader.num_layers)
        logits[3].square().sum().backward()
        assert x.grad is not None
        assert (x.grad.abs().sum(dim=1) > 0).tolist() == [False, True, True, True]

    def test_sparse_features_are_the_same_features(self, student: Student, adjacency: Tensor) -> None:
        x = features() * (features() > 0.5)
        dense, _ = embed(student, inputs_of(x), block_of(adjacency))
        row, column = x.nonzero(as_tuple=True)
        counts = torch.bincount(row, minlength=NODES)
        offsets = torch.cat([torch.zeros(1, dtype=torch.int64), counts.cumsum(0)])
        entries = Block(torch.arange(NODES), column, offsets, x[row, column], torch.zeros(FEATURES))
        with torch.no_grad():
            sparse, _ = student(inputs_of(SparseRows(FEATURES, entries)), [block_of(adjacency)] * student.num_layers)
        torch.testing.assert_close(sparse, dense)
        torch.testing.assert_close(mean_squares(SparseRows(FEATURES, entries)), mean_squares(x))

    def test_labels_reach_as_far_as_there_are_layers(self, reader: Student) -> None:
        path = torch.zeros(4, 4)
        path[[1, 2, 3], [0, 1, 2]] = 1

        def logits_of(labels: list[int]) -> Tensor:
            return embed(reader, inputs_of(features()[:4], labels), block_of(path))[0][3]

        unknown = logits_of([-1, -1, -1, -1])
        assert torch.equal(logits_of([2, -1, -1, -1]), unknown)
        assert not torch.allclose(logits_of([-1, 2, -1, -1]), unknown)
        assert not torch.allclose(logits_of([-1, 1, -1, -1]), logits_of([-1, 2, -1, -1]))

    def test_the_seed_decides_its_weights_and_nothing_else_is_touched(self, student: Student) -> None:
        before = torch.random.get_rng_state()
        first, again, other = (built(student.architecture, seed=seed).state_dict() for seed in (4, 4, 5))
        assert torch.equal(torch.random.get_rng_state(), before)
        assert all(torch.equal(first[name], again[name]) for name in first)
        assert not torch.equal(first["head.weight"], other["head.weight"])

    def test_a_step_of_time_changes_only_weights_that_move_by_themselves(
        self, student: Student, adjacency: Tensor
    ) -> None:
        logits, _ = embed(student, inputs(), block_of(adjacency))
        student.advance()
        after, _ = embed(student, inputs(), block_of(adjacency))
        assert torch.equal(after, logits) != (student.architecture == "evolvegcn")


def scaled(student: Student) -> Tensor:
    return features() / student.mean_square.sqrt()


def test_mlp_is_the_dense_formula_whatever_the_edges(adjacency: Tensor) -> None:
    student = built("mlp")
    assert isinstance(student, MLP)
    second = student.second
    with torch.no_grad():
        hidden = torch.relu(student.encoder(inputs_of(features()), student.scale))
        expected = student.classify(torch.relu(hidden @ second.weight.T + second.bias))
    torch.testing.assert_close(embed(student, inputs_of(features()), block_of(adjacency))[0], expected)


def test_gcn_is_the_dense_formula(adjacency: Tensor) -> None:
    student = built("gcn")
    assert isinstance(student, GCN)
    matrix = symmetric(adjacency)
    with torch.no_grad():
        expected = student.classify(matrix @ torch.relu(matrix @ student.encoder(inputs_of(features()), student.scale)))
    torch.testing.assert_close(embed(student, inputs_of(features()), block_of(adjacency))[0], expected)


def test_sage_is_the_dense_formula(adjacency: Tensor) -> None:
    student = built("sage")
    assert isinstance(student, SAGE)
    mean = row_mean(adjacency)
    with torch.no_grad():
        own, neighbour = student.encoder.weight.chunk(2, dim=1)
        bias, neighbour_bias = student.encoder.bias.chunk(2)
        x = scaled(student)
        hidden = torch.relu(x @ own + bias + mean @ (x @ neighbour + neighbour_bias))
        expected = student.classify(torch.relu(student.second(torch.cat([hidden, mean @ hidden], dim=1))))
    torch.testing.assert_close(embed(student, inputs_of(features()), block_of(adjacency))[0], expected)


def test_sign_is_the_dense_formula(adjacency: Tensor) -> None:
    student = built("sign")
    assert isinstance(student, SIGN)
    mean = row_mean(adjacency)
    with torch.no_grad():
        own = student.encoder(inputs_of(features()), student.scale)
        hops = torch.cat([mean @ own, own, mean @ mean @ own], dim=1)
        expected = student.classify(torch.relu(student.second(hops)))
    torch.testing.assert_close(embed(student, inputs_of(features()), block_of(adjacency))[0], expected)


def dense_attention(rows: Tensor, source: Tensor, target: Tensor, adjacency: Tensor) -> Tensor:
    """Equations 1 to 4 of the paper, one head after the other; the node itself is a neighbour of weight 1."""
    looped = adjacency + torch.eye(len(adjacency))
    heads = []
    for own, to, by in zip(rows.chunk(len(source), dim=1), target, source, strict=True):
        score = F.leaky_relu((own @ to)[:, None] + (own @ by)[None, :], 0.2)
        factor = looped * score.exp()
        heads.append((factor / factor.sum(dim=1, keepdim=True)) @ own)
    return torch.cat(heads, dim=1)


def test_gat_is_dense_attention_with_self_loops(adjacency: Tensor) -> None:
    student = built("gat")
    assert isinstance(student, GAT)
    first, second = student.first, student.second
    with torch.no_grad():
        rows = student.encoder(inputs_of(features()), student.scale)
        rows = student.between(F.elu(dense_attention(rows, first.source, first.target, adjacency)))
        expected = student.classify(F.elu(dense_attention(rows, second.source, second.target, adjacency)))
    torch.testing.assert_close(embed(student, inputs_of(features()), block_of(adjacency))[0], expected)


def test_gat_says_the_same_with_and_without_gradients(adjacency: Tensor) -> None:
    student = built("gat")
    block = block_of(adjacency * torch.logspace(-6, 6, NODES)[:, None])
    logits, _ = student(inputs_of(features()), [block] * 2)
    torch.testing.assert_close(embed(student, inputs_of(features()), block)[0], logits.detach(), rtol=1e-4, atol=1e-5)


def test_gat_refuses_a_width_its_heads_cannot_share() -> None:
    with pytest.raises(ValueError, match="width 6 is not a multiple of GAT's 4 heads"):
        build_student("gat", FEATURES, 6, CLASSES, 0)


def test_tgcn_is_the_cell_of_torch_geometric_temporal(adjacency: Tensor) -> None:
    student = built("tgcn")
    assert isinstance(student, TGCN)
    undirected = (adjacency + adjacency.T) / 2
    target, source = undirected.nonzero(as_tuple=True)
    rows = torch.relu(student.encoder(inputs(), student.scale))
    hidden = student.cell(rows, torch.stack([source, target]), undirected[target, source], inputs().memory)
    with torch.no_grad():
        expected = student.classify(symmetric(undirected) @ hidden)
        torch.testing.assert_close(embed(student, inputs(), block_of(undirected))[0], expected)
        torch.testing.assert_close(student.remember(inputs(), block_of(undirected)), hidden)


class TestEvolveGCN:
    def weights(self, student: EvolveGCN) -> list[Tensor]:
        """``W_1(t)`` and ``W_2(t)``: row i of one is what its layer makes of the i-th unit vector."""
        unit = block_of(torch.zeros(WIDTH, WIDTH))
        with torch.no_grad():
            return [
                student.layer(number, torch.eye(WIDTH), unit) - student.layer(number, -torch.eye(WIDTH), unit)
                for number in (1, 2)
            ]

    def test_is_the_dense_formula(self, adjacency: Tensor) -> None:
        student = built("evolvegcn")
        assert isinstance(student, EvolveGCN)
        matrix, (first, second) = symmetric(adjacency), self.weights(student)
        with torch.no_grad():
            rows = torch.relu(student.encoder(inputs_of(features()), student.scale))
            expected = student.classify(torch.relu(matrix @ torch.relu(matrix @ rows @ first) @ second))
        torch.testing.assert_close(embed(student, inputs_of(features()), block_of(adjacency))[0], expected)

    def test_a_step_of_time_passes_the_weights_through_the_recurrent_network(self) -> None:
        student = built("evolvegcn")
        assert isinstance(student, EvolveGCN)
        for _ in range(3):
            before = self.weights(student)
            student.advance()
            for weight, cell, after in zip(before, student.cells, self.weights(student), strict=True):
                with torch.no_grad():
                    _, expected = cell.recurrent_layer(weight[None], weight[None])  # type: ignore[operator]
                torch.testing.assert_close(after, expected[0], rtol=1e-4, atol=1e-5)
                assert not torch.allclose(after, weight)

    def test_between_two_steps_the_weights_stay(self, adjacency: Tensor) -> None:
        student = built("evolvegcn")
        student.advance()
        past = student.state_dict()["past"].clone()
        first, _ = embed(student, inputs_of(features()), block_of(adjacency))
        second, _ = embed(student, inputs_of(features()), block_of(adjacency))
        assert torch.equal(first, second)
        assert torch.equal(student.state_dict()["past"], past)
