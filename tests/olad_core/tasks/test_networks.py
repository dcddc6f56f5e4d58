"""The group of networks that tasks on edges learn with: standardised inputs, and steps along the gradient."""

from __future__ import annotations

import numpy as np
import pytest

from olad_core.tasks.networks import MEMBERS, Networks

INPUTS = np.random.default_rng(0).normal(3.0, 2.0, (400, 5))


def test_inputs_have_mean_0_and_spread_1_once_many_were_seen() -> None:
    networks = Networks(5, 1, 0, decay=0.0)
    networks.observe(INPUTS)
    found = networks.standard(INPUTS)
    assert found.dtype == np.float32
    assert found.mean(axis=0) == pytest.approx(np.zeros(5), abs=1e-3)
    assert found.std(axis=0) == pytest.approx(np.ones(5), abs=0.05)
    assert networks.standard(INPUTS.astype(np.float32)) == pytest.approx(found, abs=1e-4)


def test_few_inputs_count_beside_the_prior() -> None:
    """Two inputs that are nearly equal are not taken for all there is."""
    with_prior, without = Networks(1, 1, 0, decay=0.0, prior=100), Networks(1, 1, 0, decay=0.0)
    two = np.array([[0.0], [0.01]])
    for networks in (with_prior, without):
        networks.observe(two)
    assert np.abs(with_prior.standard(two)).max() < 0.01 < np.abs(without.standard(two)).max()


def test_a_step_goes_against_the_slope_of_the_loss() -> None:
    """The loss is half the squared distance from targets; a member with much decay keeps its weights smaller."""
    decay = np.array([0.0, 0.0, 0.0, 20.0], np.float32)[:, None, None]
    networks = Networks(5, 2, 0, decay=decay, first_outputs=np.array([1.0, -1.0], np.float32))
    networks.observe(INPUTS)
    x = networks.standard(INPUTS)
    target = np.stack([x[:, 0], np.maximum(x[:, 1], 0)], axis=1)
    hidden, outputs = networks.forward(x)
    assert (outputs == [1.0, -1.0]).all()
    for _ in range(1_000):
        hidden, outputs = networks.forward(x)
        networks.descend(x, hidden, ((outputs - target) / len(x)).astype(np.float32))
    missed = ((networks.forward(x).outputs - target) ** 2).mean(axis=(1, 2))
    assert networks.steps == 1_000
    assert missed.shape == (MEMBERS,)
    assert (missed[:3] < 0.01).all()
    assert missed[3] > 3 * missed[:3].max()


@pytest.mark.parametrize("outputs", [1, 3, 20])
def test_an_example_has_the_same_outputs_to_the_byte_whatever_others_are_computed_with_it(outputs: int) -> None:
    """In a product of matrices which sums are rounded how depends on the place of a row."""
    networks, draw = Networks(5, outputs, 0, decay=0.0), np.random.default_rng(1)
    networks.observe(INPUTS)
    x = networks.standard(INPUTS)[:100]
    for _ in range(20):
        networks.descend(x, networks.forward(x).hidden, draw.normal(size=(MEMBERS, 100, outputs)).astype(np.float32))
    together = networks.outputs(x)
    assert together == pytest.approx(networks.forward(x).outputs, abs=1e-5)
    alone = np.concatenate([networks.outputs(x[at : at + 1]) for at in range(100)], axis=1)
    assert alone.tobytes() == together.tobytes()
    assert networks.outputs(x[:0]).shape == (MEMBERS, 0, outputs)
