"""A process that has imported everything and forks workers: a start takes milliseconds.

Reads one JSON command a line from standard input and answers each with one line. A worker is the real thing from
``olad worker`` on; only its imports and numba's compiled code are inherited. Torch has computed no gradient before the
fork: its autograd does not outlive one.
"""

from __future__ import annotations

import ctypes
import json
import os
import signal
import sys
import traceback
from pathlib import Path
from typing import Any

import torch

from olad_core.events import LabelNode, RemoveEdge, RemoveNode, UpsertEdge, UpsertNode
from olad_core.graph import DynamicGraph
from service.commands import serve
from service.worker import assembly as _worker_assembly  # noqa: F401
from service.worker.temporal_library import import_temporal_library
from tests.chaos import faults

_PR_SET_PDEATHSIG = 1


def _warm_up() -> None:
    torch.set_num_threads(1)
    import_temporal_library()
    graph = DynamicGraph()
    graph.apply([UpsertNode(id="a", x=[1.0]), UpsertEdge(src="a", dst="b"), LabelNode(id="b", label="c")], 0.0)
    graph.apply([RemoveEdge(src="a", dst="b"), RemoveNode(id="a")], 0.0)
    parameter = torch.nn.Parameter(torch.zeros(2))
    parameter.grad = torch.zeros(2)
    torch.optim.Adam([parameter], foreach=True).step()


def _start(command: dict[str, Any]) -> int:
    parent = os.getpid()
    child = os.fork()
    if child:
        return child
    code = 1
    try:
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:
            os._exit(1)
        log = os.open(command["log"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        null = os.open(os.devnull, os.O_RDONLY)
        for source, target in ((null, 0), (log, 1), (log, 2)):
            os.dup2(source, target)
        os.environ.clear()
        os.environ.update(command["environment"])
        faults.install(command["fault"])
        serve.worker()
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 1
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(code)


def _poll(pid: int) -> int | None:
    ended, status = os.waitpid(pid, os.WNOHANG)
    return os.waitstatus_to_exitcode(status) if ended else None


def main() -> None:
    _warm_up()
    print(json.dumps("ready"), flush=True)
    for line in sys.stdin:
        command = json.loads(line)
        answer = _start(command) if command["do"] == "start" else _poll(command["pid"])
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    assert Path("/proc/self").exists(), "prctl is Linux's"
    main()
