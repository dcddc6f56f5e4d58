"""The standing of students on the metric that decides."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from olad_core.config import ARRIVAL_CLASSES
from olad_core.judging.balance import Balance
from olad_core.judging.calibration import tempered
from olad_core.judging.class_columns import ClassColumns
from olad_core.judging.metric import ACCURACY, MACRO_F1, Metric
from olad_core.judging.metric_standing import F1Gain, LogLossStanding, RankStanding, State
from olad_core.judging.standing import Standing
from olad_core.judging.switch_evidence import SwitchEvidence
from olad_core.named_state import join_parts, take_part
from olad_core.tasks import node_class
from olad_core.tasks.label_rule import LabelRule, RuleTable

Rows = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Probabilities = npt.NDArray[np.float32]


MOST_LOSS = float(-np.log(0.01))
"""Log-loss that one node counts for at most as evidence, in nats."""


class Standings:
    """The standing of G students on the declared metric; undeclared, on accuracy or macro-F1 by how even classes are.

    Args:
        group: number of students G.
        memory: scored nodes after which the weight of one has fallen to 1/e.
        declared: the metric that the user cares about; None where nothing is declared.
    """

    def __init__(self, group: int, memory: float, declared: Metric | None) -> None:
        self.declared = declared
        self._memory = memory
        self.class_number: int | None = None
        """Of the class that the declared metric is about; None while it is unknown, and where it is about all."""
        # What makes labels of probabilities: students are compared by the labels that they would give.
        self._rule, self._names = LabelRule(), tuple[str, ...]()
        self._balance = Balance()
        self._accuracy = Standing(group, memory)
        self._f1 = F1Gain(group, memory)
        kind = declared.kind if declared else None
        self.evidence = SwitchEvidence(group)
        """Which students are shown to score better than what is served."""
        self._log_loss = LogLossStanding(group, memory) if kind == "log_loss" else None
        self._rank = RankStanding(group, memory) if kind == "average_precision" else None

    @property
    def metric(self) -> Metric:
        """The metric that decides now."""
        if self.declared is not None:
            return self.declared
        return ACCURACY if self._balance.balanced else MACRO_F1

    def know_classes(self, names: Sequence[str], rule: LabelRule) -> None:
        """Take in the names of all classes, by number, and what makes labels of their probabilities."""
        self._rule = rule
        if rule and len(names) != len(self._names):
            self._names = tuple(names)
        if self._rank is None or self.declared is None or self.class_number is not None:
            return
        if self.declared.of_class in names:
            self.class_number = names.index(self.declared.of_class)
            self._rank.number = self.class_number

    def of_new_group(self, group: int) -> Standings:
        """Those of so many other students, on the same metric: it depends on the labels alone."""
        new = Standings(group, self._memory, self.declared)
        new._balance, new.class_number = self._balance, self.class_number
        new._rule, new._names = self._rule, self._names
        if new._rank is not None:
            new._rank.number = self.class_number
        return new

    def follow_balance(self, support: Floats) -> None:
        """Take in the scored nodes of each class ``[C]``, with forgetting."""
        self._balance.follow(support)

    def observe(self, probabilities: Probabilities, temperatures: Floats) -> None:
        """Take in what students predict of nodes now.

        Args:
            probabilities: ``[n, G, C]``.
            temperatures: ``[G]``, what to divide their logits by.
        """
        table = self._table(probabilities)
        self._accuracy.observe(self._decided_by(probabilities, temperatures, table), table)
        if self._log_loss is not None:
            self._log_loss.observe(tempered_shares(probabilities, temperatures))
        if self._rank is not None:
            self._rank.observe(probabilities)

    def compare(
        self, probabilities: Probabilities, labels: Rows, temperatures: Floats, columns: ClassColumns | None
    ) -> None:
        """Compare each student with its group on nodes whose labels have come.

        Args:
            probabilities: ``[n, G, C]``, of the students at the nodes' arrival.
            labels: classes ``[n]``.
            temperatures: ``[G]``, what to divide their logits by.
            columns: the classes of the columns; None where each class is the column of its number.
        """
        if not probabilities.size:
            return
        places = columns.places(labels) if columns else labels
        # Of many classes not all probabilities are remembered, so there the likeliest class is the label.
        table = None if columns else self._table(probabilities)
        decided_by = self._decided_by(probabilities, temperatures, table)
        self._accuracy.compare(decided_by, places, table)
        own, group = node_class.labels_of_group(decided_by, table)
        if columns:
            # The last column is no class, and only the group may think it the likeliest.
            named = columns.named(np.concatenate([own, group[:, None]], axis=1))
            own, group = named[:, :-1], np.where(group < ARRIVAL_CLASSES, named[:, -1], node_class.NO_CLASS)
        shares = tempered_shares(probabilities, temperatures, columns) if self._log_loss is not None else None
        known = probabilities
        if self._rank is not None and self.class_number is not None and columns:
            known = columns.spread(probabilities, self.class_number + 1)
        self.evidence.add(self._scores(own, labels, known, shares, places))
        self._f1.compare(own, group, labels)
        if self._log_loss is not None and shares is not None:
            self._log_loss.compare(shares, places)
        if self._rank is not None and self.class_number is not None:
            self._rank.compare(known, labels)

    def expected(self) -> Floats:
        """By how much each student is expected to score better than its group ``[G]``; NaN where nothing is known."""
        if self._log_loss is not None:
            return self._log_loss.expected()
        if self._rank is not None:
            return self._rank.expected()
        if self.metric == MACRO_F1:
            return self._accuracy.expected(self._f1.gained() * self._accuracy.compared)
        return self._accuracy.expected()

    def forget(self, count: int) -> None:
        """Let what labels have shown weigh as much as ``count`` nodes at most."""
        self.evidence.loosen()
        for held in (self._accuracy, self._f1, self._log_loss, self._rank):
            if held is not None:
                held.forget(count)

    def state(self) -> State:
        """Arrays for a checkpoint."""
        return {**self._accuracy.state(), **join_parts(self._parts())}

    def restore(self, state: Mapping[str, npt.NDArray[np.generic]]) -> None:
        """Take over the arrays of :meth:`state`; what another metric needed is left out."""
        self._accuracy.restore(state)
        self._f1.restore(take_part(state, "f1"))
        self._balance.restore(take_part(state, "balance"))
        self.evidence.restore(take_part(state, "evidence"))
        if self._log_loss is not None:
            self._log_loss.restore(take_part(state, "log_loss"))
        if self._rank is not None and _class_in(take_part(state, "rank")) == str(self.declared):
            self._rank.restore(take_part(state, "rank"))

    def _scores(
        self, own: Rows, labels: Rows, known: Probabilities, shares: Probabilities | None, places: Rows
    ) -> Floats:
        """What each student scores on each node ``[n, G]`` on the metric that decides, by what was known before.

        Args:
            own: classes that they predict ``[n, G]``, negative without an answer.
            labels: classes ``[n]``.
            known: probabilities ``[n, G, C]``, in which the column of the class that is ranked is its number.
            shares: with divided logits; None where log-loss does not decide.
            places: columns of the labels in ``shares`` ``[n]``.
        """
        if shares is not None:
            found = node_class.score(shares, places)
            # Probabilities below a hundredth count as one: no single error decides.
            scores: Floats = 1 - np.where(found.answered, np.minimum(found.loss / MOST_LOSS, 1.0), 1.0)
            return scores
        if self._rank is not None:
            return self._rank.precisions(known, labels)
        if self.metric == MACRO_F1:
            return self._f1.worths(own, labels)
        right: Floats = (own == labels[:, None]).astype(np.float64)
        return right

    def _table(self, probabilities: Probabilities) -> RuleTable | None:
        """The rule for the classes of the probabilities; None where the likeliest class is the label."""
        if not self._rule:
            return None
        classes = probabilities.shape[2]
        unknown = ("",) * (classes - len(self._names))
        return self._rule.table((*self._names[:classes], *unknown))

    def _decided_by(self, probabilities: Probabilities, temperatures: Floats, table: RuleTable | None) -> Probabilities:
        """The probabilities that a rule is about: those that would be served."""
        return probabilities if table is None else tempered_shares(probabilities, temperatures)

    def _parts(self) -> dict[str, State]:
        parts = {"f1": self._f1.state(), "balance": self._balance.state(), "evidence": self.evidence.state()}
        if self._log_loss is not None:
            parts["log_loss"] = self._log_loss.state()
        if self._rank is not None:
            declared = np.frombuffer(str(self.declared).encode(), dtype=np.uint8)
            parts["rank"] = {**self._rank.state(), "metric": declared.astype(np.int64)}
        return parts


def _class_in(state: Mapping[str, npt.NDArray[np.generic]]) -> str | None:
    """The metric that a state is of."""
    return state["metric"].astype(np.uint8).tobytes().decode() if "metric" in state else None


def tempered_shares(
    probabilities: Probabilities, temperatures: Floats, columns: ClassColumns | None = None
) -> Probabilities:
    """Probabilities of one class of each column, with logits divided by the temperatures.

    Args:
        probabilities: ``[n, P, C]``.
        temperatures: ``[P]``.
        columns: the classes of the columns; None where each class is the column of its number.
    """
    if not probabilities.size:
        return probabilities
    counts = columns.counts[:, None] if columns else None
    shares = tempered(probabilities, np.broadcast_to(temperatures, probabilities.shape[:2]), counts)
    if counts is not None:
        shares = shares / np.maximum(counts, 1)
    return shares.astype(np.float32)
