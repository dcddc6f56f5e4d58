"""Damaged checkpoints: each is the state it was, or broken; never a crash and never another graph."""

from __future__ import annotations

import copy
import hashlib
import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from olad_core.config import EngineConfig, TrainerConfig
from olad_core.engine import Engine
from olad_core.events import GraphSchema
from service.worker.checkpoint import (
    FORMAT,
    UNTYPED_FORMAT,
    BrokenCheckpoint,
    Checkpoint,
    OtherFormat,
    list_checkpoints,
    newest_checkpoint,
    read_checkpoint,
    write_checkpoint,
)
from service.worker.restoring import restore, restore_as_it_was
from tests.device import DEVICE
from tests.olad_core.runs import PAIR, Run, assert_readers_are_fresh, learned
from tests.olad_core.streams import two_communities
from tests.service.entries import random_entries

CPU = torch.device("cpu")
CONFIG = EngineConfig(trainer=TrainerConfig(width=8, warmup_steps=5), publish_steps=3)
Values = dict[str, Any]
OPTIONAL = {"clock_arrival", "clock_from_ts", "clock_shift", "ts_ahead_max", "out_weight"}
"""Arrays of the graph that checkpoints of earlier releases do not have."""


@pytest.fixture(scope="module", params=[False, True], ids=["undirected", "directed"])
def written(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint of a graph with everything in it."""
    engine = Engine(CONFIG, CPU)
    engine.declare("1-0", GraphSchema(directed=request.param, edge_lifetime=1e9))
    for number, events in enumerate(random_entries(12, seed=1), start=2):
        engine.apply(f"{number}-0", events, 0.0)
        engine.refresh()
        engine.learn(2)
        engine.take_publication()
    return write_checkpoint(tmp_path_factory.mktemp("checkpoints"), *engine.state(), keep=1)


def same(engine: Engine, checkpoint: Checkpoint) -> bool:
    tensors, values = engine.state()
    assert tensors.keys() == checkpoint.tensors.keys()
    alike = all(tensors[name].numpy().tobytes() == t.numpy().tobytes() for name, t in checkpoint.tensors.items())
    return alike and json.dumps(values, sort_keys=True) == json.dumps(checkpoint.values, sort_keys=True)


def test_a_whole_one_is_the_state_it_was(written: Path) -> None:
    checkpoint = read_checkpoint(written)
    assert same(restore(CONFIG, checkpoint, CPU), checkpoint)
    assert same(restore_as_it_was(checkpoint, CPU), checkpoint)


def test_one_without_a_checksum_of_its_manifest_is_read(written: Path, tmp_path: Path) -> None:
    path = shutil.copytree(written, tmp_path / written.name)
    manifest = json.loads((path / "manifest.json").read_text())
    del manifest["manifest_sha256"]
    (path / "manifest.json").write_text(json.dumps(manifest))
    assert same(restore(CONFIG, read_checkpoint(path), CPU), read_checkpoint(written))


@pytest.mark.parametrize("name", ["manifest.json", "values.json", "tensors.safetensors"])
def test_flipped_bits_are_broken_or_change_nothing(written: Path, tmp_path: Path, name: str) -> None:
    original = read_checkpoint(written)
    path = shutil.copytree(written, tmp_path / written.name)
    content = (path / name).read_bytes()
    random = np.random.default_rng(3)
    places = range(len(content)) if len(content) < 1000 else random.integers(len(content), size=60)
    for place in places:
        spoilt = bytearray(content)
        spoilt[place] ^= 1 << int(random.integers(8))
        (path / name).write_bytes(spoilt)
        try:
            found = read_checkpoint(path)
        except BrokenCheckpoint:
            continue
        assert json.dumps(found.values) == json.dumps(original.values), place
        assert same(restore(CONFIG, found, CPU), original)


def nested(checkpoint: Path) -> None:
    (checkpoint / "values.json").write_text("[" * 100_000)


def nested_manifest(checkpoint: Path) -> None:
    (checkpoint / "manifest.json").write_text('{"format": 4, "sha256": ' + '{"a":' * 100_000)


def twice(checkpoint: Path) -> None:
    text = (checkpoint / "values.json").read_text()
    (checkpoint / "values.json").write_text(text[:-1] + ', "applied_events": 1}')


def rest_of_tensors(checkpoint: Path) -> None:
    file = checkpoint / "tensors.safetensors"
    file.write_bytes(file.read_bytes()[:-7])


def negative_offsets(checkpoint: Path) -> None:
    file = checkpoint / "tensors.safetensors"
    size = int.from_bytes(file.read_bytes()[:8], "little")
    header = json.loads(file.read_bytes()[8 : 8 + size])
    next(iter(header.values()))["data_offsets"] = [-8, 0]
    text = json.dumps(header).encode()
    file.write_bytes(len(text).to_bytes(8, "little") + text + file.read_bytes()[8 + size :])


def huge_header(checkpoint: Path) -> None:
    file = checkpoint / "tensors.safetensors"
    file.write_bytes((2**63).to_bytes(8, "little") + file.read_bytes()[8:])


def vouch(path: Path) -> None:
    """Make the manifest of damaged files anew, as if the damage had been there when they were written."""
    files = ("tensors.safetensors", "values.json")
    digests = {name: hashlib.sha256((path / name).read_bytes()).hexdigest() for name in files}
    (path / "manifest.json").write_text(json.dumps({"format": 4, "sha256": digests}))


@pytest.mark.parametrize("vouched", [False, True])
@pytest.mark.parametrize("spoil", [nested, twice, rest_of_tensors, negative_offsets, huge_header, nested_manifest])
def test_damaged_files_are_broken_and_the_next_older_one_is_taken(
    written: Path, tmp_path: Path, spoil: Callable[[Path], None], vouched: bool
) -> None:
    older = shutil.copytree(written, tmp_path / "checkpoint-000000000001")
    path = shutil.copytree(written, tmp_path / "checkpoint-000000000002")
    spoil(path)
    if vouched and spoil is not nested_manifest:
        vouch(path)
    found, skipped = newest_checkpoint(tmp_path)
    assert found is not None
    assert found.path == older
    assert [str(path) in str(problem) for problem in skipped] == [True]


def spoilt_values(values: Values, random: np.random.Generator) -> Values:
    """The values with one of them, anywhere, of another type or out of any range, or gone."""
    values = copy.deepcopy(values)
    places: list[tuple[Any, Any]] = []

    def walk(part: Any) -> None:
        for key in part if isinstance(part, dict) else range(len(part)):
            places.append((part, key))
            if isinstance(part[key], dict | list):
                walk(part[key])

    walk(values)
    part, key = places[int(random.integers(len(places)))]
    others: list[Any] = [None, "x", -1, 1.5, float("nan"), float("inf"), 2**70, [], {}, True, [[[]]]]
    choice = int(random.integers(len(others) + 1))
    if choice == len(others) and isinstance(part, dict):
        del part[key]
    else:
        part[key] = others[choice % len(others)]
    return values


def test_values_of_other_types_are_broken_or_used_as_they_stand(written: Path) -> None:
    original = read_checkpoint(written)
    random = np.random.default_rng(5)
    for _ in range(60):
        values = spoilt_values(original.values, random)
        try:
            engine = restore(CONFIG, Checkpoint(written, original.tensors, values), CPU)
        except ValueError:
            continue
        for name in ("applied_events", "rejected_events", "advance_event"):
            assert type(getattr(engine, name.replace("advance", "_advance"))) is int
        assert engine.graph.num_nodes == len(set(engine.graph.ids(np.flatnonzero(engine.graph.alive))))
        engine.learn(1)


MUTATIONS: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "wider": lambda t: t.to(torch.float64) if t.dtype != torch.float64 else t.to(torch.float32),
    "integers": lambda t: t.to(torch.int16) if t.dtype != torch.int16 else t.to(torch.int32),
    "negative": lambda t: -1 - t if t.dtype != torch.bool else t.to(torch.int8) - 3,
    "huge": lambda t: torch.full_like(t, 2**30) if t.dtype in {torch.int32, torch.int64} else t.to(torch.float16),
    "shorter": lambda t: t[:-1] if t.ndim and len(t) > 1 else t[None],
    "a dimension more": lambda t: t[None],
    "flat": lambda t: t.reshape(-1) if t.ndim > 1 else t[None, None],
}


@pytest.mark.parametrize("mutation", MUTATIONS)
def test_graph_arrays_that_cannot_be_are_broken(written: Path, mutation: str) -> None:
    original = read_checkpoint(written)
    taken = []
    for name in [name for name in original.tensors if name.startswith("graph/")]:
        changed = MUTATIONS[mutation](original.tensors[name].clone())
        if torch.equal(changed, original.tensors[name]) or changed.numel() == 0:
            continue
        tensors = original.tensors | {name: changed}
        try:
            engine = restore(CONFIG, Checkpoint(written, tensors, original.values), CPU)
        except BrokenCheckpoint:
            continue
        assert changed.dtype == original.tensors[name].dtype
        taken.append(name)
        # What is taken is usable: no index leads out of an array.
        for number, events in enumerate(random_entries(3, seed=9), start=100):
            engine.apply(f"{number}-0", events, 0.0)
            engine.refresh()
    # Any number can be a weight, a time or an arrival; what leads to another place cannot.
    free = {"feature_values", "arrival", "clock", "edge_time", "edge_lifetime", "in_weight", "arrivals"}
    free |= {"edge_first", "edge_last", "edge_gap"}
    assert {name.removeprefix("graph/") for name in taken} <= free | OPTIONAL | {"classes", "ids", "removed_ids"}


@pytest.mark.parametrize("mutation", ["wider", "a dimension more", "flat"])
def test_other_tensors_of_other_types_are_broken(written: Path, mutation: str) -> None:
    original = read_checkpoint(written)
    names = [name for name in original.tensors if not name.startswith("graph/")]
    for name in names[:: max(1, len(names) // 25)]:
        changed = MUTATIONS[mutation](original.tensors[name].clone())
        with pytest.raises(BrokenCheckpoint):
            restore(CONFIG, Checkpoint(written, original.tensors | {name: changed}, original.values), CPU)


def test_missing_and_unknown_tensors_are_broken(written: Path) -> None:
    original = read_checkpoint(written)
    optional = tuple(f"graph/{name}" for name in OPTIONAL)
    for name in [name for name in original.tensors if not name.startswith(("losses/", *optional))][::11]:
        fewer = {other: tensor for other, tensor in original.tensors.items() if other != name}
        with pytest.raises(BrokenCheckpoint):
            restore(CONFIG, Checkpoint(written, fewer, original.values), CPU)
    more = original.tensors | {"graph/unknown": torch.zeros(1)}
    with pytest.raises(BrokenCheckpoint, match="graph/unknown"):
        restore(CONFIG, Checkpoint(written, more, original.values), CPU)


@pytest.mark.parametrize("before", ["log_loss", "average_precision:a"])
@pytest.mark.parametrize("now", [None, "macro_f1", "log_loss", "average_precision:another"])
def test_it_is_read_under_another_metric(before: str, now: str | None, tmp_path: Path) -> None:
    engine = learned(Run(replace(PAIR, metric=before))).engine
    path = write_checkpoint(tmp_path, *engine.state(), keep=1)
    restored = restore(replace(PAIR, metric=now), read_checkpoint(path), CPU)
    assert restored.assessment.student_scores().scored.tolist() == engine.assessment.student_scores().scored.tolist()
    assert str(restored.assessment.metric) == (now or "accuracy")


def test_what_has_another_name_is_neither_read_nor_deleted(written: Path, tmp_path: Path) -> None:
    original = read_checkpoint(written)
    first = shutil.copytree(written, tmp_path / "checkpoint-000000000001")
    # fmt: off
    strays = ["checkpoint-000000000007.bak", "checkpoint-7", "checkpoint-", "checkpoint-00000000000x",
              ".unfinished-old", "checkpoint-0000000000001", "Checkpoint-000000000009", "checkpoint-٠٠٠٠٠٠٠٠٠٠٠٩"]
    # fmt: on
    for stray in strays:
        shutil.copytree(written, tmp_path / stray)
    (tmp_path / "checkpoint-000000000008").write_text("a file")
    (tmp_path / ".unfinished-000000000009").write_text("a file")
    (tmp_path / "checkpoint-000000000010").symlink_to(first)
    (tmp_path / "checkpoint-000000000011.tmp").write_text("")
    shutil.copytree(written, tmp_path / ".unfinished-000000000003")
    assert list_checkpoints(tmp_path) == [first]
    before = {path.name for path in tmp_path.iterdir()} - {first.name, ".unfinished-000000000003"}
    for _ in range(3):
        newest = write_checkpoint(tmp_path, original.tensors, original.values, keep=1)
    assert newest.name == "checkpoint-000000000013"
    assert list_checkpoints(tmp_path) == [newest]
    assert {path.name for path in tmp_path.iterdir()} == before | {newest.name}


def test_another_format_is_told_from_a_flipped_digit(written: Path, tmp_path: Path) -> None:
    path = shutil.copytree(written, tmp_path / written.name)
    text = (path / "manifest.json").read_text()
    (path / "manifest.json").write_text(text.replace(f'"format": {UNTYPED_FORMAT}', f'"format": {FORMAT + 1}'))
    with pytest.raises(BrokenCheckpoint):
        read_checkpoint(path)
    (path / "manifest.json").write_text(json.dumps({"format": FORMAT + 1}))
    with pytest.raises(OtherFormat):
        read_checkpoint(path)


def test_a_version_that_has_just_begun_is_restored(tmp_path: Path) -> None:
    run = learned(Run(PAIR))
    while run.engine.versions.candidate is None:
        run.engine.train()
    run.publish()
    other = Run(engine=restore(PAIR, read_checkpoint(write_checkpoint(tmp_path, *run.engine.state(), keep=1)), DEVICE))
    for each in (run, other):
        each.engine.republish()
        each.turn(two_communities(50), steps=30)
        assert_readers_are_fresh(each)
    assert run.reader.tables[run.reader.served or 0].keys() == other.reader.tables[other.reader.served or 0].keys()
    for name, tensor in run.engine.state()[0].items():
        assert tensor.numpy().tobytes() == other.engine.state()[0][name].numpy().tobytes(), name
