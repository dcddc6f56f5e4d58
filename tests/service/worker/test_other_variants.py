from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from olad_core.engine import Engine
from olad_core.events import VersionChange
from service.store.log_reader import Entry
from service.worker.assembly import restore_engine
from service.worker.checkpoint import Checkpoint, list_checkpoints, read_checkpoint, write_checkpoint
from service.worker.restoring import restore
from tests.device import DEVICE
from tests.olad_core.runs import PAIR, stream
from tests.service.worker.by_hand import Site

WIDE = replace(PAIR, trainer=replace(PAIR.trainer, width=16))


def test_a_variant_begins_on_the_graph_of_the_newest_checkpoint_of_another(tmp_path: Path) -> None:
    site = Site(tmp_path)
    site.log.append(*stream(turns=12))
    site.run(steps_per_entry=3)
    source = site.checkpoints
    other = restore(PAIR, read_checkpoint(list_checkpoints(source)[-1]), DEVICE)
    for config in (WIDE, PAIR):
        own = source.parent / f"{source.name}@wide"
        engine = restore_engine(own, config, DEVICE)
        assert (engine.position, engine.applied_events) == (other.position, other.applied_events)
        assert engine.graph.num_nodes == other.graph.num_nodes
        assert engine.versions.served is None
        assert engine.trainer is not None
        assert engine.trainer.steps == 0
        assert engine.assessment.scored() == 0


def test_a_checkpoint_that_is_removed_before_it_is_read_has_a_newer_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = Site(tmp_path)
    site.log.append(*stream(turns=12))
    site.run(steps_per_entry=3)
    newest = list_checkpoints(site.checkpoints)[-1]
    expected = restore(PAIR, read_checkpoint(newest), DEVICE).position
    state, asked = site.restore().state(), list[Path]()

    def read(path: Path) -> Checkpoint:
        if not asked:
            # As its worker does, which keeps one.
            write_checkpoint(site.checkpoints, *state, keep=1)
        asked.append(path)
        return read_checkpoint(path)

    monkeypatch.setattr("service.worker.assembly.read_checkpoint", read)
    engine = restore_engine(site.checkpoints.parent / f"{site.checkpoints.name}@wide", WIDE, DEVICE)
    assert engine.position == expected
    assert asked == [newest, list_checkpoints(site.checkpoints)[-1]]


def test_its_own_checkpoint_continues_it(tmp_path: Path) -> None:
    site = Site(tmp_path)
    site.log.append(*stream(turns=12))
    site.run(steps_per_entry=3)
    own = site.checkpoints.parent / f"{site.checkpoints.name}@wide"
    engine = restore_engine(own, WIDE, DEVICE)
    engine.learn(3)
    write_checkpoint(own, *engine.state(), keep=3)
    again = restore_engine(own, WIDE, DEVICE)
    assert not again.renewed
    assert again.trainer is not None
    assert again.trainer.steps == 3


def test_checkpoints_of_another_graph_are_passed_over(tmp_path: Path) -> None:
    site = Site(tmp_path)
    site.log.append(*stream(turns=2))
    site.run(steps_per_entry=0)
    engine = restore_engine(site.checkpoints.parent / f"{site.checkpoints.name}2@wide", WIDE, DEVICE)
    assert engine.position == "0-0"


def pin_what_is_served(site: Site, variant: str, named: str | None = None) -> Engine:
    """Let a worker of a variant meet an entry that pins the version that it serves; its engine before that."""
    site.log.append(*stream(turns=6))
    site.run(steps_per_entry=3, variant=variant)
    before = site.restore()
    assert before.versions.served is not None
    pin = VersionChange(action="pin", version=before.versions.served.version.shown, variant=named)
    site.log.entries.append(Entry("7-0", (), version=pin))
    site.run(steps_per_entry=3, variant=variant)
    return before


def test_versions_that_another_has_kept_or_pinned_are_left_out(tmp_path: Path) -> None:
    site = Site(tmp_path)
    pin_what_is_served(site, "default")
    assert site.restore().kept.pinned is not None
    engine = restore_engine(site.checkpoints.parent / f"{site.checkpoints.name}@wide", WIDE, DEVICE)
    assert engine.position == "7-0"
    assert engine.kept.pinned is None
    assert list(engine.kept.newest_first()) == []


@pytest.mark.parametrize(
    ("variant", "named", "pins"),
    [("default", None, True), ("wide", None, False), ("wide", "wide", True), ("default", "wide", False)],
)
def test_an_entry_that_pins_a_version_is_for_the_variant_that_it_names(
    tmp_path: Path, variant: str, named: str | None, pins: bool
) -> None:
    site = Site(tmp_path)
    before = pin_what_is_served(site, variant, named)
    engine = site.restore()
    assert engine.position == "7-0"
    assert (engine.kept.pinned is not None) == pins
    assert engine.rejected_events == before.rejected_events


@pytest.mark.parametrize("variant", ["default", "wide"])
def test_a_promotion_is_a_decision_of_every_variant(tmp_path: Path, variant: str) -> None:
    site = Site(tmp_path)
    site.log.append(*stream(turns=6))
    site.log.entries.append(Entry("7-0", (), version=VersionChange(action="promote", variant="wide")))
    site.run(steps_per_entry=3, variant=variant)
    (decision,) = (each for each in site.restore().decisions.newest_first() if each.kind == "variant-promoted")
    assert decision.position == "7-0"
    assert "variant wide is the champion" in decision.reason
