"""The OpenAPI document: FastAPI's, with the models that the fast routes handle themselves."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI
from pydantic import BaseModel

from olad_core.events import ClockSetting, json_schema
from service.api.access import scope_needed
from service.api.errors import Example, ProblemDocument, problem_docs
from service.api.models import NodesAsked, SchemaChange
from service.problems import (
    BAD_REQUEST,
    FORBIDDEN,
    HEAD_TOO_LARGE,
    HOST_NOT_ALLOWED,
    ORIGIN_NOT_ALLOWED,
    RATE_LIMITED,
    TOO_MANY_CONNECTIONS,
    TOO_MANY_WAITING,
    TOO_SLOW,
    UNAUTHENTICATED,
)

_MODELS: tuple[type[BaseModel], ...] = (ProblemDocument, NodesAsked, SchemaChange, ClockSetting)


_SCHEME = "apiKey"
_KEY_PROBLEMS: tuple[Example, ...] = (
    (UNAUTHENTICATED, "this API needs a key; send one as `Authorization: Bearer KEY`", {}),
    (FORBIDDEN, "this needs a key with the scope write; dashboard has read", {}),
)
_ANY_PROBLEMS: tuple[Example, ...] = (
    (BAD_REQUEST, "Invalid HTTP request received.", {}),
    (HOST_NOT_ALLOWED, "this API does not answer to the host graph.example.org", {}),
    (ORIGIN_NOT_ALLOWED, "pages of https://example.org may not use this API", {}),
    (RATE_LIMITED, "key limited to 100 requests in 60 s; go on in 7 s", {}),
    (HEAD_TOO_LARGE, "it has more than 65,536 bytes", {}),
    (TOO_MANY_CONNECTIONS, "15000 are open; try again soon", {}),
)
_BODY_PROBLEM: Example = (TOO_SLOW, "the body was not complete after 30 s: send smaller batches, or faster", {})
_WAIT_PROBLEM: Example = (
    TOO_MANY_WAITING,
    "1000 requests wait for a position already; ask again, or without min_position",
    {},
)


def install(app: FastAPI, *, keys_needed: bool) -> None:
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
            document["components"]["securitySchemes"] = {
                _SCHEME: {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "A key made by `olad keys create`, with the scope named beside each operation; "
                    "admin includes read and write.",
                }
            }
            for path, operations in document["paths"].items():
                for method, operation in operations.items():
                    _secure(operation, method.upper(), path, keys_needed=keys_needed)
            app.openapi_schema = document
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]


def _secure(operation: dict[str, Any], method: str, path: str, *, keys_needed: bool) -> None:
    """Add to an operation what the door in front of all of them asks for and may answer."""
    problems = list(_ANY_PROBLEMS)
    scope = scope_needed(method, path)
    if scope is not None:
        problems += _KEY_PROBLEMS
        needs = [{_SCHEME: [scope]}]
        operation["security"] = needs if keys_needed else [*needs, {}]
    if "requestBody" in operation:
        problems.append(_BODY_PROBLEM)
    if any(parameter["name"] == "min_position" for parameter in operation.get("parameters", ())):
        problems.append(_WAIT_PROBLEM)
    answers = operation["responses"]
    for status, answer in problem_docs(*problems).items():
        known = answers.setdefault(str(status), answer)
        if known is not answer:
            ((_, content),) = known["content"].items()
            ((_, more),) = answer["content"].items()
            content["examples"] = {**more["examples"], **content["examples"]}
            known["description"] = " or ".join(example["summary"] for example in content["examples"].values())
