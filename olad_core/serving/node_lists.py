"""Lists of nodes: likeliest of a class, most in doubt, changed or arrived last, and those whose id begins with a text.

What is listed is exact: rows that are marked are computed before they are listed. Rows that are marked and not listed
are ordered by what was true at an earlier position; a list names their number.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from olad_core.graph import DynamicGraph
from olad_core.serving.answers import Origin
from olad_core.serving.list_names import ListName
from olad_core.serving.publication import ListedNodes
from olad_core.serving.versions import HeldVersion
from olad_core.tasks import node_class
from olad_core.tasks.label_rule import LabelRule

Rows = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float32]

_ROUNDS = 4
"""Times that marked rows among the first are computed; after that those which are still marked are left out."""
_ROWS_AT_ONCE = 16_384


@dataclass(frozen=True)
class Listing:
    """A list that was made.

    Attributes:
        found: what is published of it; None where the version does not predict the class.
        rows: of the listed nodes, in their order.
        work: that it was, in rows of layers.
    """

    found: ListedNodes | None
    rows: Rows
    work: int


def list_nodes(
    name: ListName, graph: DynamicGraph, held: HeldVersion, origin: Origin, rule: LabelRule, changed: Rows
) -> Listing:
    """Make a list of the served version; marked rows that it would list are computed.

    Args:
        name: what is listed.
        graph: the live graph.
        held: the version that readers get.
        origin: where in the log the graph is.
        rule: what turns probabilities into labels.
        changed: rows whose features or edges changed, the last first.
    """
    classes = held.version.classes
    if name.order == "top" and name.filter not in classes:
        return Listing(None, np.empty(0, np.int64), 0)
    number = classes.index(name.filter) if name.order == "top" else None
    kept = np.flatnonzero(graph.alive if name.labelled else graph.alive & (graph.label < 0))
    embedding = held.embedding

    def values(part: Rows) -> Floats:
        return embedding.disagreement(part) if number is None else embedding.probability_of(part, number)

    rows, work = first_of_list(name, graph, kept, graph.arrival, values, changed), 0
    for _ in range(_ROUNDS):
        marked = rows[held.embedding.marks[rows] > 0]
        if not len(marked):
            break
        work += held.compute(graph, marked, origin)
        rows = first_of_list(name, graph, kept, graph.arrival, values, changed)
    rows = rows[held.embedding.marks[rows] == 0]
    probabilities = held.embedding.probabilities(rows)
    labels = node_class.decided_classes(probabilities, rule.table(classes)) if rule else probabilities.argmax(axis=1)
    shown = labels if number is None else np.full(len(rows), number)
    found = ListedNodes(
        name=str(name),
        nodes=tuple(graph.ids(rows)),
        labels=tuple(classes[label] for label in labels.tolist()),
        probabilities=np.take_along_axis(probabilities, shown[:, None], axis=1)[:, 0],
        disagreement=held.embedding.disagreement(rows),
        marked=len(held.embedding.marked(graph)),
    )
    return Listing(found, rows, work)


def first_of_list(
    name: ListName,
    graph: DynamicGraph,
    kept: Rows,
    arrival: Rows,
    values: Callable[[Rows], Floats],
    changed: Rows,
) -> Rows:
    """The first rows in the order of a list.

    Args:
        name: of the list.
        graph: that has the nodes.
        kept: rows that may be listed; of equal ones the first come first.
        arrival: int64 ``[capacity]``, number of the arrival of the node in each row.
        values: of rows: the probability of the class, or the disagreement.
        changed: rows whose features or edges changed, the last first.
    """
    if name.order == "changed":
        return changed[np.isin(changed, kept)][: name.size]
    if name.order == "id":
        return _by_id(graph, kept, name)
    if name.order == "arrived":
        return _greatest(kept, arrival[kept], name.size)
    parts = [kept[first : first + _ROWS_AT_ONCE] for first in range(0, len(kept), _ROWS_AT_ONCE)]
    found = np.concatenate([np.empty(0, np.float32), *(values(part) for part in parts)])
    return _greatest(kept, np.nan_to_num(found, nan=-1.0), name.size)


def _by_id(graph: DynamicGraph, rows: Rows, name: ListName) -> Rows:
    """Rows whose ids begin with the filter, sorted by id; the row of the filter itself is always among them."""
    exact = graph.rows([name.filter])
    exact = exact[np.isin(exact, rows)]
    others = np.setdiff1d(_with_prefix(graph, rows, name.filter.encode(), name.size), exact)
    found = np.concatenate([exact, others])[: name.size]
    ids = graph.ids(found)
    sorted_by_id: Rows = found[np.array(sorted(range(len(ids)), key=ids.__getitem__), np.int64)]
    return sorted_by_id


def _with_prefix(graph: DynamicGraph, rows: Rows, prefix: bytes, most: int) -> Rows:
    """The first of the rows whose ids begin with these bytes, ``most`` at most."""
    wanted, found, count = np.frombuffer(prefix, np.uint8), [np.empty(0, np.int64)], 0
    for first in range(0, len(rows), _ROWS_AT_ONCE):
        part = rows[first : first + _ROWS_AT_ONCE]
        text, offsets = graph.ids_bytes(part)
        long = np.flatnonzero(np.diff(offsets) >= wanted.size)
        begins = text[offsets[:-1][long, None] + np.arange(wanted.size)]
        found.append(part[long[(begins == wanted).all(axis=1)]])
        count += len(found[-1])
        if count >= most:
            break
    return np.concatenate(found)[:most]


def _greatest(rows: Rows, values: npt.NDArray[np.generic], size: int) -> Rows:
    """The rows of the greatest values, these first; ties in their order.

    >>> _greatest(np.array([3, 5, 7, 9]), np.array([0.1, 0.9, 0.5, 0.9]), 3)
    array([5, 9, 7])
    """
    if len(rows) > size:
        # Of equal ones at the end the partition may choose any; the first rows are meant.
        least = np.partition(values, len(rows) - size)[len(rows) - size]
        above, equal = np.flatnonzero(values > least), np.flatnonzero(values == least)
        places = np.sort(np.concatenate([above, equal[: size - len(above)]]))
        rows, values = rows[places], values[places]
    first: Rows = rows[np.argsort(-values.astype(np.float64), kind="stable")]
    return first
