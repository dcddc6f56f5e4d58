"""Sends a source to a running service and scores what the service served."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from olad_core.judging.class_report import ClassReport
from olad_core.judging.lead import LeadFigure
from olad_core.judging.metric import Metric
from service.client.errors import NoModel, ServiceError
from service.client.http import Client
from service.replay.pace import STEPS_PER_ENTRY, LearningPace, RatePace
from service.replay.progress import Done, Progress
from service.replay.served_score import Accuracy, Ranking, ServedScore
from service.replay.sources import Source
from service.store.positions import START, parse_position


@dataclass(frozen=True)
class ReplayState:
    """Where a replay is.

    Attributes:
        arrivals: nodes that have arrived, those of earlier runs included.
        events: events sent in this run.
        seconds: how long this run has taken.
        position: of the last batch; None before the first.
        whole, recent, later: accuracy of what was served over all arrivals, the last 500 scored ones, and the
            arrivals from ``score_from`` on.
        macro_f1, macro_f1_later: mean over classes of the F1 of each, over what ``whole`` and ``later`` count.
        lead: the score that stands first, over what ``whole`` counts, beside what naming the commonest class scores.
        score_from: the first arrival that ``later`` counts.
        resumed: batches that an earlier run had sent.
        complete: whether the source has ended.
        classes: class by class, over what ``whole`` counts; None while it runs.
        ranking: of the class that was asked for; None while it runs, and without one.
        shortfall: one line where the service learned less than it could; None where it did not, and while it runs.
    """

    arrivals: int
    events: int
    seconds: float
    position: str | None
    whole: Accuracy
    recent: Accuracy
    later: Accuracy
    macro_f1: float | None
    macro_f1_later: float | None
    lead: LeadFigure
    score_from: int
    resumed: int
    complete: bool
    classes: ClassReport | None = None
    ranking: Ranking | None = None
    shortfall: str | None = None

    @property
    def events_per_s(self) -> float:
        """Rate of this run."""
        return self.events / self.seconds if self.seconds > 0 else 0.0

    def as_dict(self) -> dict[str, Any]:
        """For machines."""
        return {
            "arrivals": self.arrivals,
            "served": self.arrivals - self.whole.unserved,
            "unserved": self.whole.unserved,
            "scored": self.whole.scored,
            "accuracy": self.whole.value,
            "macro_f1": self.macro_f1,
            "lead": asdict(self.lead),
            "accuracy_recent": self.recent.value,
            "score_from": self.score_from,
            "scored_later": self.later.scored,
            "unserved_later": self.later.unserved,
            "accuracy_later": self.later.value,
            "macro_f1_later": self.macro_f1_later,
            "events": self.events,
            "seconds": round(self.seconds, 3),
            "events_per_s": round(self.events_per_s, 1),
            "position": self.position,
            "resumed_batches": self.resumed,
            "complete": self.complete,
            "classes": None if self.classes is None else [asdict(row) for row in self.classes.classes],
            "ranking": None if self.ranking is None else asdict(self.ranking),
            "shortfall": self.shortfall,
        }


def replay(
    source: Source,
    client: Client,
    progress: Progress,
    *,
    rate: float | None = None,
    score_from: int | None = None,
    metric: Metric | None = None,
    rank: str | None = None,
    steps: int = STEPS_PER_ENTRY,
    wait_for_learning: bool = False,
    stop: threading.Event | None = None,
    on_batch: Callable[[ReplayState], None] = lambda _state: None,
) -> ReplayState:
    """Send every batch that ``progress`` does not have yet.

    After each POST the predictions of the nodes that arrived in it are asked for at its position, before
    anything later is sent.

    Args:
        source: what to send.
        client: the service.
        progress: record of earlier runs; grows.
        rate: events per second at most.
        score_from: overrides the source's own.
        metric: that the user cares about; None where nothing is declared.
        rank: class by whose probability the arrivals are ranked; None where the metric names none either.
        steps: training steps that a batch gets in an evaluation.
        wait_for_learning: whether to wait until the service has taken as many.
        stop: end after the current batch.
        on_batch: called after each batch, and once for those of earlier runs.

    Raises:
        ServiceError: the service refused or did not answer in time. The next run goes on from there.
    """
    stop = stop or threading.Event()
    score = ServedScore(source.score_from if score_from is None else score_from)
    resumed = len(progress.done)
    started = time.monotonic()
    pacer, learning = RatePace(rate, stop), LearningPace(client, steps, stop)
    ranked = rank if rank is not None or metric is None else metric.of_class
    sent = 0

    def state(*, complete: bool = False) -> ReplayState:
        return ReplayState(
            arrivals=score.arrivals,
            events=sent,
            seconds=time.monotonic() - started,
            position=progress.done[-1].position if progress.done else None,
            whole=score.whole,
            recent=score.recent,
            later=score.later,
            macro_f1=score.macro_f1,
            macro_f1_later=score.macro_f1_later,
            lead=score.lead(metric),
            score_from=score.score_from,
            resumed=resumed,
            complete=complete,
        )

    def report(*, complete: bool) -> ReplayState:
        return replace(
            state(complete=complete),
            classes=score.class_report(ranked),
            ranking=None if ranked is None else score.ranking(ranked),
            shortfall=learning.shortfall(),
        )

    if source.schema is not None:
        client.declare(source.schema)
    for number, batch in enumerate(source.batches):
        if number < resumed:
            done = progress.done[number]
            earlier = done.served
            if len(earlier) != len(batch.nodes):
                raise ServiceError(f"{progress.path} does not belong to this source: start over with --fresh")
            score.record(batch, earlier, done.shares)
            continue
        if number == resumed:
            on_batch(state())
        waited = not wait_for_learning or learning.wait()
        if not waited or not pacer.wait(len(batch.events)) or stop.is_set():
            return report(complete=False)
        position = client.append(batch.events, key=progress.key(number)).position
        learning.sent(batch.events, position)
        answers = served_at(client, batch.nodes, position, ranked) if batch.nodes else []
        served, shares = [label for label, _ in answers], [share for _, share in answers]
        progress.append(Done(position, served, None if ranked is None else shares))
        score.record(batch, served, shares)
        sent += len(batch.events)
        on_batch(state())
    return report(complete=True)


def served_at(
    client: Client, nodes: Sequence[str], position: str, class_name: str | None = None
) -> list[tuple[str | None, float | None]]:
    """The label served for each node once ``position`` is visible, and the probability of a class.

    Both are None where no prediction was there. A class that is not among the probabilities has 0.
    """
    try:
        answers = client.predict(nodes, min_position=position)
    except NoModel:
        return [(None, None)] * len(nodes)
    shown = [answer.probabilities if class_name else None for answer in answers]
    shares = [None if each is None else each.get(class_name or "", 0.0) for each in shown]
    return [(answer.label, share) for answer, share in zip(answers, shares, strict=True)]


def forget_if_lost(client: Client, progress: Progress) -> int:
    """Forget the batches that stand beyond the end of the service's log; how many.

    Its data was restored to an earlier point. Another log has another identity, and so another record.
    """
    if not progress.done:
        return 0
    end = parse_position(client.status().log.position or START)
    sent = len(progress.done)
    kept = sum(parse_position(done.position) <= end for done in progress.done)
    if kept < sent:
        progress.start_over(keep=kept)
    return sent - kept
