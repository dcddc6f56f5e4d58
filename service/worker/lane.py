"""One graph of a worker: its engine, the entries that are applied, the publications, and what is still owed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from olad_core.engine import Engine, EntryOutcome
from olad_core.errors import OladError
from olad_core.serving.publication import Publication, Reply, WholeAnswer
from service.store.log_reader import Entry
from service.store.request_reader import Request
from service.variant_names import DEFAULT_VARIANT
from service.worker.attempts import Attempts
from service.worker.decision_log import DecisionLog
from service.worker.learning import Learning
from service.worker.metrics import WorkerMetrics
from service.worker.operator_entries import carry_out
from service.worker.pace import Part
from service.worker.questions import reply_to
from service.worker.row_pace import RowPace
from service.worker.stores import Log, Predictions, Requests
from service.worker.turn_times import TurnTimes

GROWING_WAIT_S = 0.05
"""While nothing but trees is being made, the worker looks after so many seconds whether they are grown."""
MAX_EVENTS_PER_TURN = 10_000
"""Events applied in one turn at most, but for a last entry that is larger."""
_CLASSES_PER_ROW = 500
"""Probabilities that are as much work as computing a row of a layer."""


class ApplyFailed(OladError, RuntimeError):
    """An entry was applied in part only: the engine's state is wrong from now on."""

    def __init__(self, entries: list[Entry], cause: Exception) -> None:
        super().__init__(f"{type(cause).__name__}: {cause}")
        self.entries = entries


class Lane:
    """Applies entries to one engine, publishes the changes, and learns.

    With fixed steps, a number of training steps follows each entry, and nothing is learned in between: the same log
    then leads to the same bytes.

    Args:
        engine: of the graph.
        event_log: where the entries are.
        predictions: where the publications go.
        requests: of readers for predictions that are marked.
        attempts: stores which entries are being applied, for the start after a kill.
        learning: learns in the time left.
        row_pace: how many predictions are computed at a time.
        metrics: of the worker.
        times: measure the turns; with fixed steps nobody takes them in.
        fixed_steps: training steps after each entry; None to learn in the time left.
        variant: whose engine it is. An entry that changes the served version is for one variant.
    """

    def __init__(
        self,
        engine: Engine,
        event_log: Log,
        predictions: Predictions,
        requests: Requests,
        attempts: Attempts,
        learning: Learning,
        row_pace: RowPace,
        metrics: WorkerMetrics,
        times: TurnTimes,
        fixed_steps: int | None,
        variant: str = DEFAULT_VARIANT,
    ) -> None:
        self.engine = engine
        self.fixed_steps = fixed_steps
        self.skipped: Mapping[str, str] = {}
        """Positions of entries that are not applied, each with the reason."""
        self._event_log = event_log
        self._predictions = predictions
        self._requests = requests
        self._attempts = attempts
        self._learning = learning
        self._row_pace = row_pace
        self._metrics = metrics
        self._times = times
        self._variant = variant
        self._decision_log = DecisionLog(metrics, _logged(engine))
        self._unpublished: Publication | None = None
        self._answered: str | None = None
        self._whole: list[Request] = []
        self._replies: list[Reply] = []
        self._owed_steps = 0

    def replace_engine(self, engine: Engine) -> None:
        """Continue with another engine, to which nothing is owed."""
        self.engine = engine
        self._unpublished, self._answered, self._owed_steps = None, None, 0
        self._whole, self._replies = [], []
        self._decision_log.continue_after(_logged(engine))

    @property
    def is_settled(self) -> bool:
        """Whether nothing is owed: everything taken from the engine is published, and the fixed steps are taken."""
        return self._unpublished is None and not self._owed_steps

    @property
    def rests(self) -> bool:
        """Whether there is nothing to do before the next entry."""
        return self._is_idle and not self._learning.grows

    def seconds_to_wait(self, longest: float) -> float:
        """How long to wait for an entry or a request: until other work is due, or ``longest`` while at rest."""
        if self.rests:
            return longest
        if self._is_idle:
            return min(longest, GROWING_WAIT_S)
        until_learning = self._learning.rest_left_s()
        return min(until_learning, self._row_pace.due_rest_left()) if self.engine.has_due else until_learning

    def read(self, *, wait_s: float = 0.0) -> list[Entry]:
        """The entries of the next turn, at most some seconds later; none where none has come, or a request before.

        With fixed steps a turn is one entry, so that no turn is long. An entry that must be applied alone is a turn of
        its own.
        """
        position = self.engine.position
        single = self.fixed_steps is not None or self._attempts.is_within(position)
        most = 1 if single else MAX_EVENTS_PER_TURN
        entries = self._event_log.read(position, max_events=most)
        if not entries and wait_s > 0:
            self._requests.wait(position, max(1, int(1000 * wait_s)))
            entries = self._event_log.read(position, max_events=most)
        return self._attempts.first_turn(entries)

    def apply(self, entries: list[Entry]) -> EntryOutcome:
        """Apply entries and publish what they change.

        Returns:
            The sum over the entries.

        Raises:
            ApplyFailed: the engine has failed and must be replaced.
        """
        outcome = self._apply(entries, publish=True)
        self._learning.saw_events()
        return outcome

    def replay(self, entries: list[Entry]) -> EntryOutcome:
        """Apply entries that readers have seen before, as :meth:`apply` does, and publish nothing.

        What is decided meanwhile was decided before, or is about what readers never saw.
        """
        decided = self.engine.decisions.total
        outcome = self._apply(entries, publish=False)
        self._times.take()  # What it takes to catch up is no load: no reader waits for these entries.
        self.engine.decisions.drop_news(decided)
        return outcome

    def settle(self) -> None:
        """Do what is owed after the last entry: a publication that failed, then the fixed steps."""
        if self._unpublished is not None:
            self._send(self._unpublished)
        if self._owed_steps:
            self._learning.take_steps(self.engine, self._owed_steps)
            self._owed_steps = 0

    def compute_due_in_time(self) -> bool:
        """Compute a slice of the predictions that are wanted and take long; whether that was due."""
        if not self.engine.has_due or self._row_pace.due_rest_left():
            return False
        with self._metrics.stage("due"), self._times.of("own"):
            self._row_pace.compute_due(self.engine)
        return True

    def learn_in_time(self, *, loaded: bool) -> tuple[Part, ...]:
        """Learn and publish the results where that is due; what was done.

        Args:
            loaded: whether more events wait than one turn applies.
        """
        if self.fixed_steps is None:
            self._learning.follow_trees(self.engine)
            self.engine.follow_load(self._times.take())
        if self._is_idle:
            return ()
        return self._learning.take_due_parts(self.engine, self.publish_changes, loaded=loaded)

    def publish(self) -> None:
        """Answer requests; publish the position and what has changed. A publication that failed before goes first."""
        if self._unpublished is not None:
            self._send(self._unpublished)
        self._compute_requested()
        self._send_news()

    def publish_everything(self) -> None:
        """Publish all there is at once, as a new start must: its tables are empty.

        Of a publication that failed before, only the rejected events, the decisions and the answer are not in the
        engine any more.
        """
        failed, self._unpublished = self._unpublished, None
        self.engine.republish()
        whole = self.engine.take_publication()
        if failed is not None:
            self._answered = self._answered or failed.answered
            whole = replace(
                whole,
                rejected=(*failed.rejected, *whole.rejected),
                decisions=(*failed.decisions, *whole.decisions),
            )
        answered, self._answered = self._answered, None
        self._send(replace(whole, answered=answered))

    def answer_requests(self) -> bool:
        """Publish the predictions that readers wait for; whether there were requests."""
        if self._unpublished is not None:
            self._send(self._unpublished)
        self._compute_requested()
        if self._answered is None:
            return False
        with self._times.of("own"):
            self._send_news()
        return True

    def publish_changes(self) -> bool:
        """Publish where more than the position has changed; whether that was the case."""
        if self._unpublished is not None:
            self._send(self._unpublished)
        changed = self.engine.has_news
        if changed:
            self._send(self.engine.take_publication())
        return changed

    def log_decisions(self) -> int:
        """Log and count what the engine has decided since the last call; the number of these decisions."""
        return self._decision_log.log_decisions(self.engine.decisions)

    @property
    def _is_idle(self) -> bool:
        """Whether the loop itself has nothing to do before the next entry."""
        return self.fixed_steps is not None or (self.engine.resting and not self.engine.marked)

    def _apply(self, entries: list[Entry], *, publish: bool) -> EntryOutcome:
        outcome = EntryOutcome()
        for turn in [entries] if self.fixed_steps is None else [[entry] for entry in entries]:
            with self._attempts.applying(turn):
                try:
                    outcome += self._apply_turn(turn)
                except Exception as error:
                    raise ApplyFailed(turn, error) from error
                self._owed_steps = self.fixed_steps or 0
                if publish:
                    self._attempts.publishing()
                    with self._times.of("own"):
                        self.publish()
            self.settle()
        return outcome

    def _apply_turn(self, entries: Sequence[Entry]) -> EntryOutcome:
        total = EntryOutcome()
        with self._metrics.stage("apply"), self._times.of("shared"):
            for entry in entries:
                outcome = self._apply_entry(entry)
                self._metrics.events.inc(outcome.events)
                self._metrics.rejected.inc(outcome.rejected)
                total += outcome
        self._times.applied(total.events)
        with self._metrics.stage("refresh"), self._times.of("own"):
            if self.fixed_steps is None:
                self._row_pace.refresh(self.engine)
            else:
                self.engine.refresh()
        return total

    def _apply_entry(self, entry: Entry) -> EntryOutcome:
        engine = self.engine
        problem = entry.problem or self.skipped.get(entry.position)
        if problem:
            return engine.skip(entry.position, entry.count, problem, entry.text(), entry.events)
        if entry.schema is not None:
            return engine.declare(entry.position, entry.schema)
        if entry.clock is not None:
            return engine.set_clock(entry.position, entry.clock, entry.arrival)
        if entry.version is not None:
            return carry_out(engine, entry.position, entry.version, self._variant)
        return engine.apply(entry.position, entry.events, entry.arrival)

    def _compute_requested(self) -> None:
        """Compute the predictions and answers that readers wait for, and note the last request that was read."""
        work = 0
        while work < self._row_pace.most_work:
            requests = self._requests.read()
            if not requests:
                break
            # Noted at once: the next read may fail, and each request is read once.
            self._answered = requests[0].number
            self._learning.saw_readers()
            if requests[0].question is not None:
                replied = reply_to(self.engine, requests[0].question, self._metrics)
                self._replies.append(replied.reply)
                work += replied.work
                continue
            with self._metrics.stage("requests"), self._times.of("own"):
                wanted = requests[0].list_name
                work += max(1, self.engine.ask(requests[0].nodes) if wanted is None else self.engine.make_list(wanted))
            if requests[0].whole:
                self._whole.append(requests[0])
                work += len(requests[0].nodes) * len(self.engine.graph.classes) // _CLASSES_PER_ROW

    def _send_news(self) -> None:
        """Publish what has changed, and with it the answers to requests."""
        found = [(request.number, self.engine.whole(request.nodes)) for request in self._whole]
        whole = tuple(WholeAnswer(number, rows) for number, rows in found if rows is not None)
        publication = replace(
            self.engine.take_publication(), answered=self._answered, whole=whole, replies=tuple(self._replies)
        )
        self._answered, self._whole, self._replies = None, [], []
        self._send(publication)

    def _send(self, publication: Publication) -> None:
        self._unpublished = publication
        with self._metrics.stage("publish"):
            self._predictions.publish(publication)
        self._unpublished = None
        self._metrics.published.inc(sum(len(update.nodes) for update in publication.updates))
        self._decision_log.log_served(publication)


def _logged(engine: Engine) -> int:
    """Decisions of a restored engine that were logged before: all but that its students begin anew."""
    return engine.decisions.total - (1 if engine.renewed else 0)
