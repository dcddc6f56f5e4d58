"""Both ways to do the operations of inference: what they compute, and that a GPU's way is that of the CPU."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
import torch
from torch import Tensor

from olad_core.graph import Neighbours
from olad_core.serving import loops, tensors
from olad_core.serving.operations import Messages, Operations, Rows

CAPACITY, WIDTH, FIRST, CHANGED, SENDERS = 60, 5, 3, 9, 20


@dataclass
class Case:
    """Random arguments, the same for both ways."""

    draw: np.random.Generator

    def floats(self, *shape: int) -> Tensor:
        return torch.from_numpy(self.draw.normal(size=shape).astype(np.float32))

    def rows(self, count: int) -> Rows:
        return np.sort(self.draw.choice(CAPACITY, count, replace=False))

    def near(self, rows: int) -> Neighbours:
        """Neighbours of so many rows; some have none, some the same one twice."""
        indptr = np.append(0, np.cumsum(self.draw.integers(0, 6, size=rows)))
        index = self.draw.integers(CAPACITY, size=indptr[-1])
        return Neighbours(indptr, index, self.draw.random(indptr[-1]).astype(np.float32))

    def messages(self) -> Messages:
        place = np.where(self.draw.random(SENDERS) < 0.5, self.draw.integers(CHANGED, size=SENDERS), -1)
        return Messages(
            self.rows(SENDERS),
            self.floats(CAPACITY, FIRST + WIDTH + 1),
            FIRST,
            place,
            self.floats(CHANGED, FIRST + WIDTH + 1),
            self.floats(SENDERS),
            self.floats(SENDERS),
        )


@pytest.fixture(params=[loops, tensors])
def ways(request: pytest.FixtureRequest) -> Operations:
    way: Operations = request.param
    return way


@pytest.fixture
def case() -> Case:
    return Case(np.random.default_rng(7))


def sent(messages: Messages, sender: int, before: bool) -> Tensor:
    """What one sender sends, or sent."""
    place = int(messages.place[sender])
    changed = before and place >= 0
    row = messages.before[place] if changed else messages.layer[int(messages.rows[sender])]
    factor = messages.factor_before if before else messages.factor
    return factor[sender] * row[FIRST : FIRST + WIDTH]


def test_differences_go_to_all_receivers_below_the_limit(ways: Operations, case: Case) -> None:
    totals, messages, near = case.floats(CAPACITY, WIDTH), case.messages(), case.near(SENDERS)
    expected = totals.clone()
    for sender in range(SENDERS):
        change = sent(messages, sender, before=False) - sent(messages, sender, before=True)
        for at in range(near.indptr[sender], near.indptr[sender + 1]):
            if near.index[at] < 40:
                expected[near.index[at]] += near.weight[at] * change
    ways.send(totals, near, messages, 40)
    torch.testing.assert_close(totals, expected)


def test_changes_of_weights_carry_what_was_sent_before(ways: Operations, case: Case) -> None:
    totals, messages = case.floats(CAPACITY, WIDTH), case.messages()
    target, weight = case.draw.integers(CAPACITY, size=SENDERS), case.floats(SENDERS).numpy()
    expected = totals.clone()
    for arc in range(SENDERS):
        if target[arc] < 40:
            expected[target[arc]] += weight[arc] * sent(messages, arc, before=True)
    ways.send_arcs(totals, target, weight, messages, 40)
    torch.testing.assert_close(totals, expected)


def test_sums_afresh_are_those_of_all_neighbours(ways: Operations, case: Case) -> None:
    totals, rows, near = case.floats(CAPACITY, WIDTH), case.rows(12), case.near(12)
    layer, factor = case.floats(CAPACITY, FIRST + WIDTH), case.floats(CAPACITY)
    expected = totals.clone()
    for number, row in enumerate(rows):
        edges = slice(near.indptr[number], near.indptr[number + 1])
        weights = torch.from_numpy(near.weight[edges]) * factor[near.index[edges]]
        expected[row] = weights @ layer[near.index[edges], FIRST:]
    ways.sum_up(totals, rows, near, layer, FIRST, factor)
    torch.testing.assert_close(totals, expected)


def test_a_sum_of_very_many_is_right_to_the_last_digit(ways: Operations) -> None:
    layer = torch.full((2, 1), 0.1)
    near = Neighbours(np.array([0, 300_000]), np.ones(300_000, np.int64), np.ones(300_000, np.float32))
    totals = torch.zeros(2, 1)
    ways.sum_up(totals, np.array([0]), near, layer, 0, torch.ones(2))
    assert totals[0].item() == np.float32(300_000 * np.float64(np.float32(0.1)))


def test_rows_are_mixed_with_their_sums(ways: Operations, case: Case) -> None:
    below, totals, rows = case.floats(CAPACITY, WIDTH + 2), case.floats(CAPACITY, WIDTH), case.rows(12)
    own, total = case.floats(CAPACITY), case.floats(CAPACITY)
    mixed = ways.mix(below, totals, rows, own, total)
    torch.testing.assert_close(mixed, (own[:, None] * below[:, :WIDTH] + total[:, None] * totals)[rows])


def test_an_exchange_gives_what_was_there_and_whether_it_differs(ways: Operations, case: Case) -> None:
    layer, rows = case.floats(CAPACITY, WIDTH), case.rows(4)
    held, values = layer.clone(), layer[rows].clone()
    values[1, WIDTH - 1] += 1
    values[3, 0] = torch.nan
    before, changed = ways.exchange(layer, rows, values.clone())
    assert torch.equal(before, held[rows])
    assert changed.tolist() == [False, True, False, True]
    held[rows] = values
    torch.testing.assert_close(layer, held, rtol=0, atol=0, equal_nan=True)


def test_no_rows_are_fine(ways: Operations, case: Case) -> None:
    none, near = (
        np.empty(0, np.int64),
        Neighbours(np.zeros(1, np.int64), np.empty(0, np.int64), np.empty(0, np.float32)),
    )
    layer, totals = case.floats(CAPACITY, WIDTH), case.floats(CAPACITY, WIDTH)
    held = totals.clone()
    nothing = Messages(none, layer, 0, none, layer[:0], layer[:0, 0], layer[:0, 0])
    ways.send(totals, near, nothing, CAPACITY)
    ways.send_arcs(totals, none, near.weight, nothing, CAPACITY)
    ways.sum_up(totals, none, near, layer, 0, layer[:, 0])
    assert torch.equal(totals, held)
    assert ways.mix(layer, totals, none, layer[:, 0], layer[:, 0]).shape == (0, WIDTH)
    before, changed = ways.exchange(layer, none, layer[:0].clone())
    assert (before.shape, changed.shape) == ((0, WIDTH), (0,))
