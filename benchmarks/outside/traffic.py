"""Events at a steady rate, sent by a process of its own beside a measurement."""

from __future__ import annotations

import contextlib
import gc
import itertools
import multiprocessing
import select
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from multiprocessing.connection import Connection as Pipe

from benchmarks.outside.events import bodies
from benchmarks.wire import Connection, Refused, post_request

_FORK = multiprocessing.get_context("fork")
"""The events come from arrays that the child then has already."""
_CONNECTIONS = 4
_AGAIN_S = 0.05
_CHECK_S = 0.1


@dataclass(frozen=True)
class Traffic:
    """Events without end, at a rate.

    Attributes:
        events: each as JSON.
        per_s: events a second.
        batch: events in one POST.
    """

    events: Iterator[str]
    per_s: float
    batch: int


@dataclass
class Sent:
    """What a stream of events came to."""

    events: int = 0
    seconds: float = 0.0
    refused: int = 0

    @property
    def per_s(self) -> float:
        """Events a second that were accepted."""
        return self.events / self.seconds if self.seconds else 0.0


@contextlib.contextmanager
def beside(url: str, *streams: Traffic, seconds: float) -> Iterator[list[Sent]]:
    """Send streams for at most so many seconds. What was sent is in the list when the block has been left."""
    found: list[Sent] = []
    with contextlib.ExitStack() as running:
        ends = []
        for stream in streams:
            here, there = _FORK.Pipe()
            child = _FORK.Process(target=_child, args=(url, stream, seconds, there), daemon=True)
            child.start()
            running.callback(_ended, child)
            there.close()
            ends.append(here)
        for end in ends:
            running.callback(end.close)
            end.recv()  # It has made its bodies.
        for end in ends:
            end.send("begin")
        yield found
        for end in ends:
            end.send("end")
        found.extend(end.recv() for end in ends)


def _ended(child: multiprocessing.process.BaseProcess) -> None:
    child.join(5)
    if child.is_alive():
        child.kill()
        child.join()


def _child(url: str, stream: Traffic, seconds: float, pipe: Pipe) -> None:
    gc.disable()
    # Made beforehand: what is made while it runs takes time from the service.
    count = int(seconds * stream.per_s / stream.batch)
    made = list(itertools.islice(bodies(stream.events, stream.batch), count))
    pipe.send("ready")
    pipe.recv()
    sent = paced(url, made, stream.batch, stream.batch / stream.per_s, pipe.poll)
    pipe.send(sent)


def paced(url: str, made: list[bytes], batch: int, every_s: float, ended: Callable[[], bool]) -> Sent:
    """Send each body when it is due, over a few connections; later where all of them wait for an answer."""
    waiting = deque((number * every_s, body) for number, body in enumerate(made))
    idle: deque[Connection] = deque()
    busy: dict[int, tuple[Connection, bytes]] = {}
    sent, began = Sent(), time.monotonic()
    with contextlib.ExitStack() as opened:
        poll = opened.enter_context(contextlib.closing(select.epoll()))
        for _ in range(_CONNECTIONS):
            idle.append(opened.enter_context(Connection(url)))
            poll.register(idle[-1].socket.fileno(), select.EPOLLIN)
        while (waiting or busy) and not ended():
            now = time.monotonic() - began
            while idle and waiting and waiting[0][0] <= now:
                connection, (_, body) = idle.popleft(), waiting.popleft()
                busy[connection.socket.fileno()] = connection, body
                connection.socket.sendall(post_request(connection.host, "/events", body))
            rest = waiting[0][0] - now if waiting and idle else _CHECK_S
            for number, _ in poll.poll(max(0.0, min(_CHECK_S, rest))):
                connection, body = busy[number]
                answer = _answered(connection)
                if answer is None:
                    continue
                if answer:
                    sent.events += batch
                else:
                    sent.refused += 1
                    waiting.appendleft((now + _AGAIN_S, body))
                del busy[number]
                idle.append(connection)
    sent.seconds = time.monotonic() - began
    return sent


def _answered(connection: Connection) -> bool | None:
    """Whether a batch was accepted, or refused for lack of space; None while the answer is not whole."""
    try:
        return None if connection.receive() is None else True
    except Refused as refused:
        if refused.status != 429:
            raise
        return False
