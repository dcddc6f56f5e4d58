"""One run: a method follows a stream; what it answered is scored and becomes one line of JSON."""

from __future__ import annotations

import time
from collections import defaultdict
from dataclasses import asdict, dataclass

import numpy as np
import numpy.typing as npt
import torch

from benchmarks.learning.configuration import configured
from benchmarks.learning.learners import DISAGREEMENT, Learner
from benchmarks.learning.methods import METHODS
from benchmarks.learning.scores import by_disagreement, recovery, scores, windows
from benchmarks.learning.stream import Stream
from benchmarks.learning.streams import STREAMS
from olad_core.config import EngineConfig
from olad_core.judging.metric import parse_metric

Line = dict[str, object]
NOT_STUDENTS = {"served", "ensemble"}
"""Predictors that are no single student."""


@dataclass(frozen=True)
class Run:
    """Everything that decides what a run gives, but for the code.

    Attributes:
        stream: its name.
        method: its name.
        seed: of the stream and of the students.
        steps: training steps a turn.
        share: size of a step, the configured one being 1.
        publish_steps: training steps between two versions.
        size: nodes of the stream; None for its usual size.
        overrides: other fields of the engine's or the trainer's configuration, for every method.
    """

    stream: str
    method: str
    seed: int
    steps: int
    share: float = 1.0
    publish_steps: int = EngineConfig.publish_steps
    size: int | None = None
    overrides: tuple[tuple[str, str | float], ...] = ()

    @property
    def key(self) -> str:
        """What tells it from others in a file of results."""
        return repr(self)


def play(run: Run, device: str = "cpu") -> Line:
    """Carry out a run.

    Returns:
        The run's settings, and under ``predictors`` the scores of ``served``, of each student and of the ``ensemble``.
    """
    torch.set_num_threads(1)
    begun = time.perf_counter()
    spec = STREAMS[run.stream]
    stream = spec.build(run.seed, run.size)
    metric = parse_metric(spec.metric)
    ranked = None if metric.of_class is None else stream.schema.classes.index(metric.of_class)
    changes = {
        "publish_steps": run.publish_steps,
        "seed": run.seed,
        "metric": spec.metric,
        **dict(spec.overrides),
        **dict(run.overrides),
    }
    learner = METHODS[run.method].build(configured(EngineConfig(serve="best"), changes), torch.device(device))
    truth, said = _answers(learner, stream, run)
    disputed = said.pop(DISAGREEMENT, None)
    if stream.validation:
        disputed = None
        truth, said = chosen(truth, said, stream)
    right = {name: np.where(np.isnan(p).any(axis=1), np.nan, p.argmax(axis=1) == truth) for name, p in said.items()}
    return {
        "key": run.key,
        **asdict(run),
        "predictors": {name: scores(probabilities, truth, ranked) for name, probabilities in said.items()},
        "window": stream.window,
        "curve": windows(right["served"], stream.window),
        "recovery": {name: recovery(right[name], stream.drifts) for name in said} if stream.drifts else {},
        "disagreement": [] if disputed is None else by_disagreement(disputed[:, 0], right["served"]),
        "taken": learner.steps,
        "torch": str(torch.__version__),
        "device": device,
        "seconds": round(time.perf_counter() - begun, 1),
    }


def _answers(
    learner: Learner, stream: Stream, run: Run
) -> tuple[npt.NDArray[np.int64], dict[str, npt.NDArray[np.float64]]]:
    """True classes ``[n]`` of everything asked that counts, and each predictor's probabilities ``[n, C]``."""
    number_of = {name: number for number, name in enumerate(stream.schema.classes)}
    learner.declare(stream.schema)
    truth: list[int] = []
    answers: defaultdict[str, list[tuple[int, npt.NDArray[np.float64]]]] = defaultdict(list)
    for number, turn in enumerate(stream.turns(), start=1):
        learner.apply(number, turn)
        if turn.asked:
            for name, probabilities in learner.predict([node for node, _ in turn.asked]).items():
                answers[name].append((len(truth), probabilities))
            truth += [number_of[label] for _, label in turn.asked]
        learner.learn(run.steps * turn.rounds, run.share)
        if number == stream.first_part:
            learner.end_first_part()
    said = {}
    for name, parts in answers.items():
        said[name] = np.full((len(truth), parts[0][1].shape[1]), np.nan)
        for start, part in parts:
            said[name][start : start + len(part)] = part
    return np.array(truth[stream.score_from :]), {name: p[stream.score_from :] for name, p in said.items()}


def chosen(
    truth: npt.NDArray[np.int64], said: dict[str, npt.NDArray[np.float64]], stream: Stream
) -> tuple[npt.NDArray[np.int64], dict[str, npt.NDArray[np.float64]]]:
    """Answers on test nodes, each predictor's at the time when it was best on the validation nodes.

    What is ``served`` is the student that was best on them at its best time.
    """
    best, answers = {}, {}
    times = truth.reshape(-1, stream.window)
    validation, test = times[0, : stream.validation], times[0, stream.validation :]
    for name, probabilities in said.items():
        by_time = probabilities.reshape(len(times), stream.window, -1)
        right = by_time[:, : stream.validation].argmax(axis=2) == validation
        accuracy = np.where(np.isnan(by_time).any(axis=(1, 2)), -1.0, right.mean(axis=1))
        best[name] = accuracy.max()
        answers[name] = by_time[accuracy.argmax(), stream.validation :]
    students = [name for name in said if name not in NOT_STUDENTS]
    if students:
        answers["served"] = answers[max(students, key=lambda name: best[name])]
    return test, answers
