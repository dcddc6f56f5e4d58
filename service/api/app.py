"""The application: routes, errors, metrics and the dashboard put together."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from importlib.metadata import version
from pathlib import Path

from fastapi import FastAPI
from fastapi.responses import FileResponse
from fastapi.staticfiles import StaticFiles

from service.api import errors, openapi
from service.api.context import make_context
from service.api.metrics import MetricsMiddleware
from service.api.routes import events, health, metrics, predict, schema, status, students
from service.settings import Settings

_WEB = Path(__file__).parent.parent / "web"
_DESCRIPTION = """
Send changes of a graph, read predictions about its nodes; the models never stop learning.

Every batch of events gets a *position* in one ordered log. Every prediction says at which position and with which
model version it was made. Errors are problem documents (RFC 9457).
"""
_TAGS = [
    {"name": "events", "description": "Changes of the graph."},
    {"name": "predictions", "description": "What the served student says about nodes."},
    {"name": "schema", "description": "What events may look like."},
    {"name": "status", "description": "The worker, the graph, the students."},
    {"name": "health", "description": "For orchestrators and monitoring."},
]


def create_app(settings: Settings) -> FastAPI:
    """The ASGI application of one graph; nothing is connected before it runs."""
    context = make_context(settings)

    @contextlib.asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        follower = asyncio.create_task(context.watermark.run())
        try:
            yield
        finally:
            follower.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await follower
            await context.redis.aclose()

    app = FastAPI(
        title="olad",
        summary="A graph service that never stops learning",
        description=_DESCRIPTION,
        version=version("olad"),
        openapi_tags=_TAGS,
        lifespan=lifespan,
        redirect_slashes=False,
    )
    app.state.context = context
    for resource in (events, predict, schema, students, status, health, metrics):
        app.include_router(resource.router)
    if (_WEB / "index.html").is_file():
        _mount_dashboard(app)
    errors.install(app)
    openapi.install(app)
    app.add_middleware(MetricsMiddleware, metrics=context.metrics)
    return app


def _mount_dashboard(app: FastAPI) -> None:
    @app.get("/", include_in_schema=False)
    async def dashboard() -> FileResponse:
        return FileResponse(_WEB / "index.html")

    app.mount("/assets", StaticFiles(directory=_WEB / "assets"), name="assets")
