"""The graph's schema as Redis holds it."""

from __future__ import annotations

from olad_core.schema import HeldSchema, schema_json


def parse_schema(stored: bytes) -> HeldSchema:
    """The schema out of its key's value; the default one where the key is empty.

    >>> parse_schema(b"").directed
    False
    """
    return HeldSchema.model_validate_json(stored) if stored else HeldSchema()


def dump_schema(schema: HeldSchema) -> bytes:
    """The inverse of :func:`parse_schema`."""
    return schema_json(schema).encode()
