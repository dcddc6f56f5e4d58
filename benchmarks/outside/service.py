"""`olad up` of a tree with a data directory of its own: started, stopped for a while, watched and ended."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import msgspec
import psutil

from benchmarks.outside.tree import Tree
from benchmarks.outside.turns import Figures
from benchmarks.wire import Connection, Refused

START_TIMEOUT_S = 180.0
DRAIN_TIMEOUT_S = 300.0
ROLES = ("worker", "api", "redis", "up")


class Unserved(RuntimeError):
    """The service does not answer, or does not come to an end of its log."""


class Service:
    """The whole service of one tree on a free port.

    Args:
        tree: the code.
        variables: settings that are not default, as ``OLAD_*`` variables.
    """

    def __init__(self, tree: Tree, variables: Mapping[str, str]) -> None:
        self.tree = tree
        self._exit = contextlib.ExitStack()
        self._directory = Path(self._exit.enter_context(tempfile.TemporaryDirectory(prefix="olad-bench-")))
        port = _free_port()
        self.url = f"http://127.0.0.1:{port}"
        defaults = {name: value for name, value in os.environ.items() if not name.startswith("OLAD_")}
        own = {"OLAD_DATA_DIR": str(self._directory / "data"), "OLAD_PORT": str(port)}
        with (self._directory / "output").open("wb") as output:
            self._process = subprocess.Popen(
                [str(tree.python), "-m", "service.cli", "up"],
                cwd=tree.directory,
                env=defaults | own | dict(variables),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
            )
        self._exit.callback(self._end)
        self._until_live()

    def __enter__(self) -> Service:
        return self

    def __exit__(self, *_: object) -> None:
        self._exit.close()

    def freeze(self) -> None:
        """Stop all its processes where they are, so that they use no time."""
        for process in self._processes():
            process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let them go on: Redis before those that ask it, and ``olad up`` last."""
        for process in reversed(self._processes()):
            process.send_signal(signal.SIGCONT)
        self._until_live()

    def post(self, body: bytes) -> str:
        """The position of a batch, sent again while the service refuses it for lack of space."""
        with Connection(self.url) as connection:
            return post(connection, body)

    def predict(self, node: str, position: str | None = None, timeout_s: float = 60.0) -> dict[str, object]:
        """A node's prediction, at a position where one is named."""
        query = "" if position is None else f"?min_position={position}&timeout_ms={int(1000 * timeout_s)}"
        with Connection(self.url) as connection:
            answer = msgspec.json.decode(connection.get(f"/predict/{node}{query}"))
        assert isinstance(answer, dict), "a prediction is an object"
        return answer

    def until_visible(self, node: str, position: str, timeout_s: float = DRAIN_TIMEOUT_S) -> None:
        """Wait until a node's prediction shows a position.

        Raises:
            Unserved: it does not in that time.
        """
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            try:
                self.predict(node, position, min(5.0, timeout_s))
            except Refused as refused:
                if refused.status not in {404, 503, 504}:
                    raise
                time.sleep(0.05)
            else:
                return
        raise Unserved(f"{self.tree.name}: no prediction at the log's end after {timeout_s:.0f} s")

    def student(self) -> str:
        """Name of the student that is served."""
        return str(self.predict("0")["student"])

    def rests(self) -> bool:
        """Whether the worker reports that nothing is left to learn; never of a commit that does not report it."""
        with Connection(self.url) as connection:
            status = msgspec.json.decode(connection.get("/status"))
        return bool(status["worker"].get("learning", {}).get("state") == "resting")

    def cpu(self) -> dict[str, float]:
        """Seconds of CPU time by role, each with its children."""
        spent = dict.fromkeys(ROLES, 0.0)
        root = psutil.Process(self._process.pid)
        spent["up"] = _seconds(root)
        for child in root.children():
            role = _role(child.cmdline())
            spent[role] += _seconds(child) + sum(map(_seconds, child.children(recursive=True)))
        return spent

    @contextlib.contextmanager
    def metered(self) -> Iterator[Figures]:
        """Cores that each process uses in the block, on average; they are there when it has been left."""
        found, before, began = Figures(), self.cpu(), time.monotonic()
        yield found
        spent = time.monotonic() - began
        found |= {f"{role}_cores": (seconds - before[role]) / spent for role, seconds in self.cpu().items()}

    def _processes(self) -> list[psutil.Process]:
        """``olad up``, API, worker, Redis."""
        root = psutil.Process(self._process.pid)
        children = sorted(root.children(), key=lambda child: ("api", "worker", "redis").index(_role(child.cmdline())))
        return [root, *(each for child in children for each in (child, *child.children(recursive=True)))]

    def _until_live(self) -> None:
        deadline = time.monotonic() + START_TIMEOUT_S
        while time.monotonic() < deadline:
            if self._process.poll() is not None:
                break
            with contextlib.suppress(OSError, RuntimeError), Connection(self.url) as connection:
                connection.get("/health/live")
                return
            time.sleep(0.05)
        written = (self._directory / "output").read_text(errors="replace")
        raise Unserved(f"{self.tree.name} does not answer:\n{written[-2000:]}")

    def _end(self) -> None:
        """Kill it: nothing of it is kept."""
        with contextlib.suppress(psutil.NoSuchProcess):
            for process in self._processes():
                process.kill()
        self._process.wait()


def post(connection: Connection, body: bytes) -> str:
    """The position of a batch, sent again while the service refuses it for lack of space."""
    while True:
        try:
            return str(msgspec.json.decode(connection.post("/events", body))["position"])
        except Refused as refused:
            if refused.status != 429:
                raise
            time.sleep(0.05)


def _role(command: list[str]) -> str:
    """What a child of ``olad up`` is, by its command line."""
    return next((role for role in ("worker", "api") if role in command), "redis")


def _seconds(process: psutil.Process) -> float:
    try:
        times = process.cpu_times()
    except psutil.NoSuchProcess:
        return 0.0
    return float(times.user + times.system)


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])
