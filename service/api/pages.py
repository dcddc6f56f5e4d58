"""The pages of the API process, the dashboard and the API's documentation, and the security headers of answers."""

from __future__ import annotations

import base64
import hashlib
from importlib.resources import files
from pathlib import Path

from fastapi import FastAPI
from fastapi.openapi.docs import get_swagger_ui_html
from fastapi.responses import FileResponse, HTMLResponse
from fastapi.staticfiles import StaticFiles

_WEB = Path(__file__).parent.parent / "web"
# Swagger UI out of a package: a script of another host would run beside the dashboard and could read its key.
_SWAGGER = Path(str(files("fastapi_offline"))) / "static"

Headers = tuple[tuple[bytes, bytes], ...]


def _docs_page() -> HTMLResponse:
    return get_swagger_ui_html(
        openapi_url="openapi.json",
        title="olad API",
        swagger_js_url="docs/swagger-ui-bundle.js",
        swagger_css_url="docs/swagger-ui.css",
        swagger_favicon_url="assets/icon.svg",
    )


def _script_hash(page: str) -> str:
    """What a policy names the page's own script by, so that no other inline script runs."""
    script = page.rpartition("<script>")[2].partition("</script>")[0]
    return "sha256-" + base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()


def _fence(policy: str, cache: str) -> Headers:
    own = f"{policy}; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    return (
        (b"content-security-policy", own.encode()),
        (b"x-content-type-options", b"nosniff"),
        (b"x-frame-options", b"DENY"),
        (b"referrer-policy", b"no-referrer"),
        (b"cross-origin-resource-policy", b"same-origin"),
        (b"cache-control", cache.encode()),
    )


_ANSWER = _fence("default-src 'none'", "no-store")
_DASHBOARD = _fence(
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'", "no-cache"
)
_DOCS = _fence(
    f"default-src 'none'; script-src 'self' '{_script_hash(bytes(_docs_page().body).decode())}'; "
    "style-src 'self' 'unsafe-inline'; img-src 'self' data:; connect-src 'self'",
    "no-cache",
)


def security_headers(path: str) -> Headers:
    """The headers every answer under a path gets."""
    if path == "/" or path.startswith("/assets/"):
        return _DASHBOARD
    return _DOCS if path == "/docs" or path.startswith("/docs/") else _ANSWER


def install(app: FastAPI) -> None:
    """Serve the dashboard and the API's documentation."""

    @app.get("/", include_in_schema=False)
    async def dashboard() -> FileResponse:
        return FileResponse(_WEB / "index.html")

    @app.get("/docs", include_in_schema=False)
    async def docs() -> HTMLResponse:
        return _docs_page()

    app.mount("/docs", StaticFiles(directory=_SWAGGER), name="docs")
    app.mount("/assets", StaticFiles(directory=_WEB / "assets"), name="assets")
