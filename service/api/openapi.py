"""The OpenAPI document: FastAPI's, with the models that the fast routes handle themselves."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI
from pydantic import BaseModel

from olad_core.events import json_schema
from service.api.errors import ProblemDocument
from service.api.models import NodesAsked, SchemaChange

_MODELS: tuple[type[BaseModel], ...] = (ProblemDocument, NodesAsked, SchemaChange)


def install(app: FastAPI) -> None:
    """Complete the document of an application."""
    generate = app.openapi

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            document = generate()
            schemas: dict[str, Any] = document.setdefault("components", {}).setdefault("schemas", {})
            schemas.update(json_schema()[1])
            for model in _MODELS:
                schema = model.model_json_schema(ref_template="#/components/schemas/{model}")
                schemas.update(schema.pop("$defs", {}))
                schemas[model.__name__] = schema
            app.openapi_schema = document
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]
