"""How many events a second the archive takes out of a real Redis into a directory.

python -m benchmarks.archive_rate [--entries 2000]
"""

from __future__ import annotations

import argparse
import time

import numpy as np

from benchmarks.report import emit
from benchmarks.stack import Stack
from olad_core.event_codec import encode_log
from olad_core.events import Event, UpsertEdge
from service.archive.place import open_place
from service.archive.writer import ArchiveWriter
from service.store.fence import Fence
from service.store.raw_log import RawLog

BATCH = 1_000
"""Events of an entry."""


def main() -> None:
    """Fill a log, archive all of it, and print the rate and the size."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--entries", type=int, default=2_000, help="of 1,000 events each")
    given = parser.parse_args()
    draw = np.random.default_rng(0)
    with Stack() as stack:
        size = 0
        for number in range(given.entries):
            content = encode_log(_events(draw))
            size += len(content)
            stack.redis.xadd(stack.keys.log, {"events": content, "n": BATCH}, id=f"{number + 1}-0")
        fence = Fence(stack.redis, stack.keys)
        place = open_place(str(stack.directory / "archive"), stack.settings.graph)
        writer = ArchiveWriter(
            place, stack.settings.graph, RawLog(stack.redis, stack.keys, fence), time.monotonic, interval_s=0.0
        )
        began, busy = time.perf_counter(), time.process_time()
        last = f"{given.entries}-0"
        while writer.archive(last, everything=True) != last:
            pass
        seconds, busy = time.perf_counter() - began, time.process_time() - busy
        archived = sum(path.stat().st_size for path in (stack.directory / "archive").rglob("*") if path.is_file())
    events = given.entries * BATCH
    results = {
        "events_per_s": events / seconds,
        "cores": busy / seconds,
        "log_bytes_per_event": size / events,
        "archive_bytes_per_event": archived / events,
    }
    emit("archive_rate", results, at_least={"events_per_s": 50_000})


def _events(draw: np.random.Generator) -> list[Event]:
    ends = draw.integers(0, 170_000, (BATCH, 2)).tolist()
    return [UpsertEdge(src=str(source), dst=str(target), ts=float(source)) for source, target in ends]


if __name__ == "__main__":
    main()
