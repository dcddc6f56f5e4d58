"""Labels that decisions make, scored as such: against thresholds that are taken from the probabilities afterwards."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest

from olad_core.config import EngineConfig, TrainerConfig
from olad_core.events import ClassDecision, GraphSchema, LabelNode
from service.evaluation.baselines import baseline
from service.evaluation.configurations import configurations
from service.evaluation.evaluate import evaluate
from service.evaluation.page import page
from service.evaluation.players import Answers, EnginePlayer, Player
from service.evaluation.report import Contestant
from service.evaluation.texts import decided_rows
from service.replay.arrival_stream import Batch
from tests.device import DEVICE
from tests.service.evaluation.streams import CLASSES, tiny_batches, tiny_source
from tests.service.evaluation.test_evaluate import quick

ENGINE = EngineConfig(TrainerConfig(students=("sage",), width=8, warmup_steps=1))


def players() -> list[Player]:
    return [EnginePlayer(ENGINE, 1, DEVICE), baseline("vote")]


def answers(player: Player, batches: list[Batch], decisions: dict[str, ClassDecision]) -> list[Answers]:
    player.declare(GraphSchema(feature_width=2, classes=CLASSES, decisions=decisions))
    found = []
    for number, batch in enumerate(batches, start=1):
        found.append(player.apply(number, batch))
        player.learn()
    return found


def together(found: list[Answers]) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int64]]:
    labels = [one.labels for one in found if one.labels is not None]
    return np.concatenate([one.probabilities for one in found if one.labels is not None]), np.concatenate(labels)


@pytest.mark.parametrize("which", [0, 1])
def test_a_threshold_decides_and_probabilities_stay(which: int) -> None:
    batches = tiny_batches(160)
    plain = answers(players()[which], batches, {})
    assert all(one.labels is None for one in plain)
    decided = answers(players()[which], batches, {"b": ClassDecision(threshold=0.2)})
    for one, other in zip(plain, decided, strict=True):
        np.testing.assert_array_equal(one.probabilities, other.probabilities)
    probabilities, labels = together(decided)
    there = np.isfinite(probabilities).all(axis=1)
    assert there.sum() > 100
    assert (labels[~there] == -1).all()
    np.testing.assert_array_equal(labels[there] == 1, probabilities[there, 1] >= np.float32(0.2))


def test_a_share_flags_a_baseline_s_greatest_among_those_without_a_label() -> None:
    batches = tiny_batches(200)
    waiting: dict[str, np.float32] = {}
    found = answers(baseline("vote"), batches, {"c": ClassDecision(top_share=0.3)})
    for batch, one in zip(batches, found, strict=True):
        for node, row in zip(batch.nodes, one.probabilities, strict=True):
            if np.isfinite(row).all():
                waiting[node] = row[2]
        least = sorted(waiting.values(), reverse=True)[max(1, int(0.3 * len(waiting))) - 1] if waiting else None
        for place, node in enumerate(batch.nodes):
            if node in waiting and least is not None:
                assert one.labels is not None
                assert (one.labels[place] == 2) == (waiting[node] >= least)
        for event in batch.events:
            if isinstance(event, LabelNode):
                waiting.pop(str(event.id), None)


def test_a_share_flags_about_so_many_of_what_the_engine_serves() -> None:
    _, labels = together(
        answers(EnginePlayer(ENGINE, 1, DEVICE), tiny_batches(800), {"c": ClassDecision(top_share=0.2)})
    )
    late = labels[len(labels) // 2 :]
    # Nodes without a label are few here, and the threshold is found again after 200 events.
    assert 0.05 < (late == 2).mean() < 0.5


def of_class(contestant: Contestant, name: str) -> tuple[int, float]:
    row = next(row for row in contestant.classes.classes if row.name == name)
    return row.predicted, row.whole.recall or 0.0


def test_scores_are_those_of_the_labels_side_by_side() -> None:
    sets = ['cautious:decisions={"b": {"cost": 30}}', "plain:decisions={}"]
    report = evaluate(tiny_source(240), configurations(quick(), sets), ["vote"], decisions={"b": ClassDecision(cost=4)})
    default, cautious, plain, vote = report.contestants
    assert [one.decisions for one in report.contestants] == [{"b": {"cost": cost}} for cost in (4.0, 30.0)] + [
        {},
        {"b": {"cost": 4.0}},
    ]
    # The higher its cost, the more nodes are labelled with a class, and the more of it are found.
    counts, recalls = zip(*(of_class(one, "b") for one in (plain, default, cautious)), strict=True)
    assert counts[0] < counts[1] < counts[2]
    assert recalls[0] <= recalls[1] <= recalls[2]
    # Probabilities do not follow.
    assert default.whole.log_loss == cautious.whole.log_loss == plain.whole.log_loss
    assert default.whole.accuracy != cautious.whole.accuracy
    assert cautious.differences is not None
    assert cautious.differences.accuracy is not None
    assert cautious.differences.accuracy.value == pytest.approx(
        (cautious.whole.accuracy or 0) - (default.whole.accuracy or 0)
    )
    course = [point.accuracy for point in cautious.course if point.scored]
    assert min(value for value in course if value is not None) < (plain.whole.accuracy or 0)
    rows = decided_rows(report)
    assert [row[:2] for row in rows] == [
        ("default", "b: cost 4"), ("cautious", "b: cost 30"), ("plain", "b: likeliest"), ("vote", "b: cost 4")
    ]  # fmt: skip
    assert "Labels by decisions" in page(report)
    assert of_class(vote, "b")[0] > 0


def test_what_the_source_declares_decides() -> None:
    decisions = {"b": ClassDecision(cost=30)}
    schema = GraphSchema(feature_width=2, classes=CLASSES, decisions=decisions)
    [found] = evaluate(replace(tiny_source(160), schema=schema), configurations(quick(), [])).contestants
    assert found.decisions == {"b": {"cost": 30.0}}
    [alone] = evaluate(
        tiny_source(160), configurations(quick(), []), decisions={"b": ClassDecision(cost=30)}
    ).contestants
    assert (found.whole, found.classes) == (alone.whole, alone.classes)
