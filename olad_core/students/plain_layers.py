"""Weights of a student as those of plain layers of PyG, for programs that have PyG and not this package."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor

from olad_core.config import STRUCTURE, STRUCTURE_STEPS, StructureColumn
from olad_core.errors import OladError
from olad_core.students.evolvegcn import EvolveGCN
from olad_core.students.gat import GAT
from olad_core.students.gcn import GCN
from olad_core.students.mlp import MLP
from olad_core.students.sage import SAGE
from olad_core.students.sign import SIGN
from olad_core.students.student import Student
from olad_core.tasks import node_class

_OF_TIME: tuple[StructureColumn, ...] = ("age", "gap")


class NotPlain(OladError, ValueError):
    """No plain layers compute what a student computes; the message has the reason."""


@dataclass(frozen=True)
class PlainWeights:
    """Weights that layers of PyG take over, by the names that these give them.

    The first layer reads ``[x | 1 | known class | steps]``: the features, a column of ones, one column for each class
    that is 1 where the node is known to have it, and ``STRUCTURE_STEPS`` columns for each column of the structure, one
    of them 1. The scale of the features, biases of the inputs and the temperature are part of the weights.

    Attributes:
        tensors: float32, by name.
        features: number of columns of x; 1 where the graph has none, which is ``log1p`` of the sum of the weights of
            the incoming edges.
        labels: columns for known classes; a class of a higher number counts as unknown.
        structure: columns of the structure, in order.
    """

    tensors: Mapping[str, Tensor]
    features: int
    labels: int
    structure: tuple[StructureColumn, ...]


def plain_weights(student: Student, classes: int, *, directed: bool | None) -> PlainWeights:
    """The weights of a student as those of plain layers.

    Args:
        student: whose weights do not change any more.
        classes: that it names, C.
        directed: whether the graph's edges are; None where those of some types are. Where none are, no node has
            outgoing edges that do not come in, too.

    Raises:
        NotPlain: no plain layers compute the same.
    """
    convert = _CONVERTERS.get(type(student))
    if convert is None:
        raise NotPlain(_OTHERS.get(student.architecture, f"{student.architecture} is a student of your own"))
    if student.type_widths:
        raise NotPlain("its nodes have types, whose features stand side by side")
    if len(student.relation_maps):
        raise NotPlain("it has a map of the messages along each type of edges")
    if len(student.edge_maps):
        raise NotPlain("it reads features of edges")
    encoder = student.encoder
    columns = tuple(STRUCTURE[column] for column in encoder.columns)
    for name in columns:
        if name in _OF_TIME:
            raise NotPlain(f"it reads the {name} of a node's edges, which follows from the events alone")
    outgoing = [name for name in columns if name.startswith("out_")]
    if directed is None and outgoing:
        raise NotPlain("it reads outgoing edges, and only some types of edges are directed")
    columns = tuple(name for name in columns if directed or name not in outgoing)
    with torch.no_grad():
        steps = encoder.structure.view(len(STRUCTURE), STRUCTURE_STEPS, -1).clone()
        steps[:, 0] = 0  # Where there is nothing, nothing is added.
        parts = [encoder.scaled(student.scale), encoder.bias.unsqueeze(0), encoder.labels]
        first = torch.cat([*parts, *(steps[STRUCTURE.index(name)] for name in columns)])
        head = _Head.of(student, classes)
        tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in convert(student, first, head).items()}
    return PlainWeights(tensors, len(encoder.weight), len(encoder.labels), columns)


@dataclass(frozen=True)
class _Head:
    """The map from embeddings to the logits of the classes, divided by the temperature."""

    weight: Tensor
    bias: Tensor

    @classmethod
    def of(cls, student: Student, classes: int) -> _Head:
        rows = slice(node_class.CLASSES.start, node_class.CLASSES.start + classes)
        head, temperature = student.head, student.temperature
        return cls(head.weight[rows] / temperature, head.bias[rows] / temperature)

    def named(self, name: str = "head") -> dict[str, Tensor]:
        return {f"{name}.weight": self.weight, f"{name}.bias": self.bias}


def _gcn(student: Student, first: Tensor, head: _Head) -> dict[str, Tensor]:  # noqa: ARG001 (all have the same form)
    return {"first.lin.weight": first.T, "second.lin.weight": head.weight, "second.bias": head.bias}


def _sage(student: Student, first: Tensor, head: _Head) -> dict[str, Tensor]:
    second = cast("SAGE", student).second
    (own, neighbour), (own_second, neighbour_second) = first.chunk(2, dim=1), second.weight.chunk(2, dim=1)
    return {
        "first.lin_root.weight": own.T,
        "first.lin_rel.weight": neighbour.T,
        "second.lin_root.weight": own_second,
        "second.lin_rel.weight": neighbour_second,
        "second.lin_rel.bias": second.bias,
        **head.named(),
    }


def _gat(student: Student, first: Tensor, head: _Head) -> dict[str, Tensor]:
    gat = cast("GAT", student)
    # The bias between the layers counts in the scores of the second: it is the weight of a column of ones.
    between = torch.cat([gat.between.weight, gat.between.bias.unsqueeze(1)], dim=1)
    found = {"first.lin.weight": first.T, "second.lin.weight": between}
    for name, attention in (("first", gat.first), ("second", gat.second)):
        found |= {f"{name}.att_src": attention.source[None], f"{name}.att_dst": attention.target[None]}
    return found | head.named()


def _evolvegcn(student: Student, first: Tensor, head: _Head) -> dict[str, Tensor]:
    evolved = cast("EvolveGCN", student)
    maps = {f"{name}.lin.weight": evolved.matrix(number).T for number, name in ((1, "first"), (2, "second"))}
    return {"encoder.weight": first.T, **maps, **head.named()}


def _mlp(student: Student, first: Tensor, head: _Head) -> dict[str, Tensor]:
    second = cast("MLP", student).second
    return {
        "first.weight": first.T,
        "second.weight": second.weight,
        "second.bias": second.bias,
        **head.named(),
    }


def _sign(student: Student, first: Tensor, head: _Head) -> dict[str, Tensor]:
    second = cast("SIGN", student).second
    near, own, twice = second.weight.chunk(3, dim=1)
    return {
        "first.weight": first.T,
        "second.lin_root.weight": torch.cat([near, own], dim=1),
        "second.lin_rel.weight": torch.cat([twice, torch.zeros_like(twice)], dim=1),
        "second.lin_rel.bias": second.bias,
        **head.named(),
    }


_CONVERTERS: dict[type[Any], Callable[[Student, Tensor, _Head], dict[str, Tensor]]] = {
    GCN: _gcn,
    SAGE: _sage,
    GAT: _gat,
    EvolveGCN: _evolvegcn,
    MLP: _mlp,
    SIGN: _sign,
}
_OTHERS = {"tgcn": "T-GCN reads a hidden state of each node, which is no weight"}
