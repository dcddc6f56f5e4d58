"""Prequential scores: test on arrival, then train (Gama et al., "On evaluating stream learning algorithms")."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace

import numpy as np
import numpy.typing as npt

from olad_core.judging.calibration import BINS, bin_confidences, calibration_error
from olad_core.judging.class_columns import ClassColumns
from olad_core.judging.class_report import LISTED_CLASSES, ClassReport, class_report
from olad_core.judging.class_scores import ClassScores, only_last
from olad_core.judging.fading import Fading
from olad_core.judging.lead import LeadFigure, baseline, baseline_name
from olad_core.judging.metric import Metric
from olad_core.judging.tally import Tally
from olad_core.named_state import join_parts, take_part
from olad_core.tasks import node_class

Rows = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class ScoreTable:
    """Prequential scores of predictors, one number each; NaN before the first score.

    Attributes:
        scored: how many predictions were scored.
        accuracy, log_loss, macro_f1: over all scored nodes.
        recent_accuracy, recent_log_loss, recent_macro_f1, recent_calibration_error: with forgetting.
        recent_weight: how many scored nodes stand behind the recent scores.
    """

    scored: Rows
    accuracy: Floats
    log_loss: Floats
    macro_f1: Floats
    recent_accuracy: Floats
    recent_log_loss: Floats
    recent_macro_f1: Floats
    recent_calibration_error: Floats
    recent_weight: Floats

    def part(self, predictors: slice) -> ScoreTable:
        """The scores of some of the predictors."""
        return ScoreTable(*(getattr(self, field.name)[predictors] for field in fields(self)))


class Scores:
    """Accuracy, macro-F1, log-loss and calibration error of P predictors, over all scored nodes and with forgetting.

    Args:
        predictors: number of predictors P.
        memory: nodes after which a score's weight has fallen to 1/e.
    """

    def __init__(self, predictors: int, memory: float) -> None:
        self._memory = memory
        self._fading = Fading(memory)
        self.scored = np.zeros(predictors, dtype=np.int64)
        self._sums = np.zeros((2, predictors))
        self._faded = np.zeros((3, predictors))
        self._classes = np.zeros((3, predictors, 0))
        self._faded_classes = np.zeros((3, predictors, 0))
        self._faded_bins = np.zeros((3, predictors, BINS))
        self._of_classes = ClassScores(predictors)

    def add(
        self,
        probabilities: npt.NDArray[np.float32],
        labels: Rows,
        columns: ClassColumns | None = None,
        served: Rows | None = None,
    ) -> node_class.NodeScores:
        """Score predictions of nodes in the order of their labels; what each of them yields, with classes by number.

        Args:
            probabilities: ``[n, P, C]``.
            labels: classes ``[n]``.
            columns: the classes of the columns; None where each class is the column of its number.
            served: classes that the last predictor gave as labels ``[n]``; negative where it is the likeliest class.
        """
        found = node_class.score(probabilities, columns.places(labels) if columns else labels)
        predicted = columns.named(found.predicted) if columns else found.predicted
        likeliest = found.right
        if served is not None:
            predicted, found = _with_labels(predicted, found, served, labels)
        classes = int(predicted.max(initial=-1)) + 1 if columns else probabilities.shape[2]
        self.scored += found.answered.sum(axis=0)
        self._sums += np.stack([found.right.sum(axis=0), found.loss.sum(axis=0)])
        # Each predictor forgets at the pace of its own scored nodes.
        weight = self._fading.weights(found.answered)
        terms = np.stack([weight, weight * found.right, weight * found.loss]).sum(axis=1)
        faded = self._fading.kept(found.answered)
        self._faded = self._faded * faded + terms
        classes = max(classes, int(labels.max(initial=-1)) + 1, self._classes.shape[2])
        self._classes = node_class.with_classes(self._classes, classes)
        self._classes += node_class.count_classes(predicted, labels, found.answered.astype(np.float64), classes)
        self._faded_classes = node_class.with_classes(self._faded_classes, classes) * faded[:, None]
        self._faded_classes += node_class.count_classes(predicted, labels, weight, classes)
        self._faded_bins = self._faded_bins * faded[:, None] + bin_confidences(found.confidence, likeliest, weight)
        of_classes = (
            columns.spread(probabilities, min(classes, node_class.RANKED_CLASSES)) if columns else probabilities
        )
        self._of_classes.add(of_classes, labels, predicted, weight, faded)
        return replace(found, predicted=predicted)

    def beside(self, predictors: int) -> Scores:
        """Those of the last predictor, with so many others before it that have no score yet."""
        new = Scores(predictors + 1, self._memory)
        new.scored[-1] = self.scored[-1]
        new._sums, new._faded = only_last(self._sums, predictors), only_last(self._faded, predictors)
        new._classes = only_last(self._classes, predictors)
        new._faded_classes = only_last(self._faded_classes, predictors)
        new._faded_bins = only_last(self._faded_bins, predictors)
        new._of_classes = self._of_classes.beside(predictors)
        return new

    def forget(self, count: int) -> None:
        """Let recent scores weigh as much as ``count`` nodes at most, so that those to come count for more."""
        share = self._fading.shortened(self._faded[0], count)
        self._faded *= share
        self._faded_classes *= share[:, None]
        self._faded_bins *= share[:, None]
        self._of_classes.fade(share)

    def accuracy(self) -> Floats:
        """``[P]``, NaN before the first score."""
        return _ratio(self._sums[0], self.scored)

    def log_loss(self) -> Floats:
        """``[P]``, NaN before the first score."""
        return _ratio(self._sums[1], self.scored)

    def recent_accuracy(self) -> Floats:
        """``[P]``, with forgetting; NaN before the first score."""
        return _ratio(self._faded[1], self._faded[0])

    def recent_weight(self) -> Floats:
        """How many scored nodes stand behind the recent scores, ``[P]``."""
        weight: Floats = self._faded[0].copy()
        return weight

    def recent_log_loss(self) -> Floats:
        """``[P]``, with forgetting; NaN before the first score."""
        return _ratio(self._faded[2], self._faded[0])

    def macro_f1(self) -> Floats:
        """``[P]``: mean over classes of the F1 of each, NaN before the first score."""
        return node_class.macro_f1(self._classes)

    def recent_macro_f1(self) -> Floats:
        """``[P]``, with forgetting; NaN before the first score."""
        return node_class.macro_f1(self._faded_classes)

    def recent_calibration_error(self) -> Floats:
        """Expected calibration error ``[P]``, with forgetting; NaN before the first score."""
        return calibration_error(self._faded_bins)

    def table(self) -> ScoreTable:
        """All scores."""
        return ScoreTable(
            scored=self.scored.copy(),
            accuracy=self.accuracy(),
            log_loss=self.log_loss(),
            macro_f1=self.macro_f1(),
            recent_accuracy=self.recent_accuracy(),
            recent_log_loss=self.recent_log_loss(),
            recent_macro_f1=self.recent_macro_f1(),
            recent_calibration_error=self.recent_calibration_error(),
            recent_weight=self.recent_weight(),
        )

    def class_report(self, predictor: int, names: Sequence[str], most: int = LISTED_CLASSES) -> ClassReport:
        """The report of one predictor, class by class; the last one's has the confusion matrix.

        Args:
            predictor: its number.
            names: of all classes, by number.
            most: classes to list, at most.
        """
        return class_report(
            names,
            self._classes[:, predictor],
            self._faded_classes[:, predictor],
            self._of_classes.average_precision(predictor),
            self._of_classes.recent_average_precision(predictor),
            self._of_classes.confusion() if predictor == len(self.scored) - 1 else None,
            most=most,
        )

    def tally(self, predictor: int) -> Tally:
        """Counts of one predictor over all scored nodes."""
        right, loss = self._sums[:, predictor].tolist()
        return Tally(int(self.scored[predictor]), right, loss, self._classes[:, predictor].copy())

    def recent_support(self) -> Floats:
        """Scored nodes of each class ``[C]``, with forgetting, of the predictor with the most."""
        support: Floats = self._faded_classes[2].max(axis=0, initial=0.0)
        return support

    def support(self) -> Floats:
        """The same over all scored nodes."""
        support: Floats = self._classes[2].max(axis=0, initial=0.0)
        return support

    def lead_figure(
        self, predictor: int, metric: Metric, names: Sequence[str], number: int | None, *, declared: bool
    ) -> LeadFigure:
        """The score of one predictor on a metric.

        Args:
            predictor: its number.
            metric: which score.
            names: of all classes, by number.
            number: of the class that the metric is about; None where it is about all, or the class is unknown.
            declared: whether the user declared the metric.
        """
        support, recent_support = self._classes[2, predictor], self._faded_classes[2, predictor]
        whole, recent = self._on(metric, number, predictor)
        commonest = names[int(support.argmax())] if support.any() else None
        return LeadFigure(
            metric=str(metric),
            declared=declared,
            lower_is_better=metric.lower_is_better,
            value=whole,
            recent=recent,
            baseline=baseline(metric, support, number),
            baseline_recent=baseline(metric, recent_support, number),
            baseline_of=baseline_name(metric, commonest),
        )

    def _on(self, metric: Metric, number: int | None, predictor: int) -> tuple[float | None, float | None]:
        """Score of a predictor on a metric over all scored nodes, and with forgetting."""
        if metric.kind == "accuracy":
            columns = self.accuracy(), self.recent_accuracy()
        elif metric.kind == "macro_f1":
            columns = self.macro_f1(), self.recent_macro_f1()
        elif metric.kind == "log_loss":
            columns = self.log_loss(), self.recent_log_loss()
        else:
            of_classes = self._of_classes
            ranked = of_classes.average_precision(predictor), of_classes.recent_average_precision(predictor)
            whole, recent = (
                float(column[number]) if number is not None and number < len(column) else None for column in ranked
            )
            return _known(whole), _known(recent)
        whole, recent = (float(column[predictor]) for column in columns)
        return _known(whole), _known(recent)

    def state(self) -> dict[str, npt.NDArray[np.generic]]:
        """Arrays for a checkpoint."""
        return {
            "scored": self.scored.copy(),
            "sums": self._sums.copy(),
            "faded": self._faded.copy(),
            "classes": self._classes.copy(),
            "faded_classes": self._faded_classes.copy(),
            "faded_bins": self._faded_bins.copy(),
            **join_parts({"by_class": self._of_classes.state()}),
        }

    def restore(self, state: Mapping[str, npt.NDArray[np.generic]]) -> None:
        """Take over the arrays of :meth:`state`."""
        self.scored = state["scored"].astype(np.int64)
        self._sums = state["sums"].astype(np.float64)
        self._faded = state["faded"].astype(np.float64)
        self._classes = state["classes"].astype(np.float64)
        self._faded_classes = state["faded_classes"].astype(np.float64)
        self._faded_bins = state["faded_bins"].astype(np.float64)
        self._of_classes.restore(take_part(state, "by_class"))


def _ratio(part: Floats, whole: Floats | Rows) -> Floats:
    ratio: Floats = np.divide(part, whole, out=np.full(whole.shape, np.nan), where=whole > 0)
    return ratio


def _with_labels(
    predicted: Rows, found: node_class.NodeScores, served: Rows, labels: Rows
) -> tuple[Rows, node_class.NodeScores]:
    """Predicted classes ``[n, P]`` and scores with the last predictor's labels, where it gave others."""
    own = np.where(found.answered[:, -1] & (served >= 0), served, predicted[:, -1])
    predicted, right = predicted.copy(), found.right.copy()
    predicted[:, -1], right[:, -1] = own, (own == labels) & found.answered[:, -1]
    return predicted, replace(found, right=right)


def _known(value: float | None) -> float | None:
    return None if value is None or np.isnan(value) else value
