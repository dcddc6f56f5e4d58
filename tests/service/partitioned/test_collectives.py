"""Ranks in processes of their own serve what ranks of one process serve."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.docs.markdown import ROOT
from tests.olad_core.partition import learning
from tests.olad_core.partition.learning import Ranks
from tests.olad_core.partition.runs import group
from tests.olad_core.streams import changes, take
from tests.service.partitioned.rank import LEARNT, SIZES, STEPS, TURNS, students


@pytest.fixture
def one_thread() -> Iterator[None]:
    """Sums over many rows are added up in another order by several threads."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.mark.usefixtures("one_thread")
def test_two_processes_serve_and_learn_the_bytes_of_two_ranks_in_one(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tests.service.partitioned.rank"]
    ranks = [subprocess.Popen([*command, str(rank), "2", str(tmp_path)], cwd=ROOT) for rank in range(2)]
    parts, stream = group(2, students(), edge_lifetime=12.0), changes(5)
    for turn, size in enumerate(SIZES):
        parts.apply(take(stream, size), float(turn))
    learners = Ranks(2, LEARNT)
    learners.play(learning.stream(5), batches=TURNS, steps=STEPS)
    try:
        assert [rank.wait(timeout=60) for rank in ranks] == [0, 0]
    finally:
        for rank in ranks:
            rank.kill()
            rank.wait()
    size = 0
    for part, path in zip(parts.parts, sorted(tmp_path.glob("*.npz")), strict=True):
        with np.load(path) as found:
            assert found["ids"].tolist() == part.answers(0)[0]
            assert found["first"].tobytes() == part.answers(0)[1].tobytes()
            assert found["second"].tobytes() == part.answers(1)[1].tobytes()
            size += int(found["size"])
            assert {found["learned"].tobytes()} == learners.weights()
    assert size == sum(parts.traffic.size.values()) > 0
