"""Entries of the log by which an operator decides what is served."""

from __future__ import annotations

from olad_core.engine import Engine, EntryOutcome
from olad_core.events import VersionChange
from service.variant_names import DEFAULT_VARIANT


def carry_out(engine: Engine, position: str, change: VersionChange, variant: str) -> EntryOutcome:
    """Carry out a change in the engine of one variant.

    A promotion changes no engine: readers have gone on to the variant before the entry was read. It is a decision in
    each of them, so that whoever follows any of them is informed.

    Args:
        engine: of the variant.
        position: of the entry.
        change: what is decided, and of which variant.
        variant: whose engine it is.
    """
    of = change.variant or DEFAULT_VARIANT
    if change.action == "promote":
        outcome = engine.pass_over(position)
        reason = f"variant {of} is the champion: it answers where a reader names no variant"
        engine.decisions.add("variant-promoted", reason)
        return outcome
    return engine.change_version(position, change) if of == variant else engine.pass_over(position)
