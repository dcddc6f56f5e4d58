"""What the columns of a table are: the model of ``--source``, ``--target`` ... and of a mapping file."""

from __future__ import annotations

import codecs
from collections.abc import Iterator
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, field_validator, model_validator

from service.replay.label_delay import LabelDelay

TimeUnit = Literal["auto", "iso", "s", "ms", "us", "ns", "d", "own"]
"""``iso``: dates as text. ``s`` to ``ns``, ``d``: since 1970. ``own``: numbers that are no dates, left as they are."""


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


def _column(value: Any) -> Any:
    """A column may be written as its name alone."""
    return {"column": value} if isinstance(value, str) else value


class IdColumn(_Part):
    """A column of node ids."""

    column: str = Field(description="Name of the column.")
    prefix: str = Field(default="", description="Text before every id, so that ids of two kinds stay apart.")
    exact: bool = Field(default=False, description="Whether spaces around an id are a part of it.")


class TypeColumn(_Part):
    """Types of nodes or edges: a column of their names, or one name for all rows."""

    column: str | None = Field(default=None, description="Name of the column.")
    name: str | None = Field(default=None, min_length=1, description="The type of all rows, instead of a column.")
    exact: bool = Field(default=False, description="Whether spaces around a name are a part of it.")
    optional: bool = Field(default=False, description="Whether a node may have no type; its edges create it then.")

    @model_validator(mode="after")
    def _one_of_both(self) -> Self:
        if (self.column is None) == (self.name is None):
            raise ValueError("a type is a `column`, or one `name`")
        return self


TypeOf = Annotated[TypeColumn, BeforeValidator(_column)]


class EndColumn(IdColumn):
    """A column of the nodes at one end of edges."""

    type: TypeOf | None = Field(default=None, description="Type of these nodes, which are then created with it.")
    edge_type: TypeOf | None = Field(
        default=None,
        description="Type of the edge between this end and a row that is a node. Left out: `edge_type`.",
    )


class TimeColumn(_Part):
    """A column of times."""

    column: str = Field(description="Name of the column.")
    unit: TimeUnit = Field(
        default="auto",
        description="`iso` for dates as text, `s`, `ms`, `us`, `ns` or `d` since 1970, `own` for other numbers.",
    )


class FeatureColumn(_Part):
    """A column that is a feature, or several."""

    column: str = Field(description="Name of the column.")
    kind: Literal["auto", "number", "category"] = Field(
        default="auto", description="A number is one feature; a category is one feature for each of its values."
    )
    categories: tuple[str, ...] = Field(
        default=(), description="Values of a category. Left out: those of the file. A value that is not here is zeros."
    )
    missing: bool | None = Field(
        default=None,
        description="A further feature, 1 where the value is missing. Left out: where any is missing.",
    )

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.categories and self.kind == "number":
            raise ValueError("a number has no categories")
        return self


class LabelColumn(_Part):
    """A column of classes."""

    column: str = Field(description="Name of the column. A missing value is a class that is not known.")
    delay: LabelDelay | None = Field(
        default=None, description="From a row to its label: a number of arrivals, or a time such as `14d`."
    )
    exact: bool = Field(default=False, description="Whether `NA`, `none` and the like are classes too.")


class ValueColumn(_Part):
    """A column of values to predict."""

    column: str = Field(description="Name of the column of numbers. A missing one is a value that is not known.")
    delay: LabelDelay | None = Field(
        default=None, description="From a row to its value: a number of arrivals, or a time such as `14d`."
    )
    coverage: float = Field(
        default=0.9, ge=0.5, le=0.99, description="Share of the values that shall lie in the predicted interval."
    )


IdOf = Annotated[IdColumn, BeforeValidator(_column)]
EndOf = Annotated[EndColumn, BeforeValidator(_column)]
TimeOf = Annotated[TimeColumn, BeforeValidator(_column)]
FeatureOf = Annotated[FeatureColumn, BeforeValidator(_column)]
LabelOf = Annotated[LabelColumn, BeforeValidator(_column)]
ValueOf = Annotated[ValueColumn, BeforeValidator(_column)]


class NodeRows(_Part):
    """Rows that are nodes, such as payments."""

    id: IdOf | None = Field(default=None, description="Column of ids. Left out: `row-1`, `row-2` ...")
    type: TypeOf | None = Field(default=None, description="Type of the nodes.")
    features: tuple[FeatureOf, ...] = Field(default=(), description="Columns of features, in this order.")
    label: LabelOf | None = Field(default=None, description="Column of classes.")
    value: ValueOf | None = Field(default=None, description="Column of the values of nodes, instead of classes.")
    task: str | None = Field(
        default=None, min_length=1, description="Name of the task of the values. Left out: that of the column."
    )

    @model_validator(mode="after")
    def _has_values_for_its_task(self) -> Self:
        if self.label is not None and self.value is not None:
            raise ValueError("rows have classes or values: leave out `label`, or `value`")
        if self.value is None and self.task is not None:
            raise ValueError("a task of nodes needs `value`, the column of its numbers")
        if self.value is not None and self.type is not None and self.type.column is not None:
            raise ValueError("a task is of one type of nodes: state one `name` in `type`, or leave out the task")
        return self


class EdgeRows(_Part):
    """What rows that are edges have beside their ends, such as payments between accounts."""

    id: IdOf | None = Field(default=None, description="Column of ids, so that each row is an edge of its own.")
    features: tuple[FeatureOf, ...] = Field(default=(), description="Columns of features, in this order.")
    label: LabelOf | None = Field(default=None, description="Column of the classes of edges.")
    value: ValueOf | None = Field(default=None, description="Column of the values of edges, instead of classes.")
    task: str | None = Field(
        default=None, min_length=1, description="Name of the task of these. Left out: that of the column."
    )
    directed: bool | None = Field(default=None, description="Whether messages pass from source to target alone.")

    @model_validator(mode="after")
    def _has_classes_for_its_task(self) -> Self:
        if self.label is not None and self.value is not None:
            raise ValueError("edges have one task: leave out `label`, or `value`")
        if self.task is not None and self.truth is None:
            raise ValueError("a task needs `label`, the column of its classes, or `value`, that of its numbers")
        return self

    @property
    def truth(self) -> LabelColumn | ValueColumn | None:
        """Column of what is predicted."""
        return self.label or self.value

    @property
    def task_name(self) -> str | None:
        """The task that predicts the classes or values; None where there are none."""
        return None if self.truth is None else self.task or self.truth.column


class RowMapping(_Part):
    """How a row becomes events.

    With ``node`` a row is a node, joined to ``source`` and ``target`` where they are given. Without, it is an edge.
    """

    time: TimeOf | None = Field(default=None, description="Column of times.")
    source: EndOf | None = Field(default=None, description="Column of the nodes that edges begin at.")
    target: EndOf | None = Field(default=None, description="Column of the nodes that edges end at.")
    edge_type: TypeOf | None = Field(default=None, description="Type of the edges.")
    weight: str | None = Field(default=None, description="Column of the weights of edges.")
    node: NodeRows | None = Field(default=None, description="The row as a node. Left out: the row is an edge.")
    edge: EdgeRows | None = Field(default=None, description="Id, features and class of a row that is an edge.")
    changes: Literal["debezium"] | None = Field(
        default=None, description="The objects of JSON are change events, each with the row before and after."
    )

    @model_validator(mode="after")
    def _is_an_edge_or_a_node(self) -> Self:
        if self.node is not None and self.edge is not None:
            raise ValueError("a row is a node, with `node`, or an edge, with `edge`: leave out one of both")
        if self.node is None and (self.source is None or self.target is None):
            raise ValueError("a row is an edge, with `source` and `target`, or a node, with `node`")
        if self.changes is not None and self.node is not None and self.node.id is None:
            raise ValueError("changes of rows that are nodes need `node: {id: ...}`, by which a row is found again")
        return self

    @model_validator(mode="after")
    def _types_fit(self) -> Self:
        ends = [end for end in (self.source, self.target) if end is not None]
        if self.node is None and any(end.edge_type is not None for end in ends):
            raise ValueError("a row that is an edge has one type: state `edge_type` beside `source` and `target`")
        if self.node is not None and self.node.type is None and any(end.type is not None for end in ends):
            raise ValueError("where ends have a type, rows have one too: state `type` of `node`")
        in_column = self.edge_type is not None and self.edge_type.column is not None
        if in_column and self.edge is not None and self.edge.truth is not None:
            raise ValueError("a task is of one type of edges: state one `name` in `edge_type`, or leave out the task")
        return self

    @property
    def features(self) -> tuple[FeatureColumn, ...]:
        """Columns of the features of rows, be they nodes or edges."""
        rows = self.node or self.edge
        return () if rows is None else rows.features

    @property
    def label(self) -> LabelColumn | None:
        """Column of the classes of rows, be they nodes or edges."""
        rows = self.node or self.edge
        return None if rows is None else rows.label

    @property
    def truth(self) -> LabelColumn | ValueColumn | None:
        """Column of what is predicted of rows."""
        if self.edge is not None:
            return self.edge.truth
        return self.label if self.node is None or self.node.value is None else self.node.value

    @property
    def value(self) -> ValueColumn | None:
        """Column of the values of rows, be they nodes or edges."""
        rows = self.node or self.edge
        return None if rows is None else rows.value

    @property
    def edge_id(self) -> IdColumn | None:
        """Column of the ids of rows that are edges."""
        return None if self.edge is None else self.edge.id

    @property
    def ends(self) -> tuple[str, ...]:
        """Columns of the nodes that a row joins."""
        return tuple(end.column for end in (self.source, self.target) if end is not None)

    def columns(self) -> Iterator[str]:
        """Every column that is read; a column with two uses comes twice."""
        row_id = self.edge_id if self.node is None else self.node.id
        for part in (self.time, self.source, self.target, row_id, *self.features, self.truth, *self.types()):
            if part is not None and part.column is not None:
                yield part.column
        if self.weight is not None:
            yield self.weight

    def types(self) -> Iterator[TypeColumn]:
        """Everything that states a type."""
        ends = [end for end in (self.source, self.target) if end is not None]
        of_ends = [part for end in ends for part in (end.type, end.edge_type)]
        for part in (self.edge_type, *of_ends, self.node.type if self.node is not None else None):
            if part is not None:
                yield part


class CsvFormat(_Part):
    """How a CSV file is written, where that is not found out."""

    delimiter: str | None = Field(
        default=None,
        min_length=1,
        max_length=1,
        description="Left out: comma, semicolon, tab or bar, by the header.",
    )
    encoding: str | None = Field(default=None, description="Left out: UTF-8, or UTF-16 with its mark.")

    @field_validator("encoding")
    @classmethod
    def _known(cls, encoding: str | None) -> str | None:
        try:
            return None if encoding is None else codecs.lookup(encoding).name
        except LookupError:
            raise ValueError(f"{encoding!r} is no encoding: write utf-8, latin-1, cp1252 or utf-16") from None
