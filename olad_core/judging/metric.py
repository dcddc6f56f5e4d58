"""The metric that decides: the one that the user declared, else accuracy or macro-F1 by how even the classes are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

Kind = Literal["accuracy", "macro_f1", "log_loss", "average_precision"]
_OF_CLASS = "average_precision"


@dataclass(frozen=True)
class Metric:
    """One of the scores, by which students are compared and which stands first in every report.

    Attributes:
        kind: which score.
        of_class: name of the class that an average precision is of; None for the others.
    """

    kind: Kind
    of_class: str | None = None

    def __str__(self) -> str:
        """As it is declared."""
        return self.kind if self.of_class is None else f"{self.kind}:{self.of_class}"

    @property
    def lower_is_better(self) -> bool:
        """Whether a smaller value is the better one."""
        return self.kind == "log_loss"

    @property
    def words(self) -> str:
        """For people.

        >>> parse_metric("average_precision:fraud").words
        "average precision of 'fraud'"
        """
        if self.of_class is not None:
            return f"average precision of {self.of_class!r}"
        return {"accuracy": "accuracy", "macro_f1": "macro-F1", "log_loss": "log-loss"}[self.kind]


ACCURACY, MACRO_F1 = Metric("accuracy"), Metric("macro_f1")


def parse_metric(text: str) -> Metric:
    """The metric that a text declares.

    >>> parse_metric("macro_f1"), str(parse_metric("average_precision:fraud"))
    (Metric(kind='macro_f1', of_class=None), 'average_precision:fraud')

    Raises:
        ValueError: it is none.
    """
    kind, colon, of_class = text.partition(":")
    named = bool(colon and of_class)
    for known in get_args(Kind):
        if kind == known and named == (known == _OF_CLASS) and bool(colon) == named:
            return Metric(known, of_class or None)
    raise ValueError(f"{text!r} is no metric: give accuracy, macro_f1, log_loss, or average_precision:CLASS")
