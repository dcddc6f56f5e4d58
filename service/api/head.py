"""HEAD: what GET would answer, without the body."""

from __future__ import annotations

from starlette.types import ASGIApp, Receive, Scope, Send


class HeadAsGet:
    """Has every route that answers GET answer HEAD; the server leaves the body out."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass one request on."""
        if scope["type"] == "http" and scope["method"] == "HEAD":
            # Routes that would send without end look at "head".
            # A copy: the server reads the method of its own scope to know that no body may be sent.
            scope = {**scope, "method": "GET", "head": True}
        await self._app(scope, receive, send)
