"""A worker as others see it that can be killed: a process that beats once."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from collections.abc import Iterator

from service.store.keys import Keys

BEATS_ONCE = """
import sys, time, redis
from service.store.keys import Keys
from service.store.prediction_writer import PredictionWriter
writer = PredictionWriter(redis.Redis.from_url(sys.argv[1]), Keys(sys.argv[2]))
writer.heartbeat(3_600_000)
print("there", flush=True)
time.sleep(600)
"""


@contextlib.contextmanager
def worker_process(url: str, keys: Keys) -> Iterator[subprocess.Popen[str]]:
    """A process that beats once, and answers nothing."""
    command = [sys.executable, "-c", BEATS_ONCE, url, keys.graph]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "there\n"
            yield process
        finally:
            process.kill()
