"""Engines with tasks on edges: made, played to, and compared to the byte."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import torch

from olad_core.config import EngineConfig
from olad_core.engine import Engine
from olad_core.events import Event, GraphSchema


def engine(schema: GraphSchema, **changes: Any) -> Engine:
    """An engine of a declared schema.

    Args:
        schema: declared in its first entry.
        changes: to the default configuration.
    """
    made = Engine(EngineConfig(**changes), torch.device("cpu"))
    made.declare("0-1", schema)
    return made


def play(on: Engine, entries: Sequence[Sequence[Event]], first: int = 1) -> None:
    """Apply entries, a second each; the first has the number ``first``."""
    for number, entry in enumerate(entries, first):
        on.apply(f"{number}-0", entry, float(number))
        on.refresh()
        on.take_publication()


def bytes_of(on: Engine) -> dict[str, bytes]:
    """The state of an engine, by part."""
    tensors, values = on.state()
    found = {name: tensor.contiguous().numpy().tobytes() for name, tensor in tensors.items()}
    return found | {"values": json.dumps(values, sort_keys=True).encode()}
