from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from olad_core.engine import Engine
from olad_core.events import GraphSchema, LabelNode, RemoveEdge, RemoveNode, UpsertEdge, UpsertNode
from olad_core.graph import DynamicGraph
from olad_core.serving import embedding as embedding_module
from olad_core.serving.publication import Publication
from olad_core.serving.served_member import ServedMember
from service.worker.checkpoint import read_checkpoint, write_checkpoint
from tests.device import DEVICE
from tests.olad_core.runs import BEST_OF_PAIR, CONFIG, PAIR, Reader, Run, assert_readers_are_fresh, learned, stream
from tests.olad_core.streams import two_communities


def comparable(publication: Publication) -> tuple[object, ...]:
    updates = [
        (u.version, u.nodes, u.probabilities.tobytes(), u.disagreement.tobytes(), u.removed)
        for u in publication.updates
    ]
    return replace(publication, updates=()), updates


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
        run = Run(BEST_OF_PAIR)
        run.turn(two_communities(16))
        missing = [run.engine.missing()]
        while run.engine.missing():
            assert run.engine.learn(1) is True
            missing.append(run.engine.missing())
        assert missing[0] == ("training steps before the first version (0 of 5)",)
        assert missing[4] == ("training steps before the first version (4 of 5)",)
        assert missing[5] == ("embedding the graph for the first version (6% done)",)
        assert missing[6] == ("embedding the graph for the first version (28% done)",)
        assert missing[-1] == ()

    @pytest.mark.usefixtures("small_slices")
    @pytest.mark.parametrize("seed", [3, 4])
    def test_readers_always_have_what_a_full_computation_gives(self, seed: int) -> None:
        run = Run(PAIR)
        for batch in stream(seed, turns=25):
            run.turn(batch, steps=6)
            if run.reader.served is not None:
                assert_readers_are_fresh(run)
        held = run.engine.versions.served
        assert held is not None
        assert held.version.number > 2
        rows = np.flatnonzero(run.engine.graph.alive)
        embedding = held.embedding
        members = [ServedMember(student, embedding.classes, DEVICE) for student in embedding.students]
        expected = embedding_module.Embedding(members, DEVICE, embedding.combination)
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
        run = learned(Run(BEST_OF_PAIR))
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
        reader.read(run.engine.take_publication())
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
        (rejected,) = run.engine.take_publication().rejected
        assert (rejected.position, rejected.op, rejected.reason) == ("7-0", "schema", "schema-conflict")
        assert run.engine.position == "7-0"

    @pytest.mark.parametrize("width", [None, 3])
    def test_features_of_another_width_than_the_served_version_knows(self, width: int | None) -> None:
        """The served version, which knows no features or none of that width, goes on until there is a new one."""
        run = Run(PAIR)
        run.engine.declare("0-1", GraphSchema(feature_width=width))
        run.turn([UpsertNode(e.id) if isinstance(e, UpsertNode) else e for e in two_communities(20)])
        while run.reader.served is None:
            run.turn([], steps=3)
        run.engine.declare(f"{run.turns}-1", GraphSchema(feature_width=5))
        run.turn([UpsertNode("later", label="even"), UpsertEdge("later", "0")])
        run.turn([UpsertNode(str(n), [float(n)] * 5, "odd") for n in range(30, 34)], steps=1)
        run.turn([UpsertNode(str(n), [float(n)] * 5, "odd") for n in range(40, 44)])
        assert_readers_are_fresh(run)
        assert run.engine.rejected_events == 0
        run.turn([], steps=30)
        assert run.engine.trainer is not None
        assert run.engine.trainer.group.shape.feature_width == 5
        assert_readers_are_fresh(run)

    def test_a_schema_that_fits_is_followed(self) -> None:
        run = Run(PAIR)
        run.engine.declare("1-0", GraphSchema(feature_width=2, classes=("red",), directed=True, edge_lifetime=5.0))
        assert run.engine.take_publication().rejected == ()
        assert (run.engine.graph.num_features, run.engine.graph.classes) == (2, ["red"])
        assert run.engine.graph.directed


class TestDeterminism:
    def test_the_same_calls_give_the_same_bytes(self) -> None:
        def whole() -> tuple[list[tuple[object, ...]], dict[str, bytes]]:
            run = Run()
            for batch in stream():
                run.turn(batch, steps=2)
            tensors, _ = run.engine.state()
            return [comparable(p) for p in run.published], {n: t.cpu().numpy().tobytes() for n, t in tensors.items()}

        assert whole() == whole()

    @pytest.mark.usefixtures("small_slices")
    @pytest.mark.parametrize("seed", [3, 8])
    def test_an_engine_restored_from_disk_goes_on_in_the_same_bytes(self, tmp_path: Path, seed: int) -> None:
        batches = stream(seed)
        whole = Run()
        cuts: list[tuple[int, Path, bool]] = []
        for number, batch in enumerate(batches):
            whole.turn(batch, steps=5)
            versions = whole.engine.versions
            both = versions.candidate is not None and versions.served is not None
            if number in {0, 2, 3, 6, 13, 19} or (both and not any(embedding for _, _, embedding in cuts)):
                path = write_checkpoint(tmp_path, *whole.engine.state(), keep=10)
                cuts.append((number + 1, path, both))
        assert any(embedding for _, _, embedding in cuts)
        assert whole.engine.rejected_events > 0
        for done, path, _ in cuts:
            checkpoint = read_checkpoint(path)
            run = Run(engine=Engine.restore(CONFIG, checkpoint.tensors, checkpoint.values, DEVICE))
            for batch in batches[done:]:
                run.turn(batch, steps=5)
            after = [comparable(publication) for publication in run.published]
            assert after == [comparable(publication) for publication in whole.published[2 * done :]]
            assert_same_state(run.engine, whole.engine)

    def test_a_state_between_two_parts_of_a_step_is_that_without_the_step(self) -> None:
        run = Run(PAIR)
        run.turn(two_communities(40), steps=3)
        before, _ = run.engine.state()
        parts = 0
        while not run.engine.train_part():
            parts += 1
            tensors, values = run.engine.state()
            learned = [name for name in before if name.startswith("trainer/student") and "mean_square" not in name]
            assert learned
            assert all(torch.equal(tensors[name], before[name]) for name in learned)
            again = Engine.restore(PAIR, tensors, values, DEVICE)
            assert again.train()
            assert again.trainer is not None
            assert again.trainer.steps == 4
        assert parts > 8
        assert run.engine.trainer is not None
        assert run.engine.trainer.steps == 4

    def test_a_step_under_way_ends_with_its_engine_and_its_students(self) -> None:
        run = Run(PAIR)
        run.turn(two_communities(40), steps=3)
        assert not run.engine.train_part()
        run.engine.restart_training()
        assert not run.engine.train_part()
        assert run.engine.trainer is not None
        assert run.engine.trainer.steps == 0
        assert run.engine.train()
        assert run.engine.trainer.steps == 1

    def test_a_restored_engine_shares_nothing_with_the_state_it_is_of(self) -> None:
        run = learned(Run(PAIR))
        restored = Engine.restore(PAIR, *run.engine.state(), DEVICE)
        tensors, _ = restored.state()
        before = {name: tensor.cpu().numpy().tobytes() for name, tensor in tensors.items()}
        run.turn([UpsertNode("0", [5.0, 5.0, 5.0]), RemoveNode("1")], steps=3)
        assert [name for name in before if tensors[name].cpu().numpy().tobytes() != before[name]] == []

    def test_a_state_is_taken_when_everything_is_published(self) -> None:
        run = Run(PAIR)
        run.engine.apply("1-0", [UpsertNode("a")], 0.0)
        with pytest.raises(AssertionError, match="refresh and publish first"):
            run.engine.state()

    def test_a_new_engine_has_a_state(self) -> None:
        restored = Engine.restore(PAIR, *Engine(PAIR, DEVICE).state(), DEVICE)
        assert_same_state(restored, Engine(PAIR, DEVICE))


def assert_same_state(one: Engine, other: Engine) -> None:
    (tensors, values), (expected_tensors, expected_values) = one.state(), other.state()
    assert values == expected_values
    assert tensors.keys() == expected_tensors.keys()
    differing = [
        name
        for name, tensor in tensors.items()
        if tensor.dtype != expected_tensors[name].dtype
        or tensor.cpu().numpy().tobytes() != expected_tensors[name].cpu().numpy().tobytes()
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

        def broken(embedding: embedding_module.Embedding, graph: DynamicGraph) -> int:
            return 0 if embedding is served.embedding else 1

        with monkeypatch.context() as patched:
            patched.setattr(embedding_module.Embedding, "broken", broken)
            run.turn([UpsertNode("more")], steps=12)
            assert run.engine.versions.refused > 0
            assert run.engine.versions.served is served
        refusal = next(d for d in run.engine.decisions.newest_first() if d.kind == "version-refused")
        assert refusal.position == "2-0"
        # It would have refined the served version, whose number it has.
        assert refusal.version == served.version.number
        assert refusal.reason.startswith(f"a refinement of version {served.version.number} has more predictions")
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
        rows = np.flatnonzero(run.engine.graph.alive)
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
