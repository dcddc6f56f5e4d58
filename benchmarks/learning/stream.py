"""A stream: what becomes known turn by turn, and the questions whose answers are scored."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from olad_core.events import Event, GraphSchema
from service.replay.archive_graph import GraphDataset
from service.replay.npz import read_npz


@dataclass(frozen=True)
class Turn:
    """One entry of the log, what is asked right after it, and how much is learned before the next.

    Attributes:
        events: applied as one log entry.
        asked: nodes and their true classes; the graph must not know the label of any of them at that moment.
        rounds: how many times the run's steps are taken after the questions.
    """

    events: tuple[Event, ...]
    asked: tuple[tuple[str, str], ...] = ()
    rounds: int = 1


@dataclass(frozen=True)
class Stream:
    """A stream that can be played any number of times.

    Attributes:
        schema: declared before the first turn; names every class.
        turns: plays it from the start.
        first_part: turns after which a teacher that is trained once is frozen.
        score_from: questions before this one are not scored.
        window: questions a point of the curve over the stream.
        drifts: numbers of the questions from which on the truth is another one, where that is known.
        validation: so many questions of each turn that asks are on validation nodes, by which student and turn
            are chosen; the others are on test nodes. Zero where what is served is scored.
    """

    schema: GraphSchema
    turns: Callable[[], Iterator[Turn]]
    first_part: int
    score_from: int = 0
    window: int = 500
    drifts: tuple[int, ...] = ()
    validation: int = 0


@cache
def dataset(file: str) -> GraphDataset:
    """A graph out of the folder that ``OLAD_DATA_HOME`` names, or of ``../shared/data``."""
    return read_npz(data_home() / file)


def data_home() -> Path:
    """Where the data sets are."""
    return Path(os.environ.get("OLAD_DATA_HOME", Path(__file__).parents[3] / "shared" / "data"))
