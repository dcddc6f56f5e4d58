"""Why a node is predicted as it is: what the probability of its label becomes without each thing that it is made of."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from olad_core.graph import DynamicGraph
from olad_core.serving.neighbourhood import Neighbourhood, neighbourhood
from olad_core.serving.variants import MESSAGES, Taken, variants
from olad_core.serving.versions import HeldVersion
from olad_core.tasks import node_class
from olad_core.tasks.label_rule import LabelRule

Rows = npt.NDArray[np.int64]

Kind: TypeAlias = Literal["edge", "label", "features"]
NODE = 0
"""The place of the node itself in its neighbourhood."""


@dataclass(frozen=True)
class Effect:
    """What taking away one thing does.

    Attributes:
        kind: an edge into the node, the known label of a node as an input, or the features of a node. Edges with ids
            that one node sends count as one edge.
        node: id of the node whose label or features they are, or from which the edge leads.
        relation: type of the edge.
        label: class that is known of the node.
        change: of the probability of the label that is explained.
    """

    kind: Kind
    node: str
    change: float
    relation: str | None = None
    label: str | None = None


@dataclass(frozen=True)
class Explanation:
    """Why a node has its label.

    Attributes:
        label: that is explained.
        probability: of the label.
        effects: those of the largest change, the largest first.
        counted: how many effects there are.
        total: change of the probability without any edge into the node, its label and its features.
        interaction: what is left of it beyond the sum of all effects.
        work: that it was, in nodes and edges that were read.
    """

    label: str
    probability: float
    effects: tuple[Effect, ...]
    counted: int
    total: float
    interaction: float
    work: int


def explain(graph: DynamicGraph, held: HeldVersion, rule: LabelRule, row: int, shown: int, most: int) -> Explanation:
    """Explain the served prediction of a node by taking away one thing at a time.

    Args:
        graph: the live graph.
        held: the version that readers get.
        rule: what turns probabilities into labels.
        row: of the node.
        shown: how many effects are listed at most.
        most: nodes and edges that may be read; a variant reads an edge in an eighth of the time.

    Raises:
        PartTooLarge: more would be read.
    """
    embedding = held.embedding
    hood = neighbourhood(graph, row, embedding.student.num_layers, most)
    things = _things(graph, hood, embedding.student.feature_width)
    found = variants(graph, embedding, hood, things.taken(graph, hood), MESSAGES * most)
    of_node = found.probabilities(np.array([0]))
    table = rule.table(held.version.classes) if rule else None
    number = int(of_node.argmax() if table is None else node_class.decided_classes(of_node, table)[0])
    probability = found.probability_of(number)
    change = probability[1:] - probability[0]
    singles, total = change[:-1], float(change[-1])
    order = np.argsort(-np.abs(singles), kind="stable")[:shown]
    return Explanation(
        held.version.classes[number],
        float(probability[0]),
        tuple(things.effect(graph, hood, int(at), float(singles[at])) for at in order),
        singles.size,
        total,
        total - float(singles.sum()),
        hood.rows.size + hood.near.index.size,
    )


@dataclass(frozen=True)
class _Things:
    """What can be taken away of a node: the first edges of its neighbourhood, then labels, then features.

    Attributes:
        edges: how many edges lead into the node.
        labelled: places with a known label, among the node and its neighbours.
        featured: those with features.
    """

    edges: int
    labelled: Rows
    featured: Rows

    def effect(self, graph: DynamicGraph, hood: Neighbourhood, at: int, change: float) -> Effect:
        """The effect of the thing with a number."""
        if at < self.edges:
            place = int(hood.near.index[at])
            return Effect("edge", _id(graph, hood, place), change, graph.relations[int(hood.relations[at])])
        at -= self.edges
        if at < self.labelled.size:
            place = int(self.labelled[at])
            label = graph.classes[int(graph.label[hood.rows[place]])]
            return Effect("label", _id(graph, hood, place), change, label=label)
        return Effect("features", _id(graph, hood, int(self.featured[at - self.labelled.size])), change)

    def taken(self, graph: DynamicGraph, hood: Neighbourhood) -> Taken:
        """One variant for each thing, and a last one without all edges into the node, its label and its features."""
        edges, near = np.arange(self.edges), hood.near
        source, relation, weight = near.index[edges], hood.relations[edges], near.weight[edges].astype(np.float64)
        directed = np.array([rule.directed for rule in graph.relation_rules.values()])[relation]
        back = np.where(directed, -1, _edges_back(hood, source, relation))
        everything = self.edges + self.labelled.size + self.featured.size
        of_all = np.zeros(near.index.size, np.bool_)
        of_all[edges] = of_all[back[back >= 0]] = True
        taken_edges = np.full((everything + 1, 2), -1, np.int64)
        taken_edges[edges] = np.stack([edges, back], axis=1)
        # An undirected edge counts at both ends as one that comes in; at a loop both are one.
        into = np.stack([np.ones(self.edges), np.zeros(self.edges), weight, np.zeros(self.edges)], axis=1)
        out = into[:, [1, 0, 3, 2]]
        other = directed | (source != NODE)
        at_source = np.where(directed[:, None], out, into)[other]
        labels = self.edges + np.arange(self.labelled.size)
        features = self.edges + self.labelled.size + np.arange(self.featured.size)
        last = np.array([everything])
        node, none = np.zeros(self.edges, np.int64), np.zeros((0, 4))
        parts = [
            (edges, node, into),
            (edges[other], source[other], at_source),
            (np.repeat(last, self.edges), node, into),
            (np.repeat(last, at_source.shape[0]), source[other], at_source),
            (labels, self.labelled, none),
            (features, self.featured, none),
            (last, np.array([NODE]), none),
        ]
        variant, place = (np.concatenate([part[at] for part in parts]) for at in range(2))
        places = hood.rows.size
        key, of = np.unique(variant * places + place, return_inverse=True)
        fewer = np.zeros((key.size, 4))
        lacking = np.concatenate([part[2] for part in parts[:4]])
        np.add.at(fewer, of[: len(lacking)], lacking)
        variant, place = key // places, key % places
        whole = (variant == everything) & (place == NODE)
        return Taken(
            everything + 1,
            taken_edges,
            of_all,
            variant,
            place,
            fewer,
            label=whole | np.isin(variant, labels),
            features=whole | np.isin(variant, features),
        )


def _things(graph: DynamicGraph, hood: Neighbourhood, width: int) -> _Things:
    rows = hood.rows[: hood.within[1]]
    featured = np.flatnonzero(graph.features.has(rows)) if width else np.empty(0, np.int64)
    return _Things(int(hood.near.indptr[1]), np.flatnonzero(graph.label[rows] >= 0), featured)


def _id(graph: DynamicGraph, hood: Neighbourhood, place: int) -> str:
    return graph.ids(hood.rows[place : place + 1])[0]


def _edges_back(hood: Neighbourhood, source: Rows, relation: Rows) -> Rows:
    """The places in ``near`` of the edges from the node to each source, -1 where there is none or it is not read."""
    back = np.flatnonzero((hood.near.index == NODE) & (hood.targets != NODE))
    found = np.full(hood.rows.size * hood.types, -1, np.int64)
    found[hood.targets[back] * hood.types + hood.relations[back]] = back
    of_sources: Rows = found[source * hood.types + relation]
    return of_sources
