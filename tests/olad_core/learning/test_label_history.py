from collections import Counter
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pytest

from olad_core.events import Event, LabelNode, RemoveNode, UpsertNode
from olad_core.graph import DynamicGraph
from olad_core.learning.label_history import FEWEST_SWEPT, Replay, Touched
from tests.olad_core.streams import changes, take

Rows = npt.NDArray[np.int64]


class Labels:
    """A graph whose labels go into a replay, as in the engine."""

    def __init__(self, recent: int = 10) -> None:
        self.graph = DynamicGraph()
        self.replay = Replay(recent)

    def apply(self, events: Sequence[Event]) -> None:
        change = self.graph.apply(events, 0.0)
        if len(change.labelled):
            self.replay.add(change.labelled, self.graph)

    def name(self, *names: int) -> None:
        self.apply([UpsertNode(str(name), label="red") for name in names])

    def draw(self, count: int, seed: int = 0) -> list[str]:
        return self.graph.ids(self.replay.draw(count, self.graph, np.random.default_rng(seed)))


class TestReplay:
    @pytest.mark.parametrize(("known", "drawn"), [(0, 0), (1, 1), (2, 1), (3, 2), (9, 5), (40, 5)])
    def test_at_most_half_of_what_is_known_is_drawn(self, known: int, drawn: int) -> None:
        labels = Labels()
        labels.name(*range(known))
        assert max(len(labels.draw(5, seed)) for seed in range(99)) == drawn
        assert {name for seed in range(99) for name in labels.draw(5, seed)} == {str(name) for name in range(known)}

    def test_draws_are_distinct_and_no_more_than_asked_for(self) -> None:
        labels = Labels()
        labels.name(*range(50))
        for seed in range(20):
            drawn = labels.draw(20, seed)
            assert len(set(drawn)) == len(drawn)
            assert 15 <= len(drawn) <= 20

    def test_half_of_a_draw_is_from_the_latest_and_every_label_comes_again(self) -> None:
        labels = Labels(recent=10)
        labels.name(*range(200))
        counts = Counter(name for seed in range(400) for name in labels.draw(8, seed))
        latest = [counts[str(name)] for name in range(190, 200)]
        earlier = [counts[str(name)] for name in range(190)]
        # Of the 10 latest, 4 are drawn for sure: each in 40 % of the draws. Of all 200, 4 are: each in 2 %.
        assert np.mean(latest) == pytest.approx(0.4 * 400, rel=0.1)
        assert np.mean(earlier) == pytest.approx(0.02 * 400, rel=0.1)
        assert min(earlier) > 0

    def test_shortened_it_takes_more_from_fewer_latest_until_as_many_have_come_again(self) -> None:
        labels = Labels(recent=40)
        labels.name(*range(200))
        labels.replay.shorten(8)

        def share_of_last(count: int, total: int) -> float:
            last = {str(name) for name in range(total - count, total)}
            drawn = [name for seed in range(100) for name in labels.draw(8, seed)]
            return sum(name in last for name in drawn) / len(drawn)

        # Of 8: from the latest 8, 20 and 40 are drawn 7, 6 and 4, and now and then one of them among the others.
        assert share_of_last(8, 200) == pytest.approx(7 / 8, abs=0.03)
        labels.name(*range(200, 212))
        assert share_of_last(8, 212) < 0.4
        assert share_of_last(20, 212) == pytest.approx(6 / 8, abs=0.05)
        labels.name(*range(212, 300))
        assert share_of_last(20, 300) < 0.4
        assert 0.5 <= share_of_last(40, 300) < 0.58

    def test_shortened_it_goes_on_from_its_state(self) -> None:
        labels, other = Labels(recent=40), Replay(40)
        labels.name(*range(200))
        labels.replay.shorten(8)
        other.restore(labels.replay.state(), labels.graph)
        for seed in range(5):
            drawn = other.draw(8, labels.graph, np.random.default_rng(seed))
            assert labels.graph.ids(drawn) == labels.draw(8, seed)

    def test_a_node_labelled_again_is_drawn_once_and_counts_as_recent(self) -> None:
        labels = Labels(recent=2)
        labels.name(*range(20))
        labels.name(3)
        counts = Counter(name for seed in range(100) for name in labels.draw(4, seed))
        assert max(counts.values()) == counts["3"] == 100

    def test_a_node_labelled_many_times_does_not_crowd_out_the_others(self) -> None:
        labels = Labels(recent=2)
        labels.name(*range(20))
        for _ in range(200):
            labels.name(0)
        assert len(labels.draw(10)) >= 8
        assert len(labels.replay) == 20

    def test_removed_nodes_and_those_that_took_their_rows_are_not_drawn(self) -> None:
        labels = Labels()
        labels.name(*range(12))
        labels.apply([RemoveNode(str(name)) for name in range(6)])
        labels.apply([UpsertNode(f"new-{name}") for name in range(6)])
        for seed in range(20):
            assert set(labels.draw(8, seed)) <= {str(name) for name in range(6, 12)}
        labels.apply([LabelNode("new-0", "blue")])
        assert any("new-0" in labels.draw(12, seed) for seed in range(9))

    def test_entries_of_removed_nodes_are_swept_out(self) -> None:
        labels = Labels()
        labels.name(*range(100))
        labels.apply([RemoveNode(str(name)) for name in range(90)])
        # Few living ones among many dead: a draw is as full all the same.
        assert sorted(labels.draw(20)) == [str(name) for name in range(90, 100)]
        assert len(labels.replay) == 10

    def test_entries_are_bounded_where_nothing_is_ever_drawn(self) -> None:
        # Without labels of two classes there is no training, and so no draw.
        labels, living, most = Labels(), 100, 0
        for first in range(0, 30_000, living):
            labels.name(*range(first, first + living))
            labels.apply([RemoveNode(str(name)) for name in range(first, first + living)])
            most = max(most, len(labels.replay))
        assert most < FEWEST_SWEPT + living
        assert sum(array.nbytes for array in labels.replay.state().values()) < 16 * 2 * FEWEST_SWEPT

    def test_entries_of_nodes_labelled_again_and_again_are_bounded(self) -> None:
        labels, known, most = Labels(), 3000, 0
        for _ in range(20):
            labels.name(*range(known))
            most = max(most, len(labels.replay))
        assert most < 4 * known
        assert {int(name) // 1000 for seed in range(20) for name in labels.draw(20, seed)} == {0, 1, 2}

    def test_nothing_is_swept_while_half_of_the_entries_are_current(self) -> None:
        labels = Labels()
        labels.name(*range(2 * FEWEST_SWEPT))
        labels.apply([RemoveNode(str(name)) for name in range(FEWEST_SWEPT)])
        labels.name(*range(2 * FEWEST_SWEPT, 4 * FEWEST_SWEPT))
        assert len(labels.replay) == 4 * FEWEST_SWEPT

    def test_restored_it_sweeps_at_the_same_entry(self) -> None:
        labels, other = Labels(), Replay(10)
        for first in range(0, 3 * FEWEST_SWEPT, 100):
            labels.name(*range(first, first + 100))
            other.add(labels.graph.rows([str(name) for name in range(first, first + 100)]), labels.graph)
            assert len(other) == len(labels.replay)
            other = Replay(10)
            other.restore(labels.replay.state(), labels.graph)
            labels.apply([RemoveNode(str(name)) for name in range(first, first + 100)])

    def test_when_all_are_gone_nothing_is_drawn(self) -> None:
        labels = Labels()
        labels.name(0, 1)
        labels.apply([RemoveNode("0"), RemoveNode("1")])
        assert labels.draw(5) == []

    def test_bears_any_stream_and_goes_on_from_its_state(self) -> None:
        stream, labels = changes(seed=7), Labels(recent=4)
        for turn in range(60):
            labels.apply(take(stream, 40))
            if turn % 10 == 0:
                other = Replay(4)
                other.restore(labels.replay.state(), labels.graph)
            elif turn % 10 == 1:
                continue
            drawn = labels.replay.draw(12, labels.graph, np.random.default_rng(turn))
            assert labels.graph.alive[drawn].all()
            assert (labels.graph.label[drawn] >= 0).all()
            if turn % 10 == 0:
                np.testing.assert_array_equal(other.draw(12, labels.graph, np.random.default_rng(turn)), drawn)
                assert len(other) == len(labels.replay)

    def test_has_room_for_any_number(self) -> None:
        labels = Labels()
        labels.name(*range(3000))
        assert len(labels.replay) == 3000
        assert {int(name) // 1000 for seed in range(20) for name in labels.draw(20, seed)} == {0, 1, 2}


class TestTouched:
    @pytest.fixture
    def graph(self) -> DynamicGraph:
        graph = DynamicGraph()
        graph.apply([UpsertNode(str(name)) for name in range(60)], 0.0)
        return graph

    def draw(self, touched: Touched, graph: DynamicGraph, count: int, seed: int) -> Rows:
        return touched.draw(count, graph, np.random.default_rng(seed))

    def test_half_of_a_draw_was_touched_lately(self, graph: DynamicGraph) -> None:
        touched = Touched(limit=10)
        touched.add(np.arange(5))
        touched.add(np.arange(10, 20))
        counts: Counter[int] = Counter()
        for seed in range(200):
            drawn = self.draw(touched, graph, 10, seed)
            assert len(np.unique(drawn)) == len(drawn) <= 10
            counts.update(drawn.tolist())
        # 5 of the 10 rows touched last, and 5 of all 60 with replacement; rows 0 to 4 are forgotten.
        assert np.mean([counts[row] for row in range(10, 20)]) > 100
        assert np.mean([counts[row] for row in range(5)]) == pytest.approx(200 * 5 / 60, rel=0.3)
        assert set(counts) == set(range(60))

    def test_a_row_touched_again_is_the_last(self, graph: DynamicGraph) -> None:
        touched = Touched(limit=2)
        for row in (1, 2, 1, 3):
            touched.add(np.array([row]))
        assert touched.state()["rows"].tolist() == [1, 3]

    def test_removed_nodes_are_not_drawn(self, graph: DynamicGraph) -> None:
        touched = Touched(limit=20)
        touched.add(np.arange(20))
        graph.apply([RemoveNode(str(name)) for name in range(15)], 0.0)
        for seed in range(20):
            assert graph.alive[self.draw(touched, graph, 30, seed)].all()

    def test_before_anything_was_touched_any_rows_are_drawn(self, graph: DynamicGraph) -> None:
        assert len(self.draw(Touched(5), graph, 10, 0)) > 3
        assert len(self.draw(Touched(5), DynamicGraph(), 10, 0)) == 0

    def test_goes_on_from_its_state(self, graph: DynamicGraph) -> None:
        one, other = Touched(4), Touched(4)
        one.add(np.array([3, 5, 9]))
        other.restore(one.state())
        for touched in (one, other):
            touched.add(np.array([5, 7, 8]))
        np.testing.assert_array_equal(self.draw(one, graph, 6, 1), self.draw(other, graph, 6, 1))
