"""How good each student is, as predictions at arrival and training losses show: it decides who teaches and serves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from olad_core.config import EngineConfig
from olad_core.judging.arrivals import Arrivals, Predictions
from olad_core.judging.calibration import Temperatures
from olad_core.judging.class_columns import ClassColumns
from olad_core.judging.class_report import LISTED_CLASSES, ClassReport
from olad_core.judging.combined import Combined
from olad_core.judging.drift import Drift, DriftWatch
from olad_core.judging.evidence import Evidence
from olad_core.judging.lead import LeadFigure
from olad_core.judging.member_teacher import MemberTeacher
from olad_core.judging.metric import Metric, parse_metric
from olad_core.judging.prequential import Scores, ScoreTable
from olad_core.judging.served_outcomes import Records, records_of
from olad_core.judging.standing import LATELY
from olad_core.judging.standings import Standings
from olad_core.judging.succession import Succession
from olad_core.judging.tally import Tally
from olad_core.judging.worth import Worth
from olad_core.named_state import join_parts, take_part
from olad_core.tasks.label_rule import LabelRule

Rows = npt.NDArray[np.int64]

LOSS_MEMORY = 0.95
"""Share of a mean loss that stays from one step to the next."""


@dataclass(frozen=True)
class Scored:
    """Nodes whose labels have come, with what was predicted at their arrival.

    Attributes:
        predictions: of n nodes, which students of this group have predicted.
        labels: the columns ``[n]`` of their classes in the predictions.
        drift: what their scores show; None without a drift.
        places: of the nodes with a served prediction, among those that were to be scored.
        served: how these scored, without their arrivals and times.
    """

    predictions: Predictions
    labels: Rows
    drift: Drift | None
    places: Rows
    served: Records


class Assessment:
    """What is known of G students and of what was served.

    Predictions are remembered when a node arrives and scored when its label comes, before anything is learned from it.

    Args:
        config: of the engine.
    """

    def __init__(self, config: EngineConfig) -> None:
        students = len(config.trainer.students)
        # Of every student, in order, and last of what was served.
        self._scores = Scores(students + 1, config.score_memory)
        self.mean_losses: dict[str, npt.NDArray[np.float64]] = {}
        """Of the last training steps: ``[G]`` by the term's name."""
        self._untrained = np.zeros(students)
        self._config = config
        self._arrivals = self._no_arrivals()
        self._drift = DriftWatch(config.drift_delta)
        self._temperatures = Temperatures(students, config.score_memory)
        self._evidence = Evidence(students, config.score_memory)
        declared = parse_metric(config.metric) if config.metric else None
        self._standings = Standings(students, config.score_memory, declared)
        self.combined: Combined | None = None
        if config.combines:
            self.combined = Combined(students, config.score_memory, declared, config.beside)
        """What the group predicts together; None where only students are served."""
        self.worth = Worth(config.arrivals_remembered) if config.trainer.has_twins else None
        """What teaching was worth; None where it is not measured."""
        self.teachers: dict[str, MemberTeacher] = {}
        """The members beside the students, in the order of their predictions; none where they do not teach."""
        if config.members_teach:
            self.teachers = {name: MemberTeacher(students, config.score_memory) for name in config.beside}
        # Only while a version of a former group is served.
        self._succession: Succession | None = None

    def student_scores(self) -> ScoreTable:
        """Scores of the students ``[G]``."""
        return self._scores.table().part(slice(0, -1))

    def served_score(self) -> ScoreTable:
        """Scores of what was served ``[1]``."""
        return self._scores.table().part(slice(-1, None))

    def served_tally(self) -> Tally:
        """Counts of what was served, over all scored nodes."""
        return self._scores.tally(len(self._config.trainer.students))

    def served_calibration(self) -> float | None:
        """Expected calibration error of what was served, with forgetting; None before the first score."""
        error = float(self.served_score().recent_calibration_error[0])
        return None if np.isnan(error) else error

    def student_reports(self, names: Sequence[str], most: int = LISTED_CLASSES) -> tuple[ClassReport, ...]:
        """The report of each student, class by class.

        Args:
            names: of the graph's classes, by number.
            most: classes to list, at most.
        """
        students = len(self._config.trainer.students)
        return tuple(self._scores.class_report(student, names, most) for student in range(students))

    def served_report(self, names: Sequence[str], most: int = LISTED_CLASSES) -> ClassReport:
        """The report of what was served, class by class, with the confusion matrix; arguments as above."""
        return self._scores.class_report(len(self._config.trainer.students), names, most)

    def quality(self) -> npt.NDArray[np.float64]:
        """Expected accuracy of each student ``[G]``, NaN where nothing is known."""
        scores = self._scores
        return self._evidence.quality(scores.recent_accuracy()[:-1], scores.recent_weight()[:-1])

    def standing(self) -> npt.NDArray[np.float64]:
        """By how much each student, as it is now, is expected to score better than its group on :attr:`metric`.

        ``[G]``, NaN where nothing is known. Where the group can be served it is the last, ``[G + 1]``.
        """
        return (self.combined.standings if self.combined else self._standings).expected()

    def ahead(self, served: int | None) -> npt.NDArray[np.bool_] | None:
        """Which are shown to score better than what is served, as of :meth:`standing`; None where nothing is served.

        Args:
            served: the number of what is served, as of :meth:`standing`; None where it is none of them.
        """
        evidence = (self.combined.standings if self.combined else self._standings).evidence
        evidence.serve(served)
        return evidence.ahead()

    def renew(self, student: int) -> None:
        """A student has new weights."""
        for standings in self._every_standings():
            standings.evidence.renew(student)
        if self.combined:
            self.combined.renew(student)

    @property
    def metric(self) -> Metric:
        """What decides: the declared metric, else accuracy or macro-F1 by how even the classes are."""
        return self._standings.metric

    def know_classes(self, names: Sequence[str], rule: LabelRule | None = None) -> None:
        """Take in the names of the graph's classes, by number, and what makes labels of their probabilities."""
        for standings in self._every_standings():
            standings.know_classes(names, rule or LabelRule())

    def student_leads(self, names: Sequence[str]) -> tuple[LeadFigure, ...]:
        """The score of each student on :attr:`metric`; ``names`` are the graph's classes, by number."""
        return tuple(self._lead(student, names) for student in range(len(self._config.trainer.students)))

    def served_lead(self, names: Sequence[str]) -> LeadFigure:
        """The score of what was served on :attr:`metric`; ``names`` are the graph's classes, by number."""
        return self._lead(len(self._config.trainer.students), names)

    def gain(self) -> npt.NDArray[np.float64] | None:
        """By how much each student is better than what is served on :attr:`metric` ``[G]``.

        NaN while too little is known. Where the group can be served it is the last, ``[G + 1]``. None where what is
        served is of the same group.
        """
        return self._succession.gain(self.metric) if self._succession else None

    def of_new_group(self, config: EngineConfig, *, beside_served: bool) -> Assessment:
        """That of a new group. Scores and waiting predictions of what was served stay.

        Args:
            config: of the engine, with the new group.
            beside_served: whether a version of a former group is served, with which students are to be compared.
        """
        new, students = Assessment(config), len(config.trainer.students)
        new._scores, new._arrivals = self._scores.beside(students), self._arrivals.beside(students)
        new._drift, new._standings = self._drift, self._standings.of_new_group(students)
        new._succession = new._new_succession() if beside_served else None
        return new

    def end_succession(self) -> None:
        """What is served is of this group from now on."""
        self._succession = None

    def scored(self) -> int:
        """Nodes that have been scored so far, whoever predicted them."""
        return int(self._scores.scored[:-1].max())

    def recent_log_loss(self) -> npt.NDArray[np.float64]:
        """Log-loss of each student at arrival, with forgetting ``[G]``; NaN before the first score."""
        return self._scores.recent_log_loss()[:-1]

    def recent_weight(self) -> npt.NDArray[np.float64]:
        """How many scored nodes stand behind it ``[G]``."""
        return self._scores.recent_weight()[:-1]

    def training_loss(self) -> npt.NDArray[np.float64]:
        """Mean supervised loss of each student over the last steps ``[G]``; 0 before the first one."""
        return self.mean_losses.get("supervised", self._untrained)

    def allowed_strength(self) -> npt.NDArray[np.float64]:
        """How far labels allow teaching each student ``[G]``: 0 where its teachers are right less often."""
        return self._evidence.strength()

    def temperatures(self) -> npt.NDArray[np.float64]:
        """What to divide each student's logits by, so that its confidence is its accuracy: ``[G]``."""
        return self._temperatures.values()

    def add_losses(self, terms: Mapping[str, npt.NDArray[np.float32]]) -> None:
        """Take in the loss terms ``[G]`` of one training step; those that are not finite are left out."""
        for name, term in terms.items():
            if not np.isfinite(term).all():
                continue
            before = self.mean_losses.get(name, term)
            self.mean_losses[name] = np.asarray(LOSS_MEMORY * before + (1 - LOSS_MEMORY) * term, dtype=np.float64)

    def remember(
        self,
        rows: Rows,
        arrival: Rows,
        predictions: Predictions,
        labels: Rows | None = None,
        beside: npt.NDArray[np.float32] | None = None,
    ) -> None:
        """Remember what was predicted of nodes that have just arrived.

        Args:
            rows: of the nodes ``[n]``, distinct.
            arrival: numbers of their arrivals ``[n]``.
            predictions: of the students and of what was served, made without the nodes' own labels.
            labels: classes that were served as labels ``[n]``, negative without an answer; None: the likeliest ones.
            beside: what the members beside the students predict ``[n, K, C]``; None without any.
        """
        self._evidence.observe(predictions.students)
        self.observe(predictions.students, beside)
        self._arrivals.add(rows, arrival, predictions.together, labels)
        if beside is not None:
            for place, teacher in enumerate(self.teachers.values()):
                teacher.remember(arrival, beside[:, place])
        if self.worth and predictions.twins is not None:
            self.worth.remember(rows, arrival, predictions.twins)

    def forget_waiting(self) -> None:
        """Forget the predictions that wait for their label, and those that members teach."""
        self._arrivals = self._no_arrivals()
        for teacher in self.teachers.values():
            teacher.forget_arrivals()
        if self.worth:
            self.worth.forget_waiting()

    def waiting(self) -> tuple[Rows, Rows]:
        """Rows of nodes whose label has not come, and their arrivals, the last first; some may have left."""
        return self._arrivals.waiting()

    def observe(self, probabilities: npt.NDArray[np.float32], beside: npt.NDArray[np.float32] | None = None) -> None:
        """Take in what is predicted now of nodes whose label has not come.

        Args:
            probabilities: by the students ``[n, G, C]``.
            beside: by the members beside them ``[n, K, C]``; None without any.
        """
        self._standings.observe(probabilities, self.temperatures())
        if self.combined:
            candidates = self.combined.candidates(probabilities, beside)
            self.combined.standings.observe(candidates, self._candidate_temperatures())

    def score(self, rows: Rows, arrival: Rows, labels: Rows, beside: npt.NDArray[np.float32] | None = None) -> Scored:
        """Score what was predicted of nodes whose labels have come.

        Args:
            rows: of the nodes ``[n]``, distinct, in the order of their labels.
            arrival: numbers of their arrivals ``[n]``.
            labels: their classes ``[n]``.
            beside: what the members beside the students predicted at their arrival ``[n, K, C]``; None without any.
        """
        if self.worth:
            self.worth.score(rows, arrival, labels)
        taken = self._arrivals.take(rows, arrival)
        beside = None if beside is None else beside[taken.places]
        together, columns = taken.probabilities, taken.columns
        predictions, labels = Predictions.apart(together), labels[taken.places]
        found = self._scores.add(together, labels, columns, taken.labels)
        answered = found.answered[:, -1]
        ranked = self._of_ranked_class(predictions.served, columns)
        served = records_of(labels, found.predicted[:, -1], found.loss[:, -1], ranked, self._standings.class_number)
        for standings in self._every_standings():
            standings.follow_balance(self._scores.recent_support())
        # Of a new group's students there is nothing to compare on nodes that arrived before it.
        by_group = np.asarray(found.answered[:, :-1].any(axis=1))
        if not by_group.all():
            predictions, labels = predictions.part(by_group), labels[by_group]
            columns = columns.part(by_group) if columns else None
            beside = None if beside is None else beside[by_group]
        self._compare(predictions, beside, labels, columns)
        if columns:
            labels = columns.places(labels)
        self._temperatures.add(predictions.students, labels, columns.counts if columns else None)
        drift = self._drift.add(np.logical_not(found.right[answered, -1]))
        return Scored(predictions, labels, drift, taken.places[answered], served[answered])

    def compare_with_teachers(self, scored: Scored, teaching: npt.NDArray[np.float32]) -> None:
        """Compare students with their teachers on nodes that were scored.

        Args:
            scored: the nodes.
            teaching: ``[G, G]``, how much student ``j`` teaches student ``i``.
        """
        self._evidence.compare(scored.predictions.students, scored.labels, teaching)

    def forget(self, count: int) -> None:
        """Let what is known weigh as much as ``count`` scored nodes at most, so that those to come count for more."""
        self._scores.forget(count)
        self._temperatures.forget(count)
        self._evidence.forget(count)
        self._standings.forget(count)
        for held in (self.combined, self._succession, self.worth, *self.teachers.values()):
            if held:
                held.forget(count)

    def state(self) -> dict[str, npt.NDArray[Any]]:
        """Arrays for a checkpoint."""
        return join_parts(
            {
                "arrivals": self._arrivals.state(),
                "scores": self._scores.state(),
                "drift": self._drift.state(),
                "evidence": self._evidence.state(),
                "standing": self._standings.state(),
                "temperatures": self._temperatures.state(),
                "losses": self.mean_losses,
                "combined": self.combined.state() if self.combined else {},
                "succession": self._succession.state() if self._succession else {},
                "worth": self.worth.state() if self.worth else {},
                **{f"teachers/{name}": teacher.state() for name, teacher in self.teachers.items()},
            }
        )

    def restore(self, state: Mapping[str, npt.NDArray[np.generic]]) -> None:
        """Take over the arrays of :meth:`state`."""
        self._arrivals.restore(take_part(state, "arrivals"))
        self._scores.restore(take_part(state, "scores"))
        self._drift.restore(take_part(state, "drift"))
        self._evidence.restore(take_part(state, "evidence"))
        self._standings.restore(take_part(state, "standing"))
        self._temperatures.restore(take_part(state, "temperatures"))
        succession = take_part(state, "succession")
        if succession:
            self._succession = self._new_succession()
            # Where the group could not be served, or can be no more, the comparison begins anew.
            if succession["right"].shape[1] == len(self._candidate_temperatures()):
                self._succession.restore(succession)
        if self.combined:
            self.combined.restore(take_part(state, "combined"))
        worth = take_part(state, "worth")
        if self.worth and worth:
            self.worth.restore(worth)
        for name, teacher in self.teachers.items():
            if part := take_part(state, f"teachers/{name}"):
                teacher.restore(part)
        self.mean_losses = {name: array.astype(np.float64) for name, array in take_part(state, "losses").items()}

    def combined_lead(self, names: Sequence[str]) -> LeadFigure | None:
        """The score of what the group predicts on :attr:`metric`; ``names`` are the graph's classes, by number."""
        if self.combined is None:
            return None
        number, declared = self._standings.class_number, self._standings.declared is not None
        return self.combined.lead_figure(self.metric, names, number, declared=declared)

    def lead_of(self, name: str, names: Sequence[str]) -> LeadFigure | None:
        """The score of a member beside the students on :attr:`metric`; None without it.

        Args:
            name: of the member.
            names: of the graph's classes, by number.
        """
        if self.combined is None or name not in self.combined.beside:
            return None
        number, declared = self._standings.class_number, self._standings.declared is not None
        return self.combined.lead_of(name, self.metric, names, number, declared=declared)

    def _every_standings(self) -> tuple[Standings, ...]:
        return (self._standings, self.combined.standings) if self.combined else (self._standings,)

    def _candidate_temperatures(self) -> npt.NDArray[np.float64]:
        """Those of the students, and 1 for the group where it can be served: its exponents calibrate it."""
        own = self.temperatures()
        return np.append(own, 1.0) if self.combined else own

    def _compare(
        self,
        predictions: Predictions,
        beside: npt.NDArray[np.float32] | None,
        labels: Rows,
        columns: ClassColumns | None,
    ) -> None:
        """Compare all that can be served on nodes whose labels have come."""
        candidates, temperatures = predictions.students, self._candidate_temperatures()
        self._standings.compare(candidates, labels, self.temperatures(), columns)
        # Where the columns are not all classes, there are more of these than the others take.
        beside = beside if columns is None else None
        if beside is not None:
            for place, teacher in enumerate(self.teachers.values()):
                teacher.compare(predictions.students, beside[:, place], labels)
        if self.combined:
            candidates = self.combined.score(predictions.students, beside, labels, columns)
            self.combined.standings.compare(candidates, labels, temperatures, columns)
        if self._succession:
            ranked = self._standings.class_number
            self._succession.compare(candidates, predictions.served, labels, temperatures, columns, ranked)

    def _of_ranked_class(
        self, served: npt.NDArray[np.float32], columns: ClassColumns | None
    ) -> npt.NDArray[np.float64] | None:
        """Probabilities ``[n]`` of the class that the declared metric is about; None where it is about none."""
        number = self._standings.class_number
        if number is None:
            return None
        if columns:
            served = columns.spread(served[:, None], number + 1)[:, 0]
        known = number < served.shape[1]
        return served[:, number].astype(np.float64) if known else np.zeros(len(served))

    def _lead(self, predictor: int, names: Sequence[str]) -> LeadFigure:
        number, declared = self._standings.class_number, self._standings.declared is not None
        return self._scores.lead_figure(predictor, self.metric, names, number, declared=declared)

    def _new_succession(self) -> Succession:
        # The students of a new group improve fast: what they predicted long ago shows little.
        candidates = len(self._untrained) + (self.combined is not None)
        return Succession(candidates, min(LATELY, self._config.score_memory))

    def _no_arrivals(self) -> Arrivals:
        return Arrivals(len(self._config.trainer.students) + 1, self._config.arrivals_remembered)
