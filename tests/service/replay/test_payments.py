"""The generated payments: seeded, with late labels, rare fraud and rings that change."""

from __future__ import annotations

import numpy as np
import torch

from olad_core.config import EngineConfig
from olad_core.engine import Engine
from olad_core.events import UpsertEdge
from service.replay.payments import CLASSES, FRAUD, PAYMENTS, RING_LIFE, SCHEMA, payments
from service.replay.sources import StreamOptions, open_source


def test_the_same_seed_gives_the_same_payments() -> None:
    first, second, other = (list(payments(seed, 200)) for seed in (0, 0, 1))
    assert first == second != other


def test_fraud_is_rare_and_its_rings_change() -> None:
    drawn = list(payments(0))
    assert len(drawn) == PAYMENTS
    fraud = [arrival.label is not None and arrival.label.label == CLASSES[1] for arrival in drawn]
    assert 0.8 * FRAUD < np.mean(fraud) < 1.2 * FRAUD
    payers = [
        next(e.src for e in arrival.events if isinstance(e, UpsertEdge) and e.type == "paid") for arrival in drawn
    ]
    rings = [
        {payer for payer, guilty in zip(payers[part], fraud[part], strict=True) if guilty}
        for part in (slice(0, 1_500), slice(2 * RING_LIFE, 2 * RING_LIFE + 1_500))
    ]
    assert all(len(ring) > 5 for ring in rings)
    assert len(rings[0] & rings[1]) < 0.2 * len(rings[0])
    times = [getattr(event, "ts", None) or 0.0 for arrival in drawn for event in arrival.events]
    assert min(times) > 0
    assert times == sorted(times)


def test_a_stream_of_them_is_applied_whole_and_labels_come_late() -> None:
    source = open_source("payments", StreamOptions(limit=700))
    engine = Engine(EngineConfig(), torch.device("cpu"))
    assert source.schema == SCHEMA
    engine.declare("0-1", SCHEMA)
    for number, batch in enumerate(source.batches, 1):
        engine.apply(f"{number}-0", batch.events, float(number))
    assert engine.rejected_events == 0
    [report] = engine.edge_tasks.reports()
    assert (report.arrived, report.labels) == (700, 200)
