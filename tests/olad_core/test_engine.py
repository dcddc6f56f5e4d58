from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch

from olad_core.checkpoint import read_checkpoint, write_checkpoint
from olad_core.distill.trainer import PATIENCE, TrainerConfig
from olad_core.engine import Engine, EngineConfig
from olad_core.evaluation.decisions import Decision
from olad_core.evaluation.prequential import LEAST_PROBABILITY
from olad_core.events import Event, GraphSchema, LabelNode, RemoveEdge, RemoveNode, UpsertEdge, UpsertNode
from olad_core.inference import embedding as embedding_module
from olad_core.publication import Publication
from tests.olad_core.streams import changes, take, two_communities

CPU = torch.device("cpu")
CONFIG = EngineConfig(
    trainer=TrainerConfig(width=8, labelled=16, touched=8, fanouts=(3, 3), warmup_steps=4, discriminator_width=8),
    publish_steps=5,
    score_memory=50,
    least_remembered=10,
    arrivals_scored=8,
    arrivals_remembered=40,
    advance_events=50,
)
PAIR = replace(CONFIG, trainer=replace(CONFIG.trainer, students=("gcn", "sage")))


@dataclass
class Reader:
    """What readers of the publications have: a table of predictions a version, and which one is served."""

    tables: dict[int, dict[str, npt.NDArray[np.float32]]] = field(default_factory=dict)
    served: int | None = None
    served_in_turn: list[int] = field(default_factory=list)

    def read(self, publication: Publication) -> None:
        for update in publication.updates:
            table = self.tables.setdefault(update.version, {})
            for node in update.removed:
                table.pop(node, None)
            table.update(zip(update.nodes, update.probabilities, strict=True))
        for version in publication.dropped:
            self.tables.pop(version, None)
        if publication.served:
            self.served = publication.served.number
            if self.served_in_turn[-1:] != [self.served]:
                self.served_in_turn.append(self.served)


class Run:
    """An engine as the worker drives it: apply, refresh, publish, learn, publish."""

    def __init__(self, config: EngineConfig = CONFIG, engine: Engine | None = None) -> None:
        self.engine = engine or Engine(config, CPU)
        self.reader = Reader()
        self.published: list[Publication] = []

    def publish(self) -> Publication:
        publication = self.engine.publication()
        self.published.append(publication)
        self.reader.read(publication)
        return publication

    def turn(self, events: Sequence[Event], steps: int = 0) -> Publication:
        """Apply one entry and publish; then learn."""
        self.engine.apply(f"{self.turns + 1}-0", events, float(self.turns))
        self.engine.refresh()
        publication = self.publish()
        self.engine.learn(steps)
        self.publish()
        return publication

    @property
    def turns(self) -> int:
        return int(self.engine.position.split("-")[0])


def stream(seed: int = 3, turns: int = 24) -> list[list[Event]]:
    """Batches of random changes, after enough labelled nodes to learn from."""
    events = changes(seed, nodes=40)
    return [two_communities(16), *(take(events, 12) for _ in range(turns - 1))]


def comparable(publication: Publication) -> tuple[object, ...]:
    updates = [
        (u.version, u.nodes, u.probabilities.tobytes(), u.disagreement.tobytes(), u.removed)
        for u in publication.updates
    ]
    return replace(publication, updates=()), updates


def learned(run: Run) -> Run:
    """A run with two communities learned and a version served."""
    run.turn(two_communities(40))
    while run.reader.served is None:
        run.turn([], steps=5)
    return run


def assert_readers_are_fresh(run: Run) -> None:
    """Every living node, and no other, has the prediction that a full computation gives."""
    held = run.engine.versions.served
    assert held is not None
    assert run.reader.served == held.version.number
    table = run.reader.tables[held.version.number]
    rows = np.flatnonzero(run.engine.graph.alive)
    nodes = run.engine.graph.ids(rows)
    assert table.keys() == set(nodes)
    if rows.size:
        np.testing.assert_array_equal(np.stack([table[node] for node in nodes]), held.embedding.probabilities(rows))


@pytest.fixture
def small_slices(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the embedding of a new version take many steps."""
    monkeypatch.setattr(embedding_module, "CHUNK", 16)


class TestServing:
    def test_nothing_is_served_before_two_classes_are_known(self) -> None:
        run = Run()
        run.turn([UpsertNode("a", [1.0, 0.0, 0.0], "red")])
        assert run.engine.learn(3) is False
        assert run.engine.trainer is None
        assert run.published[-1].served is None
        assert run.engine.missing() == ("labels of at least two classes (1 so far)",)

    @pytest.mark.usefixtures("small_slices")
    def test_says_what_is_missing_until_the_first_version_is_served(self) -> None:
        run = Run(PAIR)
        run.turn(two_communities(16))
        said = [run.engine.missing()]
        while run.engine.missing():
            assert run.engine.learn(1) is True
            said.append(run.engine.missing())
        assert said[0] == ("training steps before the first version (0 of 5)",)
        assert said[4] == ("training steps before the first version (4 of 5)",)
        assert said[5] == ("embedding the graph for the first version (0% done)",)
        assert said[11] == ("embedding the graph for the first version (50% done)",)
        assert said[-1] == ()

    @pytest.mark.usefixtures("small_slices")
    @pytest.mark.parametrize("seed", [3, 4])
    def test_readers_always_have_what_a_full_computation_gives(self, seed: int) -> None:
        run = Run(PAIR)
        for batch in stream(seed, turns=25):
            run.turn(batch, steps=3)
            if run.reader.served is not None:
                assert_readers_are_fresh(run)
        held = run.engine.versions.served
        assert held is not None
        assert held.version.number > 2
        rows = np.flatnonzero(run.engine.graph.alive)
        embedding = held.embedding
        expected = embedding_module.Embedding(embedding.student, embedding.classes, CPU)
        while not expected.complete:
            expected.advance(run.engine.graph)
        np.testing.assert_allclose(embedding.probabilities(rows), expected.probabilities(rows), rtol=1e-5, atol=1e-7)

    def test_what_is_learned_is_served(self) -> None:
        run = learned(Run(PAIR))
        for _ in range(12):
            run.turn([], steps=5)
        run.turn(two_communities(60, labelled=False)[-30:])
        assert run.reader.served is not None
        table = run.reader.tables[run.reader.served]
        right = [table[str(node)].argmax() == node % 2 for node in range(60) if str(node) in table]
        assert np.mean(right) > 0.85

    def test_a_turn_without_news_publishes_no_rows(self) -> None:
        run = learned(Run(PAIR))
        assert run.turn([UpsertEdge("0", "2", 5.0)]).updates
        assert run.turn([UpsertEdge("0", "2", 5.0)]).updates == ()
        assert run.turn([LabelNode("0", "even")]).updates == ()

    def test_a_version_is_told_to_readers_once_every_node_is_embedded(self) -> None:
        run = learned(Run(PAIR))
        first = next(publication for publication in run.published if publication.served)
        assert first.served is not None
        assert first.served.number == 1
        assert first.served.classes == ("even", "odd")
        assert first.served.student in {"gcn", "sage"}
        assert len(run.reader.tables[1]) == 40

    def test_everything_is_published_again_on_request(self) -> None:
        run = learned(Run(PAIR))
        run.engine.republish()
        reader = Reader()
        reader.read(run.engine.publication())
        assert reader.served is not None
        assert reader.tables[reader.served].keys() == run.reader.tables[reader.served].keys()

    def test_removed_nodes_leave_the_tables(self) -> None:
        run = learned(Run(PAIR))
        publication = run.turn([RemoveNode("3"), RemoveNode("4"), UpsertNode("4", [0.0, 1.0, 0.0])])
        for update in publication.updates:
            assert update.removed == ("3",)
        assert "4" in publication.updates[0].nodes
        assert_readers_are_fresh(run)

    def test_a_removed_node_leaves_though_no_other_prediction_changes(self) -> None:
        run = learned(Run(PAIR))
        run.turn([UpsertNode("alone")])
        assert run.turn([RemoveNode("alone")]).updates[0].nodes == ()
        assert_readers_are_fresh(run)

    def test_a_node_that_came_and_went_between_two_publications_is_not_told(self) -> None:
        run = learned(Run(PAIR))
        run.engine.apply("900-0", [UpsertNode("brief")], 0.0)
        run.engine.refresh()
        run.engine.apply("901-0", [RemoveNode("brief")], 0.0)
        run.engine.refresh()
        assert "brief" not in {node for update in run.publish().updates for node in update.nodes}


class TestVersions:
    @pytest.mark.usefixtures("small_slices")
    def test_numbers_grow_by_one_and_the_old_tables_go(self) -> None:
        run = Run(PAIR)
        for batch in stream(turns=30):
            run.turn(batch, steps=4)
        assert len(run.reader.served_in_turn) >= 3
        assert run.reader.served_in_turn == list(range(1, len(run.reader.served_in_turn) + 1))
        dropped = [version for publication in run.published for version in publication.dropped]
        assert dropped == run.reader.served_in_turn[:-1]
        held = [run.engine.versions.served, run.engine.versions.candidate]
        assert set(run.reader.tables) <= {version.version.number for version in held if version}

    def test_are_immutable_while_training_goes_on(self) -> None:
        run = learned(Run(PAIR))
        held = run.engine.versions.served
        assert held is not None
        assert run.engine.trainer is not None
        before = {name: value.clone() for name, value in held.embedding.student.state_dict().items()}
        steps = run.engine.trainer.steps
        trained = {name: value.clone() for name, value in run.engine.trainer.students[0].state_dict().items()}
        run.engine.learn(4)
        assert run.engine.trainer.steps == steps + 4
        assert any(
            not torch.equal(run.engine.trainer.students[0].state_dict()[name], trained[name]) for name in trained
        )
        assert all(torch.equal(held.embedding.student.state_dict()[name], before[name]) for name in before)

    def test_are_at_least_so_many_steps_apart(self) -> None:
        run = learned(Run(PAIR))
        starts = []
        for _ in range(40):
            number = run.engine.versions.next_number
            run.engine.learn(1)
            if run.engine.versions.next_number > number:
                assert run.engine.trainer is not None
                starts.append(run.engine.trainer.steps)
        assert len(starts) > 2
        assert min(later - earlier for earlier, later in pairwise(starts)) >= PAIR.publish_steps

    def test_a_class_never_seen_before_is_in_the_next_version(self) -> None:
        run = learned(Run(PAIR))
        run.turn([UpsertNode("x", [9.0, 9.0, 9.0], f"new-{number}") for number in range(9)])
        assert run.reader.served is not None
        old = run.reader.tables[run.reader.served]
        assert {len(row) for row in old.values()} == {2}
        assert_readers_are_fresh(run)
        for _ in range(4):
            run.turn([UpsertNode("y", [1.0, 0.0, 0.0])], steps=5)
        served = run.published[-1].served
        assert served is not None
        assert served.classes == ("even", "odd", *(f"new-{number}" for number in range(9)))
        assert {len(row) for row in run.reader.tables[served.number].values()} == {11}

    @pytest.mark.usefixtures("small_slices")
    def test_features_that_appear_late_start_a_new_group(self) -> None:
        run = Run(PAIR)
        edges = [event for event in two_communities(40) if not isinstance(event, UpsertNode)]
        run.turn([UpsertNode(str(node)) for node in range(40)])
        run.turn(edges)
        while run.reader.served is None:
            run.turn([], steps=4)
        while run.engine.versions.candidate is None:
            run.turn([], steps=1)
        served, withdrawn = run.reader.served, run.engine.versions.candidate.version.number
        run.turn([event for event in two_communities(40) if isinstance(event, UpsertNode)])
        assert_readers_are_fresh(run)
        run.engine.learn(1)
        assert run.engine.trainer is not None
        assert (run.engine.trainer.feature_width, run.engine.trainer.steps) == (3, 1)
        assert withdrawn in run.publish().dropped
        assert run.reader.served == served
        while run.reader.served == served:
            run.turn([], steps=4)
        assert_readers_are_fresh(run)
        held = run.engine.versions.served
        assert held is not None
        assert held.embedding.student.feature_width == 3

    def test_when_every_labelled_node_has_left_there_is_nothing_to_learn_and_the_version_stays(self) -> None:
        run = learned(Run(PAIR))
        run.turn([*(RemoveNode(str(node)) for node in range(40)), UpsertNode("new", [1.0, 0.0, 0.0])])
        served = run.reader.served
        assert [run.engine.learn(3) for _ in range(10)] == [False] * 10
        run.publish()
        assert run.reader.tables.keys() >= {run.reader.served}
        assert run.turn(two_communities(20)).served is not None
        assert run.engine.learn(20) is True
        run.publish()
        assert run.reader.served is not None
        assert served is not None
        assert run.reader.served > served
        assert_readers_are_fresh(run)
        assert all(np.isfinite(losses).all() for losses in run.engine.mean_losses.values())


class TestScores:
    def test_a_node_is_scored_by_what_readers_were_told_at_its_arrival(self) -> None:
        run = learned(Run(PAIR))
        assert run.engine.scores.scored[-1] == 0  # these nodes came before there was a version
        told: dict[str, npt.NDArray[np.float32]] = {}
        for event in two_communities(48, labelled=False):
            if isinstance(event, UpsertNode) and int(event.id) >= 40:
                run.turn([event])
                assert run.reader.served is not None
                told[str(event.id)] = run.reader.tables[run.reader.served][str(event.id)]
                run.turn([UpsertEdge(event.id, int(event.id) - 2)], steps=10)
        assert run.reader.served is not None
        now = run.reader.tables[run.reader.served]
        assert all((now[node] != row).all() for node, row in told.items())  # what is served has moved on
        for node in told:
            run.turn([LabelNode(node, ["even", "odd"][int(node) % 2])], steps=2)
        losses = [-math.log(max(row[int(node) % 2], LEAST_PROBABILITY)) for node, row in told.items()]
        right = [row.argmax() == int(node) % 2 for node, row in told.items()]
        assert run.engine.scores.scored.tolist() == [8, 8, 8]
        assert run.engine.scores.log_loss()[-1] == pytest.approx(np.mean(losses))
        assert run.engine.scores.accuracy()[-1] == pytest.approx(np.mean(right))

    def test_a_label_that_comes_with_its_node_does_not_help_to_predict_it(self) -> None:
        def right(names: tuple[str, str]) -> npt.NDArray[np.float64]:
            run = learned(Run(PAIR))
            run.turn([], steps=10)
            before = run.engine.scores.accuracy() * run.engine.scores.scored
            scored = run.engine.scores.scored.copy()
            new = [UpsertNode(f"new-{node}", [2.0 * node - 7, 0.5, 0.0], names[node % 2]) for node in range(8)]
            run.turn(new, steps=1)
            assert (run.engine.scores.scored - scored == 8).all()
            found: npt.NDArray[np.float64] = run.engine.scores.accuracy() * run.engine.scores.scored - np.nan_to_num(
                before
            )
            return found

        # The same nodes with the other class each: who is right once is wrong the other time.
        np.testing.assert_allclose(right(("even", "odd")) + right(("odd", "even")), 8)

    def test_a_label_reaches_its_neighbours_predictions_in_the_same_publication(self) -> None:
        def told(name: str) -> npt.NDArray[np.float32]:
            run = learned(Run(PAIR))
            run.turn([UpsertNode("new"), UpsertEdge("new", "friend"), UpsertNode("alone")])
            assert run.reader.served is not None
            alone = run.reader.tables[run.reader.served]["alone"]
            run.turn([LabelNode("friend", name)])
            assert (run.reader.tables[run.reader.served]["alone"] == alone).all()
            return run.reader.tables[run.reader.served]["new"]

        assert told("even")[0] > told("odd")[0]

    def test_of_many_arrivals_at_once_no_more_than_the_limit_are_scored(self) -> None:
        run = learned(Run(PAIR))
        scored = run.engine.scores.scored.copy()
        new = [UpsertNode(f"new-{node}", [1.0, 0.0, 0.0], "even") for node in range(30)]
        run.turn(new)
        assert (run.engine.scores.scored - scored).tolist() == [CONFIG.arrivals_scored] * 3

    def test_the_second_label_of_a_node_is_not_scored(self) -> None:
        run = learned(Run(PAIR))
        run.turn([UpsertNode("new", [1.0, 0.0, 0.0])])
        scored = run.engine.scores.scored.copy()
        run.turn([LabelNode("new", "even"), LabelNode("new", "odd")])
        run.turn([LabelNode("new", "even")])
        assert (run.engine.scores.scored - scored).tolist() == [1, 1, 1]

    def test_a_removed_nodes_prediction_is_not_scored_for_the_one_that_took_its_row(self) -> None:
        run = learned(Run(PAIR))
        run.turn([UpsertNode("old", [1.0, 0.0, 0.0])])
        row = run.engine.graph.row("old")
        scored = run.engine.scores.scored.copy()
        run.turn([RemoveNode("old")])
        # Nothing is remembered of the young one's own arrival.
        run.engine.config = replace(run.engine.config, arrivals_scored=0)
        run.turn([UpsertNode("young", [1.0, 0.0, 0.0])])
        assert run.engine.graph.row("young") == row
        run.turn([LabelNode("young", "even")])
        assert (run.engine.scores.scored == scored).all()


class TestTemperatures:
    def test_each_student_has_one_from_its_predictions_at_arrival_and_a_checkpoint_knows(self) -> None:
        run = learned(Run(PAIR))
        assert run.engine.temperatures().tolist() == [1.0, 1.0]
        for name in range(1000, 1160, 8):
            nodes = [str(name + number) for number in range(8)]
            run.turn([UpsertNode(node, [3.0 if int(node) % 2 else -3.0, 0.0, 0.0]) for node in nodes], steps=5)
            run.turn([LabelNode(node, ["even", "odd"][int(node) % 2]) for node in nodes])
        temperatures = run.engine.temperatures()
        assert np.unique(temperatures[temperatures != 1]).size == 2
        restored = Engine.restore(PAIR, *run.engine.state(), CPU)
        assert restored.temperatures().tolist() == temperatures.tolist()


class TestDecisions:
    def test_every_version_says_which_student_and_why(self) -> None:
        run = learned(Run(PAIR))
        run.turn([], steps=12)
        started = run.engine.decisions.newest_first()[::-1]
        assert [decision.kind for decision in started[:3]] == ["first-version", "student-kept", "student-kept"]
        assert [decision.version for decision in started] == list(range(1, len(started) + 1))
        assert {decision.student for decision in started} == {started[0].student}
        assert "lowest training loss" in started[0].reason

    def test_errors_that_rise_are_a_drift_told_once_after_which_memories_are_short(self) -> None:
        config = replace(PAIR, score_memory=5000, trainer=replace(PAIR.trainer, recent_labels=300))
        run = learned(Run(config))
        names = iter(range(1000, 9999))

        def arrive(count: int, right: bool) -> None:
            nodes = [str(next(names)) for _ in range(count)]
            for first in range(0, count, 8):
                batch = nodes[first : first + 8]
                run.turn([UpsertNode(node, [3.0 if int(node) % 2 else -3.0, 0.0, 0.0]) for node in batch])
                run.turn([LabelNode(node, ["even", "odd"][(int(node) + (not right)) % 2]) for node in batch])

        def drifts() -> list[Decision]:
            return [decision for decision in run.engine.decisions.newest_first() if decision.kind == "drift"]

        arrive(320, right=True)
        assert drifts() == []
        before = run.engine.state()[0]["replay/latest"].item()
        arrive(96, right=False)
        (drift,) = drifts()
        assert drift.numbers["before"] < 0.1 < drift.numbers["after"]
        assert drift.version is None
        latest = run.engine.state()[0]["replay/latest"].item()
        assert before == 300
        assert 96 <= latest < 200
        # By score_memory alone the 320 before would weigh as much as ever.
        assert run.engine.scores.recent_accuracy()[-1] < run.engine.scores.accuracy()[-1]

    def test_new_classes_weights_and_groups_are_told(self) -> None:
        run = learned(Run(PAIR))
        run.turn([LabelNode("0", "third"), LabelNode("1", "fourth")])
        assert run.engine.trainer is not None
        with torch.no_grad():
            run.engine.trainer.students[1].head.bias.fill_(torch.nan)
        run.turn([], steps=PATIENCE)
        run.engine.restart_training()
        told = {decision.kind: decision for decision in run.engine.decisions.newest_first()}
        assert "'third', 'fourth'" in told["classes-grown"].reason
        assert told["student-reset"].student == "sage"
        assert told["group-restarted"].student is None

    def test_a_version_of_weights_that_are_no_numbers_is_not_begun(self, monkeypatch: pytest.MonkeyPatch) -> None:
        run = learned(Run(PAIR))
        assert run.engine.trainer is not None
        trainer, step = run.engine.trainer, run.engine.trainer.step

        def overflowing(*args: Any) -> Any:
            terms = step(*args)
            with torch.no_grad():
                for student in trainer.students:
                    student.head.bias.fill_(torch.inf)
            trainer.steps += 1
            return terms

        monkeypatch.setattr(trainer, "step", overflowing)
        run.turn([], steps=8)
        refused = [decision for decision in run.engine.decisions.newest_first() if decision.kind == "version-refused"]
        assert refused
        assert "not finite" in refused[0].reason


class TestRejections:
    def test_carry_position_and_index(self) -> None:
        run = Run(PAIR)
        run.turn([UpsertNode("a", [1.0]), UpsertNode("b")])
        publication = run.turn([UpsertEdge("a", "b"), RemoveEdge("a", "z"), UpsertNode("c", [1.0, 2.0])])
        assert [(r.position, r.index, r.op, r.reason) for r in publication.rejected] == [
            ("2-0", 1, "remove_edge", "unknown-edge"),
            ("2-0", 2, "upsert_node", "feature-width"),
        ]
        assert all(rejected.detail for rejected in publication.rejected)
        assert run.turn([RemoveNode("a"), LabelNode("a", "red")]).rejected[0].position == "3-0"
        assert (run.engine.rejected_events, run.engine.applied_events) == (3, 7)
        assert run.turn([]).rejected == ()

    def test_a_schema_that_does_not_fit_is_rejected_too(self) -> None:
        run = Run(PAIR)
        run.turn([UpsertNode("a", [1.0])])
        run.engine.declare("7-0", GraphSchema(feature_width=2))
        (rejected,) = run.engine.publication().rejected
        assert (rejected.position, rejected.op, rejected.reason) == ("7-0", "schema", "schema-conflict")
        assert run.engine.position == "7-0"

    def test_a_schema_that_fits_is_followed(self) -> None:
        run = Run(PAIR)
        run.engine.declare("1-0", GraphSchema(feature_width=2, classes=("red",), directed=True, edge_lifetime=5.0))
        assert run.engine.publication().rejected == ()
        assert (run.engine.graph.num_features, run.engine.graph.classes) == (2, ["red"])
        assert run.engine.graph.directed


class TestDeterminism:
    def test_the_same_calls_give_the_same_bytes(self) -> None:
        def whole() -> tuple[list[tuple[object, ...]], dict[str, bytes]]:
            run = Run()
            for batch in stream():
                run.turn(batch, steps=2)
            tensors, _ = run.engine.state()
            return [comparable(p) for p in run.published], {n: t.numpy().tobytes() for n, t in tensors.items()}

        assert whole() == whole()

    @pytest.mark.usefixtures("small_slices")
    @pytest.mark.parametrize("seed", [3, 8])
    def test_an_engine_restored_from_disk_goes_on_in_the_same_bytes(self, tmp_path: Path, seed: int) -> None:
        batches = stream(seed)
        whole = Run()
        cuts: list[tuple[int, Path, bool]] = []
        for number, batch in enumerate(batches):
            whole.turn(batch, steps=2)
            if number in {0, 2, 3, 6, 13, 19}:
                path = write_checkpoint(tmp_path, *whole.engine.state(), keep=10)
                held = whole.engine.versions
                cuts.append((number + 1, path, held.candidate is not None and held.served is not None))
        assert any(embedding for _, _, embedding in cuts)
        assert whole.engine.rejected_events > 0
        for done, path, _ in cuts:
            checkpoint = read_checkpoint(path)
            run = Run(engine=Engine.restore(CONFIG, checkpoint.tensors, checkpoint.values, CPU))
            for batch in batches[done:]:
                run.turn(batch, steps=2)
            after = [comparable(publication) for publication in run.published]
            assert after == [comparable(publication) for publication in whole.published[2 * done :]]
            assert_same_state(run.engine, whole.engine)

    def test_a_restored_engine_shares_nothing_with_the_state_it_is_of(self) -> None:
        run = learned(Run(PAIR))
        restored = Engine.restore(PAIR, *run.engine.state(), CPU)
        tensors, _ = restored.state()
        before = {name: tensor.numpy().tobytes() for name, tensor in tensors.items()}
        run.turn([UpsertNode("0", [5.0, 5.0, 5.0]), RemoveNode("1")], steps=3)
        assert [name for name in before if tensors[name].numpy().tobytes() != before[name]] == []

    def test_a_state_is_taken_when_everything_is_published(self) -> None:
        run = Run(PAIR)
        run.engine.apply("1-0", [UpsertNode("a")], 0.0)
        with pytest.raises(AssertionError, match="refresh and publish first"):
            run.engine.state()

    def test_a_new_engine_has_a_state(self) -> None:
        restored = Engine.restore(PAIR, *Engine(PAIR, CPU).state(), CPU)
        assert_same_state(restored, Engine(PAIR, CPU))

    @pytest.mark.parametrize(
        ("trainer", "says"),
        [
            (replace(PAIR.trainer, students=("gat", "gcn")), "students .*OLAD_STUDENTS"),
            (replace(PAIR.trainer, width=16), "width 8, the settings ask for 16: set OLAD_WIDTH"),
        ],
    )
    def test_other_students_are_refused(self, trainer: TrainerConfig, says: str) -> None:
        run = learned(Run(PAIR))
        with pytest.raises(ValueError, match=says):
            Engine.restore(replace(PAIR, trainer=trainer), *run.engine.state(), CPU)


def assert_same_state(one: Engine, other: Engine) -> None:
    (tensors, values), (expected_tensors, expected_values) = one.state(), other.state()
    assert values == expected_values
    assert tensors.keys() == expected_tensors.keys()
    differing = [
        name
        for name, tensor in tensors.items()
        if tensor.dtype != expected_tensors[name].dtype
        or tensor.numpy().tobytes() != expected_tensors[name].numpy().tobytes()
    ]
    assert differing == []


class TestWhatGoesWrong:
    def test_a_version_with_more_broken_predictions_than_the_served_one_is_refused(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        run = Run(PAIR)
        run.turn(two_communities(), steps=12)
        served = run.engine.versions.served
        assert served is not None
        probabilities = embedding_module.Embedding.probabilities

        def broken(embedding: embedding_module.Embedding, rows: npt.NDArray[np.int64]) -> npt.NDArray[np.float32]:
            found = probabilities(embedding, rows)
            return found if embedding is served.embedding else np.where(rows[:, None] == rows[:1], np.nan, found)

        with monkeypatch.context() as patched:
            patched.setattr(embedding_module.Embedding, "probabilities", broken)
            run.turn([UpsertNode("more")], steps=12)
            assert run.engine.versions.refused > 0
            assert run.engine.versions.served is served
        refusal = next(d for d in run.engine.decisions.newest_first() if d.kind == "version-refused")
        assert refusal.position == "2-0"
        assert refusal.version not in (None, served.version.number)
        run.turn([UpsertNode("still more")], steps=12)
        assert run.engine.versions.served is not served

    def test_one_enormous_node_breaks_no_prediction_and_no_step(self) -> None:
        run = Run()
        run.turn(two_communities(), steps=12)
        width = run.engine.graph.num_features or 0
        run.turn(
            [UpsertNode("huge", [3e38, -3e38] * (width // 2) + [3e38] * (width % 2)), UpsertEdge("huge", "0", 1e15)]
        )
        run.turn([UpsertEdge("huge", str(node), 1.0) for node in range(5)], steps=20)
        versions, trainer = run.engine.versions, run.engine.trainer
        assert versions.served is not None
        assert trainer is not None
        rows = versions.served.embedding.computed(run.engine.graph)
        assert np.isfinite(versions.served.embedding.probabilities(rows)).all()
        assert trainer.skipped_steps == 0

    def test_training_that_failed_begins_with_new_students_while_the_version_is_served_on(self) -> None:
        run = Run(PAIR)
        run.turn(two_communities(), steps=12)
        served = run.engine.versions.served
        run.engine.restart_training()
        assert run.engine.versions.served is served
        run.turn([UpsertNode("more")], steps=12)
        assert run.engine.trainer is not None
        assert run.engine.trainer.steps == 12
        assert run.engine.versions.served is not served

    def test_a_skipped_entry_counts_as_applied_and_is_told_as_a_whole(self) -> None:
        run = Run(PAIR)
        run.turn([UpsertNode("a")])
        run.engine.skip("2-0", 3, "a bug", "[]")
        run.engine.refresh()
        publication = run.publish()
        assert (publication.position, publication.applied_events) == ("2-0", 4)
        (rejected,) = publication.rejected
        assert (rejected.index, rejected.op, rejected.reason, rejected.content) == (-1, "batch", "apply-failed", "[]")
        assert run.engine.rejected_events == 3
