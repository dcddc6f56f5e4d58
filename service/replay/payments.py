"""Payments of accounts to merchants, with devices and rings of fraud that change: a seeded stream of typed edges."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from olad_core.events import Event, GraphSchema, LabelNode, UpsertEdge, UpsertNode
from olad_core.graph_types import EdgeType, NodeType
from olad_core.task_types import EdgeClassTask
from service.replay.arrival_stream import Arrival

PAYMENTS = 10_000
ACCOUNTS, MERCHANTS, DEVICES = 1_200, 150, 1_500
FRAUD = 0.02
"""Share of the payments that rings make."""
RINGS, RING_ACCOUNTS, RING_DEVICES, RING_MERCHANTS = 2, 12, 3, 4
"""Rings at work at once; accounts that each has taken over, devices they pay with, and merchants they pay."""
RING_LIFE = 4_000
"""Payments after which a ring is replaced by one of other accounts, devices, merchants and amounts."""
USUAL = 5
"""Merchants that an account pays most of the time."""
INTERVAL = 300.0
"""Seconds between two payments, on average."""
BEGIN = 1_767_225_600.0
"""Time of the first payment, in seconds since 1970."""
FEATURES = ("amount", "sine of the hour", "cosine of the hour", "online", "abroad")
CLASSES = ("ok", "fraud")

SCHEMA = GraphSchema(
    directed=True,
    node_types={"account": NodeType(), "merchant": NodeType(), "device": NodeType()},
    edge_types={
        "paid": EdgeType(ids=True, feature_width=len(FEATURES)),
        "used": EdgeType(directed=False),
    },
    tasks={"fraud": EdgeClassTask(kind="edge_class", edge_type="paid", classes=CLASSES)},
)


@dataclass(frozen=True)
class _Ring:
    """A ring: accounts, devices and merchants by number, and the amounts and the hour of its payments."""

    accounts: list[int]
    devices: list[int]
    merchants: list[int]
    amount: float
    hour: float


class _Payments:
    """Draws one payment after the other."""

    def __init__(self, seed: int) -> None:
        self._random = random = np.random.default_rng([seed, 20])
        self._usual = random.integers(MERCHANTS, size=(ACCOUNTS, USUAL))
        self._scale = random.lognormal(3.2, 0.6, ACCOUNTS)
        self._price = random.lognormal(0.0, 0.7, MERCHANTS)
        self._online = random.random(MERCHANTS) < 0.5
        self._activity = np.cumsum(random.pareto(1.5, ACCOUNTS) + 0.2)
        self._rings = [self._ring() for _ in range(RINGS)]
        self._time, self._met = BEGIN, set[str]()

    def arrival(self, number: int) -> Arrival:
        """The payment of this number, with what is new of its ends, and its label for later."""
        random = self._random
        if number and number % (RING_LIFE // RINGS) == 0:
            self._rings[number // (RING_LIFE // RINGS) % RINGS] = self._ring()
        self._time += float(random.exponential(INTERVAL))
        fraud = bool(random.random() < FRAUD)
        account, device, merchant, amount, hour = self._of_ring() if fraud else self._honest()
        angle = 2 * math.pi * hour / 24
        abroad = float(random.random() < (0.3 if fraud else 0.05))
        x = [round(amount, 2), math.sin(angle), math.cos(angle), float(self._online[merchant]), abroad]
        ends = f"account-{account}", f"merchant-{merchant}", f"device-{device}"
        name = f"payment-{number}"
        paid = UpsertEdge(src=ends[0], dst=ends[1], type="paid", id=name, x=x, ts=round(self._time, 1))
        label = LabelNode(edge=name, type="paid", label=CLASSES[fraud])
        return Arrival((*self._new(ends), paid), edge=True, label=label)

    def _new(self, ends: tuple[str, str, str]) -> Iterator[Event]:
        """Events of nodes and of a use of a device that are new."""
        for name in ends:
            if name not in self._met:
                self._met.add(name)
                yield UpsertNode(id=name, type=name.partition("-")[0], ts=round(self._time, 1))
        use = f"{ends[0]} {ends[2]}"
        if use not in self._met:
            self._met.add(use)
            yield UpsertEdge(src=ends[0], dst=ends[2], type="used", ts=round(self._time, 1))

    def _honest(self) -> tuple[int, int, int, float, float]:
        random = self._random
        account = int(np.searchsorted(self._activity, random.random() * self._activity[-1]))
        often = random.random() < 0.8
        merchant = int(random.choice(self._usual[account]) if often else random.integers(MERCHANTS))
        # Each account has a device of its own; a few are those of a household.
        device = account if random.random() < 0.9 else ACCOUNTS + account % (DEVICES - ACCOUNTS)
        amount = float(self._scale[account] * self._price[merchant] * random.lognormal(0.0, 0.5))
        return account, device, merchant, amount, float(random.normal(15.0, 4.0)) % 24

    def _of_ring(self) -> tuple[int, int, int, float, float]:
        random = self._random
        ring = self._rings[int(random.integers(RINGS))]
        account, device = int(random.choice(ring.accounts)), int(random.choice(ring.devices))
        own = random.random() < 0.7
        merchant = int(random.choice(ring.merchants)) if own else int(random.integers(MERCHANTS))
        amount = ring.amount * float(random.lognormal(0.0, 0.4))
        return account, device, merchant, amount, float(random.normal(ring.hour, 3.0)) % 24

    def _ring(self) -> _Ring:
        random = self._random
        return _Ring(
            random.choice(ACCOUNTS, RING_ACCOUNTS, replace=False).tolist(),
            (ACCOUNTS + random.choice(DEVICES - ACCOUNTS, RING_DEVICES, replace=False)).tolist(),
            random.choice(MERCHANTS, RING_MERCHANTS, replace=False).tolist(),
            float(random.choice([4.0, 60.0, 400.0])),
            float(random.uniform(0.0, 24.0)),
        )


def payments(seed: int = 0, count: int = PAYMENTS) -> Iterator[Arrival]:
    """Payments in the order of time; a label is that of the edge, without a time.

    Accounts pay merchants, most of the time their usual ones, with a device of their own or of their household. Rings
    pay with accounts that they have taken over, with devices that they share. Each ring works for 4,000 payments and is
    then replaced by another one. Its accounts make honest payments, too.

    Args:
        seed: of everything.
        count: payments.
    """
    drawn = _Payments(seed)
    for number in range(count):
        yield drawn.arrival(number)
