"""Labels that are known where edges of other types lead to."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from olad_core.tasks.edge_class.links import PLACES, Links

SHOP, DEVICE, ALICE, BOB = 5, 7, 1, 2


def rows(*numbers: int) -> npt.NDArray[np.int64]:
    return np.array(numbers, np.int64)


def shared_device() -> Links:
    links = Links(2)
    links.join(np.array([[ALICE, DEVICE], [BOB, DEVICE]]))
    links.label((ALICE, SHOP), 1, 1.0)
    return links


def test_a_label_is_counted_for_those_who_share_a_device() -> None:
    links = shared_device()
    assert links.counts(rows(BOB, ALICE, SHOP, 9, -1)).tolist() == [[0, 1], [0, 1], [0, 0], [0, 0], [0, 0]]
    links.label((ALICE, SHOP), 1, -1.0)
    assert not links.counts(rows(BOB)).any()


def test_a_device_that_is_used_with_the_edge_counts_once() -> None:
    links = shared_device()
    assert links.counts(rows(9, BOB, -1), [[DEVICE, 999], [DEVICE], [DEVICE]]).tolist() == [[0, 1]] * 3


def test_the_last_ones_are_known() -> None:
    links = Links(2)
    for device in range(10, 10 + PLACES + 1):
        links.join(np.array([[ALICE, device], [BOB, device], [ALICE, device]]))
    links.label((ALICE, SHOP), 0, 1.0)
    assert links.counts(rows(BOB)).tolist() == [[PLACES, 0]]
    assert links.counts(rows(3), [[10]]).tolist() == [[0, 0]]


def test_a_node_that_leaves_is_nobody_s_link() -> None:
    links = shared_device()
    links.forget(rows(DEVICE, 500))
    links.join(np.array([[ALICE, 8]]))
    assert not links.counts(rows(BOB, ALICE)).any()


def test_a_label_is_taken_away_only_where_it_was_counted() -> None:
    links = Links(2)
    links.label((ALICE, SHOP), 1, 1.0)
    links.join(np.array([[ALICE, DEVICE], [BOB, DEVICE]]))
    links.label((ALICE, SHOP), 1, -1.0)
    links.label((ALICE, SHOP), 0, 1.0)
    assert links.counts(rows(BOB)).tolist() == [[1, 0]]


def test_a_state_is_taken_over_and_classes_are_added() -> None:
    links, other = shared_device(), Links(2)
    other.restore(links.state())
    other.widen(4)
    assert other.counts(rows(BOB)).tolist() == [[0, 1, 0, 0]]
    assert Links(2).state() == {}
