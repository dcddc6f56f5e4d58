"""An estimate of the memory that a graph and its group need. It errs on the side of too much.

``docs/decisions/0019-memory.md`` compares it with what was used;
``benchmarks/memory_estimate.py`` measures other shapes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from olad_core.config import (
    ARRIVAL_CELLS,
    ARRIVAL_CLASSES,
    AVERAGED,
    LINEAR_CLASSES,
    LINEAR_COLUMNS,
    PUBLISHED_CLASSES,
    PUBLISHED_WHOLE,
    STRUCTURE,
    STRUCTURE_STEPS,
    TREE_CELLS,
    EngineConfig,
)
from olad_core.events import Event, UpsertEdge, UpsertNode

_PROCESS = 500_000_000
"""Bytes of a process with its libraries and compiled loops."""
_BYTES_PER_NODE = 430
"""An id, its entries in tables, and a row of each of the graph's arrays."""
_BYTES_PER_EDGE = 110
_BYTES_PER_TYPE = 48
"""Where the neighbours of a node by one more type of edges begin, how many they are, and the sum of their weights."""
_COPIES = 2.25
"""The state, and its copy for the checkpoint with a quarter of spare capacity."""
_SPARE_SLOTS = 1.5
"""Feature slots grow by half."""
_VERSIONS = 2
"""The served version and the one that is being embedded."""
_WEIGHTS = 6
"""A weight, its gradient, Adam's two moments, and what a step needs beside them."""
_WIDEST = 1.25
"""Some students map the features to more columns than an embedding has."""
_WORKING = 3
"""Rows of a training step, as they are, with some features dropped, and a copy."""
_ROWS_AT_ONCE = 56_000
"""Rows whose features one training step takes together at most."""
_DENSEST = 5
"""Rows are gathered as dense where one in so many entries is not zero."""
FEWEST_REMEMBERED = 256
"""Predictions that wait for a label are at least so many, however many classes there are."""
_TABLES = 8
"""Tables of the trees: of nodes that wait for their label and of labelled ones, both with their copies, and what is
grown on."""
_STRUCTURE = 8
"""Columns of such a table beside features and classes, at most."""
_BYTES_PER_KEY = 120
"""By which a row of it is found."""
_BYTES_PER_TASK_EDGE = 250
"""Of an edge that a task remembers: its id, both ends and where it is found."""
_BYTES_PER_TASK_NODE = 200
"""What a task keeps of a node: counts, labels and links."""
_TASK_PLAIN, _TASK_CLASS, _TASK_FEATURES = 16, 21, 256
"""Numbers that a task remembers of an edge: some, so many a class, and its first features."""
NUMBERS_OF_NODE = 220
"""Numbers that a task on values remembers of a node: 64 features, as many means of them, and values around it."""
_ARRIVALS = 4
"""Predictions that wait for a label: in use, grown by doubling, and two copies for the checkpoint."""


@dataclass(frozen=True)
class Sizes:
    """What a graph holds, or what a batch adds at most.

    Attributes:
        nodes: rows, those of removed nodes included.
        edges: edges; one with an id or features is kept beside its pair of nodes, and counts as two.
        featured: nodes that have features.
        feature_width: numbers in the features of a node; 0 without.
        classes: classes.
        edge_types: types of edges.
        edge_numbers: features of all edges together.
        tasks: tasks on edges and on values of nodes.
        task_numbers: numbers that they remember of an edge or node, all together (:func:`numbers_of_task`).
    """

    nodes: int = 0
    edges: int = 0
    featured: int = 0
    feature_width: int = 0
    classes: int = 0
    edge_types: int = 1
    edge_numbers: int = 0
    tasks: int = 0
    task_numbers: int = 0

    def plus(self, more: Sizes) -> Sizes:
        """Both together; the width, the classes and the types are the greater ones."""
        return Sizes(
            self.nodes + more.nodes,
            self.edges + more.edges,
            self.featured + more.featured,
            max(self.feature_width, more.feature_width),
            max(self.classes, more.classes),
            max(self.edge_types, more.edge_types),
            self.edge_numbers + more.edge_numbers,
            max(self.tasks, more.tasks),
            max(self.task_numbers, more.task_numbers),
        )


@dataclass(frozen=True)
class GroupSizes:
    """What a group of students is made of.

    Attributes:
        students: members.
        recurrent: those of them that have a hidden state for each node.
        hidden: width of their embeddings.
        served: of the members, so many are embedded at once in a version.
        trees: whether boosted trees are one more member.
        kept: students whose weights are kept of versions that were served before.
        linear: whether a linear model is one more member.
    """

    students: int = 4
    recurrent: int = 0
    hidden: int = 64
    served: int = 1
    trees: bool = False
    kept: int = 0
    linear: bool = False


def bytes_needed(sizes: Sizes, group: GroupSizes) -> int:
    """Bytes that a worker needs for a graph of these sizes.

    >>> bytes_needed(Sizes(), GroupSizes()) < 6e8
    True
    >>> bytes_needed(Sizes(nodes=10**6, classes=1_000), GroupSizes()) < 9e9
    True
    """
    hidden, columns = group.hidden, 1 + sizes.classes
    # Of many classes a version holds embeddings, and a row the most likely ones with their numbers.
    wide = sizes.classes > PUBLISHED_WHOLE
    answers = hidden if wide else columns
    rows_of_versions = _VERSIONS * 4 * (group.served * (4 * hidden + 2 * answers) + 16) + 4 * group.recurrent * hidden
    published = 4 * (1 + 2 * PUBLISHED_CLASSES if wide else columns)
    nodes = sizes.nodes * (_BYTES_PER_NODE + _COPIES * rows_of_versions + published)
    edges = _COPIES * (_BYTES_PER_EDGE * sizes.edges + _BYTES_PER_TYPE * sizes.nodes * (sizes.edge_types - 1))
    row = 4 * sizes.feature_width
    numbers = row * sizes.featured + 8 * sizes.edge_numbers
    features = numbers * (_SPARE_SLOTS + _COPIES - 1)
    working = _WORKING * row * min(_ROWS_AT_ONCE, sizes.nodes, _DENSEST * sizes.featured)
    inputs = sizes.feature_width + len(STRUCTURE) * STRUCTURE_STEPS
    weights = 4 * hidden * (inputs + 4 * hidden + 4 * columns)
    remembers = EngineConfig.arrivals_remembered * (_BYTES_PER_TASK_EDGE * sizes.tasks + 4 * sizes.task_numbers)
    tasks = _COPIES * (remembers + _BYTES_PER_TASK_NODE * sizes.tasks * sizes.nodes)
    if group.trees:
        nodes += sizes.nodes * _COPIES * _VERSIONS * 4 * sizes.classes
        features += _of_trees(sizes)
    if group.linear and sizes.classes <= LINEAR_CLASSES and _linear_width(sizes) <= LINEAR_COLUMNS:
        nodes += sizes.nodes * _COPIES * _VERSIONS * 8 * sizes.classes
        features += _of_linear(sizes)
    students = weights * (_WIDEST * group.students * _WEIGHTS * _COPIES + _VERSIONS * group.served)
    students += weights * _WIDEST * group.kept * _COPIES
    return round(
        _PROCESS + nodes + edges + features + working + students + tasks + _arrivals(group.students + 1, sizes.classes)
    )


def numbers_of_task(classes: int, width: int) -> int:
    """Numbers that a task on edges remembers of an edge.

    >>> numbers_of_task(2, 0), numbers_of_task(3, 1_000)
    (58, 356)

    Args:
        classes: of the task.
        width: features of the edges.
    """
    places = 1 << max(1, (classes - 1).bit_length())
    return _TASK_PLAIN + _TASK_CLASS * places + min(width, _TASK_FEATURES)


def remembered(limit: int, cells: int, predictors: int, classes: int) -> int:
    """Nodes whose predictions are kept while they wait for a label: fewer, the more numbers each has.

    >>> remembered(65_536, 2**24, predictors=5, classes=3)
    65536
    >>> remembered(65_536, 2**24, predictors=5, classes=1_000)
    3355
    """
    return min(limit, max(FEWEST_REMEMBERED, cells // max(1, predictors * classes)))


def _of_trees(sizes: Sizes) -> float:
    """Bytes of what the trees are grown on."""
    averaged = sizes.feature_width if sizes.feature_width <= AVERAGED else 0
    width = sizes.feature_width + averaged + _STRUCTURE + sizes.classes
    rows = min(sizes.nodes, EngineConfig.arrivals_remembered, TREE_CELLS // width + 1)
    return _TABLES * rows * (4 * width + _BYTES_PER_KEY)


def _linear_width(sizes: Sizes) -> int:
    averaged = sizes.feature_width if sizes.feature_width <= AVERAGED else 0
    return sizes.feature_width + averaged + _STRUCTURE + 2 * sizes.classes


def _of_linear(sizes: Sizes) -> float:
    """Bytes of the rows that wait for a label, and of the sums of products."""
    width = _linear_width(sizes)
    rows = min(sizes.nodes, EngineConfig.arrivals_remembered, TREE_CELLS // width + 1)
    return _COPIES * (rows * (4 * width + _BYTES_PER_KEY) + 8 * width * width)


def _arrivals(predictors: int, classes: int) -> float:
    """Bytes of predictions that wait for a label."""
    columns = min(classes, ARRIVAL_CLASSES + 1)
    waiting = remembered(EngineConfig.arrivals_remembered, ARRIVAL_CELLS, predictors, columns)
    return _ARRIVALS * 4 * waiting * (predictors + 1) * columns


def most_added(batch: Sequence[Event], *, distinct: bool = False) -> Sizes:
    """What a checked batch adds at most, were all of its ids new. Removals count for nothing.

    Args:
        batch: the events.
        distinct: count each id once, which takes longer.
    """
    kinds = Counter(map(type, batch))
    upserts = kinds[UpsertNode]
    ends = 2 * kinds[UpsertEdge]
    x_of_edges = [e.x for e in batch if type(e) is UpsertEdge and e.x is not None]
    twice = sum(type(e) is UpsertEdge and (e.id is not None or e.x is not None) for e in batch)
    edges, numbers = kinds[UpsertEdge] + twice, sum(len(x if isinstance(x, list) else x.values) for x in x_of_edges)
    with_features = [e for e in batch if type(e) is UpsertNode and e.x is not None] if upserts else []
    width = max((len(e.x) for e in with_features if isinstance(e.x, list)), default=0)
    if not distinct:
        return Sizes(ends + upserts, edges, len(with_features), width, edge_numbers=numbers)
    ids = {e.id for e in batch if type(e) is UpsertNode}
    ids.update(end for e in batch if type(e) is UpsertEdge for end in (e.src, e.dst))
    return Sizes(len(ids), edges, len({e.id for e in with_features}), width, edge_numbers=numbers)
