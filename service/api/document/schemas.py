"""The schemas of the document, of both libraries that make them, in one form that generators of clients read alike."""

from __future__ import annotations

import inspect
from typing import Any

from pydantic import BaseModel

from olad_core.events import ClockSetting, json_schema
from service.api.document.problems import ProblemDocument
from service.models import EdgesAsked, EmbeddingsWanted, NodesAsked, PinAsked, SchemaChange

Schema = dict[str, Any]

_MODELS: tuple[type[BaseModel], ...] = (
    ProblemDocument,
    NodesAsked,
    EdgesAsked,
    EmbeddingsWanted,
    SchemaChange,
    ClockSetting,
    PinAsked,
)
_FORMATS = {"integer": "int64", "number": "double"}
_FRAMEWORK_S_OWN = ("HTTPValidationError", "ValidationError")


def components(of_routes: dict[str, Schema]) -> dict[str, Schema]:
    """Every schema by its name.

    Args:
        of_routes: those that the framework has made of the answers of routes.
    """
    schemas = {name: schema for name, schema in of_routes.items() if name not in _FRAMEWORK_S_OWN}
    event, of_events = json_schema()
    schemas["Event"] = {
        "description": "A change of the graph; `op` names its kind.",
        "oneOf": event["anyOf"],
        "discriminator": event["discriminator"],
    }
    schemas.update(of_events)
    for model in _MODELS:
        schema = model.model_json_schema(ref_template="#/components/schemas/{model}")
        schemas.update(schema.pop("$defs", {}))
        schemas[model.__name__] = schema
    return {name: plain(schema) for name, schema in sorted(schemas.items())}


def plain(schema: Schema) -> Schema:
    """A schema without what only its library needs, and with what generators need.

    - Titles go: generators name types by them, and the libraries make one of every field's name.
    - Defaults go: generators take a field with a default for one that is always there. For requests "left out" often
      means "stays as it is", which is no value.
    - Numbers get their format: without one some generators make 32 bits of them.
    """
    kept = {name: value for name, value in schema.items() if name not in {"title", "default"}}
    if "description" in kept:
        kept["description"] = inspect.cleandoc(kept["description"])
    if set(kept) == {"enum"} and len(kept["enum"]) == 1:
        kept = {"type": "string", "const": kept["enum"][0]}
    if kept.get("type") in _FORMATS:
        kept["format"] = _FORMATS[kept["type"]]
    for name in ("anyOf", "oneOf"):
        if name in kept:
            kept[name] = _alternatives(kept[name])
    for name in ("items", "additionalProperties"):
        if isinstance(kept.get(name), dict):
            kept[name] = plain(kept[name])
    if "properties" in kept:
        kept["properties"] = {name: plain(value) for name, value in kept["properties"].items()}
    return kept


def _alternatives(schemas: list[Schema]) -> list[Schema]:
    found = [plain(schema) for schema in schemas]
    if any(schema.get("type") == "string" for schema in found):
        # An id or a class that is an integer may have as many digits as a text.
        for schema in found:
            schema.pop("format", None)
    return found


def parameter(schema: Schema) -> Schema:
    """A parameter's schema: it is left out or has a value, and is never null."""
    own = {name: value for name, value in schema.items() if name not in {"title", "anyOf"}}
    chosen = [one for one in schema.get("anyOf", ()) if one != {"type": "null"}]
    if len(chosen) > 1:
        own["anyOf"] = [plain(one) for one in chosen]
    kept = {**chosen[0], **own} if len(chosen) == 1 else {**schema, **own}
    default = {"default": kept["default"]} if kept.get("default") is not None else {}
    return {**plain(kept), **default}
