"""The graph's schema as Redis holds it, and the rules by which it may change."""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import Field

from olad_core.events import Event, GraphSchema, UpsertNode, feature_width_of


class HeldSchema(GraphSchema):
    """A schema together with whether its feature width is still open to change."""

    feature_width_held: bool = Field(
        default=False, description="Whether features of this width have arrived: from then on it cannot change."
    )

    def declared(self) -> GraphSchema:
        """The schema alone, as the log carries it."""
        return GraphSchema(**self.model_dump(exclude={"feature_width_held"}))


class SchemaConflict(ValueError):
    """A change that contradicts what the graph already holds."""


def parse_schema(stored: bytes) -> HeldSchema:
    """The schema out of its key's value; the default one where the key is empty.

    >>> parse_schema(b"").directed
    False
    """
    return HeldSchema.model_validate_json(stored) if stored else HeldSchema()


def dump_schema(schema: HeldSchema) -> bytes:
    """The inverse of :func:`parse_schema`."""
    return schema.model_dump_json().encode()


def held_by(schema: HeldSchema, batch: Sequence[Event]) -> HeldSchema:
    """The schema after a checked batch: the first features fix the width."""
    if schema.feature_width_held or not any(isinstance(event, UpsertNode) and event.x is not None for event in batch):
        return schema
    width = schema.feature_width if schema.feature_width is not None else feature_width_of(batch)
    return schema.model_copy(update={"feature_width": width, "feature_width_held": True})


def changed(schema: HeldSchema, change: GraphSchema) -> HeldSchema:
    """The schema after a declaration: fields left out stay, classes are added to and never removed.

    Whether ``directed`` may change depends on the log, so the caller checks that.

    >>> changed(HeldSchema(classes=("a",)), GraphSchema(classes=("b", "a"))).classes
    ('a', 'b')

    Raises:
        SchemaConflict: where another feature width is held.
    """
    wanted = {name: getattr(change, name) for name in change.model_fields_set if name in GraphSchema.model_fields}
    if "classes" in wanted:
        wanted["classes"] = tuple(dict.fromkeys(schema.classes + change.classes))
    if schema.feature_width_held:
        width = wanted.pop("feature_width", None)
        if width is not None and width != schema.feature_width:
            raise SchemaConflict(f"feature_width is {width}, but features of width {schema.feature_width} have arrived")
    return schema.model_copy(update=wanted)
