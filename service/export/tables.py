"""Tables as one file that is there whole or not at all."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv, parquet

from service.export.failed import ExportFailed
from service.export.whole_file import written_whole

FORMATS = (".parquet", ".csv")
_ROWS_PER_GROUP = 50_000


@dataclass(frozen=True)
class Exported:
    """What stands in the file.

    Attributes:
        rows: nodes or edges with a prediction.
        missing: nodes that are not in the graph any more, or never were; edges that the task does not remember.
        position: every row is exact for this position or a later one; None where none was asked for.
        versions: versions of the model that made the rows.
    """

    rows: int
    missing: int
    position: str | None
    versions: tuple[int, ...]

    def as_dict(self) -> dict[str, Any]:
        """For machines."""
        return {"rows": self.rows, "missing": self.missing, "position": self.position, "versions": list(self.versions)}


def write_tables(
    tables: Iterable[Any],
    path: Path,
    *,
    order: tuple[str, str] | None,
    limit: int | None,
    about: Callable[[], dict[str, str]],
    what: str,
) -> int:
    """Write tables of the same columns into one file.

    Memory does not depend on the number of rows, unless they are ordered.

    Args:
        tables: of pyarrow.
        path: of the file; its suffix, one of :data:`FORMATS`, is its format.
        order: a class and a column: rows are ordered by the probability of the class, the greatest first, then by the
            column; None keeps their order.
        limit: only so many rows are written.
        about: what the file states about itself, called after the last row.
        what: are in the rows, for messages.

    Returns:
        How many rows were written.

    Raises:
        ExportFailed: there is nothing to write, no such class, or a class came meanwhile.
    """
    if order is not None:
        tables = [_ordered(list(tables), order, limit, what)]
    rows = 0
    with written_whole(path) as part, contextlib.ExitStack() as open_files:
        writer: Any = None
        for table in tables:
            kept = table if limit is None else table.slice(0, limit - rows)
            writer = writer or open_files.enter_context(_writer(path, part, table.schema))
            if kept.schema.names != writer.schema.names:
                raise ExportFailed("a class came meanwhile: export again")
            writer.write_table(kept)
            rows += kept.num_rows
            if limit is not None and rows >= limit:
                break
        if writer is None:
            raise ExportFailed(f"there are no {what} to export")
        writer.describe(about())
    return rows


def _ordered(tables: list[Any], order: tuple[str, str], limit: int | None, what: str) -> Any:
    if not tables:
        raise ExportFailed(f"there are no {what} to export")
    by, then = order
    column = f"p({by})"
    for table in tables:
        if column not in table.schema.names:
            names = [name[2:-1] for name in table.schema.names if name.startswith("p(")]
            raise ExportFailed(f"{by!r} is no class; the classes are {', '.join(names[:30])}")
    whole = pa.concat_tables(tables, promote_options="default")
    keys = [(column, "descending"), (then, "ascending")]
    return whole.take(pc.sort_indices(whole, sort_keys=keys)).slice(0, limit)


class _Csv:
    def __init__(self, part: Path, schema: Any) -> None:
        self.schema = schema
        self._writer = csv.CSVWriter(part, schema)

    def write_table(self, table: Any) -> None:
        self._writer.write_table(table)

    def describe(self, about: dict[str, str]) -> None:
        """CSV has no place for that; every row has its position and version."""

    def close(self) -> None:
        self._writer.close()


class _Parquet:
    def __init__(self, part: Path, schema: Any) -> None:
        self.schema = schema
        self._writer = parquet.ParquetWriter(part, schema)
        self._held: list[Any] = []
        self._rows = 0

    def write_table(self, table: Any) -> None:
        """Write a row group once there is enough for one."""
        self._held.append(table)
        self._rows += table.num_rows
        if self._rows >= _ROWS_PER_GROUP:
            self._flush()

    def describe(self, about: dict[str, str]) -> None:
        self._writer.add_key_value_metadata(about)

    def close(self) -> None:
        self._flush()
        self._writer.close()

    def _flush(self) -> None:
        if self._held:
            self._writer.write_table(pa.concat_tables(self._held))
        self._held, self._rows = [], 0


def _writer(path: Path, part: Path, schema: Any) -> contextlib.AbstractContextManager[Any]:
    return contextlib.closing((_Csv if path.suffix == ".csv" else _Parquet)(part, schema))
