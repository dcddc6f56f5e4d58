"""A TCP server that answers every command of Redis with the same line: for errors that a real one gives too rarely."""

from __future__ import annotations

import contextlib
import socketserver
import threading
from collections.abc import Iterator
from typing import BinaryIO


def _read_command(stream: BinaryIO) -> bool:
    head = stream.readline()
    if not head.startswith(b"*"):
        return bool(head)
    for _ in range(int(head[1:])):
        size = int(stream.readline()[1:])
        stream.read(size + 2)
    return True


@contextlib.contextmanager
def answering(line: bytes) -> Iterator[str]:
    """The URL of such a server."""

    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            with contextlib.suppress(OSError, ValueError):
                while _read_command(self.rfile):  # type: ignore[arg-type]
                    self.wfile.write(line + b"\r\n")

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield f"redis://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()
