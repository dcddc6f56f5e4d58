"""The API under a real uvicorn server in a thread, and a client of it."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Iterator
from typing import Any

import httpx

from service.api.server import make_server
from service.settings import Settings


@contextlib.contextmanager
def serving(redis_url: str, graph: str, **given: Any) -> Iterator[httpx.Client]:
    """A client of an API process's worth of server, with further settings. Without a port it takes a free one."""
    server = make_server(Settings(redis_url=redis_url, graph=graph, **given))
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", given.get("port", 0)))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        while not server.started:
            assert thread.is_alive()
            time.sleep(0.005)
        port = listener.getsockname()[1]
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60, trust_env=False) as client:
            try:
                yield client
            finally:
                server.should_exit = True
                thread.join()


def assert_problem(answer: httpx.Response, status: int, kind: str) -> dict[str, object]:
    """The answer is a problem document of that kind; its members."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    body: dict[str, object] = answer.json()
    assert body["type"] == f"urn:olad:problem:{kind}"
    assert body["status"] == status
    assert body["title"]
    assert body["detail"]
    assert isinstance(body["instance"], str)
    assert body["instance"].startswith("/")
    return body
