"""Milliseconds to publish changed rows: the whole publication, beside a plain redis-py pipeline of the rows alone.

python -m benchmarks.publication [--rows 10000] [--rounds 20]
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import numpy as np

from benchmarks.report import alternate, emit
from benchmarks.stack import Stack
from olad_core.serving.publication import Publication, TableUpdate, Version
from service.store.bulk_hset import hset_commands
from service.store.prediction_writer import PredictionWriter
from service.store.rows import encode_rows

CLASSES = 40
NODES = 169_343


def main() -> None:
    """Write the same rows both ways, in turns."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=20)
    given = parser.parse_args()
    random = np.random.default_rng(0)
    nodes = tuple(map(str, random.choice(NODES, given.rows, replace=False).tolist()))
    rows = random.random((given.rows, CLASSES + 1), dtype=np.float32)
    update = TableUpdate(1, nodes, rows[:, :-1], rows[:, -1], rows=np.arange(given.rows))
    version = Version(1, "sage", tuple(map(str, range(CLASSES))))
    with Stack() as stack:
        writer = PredictionWriter(stack.redis, stack.keys)
        writer.start()
        positions = iter(range(1, 1_000_000))

        def publish() -> float:
            publication = Publication(f"{next(positions)}-0", 1, (update,), version)
            return _milliseconds(lambda: writer.publish(publication))

        def pipeline() -> float:
            def write() -> None:
                with stack.redis.pipeline(transaction=True) as pipe:
                    pipe.hset("pipeline", mapping={node: row.tobytes() for node, row in zip(nodes, rows, strict=True)})
                    pipe.execute()

            return _milliseconds(write)

        def encode() -> float:
            return _milliseconds(lambda: list(hset_commands("table", nodes, encode_rows(update, (1, 0), 1))))

        found = alternate(given.rounds, publish=publish, pipeline=pipeline, encode=encode)
    results = {
        "rows": given.rows,
        "publish_ms": found["publish"],
        "redis_py_pipeline_ms": found["pipeline"],
        "encode_ms": found["encode"],
        "times_faster": found["pipeline"] / found["publish"],
    }
    emit("publication", results, at_least={"times_faster": 1.0})


def _milliseconds(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return 1e3 * (time.perf_counter() - began)


if __name__ == "__main__":
    main()
