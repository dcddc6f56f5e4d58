"""Which edges a task learns from, and how many steps their labels make due."""

from __future__ import annotations

import numpy as np
import pytest

from olad_core.tasks import labelled_places as module
from olad_core.tasks.labelled_places import STEPS_ANEW, LabelledPlaces


def labelled(*places: int) -> LabelledPlaces:
    made = LabelledPlaces(2)
    for place in places:
        made.add(place)
    return made


def test_every_so_many_labels_make_a_step_due_and_the_rest_is_owed() -> None:
    found = labelled(4, 0, 7, 2, 9)
    assert (found.due(), found.owed, found.due()) == (2, 1, 0)
    found.add(1)
    assert (found.due(), found.owed) == (1, 0)


def test_a_place_that_holds_another_edge_is_left_out() -> None:
    found = labelled(4, 0, 7)
    found.leave_out(np.array([0, 5]))
    assert found.places.tolist() == [4, 7]


def test_the_last_ones_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_LABELLED", 2)
    found = labelled(4, 0, 7)
    found.keep_last()
    assert (found.places.tolist(), found.owed) == ([0, 7], 3)


def test_a_head_begins_anew_with_steps_for_its_labels_up_to_a_most() -> None:
    assert [labelled(*range(count)).steps_anew() for count in (1, 5, 2 * STEPS_ANEW + 9)] == [1, 3, STEPS_ANEW]
