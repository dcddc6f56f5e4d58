"""What the values of nodes and edges are, in files that hold a graph."""

from __future__ import annotations

from typing import Any

from pydantic import ValidationError

from service.replay.mapping_file import read_mapping
from service.replay.table_options import TableOptions, WrongMapping, feature_columns
from service.replay.tables.mapping import (
    EndColumn,
    IdColumn,
    LabelColumn,
    NodeRows,
    RowMapping,
    TimeColumn,
)


def graph_mapping(options: TableOptions, default: RowMapping) -> RowMapping:
    """The mapping that is stated, with that of the file where nothing is.

    ``time`` names a value of nodes, of edges, or of both; an id's prefix stands before those of ends too.

    Raises:
        WrongMapping: something is stated that a file with a graph has itself.
    """
    if not options.names_columns:
        return default
    assert default.node is not None, "a graph has nodes"
    assert default.node.id is not None, "which have ids"
    if options.mapping is not None:
        stated = read_mapping(options.mapping, options)
        if stated.edge is not None:
            raise WrongMapping("ids, features and classes of edges are read from tables alone: leave out `edge`")
        if stated.node is not None and stated.node.value is not None:
            raise WrongMapping("values of nodes are read from tables alone: leave out `value`")
        if any(end is not None and (end.type or end.edge_type) for end in (stated.source, stated.target)):
            raise WrongMapping("a graph has its nodes by themselves: state `type` of `node`, and `edge_type` of edges")
        node = stated.node or NodeRows()
        return stated.model_copy(
            update={
                "node": node.model_copy(update={"id": node.id or default.node.id}),
                "source": stated.source or default.source,
                "target": stated.target or default.target,
            }
        )
    if options.as_node:
        raise WrongMapping("a graph has nodes of its own: leave out --as-node")
    try:
        return RowMapping(
            node=NodeRows(
                id=IdColumn.model_validate(_ids(options.id, default.node.id, options)),
                features=feature_columns(options) or default.node.features,
                label=default.node.label if options.label is None else LabelColumn(column=options.label),
            ),
            source=EndColumn.model_validate(_ids(options.source, default.source, options)),
            target=EndColumn.model_validate(_ids(options.target, default.target, options)),
            weight=options.weight or default.weight,
            time=default.time if options.time is None else _time(options),
        )
    except ValidationError as error:
        raise WrongMapping("; ".join(problem["msg"] for problem in error.errors())) from None


def _time(options: TableOptions) -> TimeColumn:
    return TimeColumn.model_validate({"column": options.time, "unit": options.time_unit or "auto"})


def _ids(stated: str | None, default: IdColumn | None, options: TableOptions) -> dict[str, Any]:
    assert default is not None, "a graph has ids and ends"
    return {"column": stated or default.column, "prefix": options.id_prefix or "", "exact": default.exact}
