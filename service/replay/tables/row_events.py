"""Record batches in, arrivals out: a mapping of columns to events that does not depend on the format."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from msgspec import structs

from olad_core.events import MAX_VALUE, MAX_WEIGHT, Event, LabelNode, RemoveEdge, RemoveNode, UpsertEdge, UpsertNode
from service.replay.arrival_stream import Arrival
from service.replay.tables.mapping import EdgeRows, IdColumn, LabelColumn, RowMapping, ValueColumn
from service.replay.tables.plan import Plan
from service.replay.tables.row_types import TypedEnds, Types, edge_types_of, end_types_of, row_types_of
from service.replay.tables.table import BadValue, Rows, Table, in_column
from service.replay.tables.times import times
from service.replay.tables.values import Floats, categories, ids, numbers, texts

Ends = Sequence[str | None] | None


def arrivals(table: Table, plan: Plan) -> Iterator[Arrival]:
    """Every row of a table as an arrival, in the order of the rows.

    A row that is a node comes with an edge from its source and one to its target. Its class, where it has one, is
    the truth of the arrival and not among its events; so is its value, and the label of a row that is an edge. A row
    that reports a removal removes its node or its edges. Ends that have a type are created with it first. A row that
    may have no type and has none is not created by itself.

    Raises:
        UnreadableDataset: naming file, line, column and value.
    """
    wanted = tuple(dict.fromkeys(plan.mapping.columns()))
    typed = TypedEnds()
    for rows in table.rows(wanted):
        if plan.mapping.node is not None:
            yield from _nodes(table, plan, rows, typed)
        else:
            yield from _edges(table, plan, plan.mapping.edge or EdgeRows(), rows, typed)


def ends_of(table: Table, mapping: RowMapping, rows: Rows) -> tuple[Ends, Ends]:
    """Ids of the nodes at which edges of rows begin and end.

    Where a row is a node, an end may be missing: then there is no such edge.

    Raises:
        UnreadableDataset: naming file, line, column and value.
    """
    return _end(table, mapping, mapping.source, rows), _end(table, mapping, mapping.target, rows)


def row_ids_of(table: Table, mapping: RowMapping, rows: Rows) -> list[str] | None:
    """Ids of rows that are nodes; None where they are edges.

    Raises:
        UnreadableDataset: naming file, line, column and value.
    """
    if mapping.node is None:
        return None
    given = mapping.node.id
    if given is None:
        return [f"row-{rows.number(row) + 1}" for row in range(rows.batch.num_rows)]
    return in_column(table, rows, given.column, lambda column: ids(column, given.prefix, exact=given.exact))


def edge_ids_of(table: Table, mapping: RowMapping, rows: Rows) -> list[str] | None:
    """Ids of rows that are edges; None where these have none.

    Raises:
        UnreadableDataset: naming file, line, column and value; so where an id is missing.
    """
    given = mapping.edge_id
    if given is None:
        return None
    return in_column(
        table, rows, given.column, lambda column: ids(column, given.prefix, exact=given.exact, of="an edge")
    )


def labels_of(table: Table, label: LabelColumn, rows: Rows) -> list[str | None]:
    """Classes of rows; None where one is missing.

    Raises:
        UnreadableDataset: naming file, line, column and value.
    """
    return in_column(table, rows, label.column, lambda column: categories(column, exact=label.exact))


def values_of(table: Table, value: ValueColumn, rows: Rows) -> list[float | None]:
    """Values of rows; None where one is missing.

    Raises:
        UnreadableDataset: naming file, line, column and value.
    """
    return in_column(table, rows, value.column, _bounded_values)


def _bounded_values(column: Any) -> list[float | None]:
    values, missing = numbers(column)
    wrong = np.flatnonzero(np.abs(values) > MAX_VALUE)
    if len(wrong):
        raise BadValue(int(wrong[0]), f"a value of {values[wrong[0]]:g}: {MAX_VALUE:g} at most, either way")
    return _optional(values, missing)


def weights_of(column: Any) -> list[float | None]:
    """Weights of edges; None where one is missing.

    Raises:
        BadValue: a weight is not above 0, or too great.
    """
    values, missing = numbers(column)
    wrong = np.flatnonzero(~missing & ((values <= 0) | (values > MAX_WEIGHT)))
    if len(wrong):
        raise BadValue(int(wrong[0]), f"a weight of {values[wrong[0]]:g}: above 0 and at most {MAX_WEIGHT:g}")
    return _optional(values, missing)


def _end(table: Table, mapping: RowMapping, end: IdColumn | None, rows: Rows) -> Ends:
    if end is None:
        return None
    if mapping.node is None:
        return in_column(table, rows, end.column, lambda column: ids(column, end.prefix, exact=end.exact))

    def known(column: Any) -> list[str | None]:
        # Lengths are checked with those that are there.
        found = texts(column, exact=end.exact)
        ids(column.filter(np.array([text is not None for text in found])), end.prefix, exact=end.exact)
        return [None if text is None else end.prefix + text for text in found]

    return in_column(table, rows, end.column, known)


def _nodes(table: Table, plan: Plan, rows: Rows, typed: TypedEnds) -> Iterator[Arrival]:
    node = plan.mapping.node
    assert node is not None, "rows are nodes"
    names = row_ids_of(table, plan.mapping, rows)
    assert names is not None, "rows are nodes"
    ends = ends_of(table, plan.mapping, rows)
    sources, targets = (each or [None] * len(names) for each in ends)
    end_types, edge_types = end_types_of(table, plan.mapping, rows, ends), edge_types_of(table, plan.mapping, rows)
    ends_have_types = any(
        end is not None and end.type is not None for end in (plan.mapping.source, plan.mapping.target)
    )
    there = rows.present()
    kinds = row_types_of(table, plan.mapping, there)
    features = _features(table, plan, there, kinds)
    labels = None if node.label is None else labels_of(table, node.label, there)
    values = None if node.value is None else values_of(table, node.value, there)
    moments, weights = _times(table, plan, there), _weights(table, plan, there)
    at = 0
    for row, name in enumerate(names):
        change = "arrives" if rows.changes is None else rows.changes[row]
        if change == "leaves":
            yield Arrival((RemoveNode(id=name),))
            continue
        source, target = sources[row], targets[row]
        joined = [] if source is None else [(source, name, edge_types[0][row])]
        if target is not None:
            joined.append((name, target, edge_types[1][row]))
        if change == "unlinks":
            yield Arrival(tuple(RemoveEdge(src=src, dst=dst, type=kind) for src, dst, kind in joined))
            continue
        ts, weight, kind = moments[at], weights[at], kinds[at]
        x = None if features is None else features[at]
        events: list[Event] = []
        if kind is not None or not plan.node_types:
            events.append(UpsertNode(id=name, x=x, ts=ts, type=kind))
        if ends_have_types:
            events += typed.events(source, end_types[0][row], ts)
            events += typed.events(target, end_types[1][row], ts)
        for src, dst, edge_type in joined:
            events.append(UpsertEdge(src=src, dst=dst, weight=weight, ts=ts, type=edge_type))
        label = None if labels is None else labels[at]
        value = None if values is None else values[at]
        at += 1
        arrives = name if change == "arrives" else None
        of_value = None if value is None else LabelNode(id=name, value=value)
        yield Arrival(tuple(events), arrives, None if label is None else (name, label), label=of_value)


def _edges(table: Table, plan: Plan, edge: EdgeRows, rows: Rows, typed: TypedEnds) -> Iterator[Arrival]:
    """Rows as edges, with an id, features or a class where these are stated. An update brings its class at once."""
    names = edge_ids_of(table, plan.mapping, rows)
    kinds, _ = edge_types_of(table, plan.mapping, rows)
    present = rows.present()
    there = rows if names is None else present  # An edge that is removed by its id needs no ends.
    ends = ends_of(table, plan.mapping, there)
    sources, targets = (each or () for each in ends)
    from_source, to_target = end_types_of(table, plan.mapping, there, ends)
    truths = _truths(table, edge, present)
    features = _all_features(table, plan, present) if plan.features else None
    moments, weights = _times(table, plan, present), _weights(table, plan, present)
    at = 0
    for row, kind in enumerate(kinds):
        name = None if names is None else names[row]
        end = row if names is None else at
        change = "arrives" if rows.changes is None else rows.changes[row]
        if change in {"leaves", "unlinks"}:
            src, dst = (sources[row], targets[row]) if name is None else (None, None)
            yield Arrival((RemoveEdge(src=src, dst=dst, type=kind, id=name),))
            continue
        src, dst, ts = sources[end], targets[end], moments[at]
        assert src is not None, "refused before"
        assert dst is not None, "refused before"
        x = None if features is None else features[at]
        known = None if truths is None else truths[at]
        events = [*typed.events(src, from_source[end], ts), *typed.events(dst, to_target[end], ts)]
        joined = UpsertEdge(src=src, dst=dst, weight=weights[at], ts=ts, type=kind, id=name, x=x)
        at += 1
        truth = None if known is None else _label_of(joined, known)
        if change == "arrives":
            yield Arrival((*events, joined), edge=edge.truth is not None, label=truth)
        else:
            yield Arrival((*events, joined) if truth is None else (*events, joined, structs.replace(truth, ts=ts)))


def _truths(table: Table, edge: EdgeRows, rows: Rows) -> Sequence[str | float | None] | None:
    """The class or the value of each row, None where it is not known; None where rows have neither."""
    if edge.value is not None:
        return values_of(table, edge.value, rows)
    return None if edge.label is None else labels_of(table, edge.label, rows)


def _label_of(edge: UpsertEdge, truth: str | float) -> LabelNode:
    """The event with the class or the value of an edge: by its id, or by its ends where it has none."""
    label, value = (truth, None) if isinstance(truth, str) else ("", truth)
    if edge.id is not None:
        return LabelNode(label=label, edge=edge.id, type=edge.type, value=value)
    return LabelNode(label=label, src=edge.src, dst=edge.dst, type=edge.type, value=value)


def _features(table: Table, plan: Plan, rows: Rows, kinds: Types) -> Sequence[list[float] | None] | None:
    """The features of each row, where it has a type those of that alone; None where it has none."""
    if not plan.features:
        return None
    found = _all_features(table, plan, rows)
    if not plan.node_types:
        return found
    widths = [0 if kind is None else plan.node_types[kind] for kind in kinds]
    return [x[:width] if x is not None and width else None for x, width in zip(found, widths, strict=True)]


def _all_features(table: Table, plan: Plan, rows: Rows) -> Sequence[list[float] | None]:
    parts = [in_column(table, rows, part.column, part.encode) for part in plan.features]
    values: list[list[float]] = np.column_stack([values for values, _ in parts]).tolist()
    if any(part.missing for part in plan.features):
        return values
    unknown = np.logical_and.reduce([missing for _, missing in parts]).tolist()
    return [None if none else x for x, none in zip(values, unknown, strict=True)]


def _times(table: Table, plan: Plan, rows: Rows) -> list[float | None]:
    if plan.mapping.time is None:
        return [None] * rows.batch.num_rows
    return _optional(*in_column(table, rows, plan.mapping.time.column, lambda column: times(column, plan.time_unit)))


def _weights(table: Table, plan: Plan, rows: Rows) -> list[float | None]:
    if plan.mapping.weight is None:
        return [None] * rows.batch.num_rows
    return in_column(table, rows, plan.mapping.weight, weights_of)


def _optional(values: Floats, missing: npt.NDArray[np.bool_]) -> list[float | None]:
    return [None if gone else value for value, gone in zip(values.tolist(), missing.tolist(), strict=True)]
