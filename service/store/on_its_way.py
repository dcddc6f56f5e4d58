"""Batches between the log and the worker's report: what they may add, whichever API process has appended them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from redis.asyncio import Redis

from olad_core.memory_use import Sizes
from service.store.keys import Keys
from service.store.positions import PositionPair, parse_position
from service.store.scripts import script


@dataclass(frozen=True)
class OnItsWay:
    """What batches may add that the worker has not reported yet.

    Attributes:
        sizes: of all of them together.
        last: position of the last batch that is counted.
    """

    sizes: Sizes
    last: PositionPair


class OnItsWayReader:
    """Reads what is on its way, and forgets what has arrived.

    Args:
        redis: client that returns bytes.
        keys: of the graph.
    """

    def __init__(self, redis: Redis, keys: Keys) -> None:
        self._keys = keys
        self._script = redis.register_script(script("on_its_way"))

    async def after(self, position: str) -> OnItsWay:
        """What comes after a position that the worker has reported."""
        found: Any = await self._script(keys=[self._keys.admitted], args=[position])
        if not found:
            return OnItsWay(Sizes(), parse_position(position))
        first, own, last = (_numbers(text) for text in found[:3])
        nodes, edges, featured = (
            end - (begin - its) for end, begin, its in zip(last[:3], first[:3], own[:3], strict=True)
        )
        return OnItsWay(Sizes(nodes, edges, featured, last[3]), parse_position(found[3].decode()))


def sizes_text(sizes: Sizes) -> str:
    """Sizes of a batch as the log's script takes them; empty where it adds nothing.

    >>> sizes_text(Sizes(nodes=2, edges=1)), sizes_text(Sizes())
    ('2 1 0 0', '')
    """
    numbers = (sizes.nodes, sizes.edges, sizes.featured, sizes.feature_width)
    return " ".join(map(str, numbers)) if sizes.nodes else ""


def _numbers(text: bytes) -> list[int]:
    return [int(number) for number in text.split()]
