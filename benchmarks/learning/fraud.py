"""Payments between accounts, 2 % of them fraud: a payment is fraud where both of its accounts are busy ones."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from benchmarks.learning.stream import Stream, Turn
from olad_core.events import GraphSchema, UpsertEdge, UpsertNode
from service.replay.arrival_stream import Arrival, batched
from service.replay.label_delay import delay_labels

ACCOUNTS, BUSY = 3000, 300
"""Accounts, and how many of them are busy."""
TRANSFERS, BUSY_TRANSFERS = 2, 30
"""Transfers that begin at an ordinary and at a busy account before the first payment."""
FRAUD = 0.02
BOTH_BUSY, ONE_BUSY = 0.003, 0.15
"""Shares of the honest payments with two busy accounts, and with one of them."""
FEATURES = 6
PAYMENTS = 6000
DELAY = 300
"""Payments between one and its label."""
CLASSES = ("ok", "fraud")


def fraud(seed: int, size: int | None = None, *, batch: int = 50) -> Stream:
    """Payments are nodes, joined to their two accounts; accounts have no label and no features.

    The features of a payment are noise, as are the labels around it: a busy account has mostly honest payments. What
    shows the fraud is how many edges its accounts have.

    Args:
        seed: of everything.
        size: payments; 6,000 by default.
        batch: payments a turn.
    """
    count = size or PAYMENTS
    random = np.random.default_rng([seed, 56])
    sources = np.concatenate([
        np.repeat(np.arange(BUSY), BUSY_TRANSFERS), np.repeat(np.arange(BUSY, ACCOUNTS), TRANSFERS)
    ])  # fmt: skip
    targets = random.integers(BUSY, ACCOUNTS, size=len(sources))
    is_fraud = random.random(count) < FRAUD
    kind = random.random(count)
    busy = np.where(is_fraud, 2, np.where(kind < BOTH_BUSY, 2, np.where(kind < BOTH_BUSY + ONE_BUSY, 1, 0)))
    ends = random.integers(BUSY, ACCOUNTS, size=(count, 2))
    for side in (0, 1):
        ends[busy > side, side] = random.integers(BUSY, size=int((busy > side).sum()))
    x = random.normal(size=(count, FEATURES))

    def arrivals() -> Iterator[Arrival]:
        for number in range(count):
            name, time = f"payment-{number}", float(number)
            accounts = dict.fromkeys(ends[number].tolist())
            joined = (UpsertEdge(src=name, dst=f"account-{account}", ts=time) for account in accounts)
            truth = CLASSES[int(is_fraud[number])]
            yield Arrival((UpsertNode(id=name, x=x[number].tolist(), ts=time), *joined), name, (name, truth))

    def turns() -> Iterator[Turn]:
        accounts = tuple(UpsertNode(id=f"account-{number}", ts=0.0) for number in range(ACCOUNTS))
        pairs = zip(sources.tolist(), targets.tolist(), strict=True)
        yield Turn((*accounts, *(UpsertEdge(src=f"account-{a}", dst=f"account-{b}", ts=0.0) for a, b in pairs)))
        truth = {f"payment-{number}": CLASSES[int(found)] for number, found in enumerate(is_fraud.tolist())}
        for part in batched(delay_labels(arrivals(), DELAY), batch):
            yield Turn(part.events, tuple((node, truth[node]) for node in part.nodes))

    return Stream(
        schema=GraphSchema(feature_width=FEATURES, classes=CLASSES),
        turns=turns,
        first_part=round(0.3 * count / batch),
        score_from=count // 5,
        window=max(count // 15, 1),
    )
