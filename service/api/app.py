"""The application: routes, errors, metrics and the dashboard put together."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from importlib.metadata import version
from pathlib import Path

from fastapi import FastAPI
from starlette.middleware.cors import CORSMiddleware

from service.api import errors, pages
from service.api.admission import AdmissionMiddleware
from service.api.background import keep_running
from service.api.context import Context, make_context
from service.api.document import assemble as document
from service.api.fast_path import Shortcut
from service.api.head import HeadAsGet
from service.api.metrics import MetricsMiddleware
from service.api.origins import OriginGuard
from service.api.protocol import END_STREAMS
from service.api.rate_limit import RateLimiter
from service.api.request_log import RequestLog
from service.api.routes import (
    embeddings,
    events,
    explain,
    explain_edge,
    health,
    key,
    links,
    lists,
    metrics,
    neighbours,
    open_inference,
    predict,
    predict_edge,
    predict_edges,
    schema,
    status,
    stream,
    students,
    timeline,
    top_edges,
    variants,
    versions,
    what_if,
)
from service.api_keys import key_ring
from service.settings import Settings

_DESCRIPTION = """
Send changes of a graph, read predictions about its nodes; the models never stop learning.

Every batch of events gets a *position* in one ordered log. Every prediction names the position and the
model version it was made with. Errors are problem documents (RFC 9457).
"""
_TAGS = [
    {"name": "events", "description": "Changes of the graph."},
    {"name": "predictions", "description": "Predictions of the served student about nodes."},
    {"name": "changes", "description": "What changes for readers, as it happens."},
    {"name": "schema", "description": "Feature width, classes and direction of the graph."},
    {"name": "versions", "description": "The last versions, and which one is served."},
    {"name": "variants", "description": "Workers beside each other, and which of them is the champion."},
    {"name": "status", "description": "The worker, the graph, the students."},
    {"name": "health", "description": "For orchestrators and monitoring."},
]


_REFRESH_S = 1.0
"""How often the gauges of one process are written for the others of the same ``olad api``."""


def create_app(settings: Settings, shared_metrics: Path | None = None) -> FastAPI:
    """The ASGI application of one graph; nothing is connected before it runs.

    Args:
        settings: of the service.
        shared_metrics: folder of the metrics of all processes under one supervisor; None for a process alone.

    Raises:
        KeysUnusable: the API keys cannot be used, or the API can be reached from other machines without any.
    """
    keys = key_ring(settings)
    context = make_context(settings, shared_metrics)

    async def refresh_metrics() -> None:
        while True:
            context.metrics.refresh()
            await asyncio.sleep(_REFRESH_S)

    @contextlib.asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[dict[str, Callable[[], None]]]:
        tasks = [asyncio.create_task(keep_running(context.variants.run))]
        if shared_metrics is not None:
            tasks.append(asyncio.create_task(keep_running(refresh_metrics)))
        try:
            # For the server's protocol, which calls it when the process is to stop.
            yield {END_STREAMS: context.variants.end_streams}
        finally:
            for task in tasks:
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await task
            await context.close()

    app = FastAPI(
        title="olad",
        summary="A graph service that never stops learning",
        description=_DESCRIPTION.strip(),
        version=version("olad"),
        openapi_tags=_TAGS,
        contact=document.CONTACT,
        license_info=document.LICENSE,
        lifespan=lifespan,
        redirect_slashes=False,
        docs_url=None,
        redoc_url=None,
    )
    app.state.context = context
    for resource in (
        events,
        predict_edge,
        predict_edges,
        links,
        predict,
        embeddings,
        what_if,
        explain_edge,
        explain,
        neighbours,
        lists,
        stream,
        schema,
        students,
        versions,
        variants,
        status,
        timeline,
        top_edges,
        key,
        health,
        metrics,
        open_inference,
    ):
        app.include_router(resource.router)
    pages.install(app)
    errors.install(app)
    document.install(app, keys_needed=keys is not None)
    app.add_middleware(Shortcut, context=context, route=predict.ONE_NODE)
    app.add_middleware(MetricsMiddleware, metrics=context.metrics)
    app.add_middleware(HeadAsGet)
    app.add_middleware(
        AdmissionMiddleware,
        guard=OriginGuard.of(settings, keys_needed=keys is not None),
        keys=keys,
        limiter=_limiter(settings, context),
        log=RequestLog(
            settings.request_log, audit=keys is not None if settings.audit_log is None else settings.audit_log
        ),
    )
    if settings.cors_origins:
        # Outermost: a page must be able to read why it was refused, and a preflight has no key.
        app.add_middleware(
            CORSMiddleware,
            allow_origins=settings.cors_origins,
            allow_methods=("GET", "HEAD", "POST", "PUT", "DELETE"),
            allow_headers=("Authorization", "Content-Type", "Idempotency-Key", "Last-Event-ID", "X-Request-ID"),
            expose_headers=(
                "X-Request-ID",
                "Retry-After",
                "RateLimit-Limit",
                "RateLimit-Remaining",
                "RateLimit-Reset",
                "Location",
            ),
        )
    return app


def _limiter(settings: Settings, context: Context) -> RateLimiter | None:
    if settings.rate_limit is None:
        return None
    return RateLimiter(settings.rate_limit, context.rate_counts() if settings.rate_limit_shared else None)
