"""The guard: answers cannot get much worse than the shares of the classes, whatever the head gives."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from olad_core.tasks.edge_class import Guard
from olad_core.tasks.edge_class.guard import LEVELS, experts

Floats = npt.NDArray[np.float32]


def play(shares: Floats, own: Floats, labels: npt.NDArray[np.int64]) -> tuple[float, list[float]]:
    """Log-loss in all of the mixture, and of each expert, where labels come one by one."""
    guard, place = Guard(), np.arange(len(labels))
    mixed = 0.0
    for at, label in enumerate(labels.tolist()):
        mixed -= float(np.log(guard.mixed(shares[[at]], own[[at]])[0, label]))
        guard.score(shares[at], own[at], label)
    return mixed, (-np.log(experts(shares, own)[:, place, labels]).sum(axis=1)).tolist()


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("kind", ["certain and wrong", "right", "right, then wrong"])
def test_the_mixture_is_not_much_worse_than_the_best_expert(kind: str, seed: int) -> None:
    draw, n = np.random.default_rng(seed), 2_000
    labels = (draw.random(n) < 0.05).astype(np.int64)
    shares = np.tile(np.array([0.95, 0.05], np.float32), (n, 1))
    right = np.where(np.eye(2, dtype=np.bool_)[labels], 0.9, 0.1)
    wrong = draw.dirichlet([0.1, 0.1], n)
    own = {
        "right": right,
        "certain and wrong": wrong,
        "right, then wrong": np.concatenate([right[:1000], wrong[1000:]]),
    }
    mixed, alone = play(shares, own[kind].astype(np.float32), labels)
    # What has been forgotten adds a little to the bound of log(3); where conditions change it takes much away.
    assert mixed < min(alone) + np.log(len(LEVELS)) + 0.01 * n


def test_before_any_label_all_experts_weigh_the_same_and_a_state_is_taken_over() -> None:
    guard, other = Guard(), Guard()
    assert guard.weights.tolist() == pytest.approx([1 / 3] * 3)
    guard.score(np.array([0.9, 0.1], np.float32), np.array([0.1, 0.9], np.float32), 1)
    assert guard.weights.argmax() == 2
    other.restore(guard.state())
    assert other.weights.tolist() == guard.weights.tolist()
    other.restore({})
    assert other.weights.tolist() == guard.weights.tolist()
