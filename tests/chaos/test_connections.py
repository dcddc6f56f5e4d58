"""One connection between two processes is cut, and no other."""

from __future__ import annotations

import os
import socket
import subprocess
import sys

import pytest

from tests.chaos.connections import cut

WAITS = "import socket, sys; end = socket.create_connection(('127.0.0.1', int(sys.argv[1]))); print(end.recv(1))"


def test_both_ends_see_that_their_connection_is_cut_and_others_stay() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        command = [sys.executable, "-c", WAITS, str(listener.getsockname()[1])]
        with subprocess.Popen(command, stdout=subprocess.PIPE) as first:
            cut_off, _ = listener.accept()
            with cut_off, subprocess.Popen(command, stdout=subprocess.PIPE) as second:
                kept, _ = listener.accept()
                with kept:
                    try:
                        found = cut(first.pid, os.getpid())
                    except PermissionError:
                        first.kill()
                        second.kill()
                        pytest.skip("this process may not take sockets out of another")
                    assert found == 1
                    assert cut_off.recv(1) == b""
                    assert first.communicate(timeout=30)[0] == b"b''\n"
                    kept.sendall(b"x")
                    assert second.communicate(timeout=30)[0] == b"b'x'\n"
