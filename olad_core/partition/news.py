"""What a batch brought that all ranks have to know: labels, touched nodes, and the least number that is left."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from olad_core.graph.arrays import Int64s
from olad_core.partition.exchange import Superstep, to_all
from olad_core.partition.store import PartChange, PartitionStore
from olad_core.serving.touched import merge

_LABELLED, _TOUCHED, _LOWEST = range(3)
_RECORD = np.dtype([("kind", "i1"), ("number", "<i8"), ("label", "<i4")])


class News(NamedTuple):
    """The same at all ranks; numbers are in ascending order.

    Attributes:
        created: numbers of new nodes.
        labelled: numbers of nodes that were given a label.
        labels: their classes.
        touched: numbers of nodes whose features or incoming edges changed, the last ones of each rank.
        lowest: least number of a node that there is.
        anything: whether any event was accepted.
    """

    created: Int64s
    labelled: Int64s
    labels: Int64s
    touched: Int64s
    lowest: int
    anything: bool


def share_news(store: PartitionStore, part: PartChange, before: int, most: int) -> Superstep[News]:
    """Bring together what the owners of nodes know of a batch.

    Args:
        store: this rank's part.
        part: what the batch did.
        before: nodes of the whole graph that had been created before it.
        most: touched nodes that a rank names.
    """
    graph, owned, changes = store.graph, store.owned, part.changes
    labelled = np.unique(changes.labelled)
    labelled = labelled[owned[labelled] & (graph.label[labelled] >= 0)]
    touched = merge([changes], graph).rows
    touched = np.sort(store.number[touched[owned[touched]]])[-most:]
    records = np.zeros(labelled.size + touched.size + 1, _RECORD)
    records["kind"] = np.repeat([_LABELLED, _TOUCHED, _LOWEST], [labelled.size, touched.size, 1])
    records["number"] = np.concatenate([store.number[labelled], touched, [store.lowest()]])
    records["label"][: labelled.size] = graph.label[labelled]
    received = yield to_all("labels and touched nodes", records, store.rank, store.ranks)
    every = np.concatenate([*received, records])
    every = every[np.argsort(every["number"], kind="stable")]
    by_labels = every[every["kind"] == _LABELLED]
    numbers = part.settled.number
    return News(
        created=np.sort(numbers[numbers >= before]),
        labelled=by_labels["number"].copy(),
        labels=by_labels["label"].astype(np.int64),
        touched=every["number"][every["kind"] == _TOUCHED],
        lowest=int(every["number"][every["kind"] == _LOWEST].min()),
        anything=bool(part.settled.accepted.any()),
    )
