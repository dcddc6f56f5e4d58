"""Trees and a linear model in damaged checkpoints: refused with their reason, or of no harm."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from olad_core.engine import Engine
from service.worker.checkpoint import BrokenCheckpoint, Checkpoint, read_checkpoint, write_checkpoint
from service.worker.restoring import restore
from tests.device import DEVICE
from tests.olad_core.runs import PAIR, Run, learned
from tests.olad_core.streams import changes, take

CONFIG = replace(PAIR, serve="group", arrivals_scored=100, linear=True)


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Checkpoint:
    """One with trees in it, those of the served version included, and nodes that wait for their label."""
    run = learned(Run(CONFIG))
    stream = changes(5)
    for _ in range(6):
        run.turn(take(stream, 20), steps=3)
    held = run.engine.versions.served
    assert held is not None
    assert held.embedding.forest is not None
    return read_checkpoint(write_checkpoint(tmp_path_factory.mktemp("checkpoints"), *run.engine.state(), keep=1))


def goes_on(engine: Engine) -> None:
    """Whatever reads the trees does so."""
    run, stream = Run(engine=engine), changes(6)
    run.turn([], steps=1)
    for _ in range(4):
        run.turn(take(stream, 20), steps=5)


def put(value: float) -> Callable[[Tensor], Tensor]:
    """Puts a number into every place."""
    return lambda tensor: torch.full_like(tensor, value)


FORESTS = ("trees/forest", "versions/served/combination/forest")
CHANGES: dict[str, tuple[Callable[[Tensor], Tensor], str]] = {
    "left": (put(0), "does not follow it"),
    "right": (put(10**6), "does not follow it"),
    "column": (put(10**6), "forest/column"),
    "root": (put(-1), "forest/root"),
    "of_class": (put(64), "forest/of_class"),
    "shape": (put(1), "forest/"),
    "missing_left": (lambda tensor: tensor[:-1], "different lengths"),
    "threshold": (put(float("inf")), "forest/threshold"),
}


@pytest.mark.parametrize("forest", FORESTS)
@pytest.mark.parametrize("name", CHANGES)
def test_what_is_no_forest_is_refused(written: Checkpoint, forest: str, name: str) -> None:
    change, reason = CHANGES[name]
    damaged = written.tensors | {f"{forest}/{name}": change(written.tensors[f"{forest}/{name}"])}
    with pytest.raises(BrokenCheckpoint, match=reason):
        restore(CONFIG, Checkpoint(written.path, damaged, written.values), DEVICE)


@pytest.mark.parametrize("forest", FORESTS)
def test_a_forest_of_other_features_is_refused(written: Checkpoint, forest: str) -> None:
    shape = written.tensors[f"{forest}/shape"].clone()
    shape[2] = 2
    with pytest.raises(BrokenCheckpoint, match="of another graph"):
        restore(CONFIG, Checkpoint(written.path, written.tensors | {f"{forest}/shape": shape}, written.values), DEVICE)


OF_ROWS: dict[str, tuple[Callable[[Tensor], Tensor], str]] = {
    "trees/counts": (put(-1), "trees/counts"),
    "trees/labelled/key": (put(7), "names classes"),
    "trees/labelled/next": (put(10**9), "is the next of"),
    "trees/waiting/key": (lambda tensor: tensor[1:], "keys of a table"),
    "trees/waiting/table": (lambda tensor: tensor.double(), "a table of"),
    "trees/predicted/key": (lambda tensor: tensor.int(), "keys of"),
    "trees/predicted/table": (put(1.5), "no probabilities"),
    "versions/served/forest/answers": (put(-0.5), "no probabilities"),
    "linear/numbers": (put(-1), "linear/numbers"),
    "linear/moments/products": (put(float("nan")), "linear/moments"),
    "linear/moments/sums": (lambda tensor: tensor[:, 1:], "linear/moments"),
    "linear/model/weight": (lambda tensor: tensor[:, 1:], "of another graph"),
    "linear/waiting/table": (lambda tensor: tensor.double(), "a table of"),
    "versions/served/combination/linear/weight": (put(float("inf")), "discriminant/weight"),
    "versions/served/linear/answers": (put(-0.5), "no probabilities"),
    "versions/served/linear/shares": (put(1.5), "no probabilities"),
}


@pytest.mark.parametrize("name", OF_ROWS)
def test_what_are_no_rows_is_refused(written: Checkpoint, name: str) -> None:
    change, reason = OF_ROWS[name]
    damaged = written.tensors | {name: change(written.tensors[name])}
    with pytest.raises(BrokenCheckpoint, match=reason):
        restore(CONFIG, Checkpoint(written.path, damaged, written.values), DEVICE)


@pytest.mark.parametrize("value", [-3.0, 1e30])
def test_numbers_that_no_tree_would_have_do_no_harm(written: Checkpoint, value: float) -> None:
    names = [f"{forest}/threshold" for forest in FORESTS] + [f"trees/{part}/table" for part in ("waiting", "labelled")]
    damaged = written.tensors | {name: put(value)(written.tensors[name]) for name in names}
    goes_on(restore(CONFIG, Checkpoint(written.path, damaged, written.values), DEVICE))


@pytest.mark.parametrize(
    "name", ["trees/counts", "trees/forest/root", "trees/labelled/key", "versions/served/forest/answers"]
)
def test_missing_parts_are_refused(written: Checkpoint, name: str) -> None:
    fewer = {other: tensor for other, tensor in written.tensors.items() if other != name}
    with pytest.raises(BrokenCheckpoint):
        restore(CONFIG, Checkpoint(written.path, fewer, written.values), DEVICE)


def test_a_checkpoint_of_before_there_was_a_linear_model_is_read(written: Checkpoint) -> None:
    fewer = {name: tensor for name, tensor in written.tensors.items() if not name.startswith("linear/")}
    engine = restore(CONFIG, Checkpoint(written.path, fewer, written.values), DEVICE)
    assert engine.linear is not None
    assert engine.linear.model is None
    goes_on(engine)


def test_without_trees_the_rest_goes_on(written: Checkpoint, tmp_path: Path) -> None:
    fewer = {name: tensor for name, tensor in written.tensors.items() if not name.startswith("trees/")}
    engine = restore(CONFIG, Checkpoint(written.path, fewer, written.values), DEVICE)
    assert engine.trees is not None
    assert engine.trees.forest is None
    goes_on(engine)
