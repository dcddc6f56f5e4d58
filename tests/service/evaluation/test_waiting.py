"""Memory of an evaluation does not grow with nodes whose labels never come."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import replace
from typing import ClassVar

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.evaluation import prequential
from service.evaluation.baselines import baseline, follower
from service.evaluation.baselines.follower import BaselinePlayer, Example, Floats, Known
from service.evaluation.prequential import play
from service.evaluation.waiting import Waiting
from tests.service.evaluation.streams import tiny_batches, tiny_source


class Listening:
    """A rule that notes the classes it could learn from."""

    learns: ClassVar[bool] = True
    looks_around: ClassVar[bool] = False

    def __init__(self) -> None:
        self.examples: list[Example] = []

    def predict(self, known: Known) -> Floats:
        return np.full((len(known), len(known.frequency)), np.nan)

    def learn(self, examples: Sequence[Example], arrivals: int) -> None:
        self.examples += examples


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 9))), st.integers(1, 5))
def test_the_oldest_are_forgotten(calls: list[tuple[bool, int]], most: int) -> None:
    waiting: Waiting[int] = Waiting()
    oracle: OrderedDict[str, int] = OrderedDict()
    for number, (adds, node) in enumerate(calls):
        name = str(node)
        if adds:
            waiting.add(name, number, most)
            oracle[name] = number
            oracle.move_to_end(name)
            if len(oracle) > most:
                oracle.popitem(last=False)
        else:
            assert waiting.take(name) == oracle.pop(name, None)
        assert len(waiting) == len(oracle) <= most


@pytest.mark.parametrize(("most", "learned"), [(11, True), (10, False)])
def test_a_baseline_learns_from_labels_of_nodes_that_still_wait(
    monkeypatch: pytest.MonkeyPatch, most: int, learned: bool
) -> None:
    monkeypatch.setattr(follower, "most_waiting", lambda _cells: most)
    rule = Listening()
    player = BaselinePlayer(rule)
    for number, batch in enumerate(tiny_batches(60, delay=10, size=1), start=1):
        player.apply(number, batch)
        player.learn()
    assert bool(rule.examples) == learned


@pytest.mark.parametrize(("most", "scored"), [(11, True), (10, False)])
def test_contestants_are_scored_on_the_same_nodes(monkeypatch: pytest.MonkeyPatch, most: int, scored: bool) -> None:
    monkeypatch.setattr(prequential, "most_waiting", lambda _cells: most)
    players = {"vote": baseline("vote"), "majority": baseline("majority")}
    batches = tiny_batches(60, size=1)
    truths = [(), *[()] * 9, *(batch.truths for batch in batches)]
    late = iter([replace(batch, truths=known) for batch, known in zip(batches, truths, strict=False)])
    played = play(replace(tiny_source(60), batches=late), players, score_from=0)
    counts = {len(scoring.outcomes.predicted) for scoring in played.scorings.values()}
    assert counts == {len(played.truth)} == {len(played.arrival)} == {50 if scored else 0}
