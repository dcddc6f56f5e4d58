"""Options about the columns of a table, which every command that reads a source takes."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Literal, get_type_hints

import typer

from service.replay.table_options import TableOptions

_PANEL = "Tables (CSV, Parquet, rows of JSON)"


def _option(text: str, *names: str) -> Any:
    return typer.Option(*names, help=text, rich_help_panel=_PANEL)


def table_options(
    mapping: Annotated[Path | None, _option("A YAML file that states what the columns are (docs/files.md).")] = None,
    source_column: Annotated[str | None, _option("Column of the nodes that edges begin at.", "--source")] = None,
    target_column: Annotated[str | None, _option("Column of the nodes that edges end at.", "--target")] = None,
    time: Annotated[str | None, _option("Column of times: dates, or numbers.")] = None,
    time_unit: Annotated[
        Literal["iso", "s", "ms", "us", "ns", "d", "own"] | None,
        typer.Option(
            help="Unit of the times since 1970; own for other numbers.",
            show_default="recognised",
            rich_help_panel=_PANEL,
        ),
    ] = None,
    label: Annotated[str | None, _option("Column of classes.")] = None,
    features: Annotated[str | None, _option("Columns of features, as a,b,c.")] = None,
    categories: Annotated[str | None, _option("Columns of features whose numbers are names, as codes are.")] = None,
    as_node: Annotated[bool, _option("Each row is a node, joined to its source and target.", "--as-node")] = False,
    id_column: Annotated[str | None, _option("Column of the ids of rows that are nodes.", "--id")] = None,
    id_prefix: Annotated[str | None, _option("Text before every id of a row.")] = None,
    weight: Annotated[str | None, _option("Column of the weights of edges.")] = None,
    delimiter: Annotated[str | None, _option("Of CSV, one character or tab.")] = None,
    encoding: Annotated[str | None, _option("Of CSV, such as latin-1.")] = None,
) -> TableOptions:
    """The options as one value."""
    return TableOptions(
        mapping=mapping,
        source=source_column,
        target=target_column,
        time=time,
        time_unit=time_unit,
        label=label,
        features=_names(features),
        categories=_names(categories),
        as_node=as_node,
        id=id_column,
        id_prefix=id_prefix,
        weight=weight,
        delimiter=delimiter,
        encoding=encoding,
    )


def takes_table_options(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options of :func:`table_options`; it receives them as ``tables``."""
    own = inspect.signature(command).parameters
    shared = inspect.signature(table_options).parameters

    @functools.wraps(command)
    def wrapped(**given: Any) -> None:
        tables = table_options(**{name: given.pop(name) for name in shared})
        command(**given, tables=tables)

    hints = get_type_hints(table_options, include_extras=True) | get_type_hints(command, include_extras=True)
    parameters = [parameter for name, parameter in {**own, **shared}.items() if name != "tables"]
    kept = [p.replace(annotation=hints[p.name], kind=inspect.Parameter.KEYWORD_ONLY) for p in parameters]
    vars(wrapped)["__signature__"] = inspect.Signature(kept)
    wrapped.__annotations__ = {p.name: hints[p.name] for p in kept}
    return wrapped


def _names(text: str | None) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(",") if name.strip()) if text else ()
