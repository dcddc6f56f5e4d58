"""Students spread over processes learn what students of one process learn, to the byte."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import torch

from olad_core.learning.group import Group
from olad_core.learning.spread import ALONE, Division, NotSpread, RanksDiffer, Spread
from olad_core.learning.trainer import Trainer
from olad_core.students import InputShape
from tests.docs.markdown import ROOT
from tests.olad_core.learning.spread_rank import CPU, GROUP, STEPS
from tests.olad_core.learning.test_many_classes import nodes_of
from tests.olad_core.learning.test_trainer import Lesson

Array = npt.NDArray[np.generic]


def differing(one: dict[str, Array], other: dict[str, Array]) -> list[str]:
    assert one.keys() == other.keys()
    return [name for name, array in one.items() if other[name].tobytes() != array.tobytes()]


def test_two_and_four_processes_learn_the_bytes_of_one(tmp_path: Path) -> None:
    """Losses of 50 steps, weights, moments, twins, decisions and everything that is published."""
    command = [sys.executable, "-m", "tests.olad_core.learning.spread_rank", str(tmp_path)]
    subprocess.run(command, cwd=ROOT, check=True, timeout=200)
    alone, engine = (dict(np.load(tmp_path / "1" / f"{name}.npz")) for name in ("0", "engine 0"))
    del alone["sent"]
    assert sum(name.startswith("losses/") for name in alone) > 4 * STEPS
    assert {name.split("/")[2] for name in alone if name.startswith("losses/")} >= {"global", "local", "discriminator"}
    assert b"'resets': 1" in alone["values"].tobytes()
    for ranks, students in ((2, [3, 2]), (4, [2, 1, 1, 1])):
        for rank, own in enumerate(students):
            found = dict(np.load(tmp_path / str(ranks) / f"{rank}.npz"))
            # Norms are sent where losses are finite: in one more step, after the spoilt student began anew.
            assert found.pop("sent").tolist() == [own * alone["shown"], own * 4 * (STEPS + 1)]
            assert differing(found, alone) == []
    for rank in range(2):
        assert differing(dict(np.load(tmp_path / "2" / f"engine {rank}.npz")), engine) == []


class TestDivision:
    def test_whole_stacks_one_after_the_other(self) -> None:
        division = Division(Spread(1, 2, ALONE.gather), [2, 1, 1])
        assert division.owners == (0, 0, 0, 1)
        assert division.own == slice(3, 4)

    def test_a_rank_without_a_student_is_refused(self) -> None:
        with pytest.raises(NotSpread, match="3 ranks are to train 2 kinds of students"):
            Division(Spread(0, 3, ALONE.gather), [2, 2])

    def test_numbers_that_are_missing_are_noticed(self) -> None:
        division = Division(Spread(0, 2, lambda _, values: [values, values[:1]]), [1, 1])
        with pytest.raises(RanksDiffer, match="shown"):
            division.join("shown", [torch.zeros(1, 3)])


def test_students_that_remember_are_refused() -> None:
    config = replace(GROUP, students=("gcn", "tgcn"))
    with pytest.raises(NotSpread, match="tgcn"):
        Group(config, InputShape(3), 2, CPU, spread=Spread(0, 2, ALONE.gather))


def test_many_classes_are_refused() -> None:
    lesson = Lesson(GROUP, nodes_of(list(range(1_025))), max_classes=1_025)
    group = Group(GROUP, InputShape.of_graph(lesson.graph), 1_025, CPU, spread=Spread(0, 2, ALONE.gather))
    lesson.trainer, lesson.teaching = Trainer(group), np.full((6, 5), 0.2, np.float32)
    with pytest.raises(NotSpread, match="1025 classes"):
        lesson.step()
