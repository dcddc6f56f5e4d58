"""A worker that is started with other students, without process and Redis."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest
from structlog.testing import capture_logs
from typer.testing import CliRunner

from olad_core.config import EngineConfig
from service.cli import app
from service.commands import up
from service.settings import Settings
from service.worker.assembly import CannotBegin, restore_engine
from service.worker.checkpoint import BrokenCheckpoint, Checkpoint, list_checkpoints, read_checkpoint, write_checkpoint
from service.worker.restoring import restore
from tests.device import DEVICE
from tests.olad_core.runs import PAIR, stream
from tests.service.worker.by_hand import Site, bytes_of

WIDER = replace(PAIR, trainer=replace(PAIR.trainer, width=16))
ASKED = replace(PAIR, renewal="monday")


@pytest.fixture
def site(tmp_path: Path) -> Site:
    """A graph that is served, and whose worker has ended."""
    site = Site(tmp_path)
    site.log.append(*stream(turns=12))
    site.run(steps_per_entry=3)
    assert site.predictions.version is not None
    return site


def with_wider_students(site: Site) -> Site:
    """The same stores and files."""
    other = Site(site.checkpoints.parent, WIDER)
    other.log, other.predictions = site.log, site.predictions
    return other


def test_one_line_of_the_log_says_so_once(site: Site) -> None:
    served = site.predictions.version
    other = with_wider_students(site)
    for expected in (1, 0):
        with capture_logs() as lines:
            other.run(steps_per_entry=0)
        found = [line for line in lines if line.get("kind") == "group-restarted"]
        assert len(found) == expected
        assert all(line["reason"].startswith("new students begin, because width 8 became 16") for line in found)
    assert site.predictions.version == served


def test_numbers_that_readers_know_are_not_given_to_versions_of_other_students(site: Site) -> None:
    assert site.predictions.version is not None
    site.predictions.version += 20
    other = with_wider_students(site)
    known = site.predictions.version
    other.run(steps_per_entry=1)
    assert other.restore().versions.next_shown > known


def test_a_restart_while_a_former_version_is_served_changes_nothing(site: Site) -> None:
    other = with_wider_students(site)
    other.run(steps_per_entry=0)
    before = bytes_of(other.restore())
    assert other.restore().versions.former is not None
    other.run(steps_per_entry=0)
    assert bytes_of(other.restore()) == before


@pytest.mark.parametrize("config", [WIDER, ASKED], ids=["width", "asked for"])
def test_damage_to_what_stays_is_found(site: Site, config: EngineConfig) -> None:
    original = read_checkpoint(list_checkpoints(site.checkpoints)[-1])
    kept = ("graph/", "replay/", "touched/", "scores/", "arrivals/", "drift/")
    for name in [name for name in original.tensors if name.startswith(kept)][::3]:
        spoilt = original.tensors | {name: original.tensors[name][None]}
        with pytest.raises(BrokenCheckpoint):
            restore(config, Checkpoint(original.path, spoilt, original.values), DEVICE)


def test_a_damaged_comparison_is_found(site: Site) -> None:
    other = with_wider_students(site)
    other.run(steps_per_entry=0)
    found = read_checkpoint(list_checkpoints(site.checkpoints)[-1])
    names = [name for name in found.tensors if name.startswith("succession/")]
    assert len(names) > 3
    for name in names:
        whole = found.tensors[name]
        for spoilt in (whole[:, :1] if whole.ndim > 1 else whole[:0], whole[None], whole.float()):
            tensors = found.tensors | {name: spoilt.contiguous()}
            with pytest.raises(BrokenCheckpoint, match="succession"):
                restore(WIDER, Checkpoint(found.path, tensors, found.values), DEVICE)
        fewer = {other: tensor for other, tensor in found.tensors.items() if other != name}
        with pytest.raises(BrokenCheckpoint):
            restore(WIDER, Checkpoint(found.path, fewer, found.values), DEVICE)


def spoil_served(site: Site) -> None:
    """Weights of the served student as no release has them."""
    found = read_checkpoint(list_checkpoints(site.checkpoints)[-1])
    [name, *_] = [name for name in found.tensors if re.fullmatch(r"versions/served/.*head\.weight", name)]
    narrower = found.tensors[name][:, :-1].contiguous()
    write_checkpoint(site.checkpoints, found.tensors | {name: narrower}, found.values, keep=1)


def test_what_is_served_and_cannot_be_read_is_given_up_only_where_that_is_asked_for(site: Site) -> None:
    before = site.restore()
    spoil_served(site)
    for config in (PAIR, WIDER):
        with pytest.raises(CannotBegin, match="`olad up --new-students` or OLAD_NEW_STUDENTS gives up the students"):
            restore_engine(site.checkpoints, config, DEVICE)
    engine = restore_engine(site.checkpoints, ASKED, DEVICE)
    assert engine.versions.served is None
    assert (engine.position, engine.graph.num_nodes) == (before.position, before.graph.num_nodes)
    assert engine.learn(5)


def test_olad_up_asks_for_new_students_with_another_word_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[Settings] = []

    class Stopped(Exception):
        pass

    def service(settings: Settings, stop: object) -> None:
        given.append(settings)
        raise Stopped

    monkeypatch.setattr(up, "LocalService", service)
    for arguments in (["up"], ["up", "--new-students"], ["up", "--new-students"]):
        CliRunner().invoke(app, arguments)
    without, first, second = (settings.new_students for settings in given)
    assert without is None
    assert first != second
    assert Settings(new_students=first).new_students == first
