"""Plays one stream for several contestants side by side: predict at arrival, score when the class is known, learn."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from olad_core.events import GraphSchema
from service.evaluation.players import Player
from service.evaluation.scoring import ClassNumbers, Scoring
from service.evaluation.waiting import Waiting, most_waiting
from service.replay.sources import Source

Rows = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Progress:
    """Where an evaluation is.

    Attributes:
        arrivals: nodes that have arrived.
        accuracy: of each contestant so far, by name; None before its first score.
    """

    arrivals: int
    accuracy: Mapping[str, float | None]


@dataclass(frozen=True)
class Played:
    """A stream that was played to its end.

    Attributes:
        classes: names of the classes, by number.
        truth: classes of the n scored arrivals, in the order in which they became known.
        arrival: their numbers as arrivals, from 0.
        scorings: of each contestant, by name.
        arrivals, entries, events: of the stream.
    """

    classes: tuple[str, ...]
    truth: Rows
    arrival: Rows
    scorings: Mapping[str, Scoring]
    arrivals: int
    entries: int
    events: int


def play(
    source: Source,
    players: Mapping[str, Player],
    *,
    score_from: int,
    on_entry: Callable[[Progress], None] = lambda _progress: None,
) -> Played:
    """Play the stream once, every entry for each player in turn.

    The class that scores a prediction may be known to the source long before the stream has its label; no player
    receives it but by an event of the stream.

    Args:
        source: the stream.
        players: by name.
        score_from: arrivals before this one are left out of the later scores.
        on_entry: called after each entry.
    """
    classes = ClassNumbers()
    scorings = {name: Scoring(classes, score_from) for name in players}
    for player in players.values():
        player.declare(source.schema or GraphSchema())
    arrivals = events = number = 0
    unscored: Waiting[int] = Waiting()
    truth: list[int] = []
    arrival: list[int] = []
    for number, batch in enumerate(source.batches, start=1):
        most = most_waiting(max(1, len(classes.names)))
        for place, node in enumerate(batch.nodes):
            unscored.add(node, arrivals + place, most)
        for name, player in players.items():
            scorings[name].remember(arrivals, batch.nodes, player.apply(number, batch), most)
            scorings[name].score(batch.truths)
            player.learn()
        for node, label in batch.truths:
            if (arrived := unscored.take(node)) is not None:
                arrival.append(arrived)
                truth.append(classes.number(label))
        arrivals += len(batch.nodes)
        events += len(batch.events)
        on_entry(Progress(arrivals, {name: _value(scoring) for name, scoring in scorings.items()}))
    return Played(
        classes=tuple(classes.names),
        truth=np.array(truth, dtype=np.int64),
        arrival=np.array(arrival, dtype=np.int64),
        scorings=scorings,
        arrivals=arrivals,
        entries=number,
        events=events,
    )


def _value(scoring: Scoring) -> float | None:
    return float(scoring.whole.accuracy()[0]) if scoring.whole.scored[0] else None
