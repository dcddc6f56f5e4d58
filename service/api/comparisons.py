"""Comparisons of variants with the champion, computed anew only once there are further records."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from olad_core.judging.comparison import Comparison, compare
from service.store.outcomes import OutcomeReader, RingState


@dataclass(frozen=True)
class _Known:
    """A comparison, and of which records it is."""

    of: tuple[str, RingState, RingState]
    found: Comparison


class Comparisons:
    """Compares variants with the champion, and keeps the last comparison of each.

    Args:
        outcomes: reads how what was served has scored.
    """

    def __init__(self, outcomes: OutcomeReader) -> None:
        self._outcomes = outcomes
        self._known: dict[str, _Known] = {}
        self._computing = asyncio.Lock()

    async def of(self, variants: Sequence[str], champion: str) -> dict[str, Comparison]:
        """The comparison of each of the variants, which are others than the champion, by name."""
        if not variants:
            return {}
        # Requests at the same time wait for one computation.
        async with self._computing:
            states = await self._outcomes.states([champion, *variants])
            records = {name: (champion, states[champion], states[name]) for name in variants}
            known = {name: held for name, held in self._known.items() if held.of == records.get(name)}
            missing = [name for name in variants if name not in known]
            reference = await self._outcomes.read(champion) if missing else None
            for name in missing:
                assert reference is not None, "it is read where one is missing"
                own = await self._outcomes.read(name)
                # Some milliseconds of numpy, during which other requests go on.
                known[name] = _Known(records[name], await asyncio.to_thread(compare, own, reference))
            self._known = known
            return {name: held.found for name, held in known.items()}
