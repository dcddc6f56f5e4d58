"""Ranks in processes of their own serve what ranks of one process serve."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np

from tests.docs.markdown import ROOT
from tests.olad_core.partition.runs import group
from tests.olad_core.streams import changes, take
from tests.service.partitioned.rank import SIZES, students


def test_two_processes_serve_the_bytes_of_two_ranks_in_one(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tests.service.partitioned.rank"]
    ranks = [subprocess.Popen([*command, str(rank), "2", str(tmp_path)], cwd=ROOT) for rank in range(2)]
    parts, stream = group(2, students(), edge_lifetime=12.0), changes(5)
    for turn, size in enumerate(SIZES):
        parts.apply(take(stream, size), float(turn))
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
    assert size == sum(parts.traffic.size.values()) > 0
