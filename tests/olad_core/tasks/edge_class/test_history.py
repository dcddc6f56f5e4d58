"""What predictions of edges read of the past of their ends."""

from __future__ import annotations

import numpy as np
import pytest

from olad_core.tasks.edge_class.history import NO_EDGE, Asked, History


def asked(source: int, target: int) -> Asked:
    none = np.array([NO_EDGE])
    return Asked(np.array([source]), np.array([target]), np.ones(1), np.zeros(1), none, none)


@pytest.mark.parametrize(("source", "target", "loop"), [(3, 3, 1.0), (3, 4, 0.0), (-1, 4, 0.0), (-1, -1, 0.0)])
def test_two_nodes_that_are_not_there_are_no_loop(source: int, target: int, loop: float) -> None:
    history = History(2)
    history.arrive(asked(3, 4))
    assert history.inputs(asked(source, target), np.zeros((1, 0), np.float32)).plain[0, -2] == loop
