"""The numbers of the types that a batch's events name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from olad_core.graph.arrays import Bools, Int64s, Integer, UInt8s
from olad_core.graph.columns import (
    DENSE,
    ID_LENGTH,
    NO_FEATURES,
    NO_TYPE,
    NO_WIDTH_OF_TYPE,
    NOT_BY_ID,
    REMOVE_EDGE,
    TYPE,
    TYPE_LENGTH,
    TYPE_START,
    UPSERT_EDGE,
    UPSERT_NODE,
    Columns,
)
from olad_core.graph.compiled import compiled
from olad_core.graph.relations import RelationRule
from olad_core.graph_types import NODE_TYPE, RELATION, NodeType


def number_types(columns: Columns, rules: Mapping[str, RelationRule], node_types: Mapping[str, NodeType]) -> None:
    """Fill in the number of each event's type.

    Args:
        columns: of the batch.
        rules: of the types of edges, in the order of their numbers.
        node_types: the declared types of nodes in this order; empty where there are none.
    """
    relations = [*rules]
    has_types = bool(node_types) or relations != [RELATION] or rules[RELATION].has_table
    if not has_types and not _name_types(columns):
        return
    nodes = [*node_types] or [NODE_TYPE]
    widths = [each.feature_width or 0 for each in node_types.values()]
    unnamed = relations.index(RELATION) if RELATION in relations else NO_TYPE
    _number(columns, *_joined(relations), unnamed, *_joined(nodes), NO_TYPE if node_types else 0)
    if node_types:
        _hold_widths(columns, UPSERT_NODE, np.array(widths, np.int64))
    _hold_widths(columns, UPSERT_EDGE, np.array([rule.width for rule in rules.values()], np.int64))
    _hold_names(columns, np.array([rule.ids for rule in rules.values()]))


def _name_types(columns: Columns) -> bool:
    """Whether some event names a type, or has what only edges of a declared type have."""
    return bool(
        np.count_nonzero(columns.types[TYPE_LENGTH])
        or np.count_nonzero(columns.types[ID_LENGTH])
        or np.count_nonzero(columns.form[columns.kind == UPSERT_EDGE])
    )


def _joined(names: Sequence[str]) -> tuple[UInt8s, Int64s]:
    encoded = [name.encode() for name in names]
    return np.frombuffer(b"".join(encoded), np.uint8), np.cumsum([0, *map(len, encoded)])


@compiled
def _number(
    columns: Columns,
    relations: UInt8s,
    relation_ends: Int64s,
    unnamed: Integer,
    nodes: UInt8s,
    node_ends: Int64s,
    unnamed_node: Integer,
) -> None:
    for event in range(columns.kind.size):
        if columns.kind[event] == UPSERT_NODE:
            columns.types[TYPE, event] = _found(columns, event, nodes, node_ends, unnamed_node)
        else:
            columns.types[TYPE, event] = _found(columns, event, relations, relation_ends, unnamed)


@compiled
def _found(columns: Columns, event: int, names: UInt8s, ends: Int64s, unnamed: Integer) -> Integer:
    """The place of the event's type among the names."""
    start, length = columns.types[TYPE_START, event], columns.types[TYPE_LENGTH, event]
    if length == 0:
        return unnamed
    for number in range(ends.size - 1):
        same = ends[number + 1] - ends[number] == length
        if same:
            for place in range(length):
                same &= columns.text[start + place] == names[ends[number] + place]
        if same:
            return number
    return NO_TYPE


@compiled
def _hold_names(columns: Columns, ids: Bools) -> None:
    """Mark the edges with an id where those of the type have none, and the reverse."""
    for event in range(columns.kind.size):
        number, by_id = columns.types[TYPE, event], columns.types[ID_LENGTH, event] > 0
        if number >= 0 and columns.kind[event] in (UPSERT_EDGE, REMOVE_EDGE) and by_id != ids[number]:
            columns.types[TYPE, event] = NOT_BY_ID


@compiled
def _hold_widths(columns: Columns, kind: int, widths: Int64s) -> None:
    """Mark the events of this kind whose features do not have the width of their types."""
    for event in range(columns.kind.size):
        number = columns.types[TYPE, event]
        if columns.kind[event] != kind or number < 0 or columns.form[event] == NO_FEATURES:
            continue
        width = widths[number]
        fits = width > 0 and (columns.form[event] != DENSE or columns.width[event] == width)
        if columns.form[event] != DENSE:
            for place in range(columns.first[event], columns.first[event] + columns.width[event]):
                fits &= columns.place[place] < width
        if not fits:
            columns.types[TYPE, event] = NO_WIDTH_OF_TYPE
