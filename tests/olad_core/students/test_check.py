"""The contract of students: ours keep it, and each check refuses a student that breaks its part."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from typing_extensions import override

from olad_core.messages.block import Block
from olad_core.messages.inputs import Inputs
from olad_core.messages.sparse_features import SparseRows
from olad_core.students import ARCHITECTURES, GAT, GCN, SAGE, TGCN, ContractBroken, Student, check_student
from olad_core.students.check import CHECKS, ESSENTIAL, Check, results
from olad_core.students.linear import Factors


class NotAStudent(nn.Module):
    pass


class WithoutLayer(Student):
    architecture = "without-layer"
    uses_degree = False


class WithoutUsesDegree(Student):
    architecture = "without-uses-degree"
    encode = GCN.encode
    layer = GCN.layer
    layer_widths = GCN.layer_widths


class LayersAsText(GCN):
    num_layers = "2"  # type: ignore[assignment]


class OtherConstructor(GCN):
    def __init__(self, feature_width: int) -> None:
        super().__init__(feature_width, 8, 3)


class OtherEncoder(GCN):
    def __init__(self, feature_width: int, width: int, class_capacity: int) -> None:
        super().__init__(feature_width, width, class_capacity)
        self.encoder = nn.Linear(max(feature_width, 1), width)  # type: ignore[assignment]


class NoRoomForDisagreement(GCN):
    def __init__(self, feature_width: int, width: int, class_capacity: int) -> None:
        super().__init__(feature_width, width, class_capacity)
        self.head = nn.Linear(width, class_capacity)


class OtherWidths(GCN):
    @property
    @override
    def layer_widths(self) -> tuple[int, ...]:
        return self.width, 2 * self.width, self.width


class OneLayerTooFew(GCN):
    num_layers = 3


class OneMean(GCN):
    """Takes the mean over all rows it computes, as a normalisation over a batch does."""

    @override
    def finish(self, number: int, mixed: Tensor, below: Tensor, index: Tensor) -> Tensor:
        return mixed - mixed.mean(dim=0)


class EncodedTogether(GCN):
    @override
    def encode(self, inputs: Inputs, factor: Tensor) -> Tensor:
        encoded = super().encode(inputs, factor)
        return encoded - encoded.mean(dim=0)


class ReadsEverybody(GAT):
    @override
    def layer(self, number: int, source: Tensor, block: Block) -> Tensor:
        rows = super().layer(number, source, block)
        return rows + source.mean()


class FirstRowIsSpecial(GAT):
    @override
    def layer(self, number: int, source: Tensor, block: Block) -> Tensor:
        rows = super().layer(number, source, block)
        return rows * torch.where(block.targets == 0, 2.0, 1.0).unsqueeze(1)


class DegreeDenied(GCN):
    uses_degree = False


class DegreeClaimed(SAGE):
    uses_degree = True


class ColumnsMixed(GCN):
    @override
    def finish(self, number: int, mixed: Tensor, below: Tensor, index: Tensor) -> Tensor:
        return super().finish(number, mixed + mixed.mean(dim=1, keepdim=True), below, index)


class MemoryDenied(TGCN):
    remembers = False


class MemoryClaimed(GCN):
    remembers = True


class MemoryNeverAdvanced(TGCN):
    @override
    def remember(self, inputs: Inputs, block: Block) -> Tensor:
        raise NotImplementedError


class MemoryBegunAtOne(TGCN):
    @override
    def encode(self, inputs: Inputs, factor: Tensor) -> Tensor:
        if inputs.memory is None:
            inputs = replace(inputs, memory=torch.ones(inputs.x.shape[0], self.width))
        return super().encode(inputs, factor)


class FactorForgotten(GCN):
    @override
    def encode(self, inputs: Inputs, factor: Tensor) -> Tensor:
        return super().encode(inputs, torch.ones(()))


class DividedByDegree(GAT):
    @override
    def layer(self, number: int, source: Tensor, block: Block) -> Tensor:
        return super().layer(number, source, block) / block.own(block.in_weight).unsqueeze(1)


class NeverWithoutTargets(GAT):
    @override
    def layer(self, number: int, source: Tensor, block: Block) -> Tensor:
        return super().layer(number, source, block) + 0 * block.targets.max()


class Standardised(GCN):
    @override
    def encode(self, inputs: Inputs, factor: Tensor) -> Tensor:
        assert isinstance(inputs.x, Tensor)
        return super().encode(inputs, factor) / inputs.x.square().mean(dim=1, keepdim=True)


class Squared(GCN):
    @override
    def encode(self, inputs: Inputs, factor: Tensor) -> Tensor:
        assert isinstance(inputs.x, Tensor)
        encoded = super().encode(inputs, factor)
        return encoded + 1e-3 * inputs.x.square().sum(dim=1, keepdim=True)


class WeightsCubed(SAGE):
    @override
    def factors(self, in_weight: Tensor) -> Factors:
        return super().factors(in_weight)._replace(sent=in_weight**3)


class LastClassForTheRest(GCN):
    @override
    def encode(self, inputs: Inputs, factor: Tensor) -> Tensor:
        return super().encode(replace(inputs, label=inputs.label.clamp_max(len(self.encoder.labels) - 1)), factor)


class DenseOnly(GCN):
    @override
    def encode(self, inputs: Inputs, factor: Tensor) -> Tensor:
        if isinstance(inputs.x, SparseRows):
            raise TypeError("give a tensor")
        return super().encode(inputs, factor)


class OtherGenerator(GCN):
    def __init__(self, feature_width: int, width: int, class_capacity: int) -> None:
        super().__init__(feature_width, width, class_capacity)
        self.head.bias.data += torch.from_numpy(np.random.default_rng().normal(size=1 + class_capacity)).float()


class NothingRandom(GCN):
    def __init__(self, feature_width: int, width: int, class_capacity: int) -> None:
        super().__init__(feature_width, width, class_capacity)
        for parameter in self.parameters():
            parameter.data.fill_(0.1)


class AlwaysDropsOut(GCN):
    @override
    def encode(self, inputs: Inputs, factor: Tensor) -> Tensor:
        return torch.dropout(super().encode(inputs, factor), 0.5, train=True)


class Counts(GCN):
    calls: Tensor

    def __init__(self, feature_width: int, width: int, class_capacity: int) -> None:
        super().__init__(feature_width, width, class_capacity)
        self.register_buffer("calls", torch.zeros(()))

    @override
    def encode(self, inputs: Inputs, factor: Tensor) -> Tensor:
        self.calls += 1
        return super().encode(inputs, factor)


class Unused(GCN):
    def __init__(self, feature_width: int, width: int, class_capacity: int) -> None:
        super().__init__(feature_width, width, class_capacity)
        self.spare = nn.Parameter(torch.zeros(width))


class BegunAnewByGrowing(GCN):
    @override
    def grow(self, class_capacity: int) -> list[tuple[nn.Parameter, nn.Parameter]]:
        replaced = super().grow(class_capacity)
        nn.init.normal_(self.head.weight)
        return replaced


class ReplacedInSilence(GCN):
    @override
    def grow(self, class_capacity: int) -> list[tuple[nn.Parameter, nn.Parameter]]:
        return super().grow(class_capacity)[:1]


class KeptElsewhere(GCN):
    def __init__(self, feature_width: int, width: int, class_capacity: int) -> None:
        super().__init__(feature_width, width, class_capacity)
        self.shift = torch.randn(())

    @override
    def encode(self, inputs: Inputs, factor: Tensor) -> Tensor:
        return super().encode(inputs, factor) + self.shift


class SharedByCopies(GCN):
    def __init__(self, feature_width: int, width: int, class_capacity: int) -> None:
        super().__init__(feature_width, width, class_capacity)
        bias = self.encoder.bias
        self.shift: Callable[[], Tensor] = lambda: bias

    @override
    def encode(self, inputs: Inputs, factor: Tensor) -> Tensor:
        return super().encode(inputs, factor) + self.shift()


class TypesDenied(GCN):
    """Learns one map for all types, and is served with one for each."""

    @override
    def groups(self, block: Block) -> Block:
        return block


class LayerOfItsOwn(GCN):
    """Serving follows the sums of a linear student, which this one does not end with."""

    @override
    def layer(self, number: int, source: Tensor, block: Block) -> Tensor:
        return super().layer(number, source, block).tanh()


class EndsWithBias(GCN):
    """Serving mixes logits where the last layer is declared linear."""

    ends_linearly: ClassVar[bool] = True

    @override
    def finish(self, number: int, mixed: Tensor, below: Tensor, index: Tensor) -> Tensor:
        return super().finish(number, mixed, below, index) + 1


WRONG: dict[str, Sequence[tuple[Any, str]]] = {
    "is_a_student": [
        (NotAStudent, "is not a subclass of Student"),
        ("gcn", "'gcn' is not a subclass of Student"),
        (WithoutLayer, "WithoutLayer does not define encode, layer, layer_widths"),
        (WithoutUsesDegree, "uses_degree must be a class variable of type bool, and is None"),
        (LayersAsText, "num_layers must be a class variable of type int, and is '2'"),
    ],
    "is_built": [
        (OtherConstructor, "raised TypeError: .*__init__"),
        (OtherEncoder, "encoder must be an Encoder, and is Linear"),
        (NoRoomForDisagreement, r"the shape of head.weight does not fit: \[3, 8\]"),
    ],
    "shapes_are_declared": [
        (OtherWidths, r"layer 1 must give rows \[9, 16\], and gives \[9, 8\]"),
        (OneLayerTooFew, r"layer_widths must hold 4 widths \(num_layers is 3\)"),
    ],
    "rows_are_computed_alone": [
        (OneMean, r"layer 1 gives other rows for the targets \[7, 0, 3\] alone"),
        (EncodedTogether, r"encode gives other rows for the nodes \[7, 0, 3\] alone"),
    ],
    "rows_read_neighbours_only": [(ReadsEverybody, "layer 1 depends on rows that are neither target nor neighbour")],
    "order_of_nodes_does_not_matter": [(FirstRowIsSpecial, "nodes in another order have other logits")],
    "degree_is_declared": [
        (DegreeDenied, "uses_degree is False, but rows depend on it"),
        (DegreeClaimed, "uses_degree is True, but rows do not depend on it"),
    ],
    "columns_are_alike": [(ColumnsMixed, "students side by side compute something else")],
    "hidden_state_is_declared": [
        (MemoryDenied, "remembers is False, but logits depend on hidden states"),
        (MemoryClaimed, "remembers is True, but logits do not depend on hidden states"),
        (MemoryNeverAdvanced, "remembers is True: remember must give states"),
        (MemoryBegunAtOne, "a hidden state of zeros must be the same as none"),
    ],
    "factors_scale_features": [(FactorForgotten, "encode with a factor must be encode of features times that factor")],
    "finite_without_edges": [
        (DividedByDegree, "nodes without neighbours: logits or embeddings are not finite"),
        (NeverWithoutTargets, "raised .*Error"),
    ],
    "finite_without_features": [(Standardised, "features that are all zero: logits or embeddings are not finite")],
    "finite_on_huge_features": [(Squared, "features near the end of float32: logits or embeddings are not finite")],
    "finite_on_huge_weights": [(WeightsCubed, "huge weights: logits or embeddings are not finite")],
    "labels_beyond_capacity_are_unknown": [(LastClassForTheRest, "a label of 3 is not one of 3 classes")],
    "sparse_features_are_features": [(DenseOnly, "raised TypeError: give a tensor")],
    "seed_decides_weights": [
        (OtherGenerator, "two students of one seed have other weights: head.bias"),
        (NothingRandom, "students of two seeds have the same weights"),
    ],
    "forward_is_repeatable": [
        (AlwaysDropsOut, "the same inputs give other logits the second time"),
        (Counts, "a forward pass changed the state: calls"),
    ],
    "every_parameter_learns": [(Unused, "no gradient reaches spare")],
    "growing_keeps_what_was_learned": [
        (BegunAnewByGrowing, "changed the logits of classes that were there"),
        (ReplacedInSilence, "must return each replaced parameter with its new one"),
    ],
    "state_holds_everything": [(KeptElsewhere, "loaded the state of another gives other logits")],
    "copies_are_independent": [(SharedByCopies, "a copy follows the weights of the original")],
    "inference_is_exact": [
        (LayerOfItsOwn, "after 41 random events, incremental and full inference differ"),
        (EndsWithBias, "incremental and full inference differ"),
        (DegreeDenied, "incremental and full inference differ"),
    ],
    "inference_is_exact_for_types": [(TypesDenied, "incremental and full inference differ")],
}


@pytest.mark.parametrize("architecture", sorted(ARCHITECTURES))
def test_every_architecture_keeps_the_contract(architecture: str) -> None:
    check_student(architecture)


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_a_wrong_student_fails_the_check_it_breaks(check: Check) -> None:
    for wrong, message in WRONG[check.__name__]:
        *_, last = results(wrong, tuple(dict.fromkeys([*ESSENTIAL, check])))
        assert last.name == check.__name__
        assert re.search(message, last.problem or "nothing was found")


def test_each_check_states_its_part_of_the_contract_in_one_line() -> None:
    for result in results(GCN):
        assert re.fullmatch(r"[^\n]{20,110}\.", result.contract)


_ALL_WRONG = r"^DegreeDenied:\ndegree_is_declared: .*\ninference_is_exact: .*\ninference_is_exact_for_types: .*$"


def test_all_that_is_wrong_is_reported_at_once() -> None:
    with pytest.raises(ContractBroken, match=_ALL_WRONG):
        check_student(DegreeDenied)


def test_what_is_no_student_is_checked_no_further() -> None:
    assert len(list(results(NotAStudent))) == 1  # type: ignore[arg-type]
