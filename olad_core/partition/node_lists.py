"""Lists of nodes over several ranks: each rank has the first ones of its own nodes, and one merges them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from olad_core.graph.arrays import Float32s, Int64s
from olad_core.partition.store import PartitionStore
from olad_core.serving.list_names import ListName
from olad_core.serving.node_lists import first_of_list
from olad_core.serving.publication import ListedNodes, Version
from olad_core.tasks import node_class
from olad_core.tasks.label_rule import LabelRule


@dataclass(frozen=True)
class ListedNode:
    """A node of a list.

    Attributes:
        key: by which nodes are ordered, the greatest first; of equal ones those with the least number come first.
        number: of the node.
        node: its id.
        label: number of the class that labels it.
        probability: of the class that is listed, else of the label.
        disagreement: about the node.
    """

    key: float
    number: int
    node: str
    label: int
    probability: float
    disagreement: float


def list_part(
    name: ListName,
    store: PartitionStore,
    answers: Callable[[Int64s], Float32s],
    version: Version,
    rule: LabelRule,
    changed: Int64s,
) -> list[ListedNode]:
    """The first of a rank's nodes in the order of a list.

    Args:
        name: what is listed; a class that the version does not predict is of no node.
        store: this rank's part.
        answers: the served answers ``[n, 1 + C]`` of owned rows.
        version: that is served.
        rule: what turns probabilities into labels.
        changed: numbers of nodes whose features or edges changed, the last first.
    """
    classes, graph = version.classes, store.graph
    if name.order == "top" and name.filter not in classes:
        return []
    column = 1 + classes.index(name.filter) if name.order == "top" else 0
    kept = np.flatnonzero(store.owned if name.labelled else store.owned & (graph.label < 0))
    kept = kept[np.argsort(store.number[kept])]
    of_changed = store.own_rows(changed)
    rows = first_of_list(
        name, graph, kept, store.number, lambda part: answers(part)[:, column], of_changed[of_changed >= 0]
    )
    found = answers(rows)
    probabilities = np.ascontiguousarray(found[:, node_class.CLASSES])
    if name.order == "arrived":
        keys = store.number[rows].astype(np.float64)
    elif name.order == "changed":
        keys = -np.flatnonzero(np.isin(of_changed, rows)).astype(np.float64)
    else:
        keys = np.nan_to_num(found[:, column].astype(np.float64), nan=-1.0)
    labels = node_class.decided_classes(probabilities, rule.table(classes)) if rule else probabilities.argmax(axis=1)
    shown = np.full(rows.size, column - 1) if name.order == "top" else labels
    probability = np.take_along_axis(probabilities, shown[:, None], axis=1)[:, 0]
    columns = (keys, store.number[rows], graph.ids(rows), labels, probability, found[:, 0])
    lists = [column.tolist() if isinstance(column, np.ndarray) else column for column in columns]
    return [ListedNode(*each) for each in zip(*lists, strict=True)]


def merged(name: ListName, parts: Sequence[Sequence[ListedNode]], version: Version) -> ListedNodes | None:
    """The list out of the parts of all ranks; None where the version does not predict the class.

    Args:
        name: what is listed.
        parts: of all ranks.
        version: that is served.
    """
    if name.order == "top" and name.filter not in version.classes:
        return None
    every = [each for part in parts for each in part]
    every.sort(key=lambda each: (each.node if name.order == "id" else "", -each.key, each.number))
    first = every[: name.size]
    return ListedNodes(
        name=str(name),
        nodes=tuple(each.node for each in first),
        labels=tuple(version.classes[each.label] for each in first),
        probabilities=np.array([each.probability for each in first], np.float32),
        disagreement=np.array([each.disagreement for each in first], np.float32),
        marked=0,
    )
