"""Reading a table through before anything of it is sent: what its columns hold, and whether every value fits."""

from __future__ import annotations

import itertools
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from typing import NoReturn

import numpy as np

from olad_core.events import MAX_FEATURE_WIDTH
from olad_core.graph_types import MAX_EDGE_FEATURES
from olad_core.task_types import MAX_EDGE_CLASSES
from service.replay.arrival_stream import UnreadableDataset
from service.replay.tables.features import FeatureFinder
from service.replay.tables.mapping import RowMapping
from service.replay.tables.plan import Plan
from service.replay.tables.row_events import edge_ids_of, ends_of, labels_of, row_ids_of, values_of, weights_of
from service.replay.tables.table import Rows, Table, in_column, require_columns
from service.replay.tables.times import Unit, UnitFinder, times
from service.replay.tables.types_found import TypesFound

_MOST_CLASSES = 1_000
_CHANGED_ID = re.compile(r"(?a:\d+\.0+|\d(?:\.\d+)?[eE]\+?\d+)")
"""An id as programs write it that took it for a number with a fraction: ``7.0``, ``4.5E+15``."""
_IDS_COMPARED = 10_000
"""Ids of rows, and of their ends, that are compared with each other."""


def survey(table: Table, mapping: RowMapping, on_rows: Callable[[int], None] = lambda _rows: None) -> Plan:
    """Read a table through, check every value, and find out what the mapping leaves open.

    Args:
        table: of which every row is read once.
        mapping: what its columns are.
        on_rows: called with the number of rows read so far, for progress.

    Raises:
        UnreadableDataset: naming file, line, column and value of the first thing that does not fit.
    """
    wanted = tuple(dict.fromkeys(mapping.columns()))
    require_columns(table, wanted)
    finder = _Finder(table, mapping)
    done = 0
    for rows in table.rows(wanted):
        finder.take(rows)
        done += rows.batch.num_rows
        on_rows(done)
    plan = finder.plan()
    if not done:
        plan = replace(plan, notes=(*plan.notes, "there are no rows"))
    most = MAX_FEATURE_WIDTH if mapping.edge is None else MAX_EDGE_FEATURES
    if len(plan.feature_names) > most:
        raise UnreadableDataset(f"{table.name}: {len(plan.feature_names):,} features, {most:,} at most")
    return plan


class _Finder:
    """What has been found out of the rows so far."""

    def __init__(self, table: Table, mapping: RowMapping) -> None:
        self._table, self._mapping = table, mapping
        self._features = [FeatureFinder(table, feature) for feature in mapping.features]
        self._unit = UnitFinder() if mapping.time is not None and mapping.time.unit == "auto" else None
        self._classes: Counter[str] = Counter()
        self._types = TypesFound(table, mapping)
        self._row_ids: set[str] = set()
        self._ends: set[str] = set()
        self._latest = -np.inf
        self._notes: list[str] = []

    def take(self, rows: Rows) -> None:
        there = rows.present()
        for feature in self._features:
            feature.take(there)
        self._take_times(there)
        self._take_classes(there)
        self._take_ids(rows)
        self._types.take(there)
        if self._mapping.value is not None:
            values_of(self._table, self._mapping.value, there)
        if self._mapping.weight is not None:
            in_column(self._table, there, self._mapping.weight, weights_of)

    def plan(self) -> Plan:
        unit: Unit = "iso"
        if self._mapping.time is not None:
            unit = self._found_unit() if self._unit is not None else self._stated_unit()
        of_nodes = self._mapping.node is not None
        features = tuple(
            feature.plan(self._types.misses(at) if of_nodes else None) for at, feature in enumerate(self._features)
        )
        if shared := sorted(self._row_ids & self._ends):
            self._notes.append(
                f"{shared[0]!r} is the id of a row and of an end of one: they are the same node. "
                "--id-prefix gives the rows ids of their own"
            )
        self._notes += _doubts(self._classes, self._row_ids | self._ends)
        node_types, edge_types = self._types.node_types(features), self._types.edge_types()
        return Plan(
            self._mapping, unit, features, _in_order(self._classes), node_types, edge_types, notes=tuple(self._notes)
        )

    def _take_times(self, rows: Rows) -> None:
        column = self._mapping.time
        if column is None:
            return
        if self._unit is not None:
            in_column(self._table, rows, column.column, self._unit.take)
        # Numbers of any unit have the same order.
        unit: Unit = self._stated_unit() if self._unit is None else "iso" if self._unit.is_text() else "own"
        found, missing = in_column(self._table, rows, column.column, lambda values: times(values, unit))
        known = found[~missing]
        if len(known) and not any("order" in note for note in self._notes):
            before = np.maximum.accumulate(np.concatenate([[self._latest], known]))
            early = np.flatnonzero(known < before[:-1])
            if len(early):
                row = rows.number(int(np.flatnonzero(~missing)[early[0]]))
                where = self._table.place(row)
                self._notes.append(
                    f"rows are not in the order of {column.column!r}: {where} is earlier than one before"
                )
            self._latest = float(before[-1])

    def _take_classes(self, rows: Rows) -> None:
        column = self._mapping.label
        if column is None:
            return
        found = labels_of(self._table, column, rows)
        self._classes.update(name for name in found if name is not None)
        most = _MOST_CLASSES if self._mapping.edge is None else MAX_EDGE_CLASSES
        if len(self._classes) > most:
            above = next(itertools.islice(self._classes, most, None))
            place = self._table.place(rows.number(found.index(above)))
            _refuse(
                self._table,
                f"{place}, column {column.column!r} has more than {most:,} different classes: is it the one of labels?",
            )

    def _take_ids(self, rows: Rows) -> None:
        of_edges = edge_ids_of(self._table, self._mapping, rows)
        ends = ends_of(self._table, self._mapping, rows if of_edges is None else rows.present())
        ids = row_ids_of(self._table, self._mapping, rows)
        for kept, new in ((self._row_ids, ids or ()), *((self._ends, end) for end in ends if end is not None)):
            if len(kept) < _IDS_COMPARED:
                kept.update(name for name in new if name is not None)

    def _stated_unit(self) -> Unit:
        assert self._mapping.time is not None, "asked for where there is one"
        assert self._mapping.time.unit != "auto", "found out"
        return self._mapping.time.unit

    def _found_unit(self) -> Unit:
        assert self._unit is not None, "asked for where it is found out"
        assert self._mapping.time is not None, "asked for where there is one"
        try:
            return self._unit.unit()
        except ValueError as error:
            _refuse(self._table, f"column {self._mapping.time.column!r}: {error}")


def _doubts(classes: Iterable[str], ids: Iterable[str]) -> Iterator[str]:
    """What may not be meant as it is written."""
    alike: dict[str, str] = {}
    for name in sorted(classes):
        other = alike.setdefault(name.casefold(), name)
        if other != name:
            yield f"the classes {other!r} and {name!r} differ in case alone, and are two"
    changed = min((name for name in ids if _CHANGED_ID.fullmatch(name)), default=None)
    if changed is not None:
        yield f"the id {changed!r} has been a number in another program: it is another node than one without that form"


def _refuse(table: Table, problem: str) -> NoReturn:
    raise UnreadableDataset(f"{table.name}, {problem}")


def _in_order(classes: Counter[str]) -> tuple[str, ...]:
    """Class names by value where all are numbers, else by name."""
    if all(name.isdecimal() for name in classes):
        return tuple(sorted(classes, key=lambda name: (int(name), name)))
    return tuple(sorted(classes))
