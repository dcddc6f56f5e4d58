"""The example of docs/files.md: 3,000 payments between 200 accounts, 7 % of them fraud."""

from __future__ import annotations

import csv
import io
import random
from datetime import UTC, datetime, timedelta

from service.replay.table_options import TableOptions

ROWS = 3_000
COLUMNS = ("payment", "booked_at", "payer", "payee", "amount", "currency", "channel", "outcome")
OPTIONS = (
    *("--source", "payer", "--target", "payee", "--as-node", "--id", "payment", "--time", "booked_at"),
    *("--features", "amount,currency,channel", "--label", "outcome", "--label-delay", "14d"),
)
TABLE = TableOptions(
    source="payer",
    target="payee",
    as_node=True,
    id="payment",
    time="booked_at",
    features=("amount", "currency", "channel"),
    label="outcome",
)
"""What the columns are, without the delay of labels."""


def payment_rows(seed: int = 0, rows: int = ROWS) -> list[tuple[str, ...]]:
    """Rows in the order of time, about 45 minutes apart. Some amounts are missing. Fraud goes to few accounts."""
    random_of = random.Random(seed)
    accounts = [f"A{number:03d}" for number in range(200)]
    mules = random_of.sample(accounts, 14)
    time = datetime(2026, 1, 1, tzinfo=UTC)
    found: list[tuple[str, ...]] = []
    for number in range(rows):
        time += timedelta(minutes=random_of.expovariate(1 / 45))
        fraud = random_of.random() < 0.07
        payee = random_of.choice(mules if fraud and random_of.random() < 0.8 else accounts)
        amount = random_of.lognormvariate(5.5 if fraud else 4.0, 1.0)
        channel = "web" if fraud and random_of.random() < 0.7 else random_of.choice(["web", "branch", "app"])
        found.append(
            (
                f"P{number:04d}",
                time.isoformat(timespec="seconds"),
                random_of.choice(accounts),
                payee,
                "" if random_of.random() < 0.02 else f"{amount:.2f}",
                random_of.choice(["EUR", "GBP", "USD"]),
                channel,
                "fraud" if fraud else "ok",
            )
        )
    return found


def payments_csv(seed: int = 0, rows: int = ROWS) -> str:
    """The rows as CSV with a header."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([COLUMNS, *payment_rows(seed, rows)])
    return text.getvalue()
