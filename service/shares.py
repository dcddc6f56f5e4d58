"""Limited resources that clients share, without any client getting all of one."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Iterator

from olad_core.errors import OladError


class NoShare(OladError):
    """The request exceeds what is left, or what one client may have.

    Attributes:
        own: what this client has already.
        used: what all clients have.
        total: what there is.
    """

    def __init__(self, own: int, used: int, total: int) -> None:
        super().__init__(f"{used:,} of {total:,} are in use, {own:,} of them by this client")
        self.own = own
        self.used = used
        self.total = total


class Shares:
    """Units that are taken and given back: bytes, or places.

    A client may have no more than what stays free afterwards (the dynamic threshold of Choudhury and Hahne, with
    alpha = 1). One client alone gets half, n clients get a part of 1 / (n + 1) each, and as much is left for others.

    Args:
        total: units there are.
    """

    def __init__(self, total: int) -> None:
        self.total = total
        self.used = 0
        self._by_client: Counter[str] = Counter()

    @contextlib.contextmanager
    def take(self, client: str, amount: int = 1) -> Iterator[Share]:
        """A share that is given back at the end.

        Raises:
            NoShare: there is not enough.
        """
        share = Share(self, client)
        share.grow(amount)
        try:
            yield share
        finally:
            share.give_back()

    def add(self, client: str, amount: int) -> None:
        """Count units of a client; see :class:`Share`.

        Raises:
            NoShare: there is not enough.
        """
        own, left = self._by_client[client], self.total - self.used - amount
        # A client without any gets a single unit as long as one is left.
        fair = own + amount <= left or (own == 0 and amount == 1)
        if amount > 0 and (left < 0 or not fair):
            raise NoShare(own, self.used, self.total)
        self.used += amount
        self._by_client[client] += amount
        if self._by_client[client] == 0:
            del self._by_client[client]


class Share:
    """The units of one request."""

    def __init__(self, shares: Shares, client: str) -> None:
        self._shares = shares
        self._client = client
        self.amount = 0

    def grow(self, amount: int) -> None:
        """Take more.

        Raises:
            NoShare: there is not enough; the share stays as it was.
        """
        self._shares.add(self._client, amount)
        self.amount += amount

    def give_back(self) -> None:
        """Give all of it back; nothing happens where it has been given back."""
        self._shares.add(self._client, -self.amount)
        self.amount = 0
