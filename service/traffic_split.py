"""Which nodes are answered by another variant than the champion: a share of them, always the same ones."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass

from service.variant_names import CHALLENGER, CHAMPION, VARIANT_NAME

_STEPS = 2**64


@dataclass(frozen=True)
class TrafficSplit:
    """Shares of the nodes, by a hash of their ids. A node stays with its variant as long as the shares stay.

    Attributes:
        shares: of each variant, in the order of the setting; the champion has the rest.
    """

    shares: tuple[tuple[str, float], ...] = ()

    @classmethod
    def parse(cls, text: str) -> TrafficSplit:
        """The split that a setting describes.

        >>> TrafficSplit.parse("wide:0.1, deep:0.05").shares
        (('wide', 0.1), ('deep', 0.05))

        Raises:
            ValueError: it names no variant, one twice, or shares that no traffic has.
        """
        shares = [_share(part.strip()) for part in text.split(",") if part.strip()]
        names = [name for name, _ in shares]
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f"{name} has two shares: give it one")
        total = sum(share for _, share in shares)
        if total > 1:
            raise ValueError(f"the shares are {total:g} together: they may be 1")
        return cls(tuple(shares))

    def of(self, node: str) -> str | None:
        """The variant that answers for a node; None for the champion.

        >>> split = TrafficSplit.parse("wide:0.25")
        >>> sum(split.of(str(node)) == "wide" for node in range(1000))
        227
        """
        if not self.shares:
            return None
        digest = hashlib.blake2b(node.encode(errors="surrogatepass"), digest_size=8).digest()
        place, up_to = int.from_bytes(digest) / _STEPS, 0.0
        for name, share in self.shares:
            up_to += share
            if place < up_to:
                return name
        return None


def _share(part: str) -> tuple[str, float]:
    name, _, value = part.partition(":")
    if not re.fullmatch(VARIANT_NAME, name) or name in {CHAMPION, CHALLENGER}:
        raise ValueError(f"{part!r} names no variant: write NAME:SHARE, such as wide:0.1")
    try:
        share = float(value)
    except ValueError:
        share = -1.0
    if not 0 < share <= 1:
        raise ValueError(f"{part!r} has no share: write NAME:SHARE, such as wide:0.1, with a share up to 1")
    return name, share
