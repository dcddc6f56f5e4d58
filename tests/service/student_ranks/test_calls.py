"""What an engine is told becomes bytes, and another engine that is told the same from them is in the same state."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from olad_core.engine import Engine
from olad_core.events import ClockSetting, GraphSchema, VersionChange
from olad_core.serving.load import TurnTime
from olad_core.step_size import StepSize
from olad_core.trees.forest import Forest
from olad_core.trees.growth import Growth
from olad_core.trees.table import STRUCTURE
from service.student_ranks.calls import REPEATED, encode_call, make_call
from tests.olad_core.runs import CONFIG
from tests.service.entries import FEATURES, random_entries

ENTRIES = random_entries(6, seed=2)


def forest() -> Forest:
    """Two trees, of columns as those of the graph."""
    table = np.random.default_rng(0).normal(size=(20, 2 * FEATURES + STRUCTURE + 2)).astype(np.float32)
    growth = Growth(table, np.arange(20) % 2, 2, FEATURES)
    growth.advance()
    return growth.forest()


CALLS: list[tuple[str, tuple[Any, ...], dict[str, Any]]] = [
    ("declare", ("1-0", GraphSchema(classes=("class 0",))), {}),
    ("set_clock", ("2-0", ClockSetting(time=3.0), 4.0), {}),
    ("change_version", ("3-0", VersionChange(action="pin", version=7)), {}),
    ("pass_over", ("4-0",), {}),
    ("skip", ("5-0", 2, "why", "text", ENTRIES[0]), {}),
    *[("apply", (f"{number}-0", events, float(number)), {}) for number, events in enumerate(ENTRIES, start=6)],
    ("apply", ("12-0", [], 12.0), {}),
    ("refresh", (), {}),
    ("take_forest", (forest(), 20), {}),
    ("follow_load", (TurnTime(3, 0.5, own_s=0.25),), {}),
    ("train_part", (StepSize(0.5),), {}),
    ("learn", (CONFIG.publish_steps,), {}),
    ("embed", (), {"size": StepSize(0.5)}),
    ("ask", (["1", "2"],), {}),
    ("ask", ([],), {}),
    ("whole", (["3"],), {}),
    ("make_list", ("top",), {}),
    ("compute_due", (100,), {}),
    ("tidy", (100,), {"hubs": False}),
    ("finish", (), {}),
    ("republish", (), {}),
    ("take_publication", (), {}),
    ("state", (), {}),
    ("restart_training", (), {}),
]


def test_every_call_is_tried() -> None:
    assert {name for name, _, _ in CALLS} == REPEATED


def test_an_engine_that_repeats_calls_is_in_the_same_state() -> None:
    first, other = (Engine(CONFIG, torch.device("cpu")) for _ in range(2))
    for name, arguments, named in CALLS:
        getattr(first, name)(*arguments, **named)
        make_call(other, encode_call(name, arguments, named))
    assert first.versions.served is not None
    assert first.trees is not None
    assert first.trees.forest is not None
    (tensors, values), (found, repeated) = first.state(), other.state()
    assert values == repeated
    assert tensors.keys() == found.keys()
    differing = [name for name, tensor in tensors.items() if tensor.numpy().tobytes() != found[name].numpy().tobytes()]
    assert differing == []


def test_what_an_engine_has_no_way_to_be_told_is_an_error() -> None:
    with pytest.raises(TypeError):
        encode_call("apply", ("1-0",), {})
