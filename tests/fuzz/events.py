"""What must hold for any bytes that are sent as events; run under a fuzzer with ``make fuzz``, and in test_events.py.

    python -m tests.fuzz.events -max_total_time=60 CORPUS_DIRECTORY

needs atheris (coverage-guided, libFuzzer underneath), which is not among the development dependencies: it has
wheels for Linux only.
"""

from __future__ import annotations

import inspect
import math
import sys
from pathlib import Path

from olad_core import events
from olad_core.event_codec import decode_json, decode_log, decode_ndjson, encode_log
from olad_core.events import (
    FLOAT32_MAX,
    MAX_EVENTS,
    MAX_ID_BYTES,
    MAX_TIME,
    Event,
    InvalidEvents,
    SparseFeatures,
    UpsertEdge,
    UpsertNode,
)

SEEDS = (
    b'[{"op":"upsert_node","id":"a","x":[1,-0.5,1e-300,0],"label":"red","ts":1.5}]',
    b'[{"op":"upsert_node","id":5,"x":{"indices":[0,3],"values":[1.0,-2]}},{"op":"remove_node","id":"\\u00e9"}]',
    b'[{"op":"upsert_edge","src":1,"dst":"1","weight":0.5,"ts":null},{"op":"remove_edge","src":1,"dst":2}]',
    b'{"op":"label","id":"a","label":7}\n\n{"op":"label","id":"a","label":"\\ud83d\\ude00"}\r\n',
)


def check(data: bytes) -> None:
    """Decode bytes as each kind of body; raises where a promise of ``docs/events.md`` is broken."""
    for decode in (decode_json, decode_ndjson):
        for width in (None, 4):
            try:
                batch = decode(data, width)
            except InvalidEvents as refused:
                _check_refusal(refused)
                continue
            assert batch
            for event in batch:
                _check_event(event, width)
            assert repr(decode_log(encode_log(batch))) == repr(batch)


def _check_refusal(refused: InvalidEvents) -> None:
    assert refused.problems
    assert all(-1 <= problem.index < MAX_EVENTS for problem in refused.problems)
    assert all(problem.message.encode() for problem in refused.problems)


def _check_event(event: Event, width: int | None) -> None:
    for field in ("id", "src", "dst", "label"):
        name = getattr(event, field, None)
        assert name is None or (isinstance(name, str) and 0 < len(name.encode()) <= MAX_ID_BYTES)
    ts = getattr(event, "ts", None)
    assert ts is None or abs(ts) <= MAX_TIME
    if isinstance(event, UpsertEdge) and event.weight is not None:
        assert 0 < event.weight <= FLOAT32_MAX
    if isinstance(event, UpsertNode) and event.x is not None:
        values = event.x.values if isinstance(event.x, SparseFeatures) else event.x
        assert all(math.isfinite(value) and abs(value) <= FLOAT32_MAX for value in values)
        if isinstance(event.x, SparseFeatures):
            assert width is not None
            assert len(set(event.x.indices)) == len(event.x.indices) == len(values)
            assert all(0 <= index < width for index in event.x.indices)
        else:
            assert width is None or len(values) == width


def main() -> None:
    """Hand the target to libFuzzer; it ends at the first broken promise and keeps the bytes in a file."""
    import atheris  # noqa: PLC0415

    corpus = Path(sys.argv[-1])
    if corpus.is_dir():
        for number, seed in enumerate(SEEDS):
            (corpus / f"seed-{number}").write_bytes(seed)
    for module in (events, sys.modules[__name__]):
        for found in list(vars(module).values()):
            if inspect.isfunction(found) and found.__module__ == module.__name__ and found is not main:
                atheris.instrument_func(found)
    atheris.Setup(sys.argv, check)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
