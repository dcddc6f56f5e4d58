"""What a column of features holds: numbers, or names of categories."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pyarrow.compute as pc

from service.replay.arrival_stream import UnreadableDataset
from service.replay.tables.mapping import FeatureColumn
from service.replay.tables.plan import FeaturePlan
from service.replay.tables.table import Rows, Table, in_column
from service.replay.tables.values import (
    MISSING,
    categories,
    is_number_type,
    numbers,
    plain,
    reads_as_number,
    written_otherwise,
)

MOST_CATEGORIES = 64
"""Different values of a column that is taken for a category, at most, unless the mapping lists them."""
_MOST_KEPT = 10_000
"""Different texts of one column that are kept."""


class FeatureFinder:
    """Finds out how one column becomes features.

    A column of text is one of numbers where at least half of its different values are, with separators of thousands
    or signs too: then every one has to be a number, and without them.

    Args:
        table: for messages.
        feature: what the mapping states.
    """

    def __init__(self, table: Table, feature: FeatureColumn) -> None:
        self._table, self._feature = table, feature
        self._counts: Counter[str] = Counter()
        self._missing = False
        self._no_number: UnreadableDataset | None = None
        self._kind = "category" if feature.categories else feature.kind

    def take(self, rows: Rows) -> None:
        """Take in the next part of the column.

        Raises:
            UnreadableDataset: a value does not fit the kind that is stated.
        """
        name = self._feature.column
        column = plain(rows.batch.column(name))
        if self._kind == "auto" and is_number_type(column.type):
            self._kind = "number"
        if self._kind == "number":
            _, missing = in_column(self._table, rows, name, numbers)
            self._missing |= bool(missing.any())
            return
        found = in_column(self._table, rows, name, categories)
        self._missing |= None in found
        self._count(column)
        if self._kind == "auto" and self._no_number is None:
            try:
                in_column(self._table, rows, name, numbers)
            except UnreadableDataset as error:
                self._no_number = error

    def plan(self, misses: bool | None = None) -> FeaturePlan:
        """How the column becomes features.

        Args:
            misses: whether rows that could have a value have none, where that is known better than by all rows.

        Raises:
            UnreadableDataset: it holds too many names, or numbers and something else.
        """
        feature = self._feature
        found = self._missing if misses is None else misses
        missing = found if feature.missing is None else feature.missing
        if feature.categories:
            return FeaturePlan(feature.column, feature.categories, missing)
        names = [name for name in self._counts if name not in MISSING]
        if self._kind == "auto" and self._no_number is not None:
            meant = sum(reads_as_number(name) or written_otherwise(name) is not None for name in names)
            if 2 * meant >= len(names):
                raise UnreadableDataset(f"{self._no_number} (where they are names: --categories {feature.column})")
            self._kind = "category"
        if self._kind != "category":
            return FeaturePlan(feature.column, None, missing)
        if len(names) > MOST_CATEGORIES:
            raise UnreadableDataset(
                f"{self._table.name}, column {feature.column!r}: more than {MOST_CATEGORIES} different names, such as "
                f"{names[0][:40]!r}: leave it out of --features, or list its categories in a mapping file"
            )
        return FeaturePlan(feature.column, tuple(sorted(names)), missing)

    def _count(self, column: Any) -> None:
        if len(self._counts) > _MOST_KEPT:
            return
        for pair in pc.value_counts(column).slice(0, _MOST_KEPT).to_pylist():
            if pair["values"] is not None:
                self._counts[str(pair["values"]).strip()] += pair["counts"]
