"""Data frames in and out: rows as events by a mapping of columns, and predictions as a table.

A frame is a pandas ``DataFrame``, a ``pyarrow.Table``, or any object with ``__arrow_c_stream__``, such as those of
polars.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from olad_core.events import MAX_EVENTS, Event, GraphSchema
from service.client.calls import Call, append
from service.models import MAX_NODES, AcceptedBatch
from service.replay.arrival_stream import Arrival, Batch, batched
from service.replay.label_delay import Duration, delay_labels_in_time, delay_own_labels
from service.replay.tables.mapping import RowMapping
from service.replay.tables.plan import Plan
from service.replay.tables.row_events import arrivals
from service.replay.tables.survey import survey
from service.replay.tables.table import Rows

Frame: TypeAlias = Any
"""Rows in columns that have names."""
MOST_COLUMNS = 500
"""Classes that have a column of their own in a table of predictions."""
_ROWS = 20_000


@dataclass(frozen=True)
class FrameEvents:
    """What the rows of a frame become.

    Attributes:
        batches: one for each request, read once.
        schema: what can be declared of them: the width of the features, the classes.
        notes: what was found in the columns, a line each.
    """

    batches: Iterator[Sequence[Event]]
    schema: GraphSchema
    notes: tuple[str, ...]

    def calls(self, key: str | None) -> Iterator[Call[AcceptedBatch]]:
        """One request a batch.

        Args:
            key: begins the Idempotency-Key of each; None for a random one.
        """
        begin = key or f"frame-{secrets.token_hex(16)}"
        for number, events in enumerate(self.batches):
            yield append(events, f"{begin}-{number}")

    def sent(self, done: Sequence[AcceptedBatch]) -> SentFrame:
        """What was sent, out of the answers."""
        events = sum(batch.accepted for batch in done)
        return SentFrame(events, len(done), done[-1].position if done else None, self.notes)


@dataclass(frozen=True)
class SentFrame:
    """A frame that is in the log.

    Attributes:
        events: that its rows became.
        batches: in which they were sent.
        position: of the last one; None for a frame without rows.
        notes: what was found in the columns, a line each.
    """

    events: int
    batches: int
    position: str | None
    notes: tuple[str, ...]


class _FrameTable:
    """A frame as a table of :mod:`service.replay.tables`."""

    name = "the frame"

    def __init__(self, frame: Frame) -> None:
        self._table = pa.table(frame)
        self.columns = tuple(self._table.column_names)

    def rows(self, columns: Sequence[str]) -> Iterator[Rows]:
        """All rows with these columns."""
        first = 0
        for batch in self._table.select(list(columns)).to_batches(max_chunksize=_ROWS):
            yield Rows(batch, first)
            first += batch.num_rows

    def place(self, row: int) -> str:
        """The place of a row in the frame."""
        return f"row {row}"


def frame_events(frame: Frame, mapping: RowMapping | Mapping[str, Any]) -> FrameEvents:
    """The rows of a frame as events, in their order. All of it is checked first.

    Args:
        frame: the rows.
        mapping: what its columns are, as in a mapping file (``docs/files.md``).

    Raises:
        UnreadableDataset: naming row, column and value of the first thing that does not fit.
        ValueError: the mapping does not fit together.
    """
    table = _FrameTable(frame)
    mapping = RowMapping.model_validate(mapping)
    plan = survey(table, mapping)
    batches = batched(_with_labels(arrivals(table, plan), plan), nodes=MAX_EVENTS)
    return FrameEvents(map(_events_of, batches), plan.schema(), plan.notes)


def _events_of(batch: Batch) -> Sequence[Event]:
    return batch.events


def _with_labels(rows: Iterator[Arrival], plan: Plan) -> Iterator[Arrival]:
    """Labels come with their row, or after the delay that the mapping states."""
    truth = plan.mapping.truth
    delay = truth.delay if truth is not None else None
    if isinstance(delay, Duration):
        return delay_labels_in_time(rows, delay, _FrameTable.name, "s")
    return delay_own_labels(rows, delay or 0)


def parts_of(nodes: Sequence[str | int]) -> Iterator[Sequence[str | int]]:
    """Nodes in parts that one request may hold; one empty part where there are none."""
    for first in range(0, max(1, len(nodes)), MAX_NODES):
        yield nodes[first : first + MAX_NODES]


def joined(answers: Sequence[bytes]) -> Any:
    """The answers about the parts as one ``pyarrow.Table``. A class that came meanwhile is null in the parts before."""
    return pa.concat_tables([prediction_table(answer) for answer in answers], promote_options="default")


def prediction_table(answer: bytes) -> Any:
    """An answer of ``predict_arrow`` with one column for each thing, as tables of other programs have them.

    Columns are ``node``, ``label``, ``probability`` of the label, ``disagreement``, ``position``, ``behind``,
    ``student``, ``model_version``, ``error``, and ``p(CLASS)`` for each class, where all are shown and they are 500 at
    most. A node that is not in the graph has ``error``, and neither label nor probabilities.

    Returns:
        A ``pyarrow.Table``.
    """
    with pa.ipc.open_stream(answer) as reader:
        table = reader.read_all()
    about = {name.decode(): value.decode() for name, value in (table.schema.metadata or {}).items()}
    classes: list[str] = json.loads(about["classes"])
    shown = table["probabilities"].combine_chunks()
    gone = np.asarray(pc.is_null(table["label"]))
    values = np.asarray(pc.fill_null(shown.values, 0.0)).reshape(len(table), shown.type.list_size)
    columns: dict[str, Any] = {
        "node": table["node"],
        "label": table["label"],
        "probability": pa.array(probability_of_label(table, values, classes), pa.float32(), mask=gone),
        "disagreement": table["disagreement"],
        "position": table["position"],
        "behind": table["behind"],
        "student": pa.array([about["student"]] * len(table), pa.string()),
        "model_version": pa.array([int(about["model_version"])] * len(table), pa.int64()),
        "error": table["error"],
    }
    if "classes" not in table.column_names and len(classes) <= MOST_COLUMNS:
        for place, name in enumerate(classes):
            columns[f"p({name})"] = pa.array(values[:, place], pa.float32(), mask=gone)
    return pa.table(columns)


def probability_of_label(table: Any, values: Any, classes: Sequence[str]) -> Any:
    """The probability of each label, which need not be the greatest where the schema declares how labels are decided.

    Where the label is not among the classes that are shown, it is the greatest of these.

    Args:
        table: the answer.
        values: its probabilities ``[N, shown]``.
        classes: all classes.
    """
    if not values.shape[1]:
        return np.zeros(len(values), np.float32)
    wanted = pc.fill_null(pc.index_in(table["label"], value_set=pa.array(classes, pa.string())), 0).to_numpy()
    if "classes" not in table.column_names:
        return values[np.arange(len(values)), wanted]
    shown = np.asarray(pc.fill_null(table["classes"].combine_chunks().values, -1)).reshape(values.shape)
    found = shown == wanted[:, None]
    return np.where(found.any(axis=1), (values * found).sum(axis=1), values.max(axis=1))
