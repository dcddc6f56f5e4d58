"""The comparison of ways to learn: its scores, its streams, and a short form of the whole."""

from __future__ import annotations

import importlib.util
import json
import lzma
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

import benchmarks.learning
from benchmarks.learning.__main__ import main
from benchmarks.learning.configuration import configured
from benchmarks.learning.learners import DISAGREEMENT, EngineLearner, LeakedLabel, whole_probabilities
from benchmarks.learning.measured import Measured
from benchmarks.learning.methods import METHODS
from benchmarks.learning.plots import PUBLISHED
from benchmarks.learning.run import Run, chosen, play
from benchmarks.learning.scores import calibration_error, macro_f1, recovery, scores, windows
from benchmarks.learning.stream import Stream, Turn
from benchmarks.learning.table import overview
from benchmarks.learning.targets import outcomes
from benchmarks.learning.trainers import AllTeach, FrozenTeach, OthersTeach, SelfTeach
from olad_core.config import EngineConfig
from olad_core.events import GraphSchema, UpsertEdge, UpsertNode
from olad_core.learning.group import Group
from olad_core.parts import whole
from olad_core.students import InputShape
from tests.device import DEVICE
from tests.olad_core.streams import two_communities

SMALL = configured(
    EngineConfig(),
    {"width": 8, "labelled": 16, "touched": 8, "fanouts": (3, 3), "warmup_steps": 0, "publish_steps": 4},
)


class TestScores:
    def test_what_was_not_said_does_not_count(self) -> None:
        said = np.array([[0.9, 0.1], [np.nan, np.nan], [0.3, 0.7]])
        assert scores(said, np.array([0, 0, 0])) == {
            "accuracy": 0.5,
            "log_loss": pytest.approx(-(np.log(0.9) + np.log(0.3)) / 2),
            "ece": pytest.approx((0.1 + 0.7) / 2),
            "macro_f1": pytest.approx(2 / 3),
            "scored": 2,
        }
        assert scores(said[1:2], np.array([0])) == {"scored": 0}

    def test_confidence_that_is_right_as_often_is_calibrated(self) -> None:
        right = np.arange(100) < 70
        assert calibration_error(np.full(100, 0.7), right) == pytest.approx(0)
        assert calibration_error(np.full(100, 0.9), right) == pytest.approx(0.2)

    def test_macro_f1_counts_rare_classes_as_much_as_frequent_ones(self) -> None:
        truth = np.array([0] * 98 + [1] * 2)
        assert macro_f1(np.zeros(100, np.int64), truth) == pytest.approx((2 * 98 / (100 + 98)) / 2)
        assert macro_f1(truth, truth) == 1

    def test_the_average_precision_of_a_class_is_that_of_its_rank(self) -> None:
        said = np.array([[0.1, 0.9], [0.6, 0.4], [0.3, 0.7], [0.8, 0.2]])
        # Of the first, second and third likeliest the first and the third are of the class.
        assert scores(said, np.array([1, 1, 0, 0]), ranked=1)["average_precision"] == pytest.approx((1 + 2 / 3) / 2)
        assert "average_precision" not in scores(said, np.zeros(4, np.int64), ranked=1)

    def test_windows_are_means_of_what_was_said(self) -> None:
        assert windows(np.array([1.0, 0.0, np.nan, 1.0, np.nan]), 2) == [0.5, 1.0, None]

    def test_a_drift_costs_what_was_wrong_beyond_the_plateau(self) -> None:
        # Right for 300 questions, wrong for 150 after the drift, right from then on.
        right = np.concatenate([np.ones(300), np.zeros(150), np.ones(450)])
        [found] = recovery(right, [300])
        assert found["plateau"] == 1
        assert found["lost"] == 150
        assert 150 < found["arrivals"] <= 250

    def test_without_harm_nothing_is_lost(self) -> None:
        [found] = recovery(np.ones(600), [300])
        assert found["lost"] == 0
        assert found["arrivals"] <= 50


class TestStreams:
    def test_a_stream_that_tells_what_it_asks_is_refused(self) -> None:
        turn = Turn((UpsertNode("a", [1.0], "red"),), (("a", "red"),))
        for name in ("ours", "vote", "retrained"):
            learner = METHODS[name].build(EngineConfig(), DEVICE)
            learner.declare(GraphSchema(feature_width=1, classes=("red", "blue")))
            learner.apply(1, turn)
            with pytest.raises(LeakedLabel, match="class of a"):
                learner.predict(["a"])


def test_neighbours_vote_with_their_labels() -> None:
    vote = METHODS["vote"].build(SMALL, DEVICE)
    vote.declare(GraphSchema(classes=("red", "blue")))
    events = [UpsertNode("r1", label="red"), UpsertNode("r2", label="red"), UpsertNode("b", label="blue")]
    links = [UpsertEdge("x", "b"), UpsertEdge("y", "b"), UpsertEdge("y", "r1"), UpsertEdge("y", "r2")]
    vote.apply(1, Turn((*events, *links, UpsertNode("z"))))
    assert vote.predict(["x", "y", "z"])["served"].argmax(axis=1).tolist() == [1, 0, 0]


class TestMethods:
    def test_asking_changes_nothing(self) -> None:
        weights = []
        for asks in (False, True):
            learner = EngineLearner(SMALL, DEVICE)
            learner.apply(1, Turn((*two_communities(40), UpsertNode("new", [1.0, 0.0, 0.0]))))
            for _ in range(6):
                learner.learn(2, 1.0)
                if asks:
                    learner.predict(["new"])
            assert learner.engine.trainer is not None
            weights.append(
                [value.clone() for s in learner.engine.trainer.group.students for value in s.state_dict().values()]
            )
        assert all(torch.equal(one, other) for one, other in zip(*weights, strict=True))

    @pytest.mark.parametrize("name", sorted(METHODS))
    def test_answers_with_probabilities(self, name: str) -> None:
        if name == "river-forest" and importlib.util.find_spec("river") is None:
            pytest.skip("river is not installed")
        learner = METHODS[name].build(SMALL, DEVICE)
        learner.declare(GraphSchema(feature_width=3, classes=("even", "odd", "never")))
        learner.apply(1, Turn((*two_communities(40), UpsertNode("new", [1.0, 0.0, 0.0]))))
        learner.learn(4, 1.0)
        learner.end_first_part()
        learner.learn(8, 1.0)
        said = learner.predict(["new"])
        assert said["served"].shape == (1, 3)
        if DISAGREEMENT in said:
            assert 0 <= said.pop(DISAGREEMENT).item() <= 1
        for probabilities in said.values():
            assert probabilities.sum(axis=1) == pytest.approx(1, abs=1e-5)

    def test_students_are_asked_with_whole_neighbourhoods(self) -> None:
        """Whatever number of neighbours is sampled in a step."""
        learner = EngineLearner(configured(SMALL, {"fanouts": (100, 100)}), DEVICE)
        learner.apply(1, Turn((*two_communities(40), UpsertNode("new", [1.0, 0.0, 0.0]), UpsertEdge("new", "0"))))
        learner.learn(8, 1.0)
        graph, trainer = learner.engine.graph, learner.engine.trainer
        assert trainer is not None
        group, rows = trainer.group, graph.rows(["new"])
        exact = whole(group.probabilities(graph, rows, group.by_name, 2))
        group.config = replace(group.config, fanouts=(1, 1))
        np.testing.assert_allclose(whole_probabilities(graph, rows, group), exact, atol=1e-6)
        sampled = [whole(group.probabilities(graph, rows, group.by_name, 2)) for _ in range(9)]
        assert max(abs(one - exact).max() for one in sampled) > 1e-4

    def test_who_teaches_whom(self) -> None:
        group = SMALL.trainer.students[:3]
        config = replace(SMALL.trainer, students=group)
        members = Group(config, InputShape(3), 2, DEVICE)
        others, everyone, itself = (kind(members) for kind in (OthersTeach, AllTeach, SelfTeach))
        assert others.fixed(3).tolist() == [[0, 0.5, 0.5], [0.5, 0, 0.5], [0.5, 0.5, 0]]
        assert everyone.fixed(2).tolist() == [[0.5, 0.5], [0.5, 0.5]]
        assert itself.fixed(2).tolist() == [[1, 0], [0, 1]]

    def test_a_frozen_teacher_does_not_learn(self) -> None:
        learner = METHODS["frozen"].build(SMALL, DEVICE)
        assert isinstance(learner, EngineLearner)
        learner.apply(1, Turn(tuple(two_communities(40))))
        learner.learn(4, 1.0)
        trainer = learner.engine.trainer
        assert isinstance(trainer, FrozenTeach)
        assert not trainer.fixed(4).any()
        learner.end_first_part()
        before = [value.clone() for student in trainer.frozen for value in student.state_dict().values()]
        learner.learn(4, 1.0)
        after = [value for student in trainer.frozen for value in student.state_dict().values()]
        assert all(torch.equal(one, other) for one, other in zip(before, after, strict=True))
        assert trainer.fixed(4).all()
        assert "global" in learner.engine.assessment.mean_losses


def test_student_and_time_are_chosen_by_the_validation_nodes_alone() -> None:
    stream = Stream(GraphSchema(classes=("a", "b")), lambda: iter(()), first_part=1, window=4, validation=2)
    truth = np.tile([0, 1, 0, 1], 2)
    right, wrong = np.eye(2)[truth], np.eye(2)[1 - truth]
    # "early" knows the validation nodes at the first time, and "late" the test nodes at the second.
    early, late = wrong.copy(), wrong.copy()
    early[0:2], late[6:8] = right[0:2], right[6:8]
    test, said = chosen(truth, {"served": wrong, "early": early, "late": late, "ensemble": right}, stream)
    assert test.tolist() == [0, 1]
    assert said["served"].tolist() == early[2:4].tolist()
    assert said["ensemble"].argmax(axis=1).tolist() == [0, 1]


def test_the_overview_has_a_row_for_each_stream_with_the_mean_of_each_method() -> None:
    def line(stream: str, method: str, seed: int, served: float) -> dict[str, object]:
        predictors = {"served": {"accuracy": served}, "ensemble": {"accuracy": served + 0.05}}
        return {"stream": stream, "method": method, "seed": seed, "predictors": predictors}

    lines = [line("sudden", "independent", seed, 0.5 + seed / 10) for seed in (0, 1)]
    lines += [line("sudden", "ours", 0, 0.61), line("gradual", "ours", 0, 0.7)]
    *_, sudden, gradual = overview(lines).splitlines()
    assert sudden == "| sudden | 55.0 | 61.0 | 60.0 |"
    assert gradual == "| gradual |  | 70.0 |  |"


def test_the_overview_has_no_ensemble_of_a_baseline_that_is_no_group() -> None:
    line = {"stream": "sudden", "method": "vote", "seed": 0, "predictors": {"served": {"accuracy": 0.5}}}
    assert overview([line], "vote").splitlines() == ["| stream | vote |", "|---|---:|", "| sudden | 50.0 |"]


def test_targets_say_what_is_reached() -> None:
    def line(method: str, seed: int, accuracy: float) -> dict[str, object]:
        predictors = {name: {"accuracy": accuracy} for name in ("served", "gcn", "ensemble")}
        return {"stream": "pubmed-20", "method": method, "seed": seed, "predictors": predictors}

    lines = [line("ours", seed, 0.82 + seed / 1000) for seed in range(5)]
    lines += [line("independent", seed, 0.81 + seed / 1000) for seed in range(5)]
    lines += [line("self", seed, 0.83) for seed in range(5)]
    found = {outcome.wanted: outcome for outcome in outcomes(Measured(lines), "pubmed-20")}
    assert found["0.5 above independent, the interval clear of zero"].met
    assert found["above the best single student (gcn, independent)"].found.startswith("+1.00")
    assert not found["above self-distillation"].met


def test_the_best_of_what_a_practitioner_would_do_is_a_target() -> None:
    scores = {"ours": 0.71, "trees": 0.70, "regression": 0.72, "vote": 0.5}
    lines = [
        {"stream": "actor", "method": method, "seed": seed, "predictors": {"served": {"accuracy": score + seed / 100}}}
        for method, score in scores.items()
        for seed in range(2)
    ]
    found = {outcome.wanted: outcome for outcome in outcomes(Measured(lines), "actor")}
    practice = found["not more than 0.3 below the best of what a practitioner would do"]
    assert practice.found.startswith("-1.00")
    assert not practice.met


def test_the_short_form(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    results = tmp_path / "results" / "short.jsonl"
    kept = tmp_path / "archive" / "short.jsonl.xz"
    main(["--short", "--results", str(results), "--write", str(tmp_path), "--archive", str(kept)])
    lines = [json.loads(line) for line in results.read_text().splitlines()]
    assert sorted((line["method"], line["seed"]) for line in lines) == [
        (method, seed) for method in ("independent", "ours") for seed in (0, 1)
    ]
    accuracy = {(line["method"], line["seed"]): line["predictors"]["ensemble"]["accuracy"] for line in lines}
    assert min(accuracy.values()) > 0.25
    assert accuracy["ours", 0] != accuracy["independent", 0]
    assert {line["taken"] for line in lines} == {lines[0]["taken"]}
    printed = capsys.readouterr().out
    assert "| independent | 2 |" in printed
    written = (tmp_path / "RESULTS.md").read_text()
    assert "never more than 0.3 below independent" in written
    assert (
        f"| {lines[0]['commit']} | 0 to 1 | 2 | 600 at most | {torch.__version__}, cpu | warmup_steps = 4 | sudden |"
        in written
    )
    assert (tmp_path / "plots" / "sudden.png").stat().st_size > 0

    main(["--short", "--results", str(results)])
    assert "4 runs, 4 there already" in capsys.readouterr().out
    assert sorted(lzma.decompress(kept.read_bytes()).decode().splitlines()) == sorted(results.read_text().splitlines())
    assert {path.name for path in tmp_path.iterdir()} == {"results", "archive", "plots", "RESULTS.md"}
    main(["--short", "--results", str(results), "--held", "--methods", "all"])
    assert "| independent | 2 |" in capsys.readouterr().out
    assert len(results.read_text().splitlines()) == 4

    again = tmp_path / "again.jsonl.xz"
    shown = ["--short", "--held", "--archive", str(again), "--plots", str(tmp_path / "all"), "--results"]
    main([*shown, str(results)])
    of_plain = capsys.readouterr().out
    main([*shown, str(kept)])
    assert capsys.readouterr().out == of_plain
    assert again.read_bytes() == kept.read_bytes()
    assert (tmp_path / "all" / "sudden.png").is_file()


@pytest.mark.parametrize(
    ("given", "why"),
    [
        (["--results", "runs.jsonl.xz"], "add --held"),
        (["--archive", "runs.jsonl"], "must end in .xz"),
    ],
)
def test_an_archive_is_only_written_whole(given: list[str], why: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--short", *given])
    assert why in capsys.readouterr().err


def test_the_repository_keeps_only_plots_that_a_page_shows() -> None:
    here = Path(benchmarks.learning.__file__).parent
    page = (here / "RESULTS.md").read_text()
    shown = set(re.findall(r"\]\(plots/([^)]+)\)", page))
    assert {path.name for path in (here / "plots").iterdir()} == shown == {f"{name}.png" for name in PUBLISHED}


def test_a_run_gives_the_same_twice() -> None:
    run = Run("sudden", "ours", seed=1, steps=2, size=400, overrides=(("warmup_steps", 2),))
    first, second = play(run), play(run)
    assert {**first, "seconds": 0} == {**second, "seconds": 0}


@pytest.mark.parametrize("wrong", [["--streams", "nowhere"], ["--methods", "magic"]])
def test_unknown_names_are_refused(wrong: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(wrong)
    assert f"unknown: {wrong[1]}" in capsys.readouterr().err
