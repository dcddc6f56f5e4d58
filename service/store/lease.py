"""One worker owns a graph at a time: a lease in Redis that its owner renews, and a lock that ends with its process.

The owner renews the lease once a second from a thread of its own, so that a long turn of the loop does not cost it the
graph. Another worker takes the graph over in one of three ways:

- at once where the owner has given the lease back, which it does at an orderly end;
- at once where the owner's lock on the data directory is free, which shows that its process has ended (``kill -9``);
- else when the lease has run out and has stayed so for a while: the owner is stopped, cut off, or was on another
  machine. The while is for an owner that comes back together with Redis: it goes on, and nothing changes hands.

Taking over counts up the fencing token (:mod:`service.store.fence`). So an owner that wakes up too late can write no
more.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import secrets
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from redis import Redis
from redis.exceptions import RedisError

from service.store.fence import Fence, Superseded
from service.store.keys import Keys
from service.store.scripts import script

LEASE_MS = 10_000
"""How long the lease lasts without being renewed."""
RENEW_EVERY_S = 1.0
SILENT_S = 2.0
"""How long a lease must have run out before another worker takes the graph over."""


class Lease(Fence):
    """A worker's lease on its graph.

    Args:
        redis: client that returns bytes; used by two threads.
        keys: of the graph.
        lock: file that the owner keeps locked while it lives.
    """

    def __init__(self, redis: Redis, keys: Keys, lock: Path) -> None:
        super().__init__(redis, keys)
        self._worker = secrets.token_hex(16).encode()
        self._lock = _OwnerLock(lock)
        self._take = redis.register_script(script("take_lease"))
        self._renew = redis.register_script(script("renew_lease"))
        self._silent: tuple[bytes, float] | None = None

    def take(self) -> bool:
        """Try to become the owner; call it again until it is true. A worker that is the owner stays it."""
        state, found = self._ask(b"", "")
        if state == b"taken":
            return self._took(found)
        owner = found
        ended = "ended" if self._lock.has_ended(owner) else ""
        now = time.monotonic()
        if state == b"held":
            self._silent = None
        elif self._silent is None or self._silent[0] != owner:
            self._silent = (owner, now)
        silent_for = now - self._silent[1] if self._silent is not None else 0.0
        if ended or silent_for >= SILENT_S:
            state, found = self._ask(owner, ended)
            if state == b"taken":
                return self._took(found)
        return False

    def begin(self) -> int:
        """Begin a new start of the owner.

        Raises:
            Superseded: another worker has become the owner.
        """
        state, found = self._ask(b"", "")
        if state != b"taken":
            raise Superseded(f"another worker has taken graph {self._keys.graph!r} over")
        self.start = int(found)
        return self.start

    @contextlib.contextmanager
    def kept(self) -> Iterator[None]:
        """Renew the lease in the background; at the end give it back, so that the next worker need not wait."""
        end = threading.Event()
        thread = threading.Thread(target=self._keep_renewing, args=(end,), name="lease", daemon=True)
        thread.start()
        try:
            yield
        finally:
            end.set()
            thread.join()
            # Where Redis cannot be reached the lease runs out by itself.
            with contextlib.suppress(RedisError, OSError):
                self._renewed(0)
            self._lock.close()

    def _keep_renewing(self, end: threading.Event) -> None:
        while not end.wait(RENEW_EVERY_S):
            self._lock.hold(self._worker)
            # The loop meets the same error, and says so; what is renewed too late is either still free or lost.
            with contextlib.suppress(RedisError, OSError):
                if not self._renewed(LEASE_MS):
                    return

    def _renewed(self, milliseconds: int) -> bool:
        keys = [self._keys.lease, self._keys.owner]
        return bool(self._renew(keys=keys, args=[self._worker, milliseconds]))

    def _ask(self, other: bytes, ended: str) -> Any:
        keys = [self._keys.lease, self._keys.owner, self._keys.starts]
        return self._take(keys=keys, args=[self._worker, LEASE_MS, other, ended])

    def _took(self, start: int) -> bool:
        self.start = int(start)
        self._lock.hold(self._worker)
        return True


class _OwnerLock:
    """A file with the owner's name, locked as long as its process lives.

    It only saves waiting. Where it cannot be had (a directory that cannot be written, another machine), the lease
    alone decides.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._held: int | None = None

    def hold(self, worker: bytes) -> None:
        """Lock the file in the worker's name, if nobody else has it locked."""
        if self._held is not None:
            return
        with contextlib.suppress(OSError):
            self._path.parent.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                os.ftruncate(descriptor, 0)
                os.pwrite(descriptor, worker, 0)
            except OSError:
                os.close(descriptor)
                raise
            self._held = descriptor

    def has_ended(self, worker: bytes) -> bool:
        """Whether it is known that this worker's process has ended: the file has its name and nobody locks it."""
        with contextlib.suppress(OSError):
            descriptor = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC)
            try:
                # Shared, so that two who look at the same time see the same.
                fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
                return os.pread(descriptor, 100, 0) == worker
            finally:
                os.close(descriptor)
        return False

    def close(self) -> None:
        """Give the lock up."""
        if self._held is not None:
            os.close(self._held)
            self._held = None
