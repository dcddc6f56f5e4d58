"""Putting the OpenAPI document together: what the framework makes of the routes, completed and in one form."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI

from service.api.access import scope_needed
from service.api.document.headers import REQUEST_ID, headers_of_any
from service.api.document.operations import OPERATIONS, Operation
from service.api.document.problems import ANYWHERE, BODY, KEY_NEEDED, problem_docs
from service.api.document.schemas import components, parameter

CONTACT = {"name": "The operators of this service"}
LICENSE = {"name": "Apache License 2.0", "identifier": "Apache-2.0"}
SERVERS = [{"url": "/", "description": "The service that this document comes from."}]

_SCHEME = "apiKey"
_SECURITY = {
    _SCHEME: {
        "type": "http",
        "scheme": "bearer",
        "description": "A key made by `olad keys create`. Each operation names the scope that it needs; admin includes "
        "read and write.",
    }
}


def install(app: FastAPI, *, keys_needed: bool) -> None:
    """Complete the document of an application."""
    generate = app.openapi

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = _completed(generate(), keys_needed=keys_needed)
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]


def _completed(document: dict[str, Any], *, keys_needed: bool) -> dict[str, Any]:
    document["servers"] = SERVERS
    found = document.get("components", {}).get("schemas", {})
    document["components"] = {"schemas": components(found), "securitySchemes": _SECURITY}
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            # The framework leaves every null out of what it is given, so examples are added afterwards.
            _complete(operation, OPERATIONS[operation["operationId"]])
            _secure(operation, scope_needed(method.upper(), path), keys_needed=keys_needed)
            _add_headers(operation, rate_limited=not path.startswith("/health/"))
    return document


def _complete(operation: dict[str, Any], documented: Operation) -> None:
    """Add body, example and problems."""
    ((status, good),) = ((status, good) for status, good in operation["responses"].items() if status.startswith("2"))
    for content in good["content"].values():
        if content["schema"].get("format") != "binary":
            content["example"] = documented.answer
        if content["schema"].get("$ref") is None:
            content["schema"] = parameter(content["schema"])
    if documented.headers:
        good["headers"] = {**documented.headers}
    if documented.body is not None:
        operation["requestBody"] = {**documented.body}
    scope_and_body = BODY if documented.body is not None else ()
    operation["responses"] = {status: good, **problem_docs(*ANYWHERE, *documented.problems, *scope_and_body)}
    for known in operation.get("parameters", ()):
        known["schema"] = parameter(known["schema"])
    operation.setdefault("parameters", []).append({**REQUEST_ID})


def _secure(operation: dict[str, Any], scope: str | None, *, keys_needed: bool) -> None:
    """Add which key an operation needs, and what is answered without."""
    if scope is None:
        operation["security"] = []
        return
    operation["security"] = [{_SCHEME: []}] if keys_needed else [{_SCHEME: []}, {}]
    operation["description"] += f"\n\nWhere keys are needed: one with the scope `{scope}`."
    operation["x-scope"] = scope
    responses = operation["responses"]
    for status, answer in problem_docs(*ANYWHERE, *KEY_NEEDED).items():
        if status in {"401", "403"}:
            responses[status] = answer


def _add_headers(operation: dict[str, Any], *, rate_limited: bool) -> None:
    for answer in operation["responses"].values():
        answer["headers"] = {**headers_of_any(rate_limited=rate_limited), **answer.get("headers", {})}
    operation["responses"] = dict(sorted(operation["responses"].items()))
