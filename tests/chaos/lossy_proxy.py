"""A TCP proxy that loses answers: the request arrives, then the connection is gone."""

from __future__ import annotations

import contextlib
import socket
import threading

import numpy as np


class LossyProxy:
    """Passes everything on to a port of this machine; while ``share`` is above 0, loses that share of the answers."""

    def __init__(self, port: int) -> None:
        self._target = port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._random = np.random.default_rng(0)
        self.port: int = self._listener.getsockname()[1]
        self.share = 0.0
        self.lost = 0
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        # Closing alone does not wake a thread that waits in accept.
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with contextlib.suppress(OSError), client, socket.create_connection(("127.0.0.1", self._target)) as server:
            threading.Thread(target=self._pump, args=(client, server), daemon=True).start()
            while answer := server.recv(65536):
                if self._random.random() < self.share:
                    self.lost += 1
                    break
                client.sendall(answer)
            for end in (client, server):
                with contextlib.suppress(OSError):
                    end.shutdown(socket.SHUT_RDWR)

    @staticmethod
    def _pump(client: socket.socket, server: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while request := client.recv(65536):
                server.sendall(request)
            server.shutdown(socket.SHUT_WR)
