from __future__ import annotations

import math
from dataclasses import fields, replace

import numpy as np
import numpy.typing as npt
import pytest
import torch

from olad_core.engine import Engine
from olad_core.events import LabelNode, RemoveNode, UpsertEdge, UpsertNode
from olad_core.judging.prequential import ScoreTable
from olad_core.tasks.node_class import LEAST_PROBABILITY
from tests.device import DEVICE
from tests.olad_core.runs import BEST_OF_PAIR, CONFIG, PAIR, Run, learned
from tests.olad_core.streams import arriving, labels_of, two_communities


def scores_of(run: Run) -> ScoreTable:
    """Of every student, and last of what was served."""
    students, served = run.engine.assessment.student_scores(), run.engine.assessment.served_score()
    return ScoreTable(
        *(np.concatenate([getattr(each, field.name) for each in (students, served)]) for field in fields(ScoreTable))
    )


class TestScores:
    def test_a_node_is_scored_by_what_readers_got_at_its_arrival(self) -> None:
        run = learned(Run(PAIR))
        assert run.engine.assessment.served_score().scored[0] == 0  # these nodes came before there was a version
        arrived: dict[str, npt.NDArray[np.float32]] = {}
        for event in two_communities(48, labelled=False):
            if isinstance(event, UpsertNode) and int(event.id) >= 40:
                run.turn([event])
                assert run.reader.served is not None
                arrived[str(event.id)] = run.reader.tables[run.reader.served][str(event.id)]
                run.turn([UpsertEdge(event.id, int(event.id) - 2)], steps=10)
        assert run.reader.served is not None
        now = run.reader.tables[run.reader.served]
        assert all((now[node] != row).all() for node, row in arrived.items())  # what is served has moved on
        for node in arrived:
            run.turn([LabelNode(node, ["even", "odd"][int(node) % 2])], steps=2)
        losses = [-math.log(max(row[int(node) % 2], LEAST_PROBABILITY)) for node, row in arrived.items()]
        right = [row.argmax() == int(node) % 2 for node, row in arrived.items()]
        assert scores_of(run).scored.tolist() == [8, 8, 8]
        assert run.engine.assessment.served_score().log_loss[0] == pytest.approx(np.mean(losses))
        assert run.engine.assessment.served_score().accuracy[0] == pytest.approx(np.mean(right))
        report = run.engine.assessment.served_report(run.engine.graph.classes)
        assert {row.name: row.support for row in report.classes} == {"even": 4, "odd": 4}
        assert report.confusion is not None
        assert report.confusion.counts[0][0] + report.confusion.counts[1][1] == sum(right)
        for student in run.engine.assessment.student_reports(run.engine.graph.classes):
            assert student.scored == 8
            assert student.confusion is None

    def test_a_label_that_comes_with_its_node_does_not_help_to_predict_it(self) -> None:
        def right(names: tuple[str, str]) -> npt.NDArray[np.float64]:
            run = learned(Run(PAIR))
            run.turn([], steps=10)
            before = scores_of(run).accuracy * scores_of(run).scored
            scored = scores_of(run).scored.copy()
            new = [UpsertNode(f"new-{node}", [2.0 * node - 7, 0.5, 0.0], names[node % 2]) for node in range(8)]
            run.turn(new, steps=1)
            assert (scores_of(run).scored - scored == 8).all()
            found: npt.NDArray[np.float64] = scores_of(run).accuracy * scores_of(run).scored - np.nan_to_num(before)
            return found

        # The same nodes with the other class each: who is right once is wrong the other time.
        np.testing.assert_allclose(right(("even", "odd")) + right(("odd", "even")), 8)

    def test_a_label_reaches_its_neighbours_predictions_in_the_same_publication(self) -> None:
        def served(name: str) -> npt.NDArray[np.float32]:
            run = learned(Run(PAIR))
            run.turn([UpsertNode("new"), UpsertEdge("new", "friend"), UpsertNode("alone")])
            assert run.reader.served is not None
            alone = run.reader.tables[run.reader.served]["alone"]
            run.turn([LabelNode("friend", name)])
            assert (run.reader.tables[run.reader.served]["alone"] == alone).all()
            return run.reader.tables[run.reader.served]["new"]

        assert served("even")[0] > served("odd")[0]

    def test_of_many_arrivals_at_once_no_more_than_the_limit_are_scored(self) -> None:
        run = learned(Run(PAIR))
        scored = scores_of(run).scored.copy()
        new = [UpsertNode(f"new-{node}", [1.0, 0.0, 0.0], "even") for node in range(30)]
        run.turn(new)
        assert (scores_of(run).scored - scored).tolist() == [CONFIG.arrivals_scored] * 3

    def test_the_second_label_of_a_node_is_not_scored(self) -> None:
        run = learned(Run(PAIR))
        run.turn([UpsertNode("new", [1.0, 0.0, 0.0])])
        scored = scores_of(run).scored.copy()
        run.turn([LabelNode("new", "even"), LabelNode("new", "odd")])
        run.turn([LabelNode("new", "even")])
        assert (scores_of(run).scored - scored).tolist() == [1, 1, 1]

    def test_a_removed_nodes_prediction_is_not_scored_for_the_one_that_took_its_row(self) -> None:
        run = learned(Run(PAIR))
        run.turn([UpsertNode("old", [1.0, 0.0, 0.0])])
        row = run.engine.graph.row("old")
        scored = scores_of(run).scored.copy()
        run.turn([RemoveNode("old")])
        # Nothing is remembered of the young one's own arrival.
        run.engine.config = replace(run.engine.config, arrivals_scored=0)
        run.turn([UpsertNode("young", [1.0, 0.0, 0.0])])
        assert run.engine.graph.row("young") == row
        run.turn([LabelNode("young", "even")])
        assert (scores_of(run).scored == scored).all()


class TestStanding:
    def test_a_student_that_has_just_got_worse_is_not_chosen_whatever_it_was_worth_before(self) -> None:
        students = replace(CONFIG.trainer, students=("gcn", "sage", "gat"))
        run = learned(Run(replace(CONFIG, serve="best", trainer=students)))
        for first in range(1000, 1064, 8):
            run.turn(arriving(range(first, first + 8)), steps=5)
            run.turn(labels_of(range(first, first + 8)))
        run.turn(arriving(range(1064, 1072)))
        trainer, served = run.engine.trainer, run.engine.versions.served
        assert trainer is not None
        assert served is not None
        spoilt = served.version.student
        with torch.no_grad():
            trainer.group.by_name[spoilt].head.weight.neg_()
            trainer.group.by_name[spoilt].head.bias.neg_()
        for number in range(1064, 1068):
            run.turn(labels_of(range(number, number + 1)), steps=BEST_OF_PAIR.publish_steps)
            chosen = run.engine.decisions.newest_first()[0]
            if chosen.kind == "student-switched":
                break
        assert (
            chosen.numbers[f"standing_{spoilt}"]
            < chosen.numbers[f"standing_{chosen.student}"] - BEST_OF_PAIR.switch_margin
        )

    def test_students_are_compared_on_nodes_that_wait_for_their_label(self) -> None:
        run = learned(Run(PAIR))
        run.turn([UpsertNode(f"new-{node}", [node - 4.0, 0.0, 0.0]) for node in range(8)])

        def moves() -> bool:
            """Whether a version that begins has changed what is known of the students."""
            before = run.engine.assessment.state()["standing/heard"]
            while run.engine.versions.candidate:
                run.engine.embed()
            started = run.engine.versions.next_number
            while run.engine.versions.next_number == started:
                assert run.engine.train()
            return bool((run.engine.assessment.state()["standing/heard"] != before).any())

        assert moves()
        run.turn([LabelNode(f"new-{node}", "even") for node in range(4)])
        assert moves()
        run.turn([RemoveNode(f"new-{node}") for node in range(4, 8)])
        assert not moves()
        run.turn([UpsertNode("young"), *(RemoveNode(str(node)) for node in range(5))])
        assert moves()


class TestTemperatures:
    def test_each_student_has_one_from_its_predictions_at_arrival_and_a_checkpoint_knows(self) -> None:
        run = learned(Run(PAIR))
        assert run.engine.assessment.temperatures().tolist() == [1.0, 1.0]
        for first in range(1000, 1160, 8):
            run.turn(arriving(range(first, first + 8)), steps=5)
            run.turn(labels_of(range(first, first + 8)))
        temperatures = run.engine.assessment.temperatures()
        assert np.unique(temperatures[temperatures != 1]).size == 2
        restored = Engine.restore(PAIR, *run.engine.state(), DEVICE)
        assert restored.assessment.temperatures().tolist() == temperatures.tolist()


class TestLead:
    def test_undeclared_it_is_accuracy_while_classes_are_balanced(self) -> None:
        run = learned(Run(PAIR))
        run.turn(two_communities(48))
        lead = run.engine.assessment.student_leads(run.engine.graph.classes)[0]
        scores = run.engine.assessment.student_scores()
        assert (lead.metric, lead.declared, lead.value) == ("accuracy", False, scores.accuracy[0])

    @pytest.mark.parametrize("metric", ["macro_f1", "log_loss", "average_precision:odd"])
    def test_a_declared_metric_leads_decides_and_survives_a_checkpoint(self, metric: str) -> None:
        config = replace(PAIR, metric=metric)
        run = learned(Run(config))
        names = run.engine.graph.classes
        run.turn(two_communities(48, labelled=False))
        run.turn([LabelNode(node, ["even", "odd"][node % 2]) for node in range(40, 48)], steps=12)
        leads = run.engine.assessment.student_leads(names)
        report = run.engine.assessment.student_reports(names)[1]
        values = {
            "macro_f1": run.engine.assessment.student_scores().macro_f1[1],
            "log_loss": run.engine.assessment.student_scores().log_loss[1],
            "average_precision:odd": {row.name: row.whole.average_precision for row in report.classes}["odd"],
        }
        assert (leads[1].metric, leads[1].declared) == (metric, True)
        assert leads[1].value == values[metric]
        assert np.isfinite(run.engine.assessment.standing()).all()
        restored = Engine.restore(config, *run.engine.state(), DEVICE)
        assert restored.assessment.student_leads(names) == leads
        assert restored.assessment.standing().tolist() == run.engine.assessment.standing().tolist()
