"""What the command line states about the columns of a table."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from olad_core.errors import OladError
from service.replay.tables.mapping import CsvFormat, FeatureColumn, RowMapping


class WrongMapping(OladError, ValueError):
    """Options or a mapping file that do not say how a row becomes events; the message says what to change."""


@dataclass(frozen=True)
class TableOptions:
    """Options of one command.

    Attributes:
        mapping: a mapping file, instead of all but ``delimiter`` and ``encoding``.
        source, target: columns of the ends of an edge.
        time, time_unit: column of times and its unit.
        label: column of classes.
        features: columns of features.
        categories: those of them whose values are names, also where they are written as numbers.
        as_node: whether a row is a node, joined to ``source`` and ``target``.
        id, id_prefix: column of the ids of rows that are nodes, and what stands before each.
        weight: column of the weights of edges.
        delimiter, encoding: of CSV.
    """

    mapping: Path | None = None
    source: str | None = None
    target: str | None = None
    time: str | None = None
    time_unit: str | None = None
    label: str | None = None
    features: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    as_node: bool = False
    id: str | None = None
    id_prefix: str | None = None
    weight: str | None = None
    delimiter: str | None = None
    encoding: str | None = None

    @property
    def names_columns(self) -> bool:
        """Whether anything states what the columns are."""
        return self.mapping is not None or self != TableOptions(delimiter=self.delimiter, encoding=self.encoding)


def mapping_of(options: TableOptions) -> RowMapping:
    """The mapping that options without a mapping file state.

    Raises:
        WrongMapping: they do not fit each other.

    >>> mapping_of(TableOptions(source="payer", target="payee")).node is None
    True
    """
    is_edge = options.source is not None and options.target is not None
    is_node = options.as_node or (options.id is not None and not is_edge)
    _require_fit(options, is_edge=is_edge, is_node=is_node)
    parts: dict[str, Any] = {"source": options.source, "target": options.target, "weight": options.weight}
    if options.time is not None:
        parts["time"] = {"column": options.time, "unit": options.time_unit or "auto"}
    if is_node:
        parts["node"] = {
            "id": None if options.id is None else {"column": options.id, "prefix": options.id_prefix or ""},
            "features": feature_columns(options),
            "label": options.label,
        }
    try:
        return RowMapping.model_validate(parts)
    except ValidationError as error:
        raise WrongMapping("; ".join(problem["msg"] for problem in error.errors())) from None


def feature_columns(options: TableOptions) -> tuple[FeatureColumn, ...]:
    """The features that options name, those of categories last where they are named there alone."""
    names = (*options.features, *(name for name in options.categories if name not in options.features))
    return tuple(
        FeatureColumn(column=name, kind="category" if name in options.categories else "auto") for name in names
    )


def require_no_columns(options: TableOptions, what: str) -> None:
    """Check that no columns are stated for a file that states them itself.

    Raises:
        WrongMapping: naming what the file is.
    """
    if options.names_columns:
        raise WrongMapping(f"{what}, which states itself what its nodes are: leave out --source, --id and the like")


def csv_format_of(options: TableOptions, stated: CsvFormat | None = None) -> CsvFormat:
    """How CSV is written, by the options and below them by a mapping file.

    Raises:
        WrongMapping: a delimiter is not one character, or an encoding is unknown.
    """
    below = stated or CsvFormat()
    parts = {
        "delimiter": {"tab": "\t", "\\t": "\t"}.get(options.delimiter or "", options.delimiter) or below.delimiter,
        "encoding": options.encoding or below.encoding,
    }
    try:
        return CsvFormat.model_validate(parts)
    except ValidationError as error:
        raise WrongMapping(f"--{error.errors()[0]['loc'][0]}: {error.errors()[0]['msg']}") from None


def _require_fit(options: TableOptions, *, is_edge: bool, is_node: bool) -> None:
    if not is_edge and not is_node:
        raise WrongMapping(
            "name the columns of both ends of an edge with --source and --target; or --id where a row is a node; or "
            "--as-node where it is a node of its own, such as a payment, that is joined to its ends"
        )
    if is_node:
        return
    of_nodes = {"label": options.label, "features": options.features, "categories": options.categories}
    for name, value in (of_nodes | {"id": options.id, "id-prefix": options.id_prefix}).items():
        if value:
            raise WrongMapping(
                f"--{name} is of rows that are nodes, and with --source and --target alone a row is an edge: add "
                "--as-node, which makes each row a node that is joined to both"
            )
