"""Other students on the graph of a state: what is served stays, exact, until one of them is better."""

from __future__ import annotations

import copy
import re
from collections.abc import Sequence
from dataclasses import replace
from functools import partial

import numpy as np
import pytest

from olad_core.config import GROUP, EngineConfig
from olad_core.engine import Engine
from olad_core.engine_state import ServedLost
from olad_core.events import Event, LabelNode
from olad_core.judging.decisions import Decision
from olad_core.judging.metric import parse_metric
from olad_core.serving.embedding import Embedding
from olad_core.serving.served_member import ServedMember
from olad_core.students import ARCHITECTURES, UnknownArchitecture
from tests.device import DEVICE
from tests.olad_core.runs import CONFIG, Run, assert_readers_are_fresh, learned, stream
from tests.olad_core.streams import arriving, labels_of
from tests.olad_core.test_engine import assert_same_state

WIDER = replace(CONFIG, trainer=replace(CONFIG.trainer, students=("gat", "sage"), width=16))


def alone(architecture: str) -> EngineConfig:
    """A group of one student, which then is the one that is served."""
    return replace(CONFIG, trainer=replace(CONFIG.trainer, students=(architecture,)))


def goes_on(run: Run, config: EngineConfig) -> Run:
    """The run as it goes on after a restart with another configuration; readers are those of before."""
    following = Run(engine=Engine.restore(config, *run.engine.state(), DEVICE))
    following.reader = run.reader
    following.engine.republish()
    following.publish()
    return following


def served(run: Run) -> tuple[int, str]:
    held = run.engine.versions.served
    assert held is not None
    assert run.reader.served == held.version.number
    return held.version.number, held.version.student


def rows_of(run: Run) -> dict[str, bytes]:
    assert run.reader.served is not None
    return {node: row.tobytes() for node, row in run.reader.tables[run.reader.served].items()}


def assert_exact(run: Run) -> None:
    """What readers have is what the served student says of the whole graph."""
    assert_readers_are_fresh(run)
    engine = run.engine
    held = engine.versions.served
    assert held is not None
    members = [
        ServedMember(copy.deepcopy(student), len(held.version.classes), DEVICE, partial(engine.memory.recall, name))
        for name, student in held.students.items()
    ]
    whole = Embedding(members, DEVICE, held.embedding.combination)
    while not whole.complete:
        whole.advance(engine.graph)
    rows = np.flatnonzero(engine.graph.alive)
    found = np.stack([run.reader.tables[held.version.number][node] for node in engine.graph.ids(rows)])
    np.testing.assert_allclose(found, whole.probabilities(rows), rtol=1e-5, atol=1e-6)


def decisions(run: Run, *kinds: str) -> list[Decision]:
    return [decision for decision in run.engine.decisions.newest_first()[::-1] if decision.kind in kinds]


def turned_around(nodes: range) -> list[list[Event]]:
    """Nodes that arrive, eight at a time, and then have the class that their features do not show."""
    return [
        [*arriving(range(first, first + 8)), *labels_of(range(first, first + 8), right=False)]
        for first in range(nodes.start, nodes.stop, 8)
    ]


def play(run: Run, batches: Sequence[Sequence[Event]], steps: int = 3) -> Run:
    for batch in batches:
        arrivals = [event for event in batch if not isinstance(event, LabelNode)]
        run.turn(arrivals)
        run.turn([event for event in batch if isinstance(event, LabelNode)], steps)
    return run


@pytest.mark.parametrize("architecture", sorted(ARCHITECTURES))
def test_what_is_served_stays_and_is_exact_whatever_happens_to_the_graph(architecture: str) -> None:
    run = Run(alone(architecture))
    batches = stream(seed=7, turns=30)
    for batch in batches[:15]:
        run.turn(batch, steps=3)
    before, rows = served(run), rows_of(run)
    run = goes_on(run, WIDER)
    assert (served(run), rows_of(run)) == (before, rows)
    for batch in batches[15:]:
        run.turn(batch)
        assert served(run) == before
        assert_exact(run)
    hidden = run.engine.memory.state()
    assert list(hidden) == ([f"{architecture} (former)"] if ARCHITECTURES[architecture].remembers else [])


def test_the_hidden_states_of_what_is_served_go_on() -> None:
    run = Run(alone("tgcn"))
    run.turn(stream()[0], steps=12)
    run = goes_on(run, WIDER)
    before = run.engine.memory.state()["tgcn (former)"].clone()
    for batch in stream()[1:12]:
        run.turn(batch)
    after = run.engine.memory.state()["tgcn (former)"]
    assert not np.array_equal(after[: len(before)].cpu().numpy(), before.cpu().numpy())
    assert_exact(run)


@pytest.mark.parametrize(
    ("architecture", "metric"),
    [("gcn", None), ("tgcn", "accuracy"), ("gcn", "macro_f1"), ("gcn", "log_loss"), ("gcn", "average_precision:odd")],
)
def test_a_student_takes_over_once_labels_show_that_it_is_better(architecture: str, metric: str | None) -> None:
    run = learned(Run(alone(architecture)))
    run = goes_on(run, replace(WIDER, metric=metric))
    before = served(run)
    play(run, turned_around(range(100, 400)))
    number, student = served(run)
    assert number > before[0]
    assert student in {*WIDER.trainer.students, GROUP}
    assert run.engine.versions.former is None
    assert before[0] not in run.reader.tables
    assert_exact(run)
    begun, switched = decisions(run, "group-restarted", "student-switched")[:2]
    assert begun.reason == (
        f"new students begin, because students {architecture} became gat,sage and width 8 became 16: "
        f"version {before[0]} of {architecture} stays until one of them is better"
    )
    assert switched.reason.startswith(f"switched from {architecture} of the former group to ")
    words = parse_metric(metric or "accuracy").words
    assert re.search(rf": {re.escape(words)} \d+\.\d points (lower|higher)$", switched.reason)
    assert decisions(run, "first-version") == decisions(run, "first-version")[:1]
    assert "tgcn (former)" not in run.engine.memory.state()
    assert not [name for name in run.engine.state()[0] if name.startswith("succession/")]


def test_what_is_served_stays_while_labels_show_it_to_be_right() -> None:
    run = goes_on(learned(Run(alone("gcn"))), WIDER)
    before = served(run)
    for first in range(100, 300, 8):
        nodes = range(first, first + 8)
        play(run, [[*arriving(nodes), *labels_of(nodes)]])
    assert served(run) == before
    assert {d.reason[:29] for d in decisions(run, "student-kept")[-3:]} == {"kept gcn of the former group:"}
    # It is scored like any student, at arrival.
    assert run.engine.assessment.served_score().scored[0] >= 200
    assert run.engine.assessment.served_score().accuracy[0] > 0.9


def test_scores_stay_and_predictions_of_before_still_wait_for_their_labels() -> None:
    run = learned(Run(alone("gcn")))
    play(run, [[*arriving(range(100, 108)), *labels_of(range(100, 108))]])
    run.turn(arriving(range(200, 206)))
    before, report = run.engine.assessment.served_score(), run.engine.assessment.served_report(["even", "odd"])
    run = goes_on(run, WIDER)
    after = run.engine.assessment.served_score()
    assert (after.scored[0], after.accuracy[0]) == (before.scored[0], before.accuracy[0])
    assert run.engine.assessment.served_report(["even", "odd"]) == report
    assert run.engine.assessment.student_scores().scored.tolist() == [0, 0]
    run.turn(labels_of(range(200, 206)))
    assert run.engine.assessment.served_score().scored[0] == before.scored[0] + 6
    assert run.engine.assessment.student_scores().scored.tolist() == [0, 0]


def test_a_restart_changes_no_byte_whenever_it_comes() -> None:
    batches = turned_around(range(100, 260))
    whole = goes_on(learned(Run(alone("tgcn"))), WIDER)
    first = whole.engine.state()
    states = [first]
    for batch in batches:
        play(whole, [batch])
        states.append(whole.engine.state())
        states[-1] = ({name: tensor.clone() for name, tensor in states[-1][0].items()}, copy.deepcopy(states[-1][1]))
    assert whole.engine.versions.former is None
    for done in (0, 3, 8, len(batches)):
        run = Run(engine=Engine.restore(WIDER, *states[done], DEVICE))
        play(run, batches[done:])
        assert_same_state(run.engine, whole.engine)


def test_a_second_change_replaces_the_students_that_had_not_taken_over() -> None:
    run = goes_on(learned(Run(alone("tgcn"))), WIDER)
    before = served(run)
    run.turn(arriving(range(100, 104)), steps=4)
    again = replace(CONFIG, trainer=replace(CONFIG.trainer, students=("tgcn", "gcn"), width=12))
    run = goes_on(run, again)
    assert served(run) == before
    for batch in stream(turns=12):
        run.turn(batch)
        assert_exact(run)
    assert run.engine.trainer is not None
    assert run.engine.trainer.group.names == ("tgcn", "gcn")
    assert {name: t.shape[1] for name, t in run.engine.memory.state().items()} == {"tgcn": 12, "tgcn (former)": 8}
    play(run, turned_around(range(200, 500)))
    assert served(run)[0] > before[0]
    assert list(run.engine.memory.state()) == ["tgcn"]
    assert_exact(run)


def test_new_students_are_begun_once_for_each_time_that_they_are_asked_for() -> None:
    config = alone("gcn")
    run = learned(Run(config))
    before = served(run)
    run = goes_on(run, replace(config, renewal="monday"))
    assert run.engine.renewed
    assert run.engine.trainer is not None
    assert run.engine.trainer.steps == 0
    assert served(run) == before
    run.turn([], steps=3)
    for renewal in ("monday", None):
        run = goes_on(run, replace(config, renewal=renewal))
        assert not run.engine.renewed
        assert run.engine.trainer is not None
        assert run.engine.trainer.steps == 3
    assert goes_on(run, replace(config, renewal="tuesday")).engine.renewed
    assert len(decisions(run, "group-restarted")) == 1


def test_before_anything_is_served_new_students_simply_begin() -> None:
    run = Run(alone("gcn"))
    run.turn(arriving(range(10)))
    run = goes_on(run, WIDER)
    assert decisions(run, "group-restarted")[0].reason.endswith(": nothing is served")
    learned(run)
    assert served(run)[1] in {*WIDER.trainer.students, GROUP}
    assert decisions(run, "first-version")
    assert_exact(run)


def test_a_served_student_that_is_not_known_is_refused_or_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(ARCHITECTURES, "own:Student", type("Own", (ARCHITECTURES["gcn"],), {}))
    run = learned(Run(alone("own:Student")))
    play(run, [[*arriving(range(100, 108)), *labels_of(range(100, 108))]])
    scored = run.engine.assessment.served_score().scored[0]
    monkeypatch.delitem(ARCHITECTURES, "own:Student")
    with pytest.raises(ServedLost, match="own:Student, which is not known here: name it in OLAD_STUDENTS, or give up"):
        Engine.restore(WIDER, *run.engine.state(), DEVICE)
    with pytest.raises(UnknownArchitecture):
        Run(alone("own:Student"))
    engine = Engine.restore(replace(WIDER, renewal="now"), *run.engine.state(), DEVICE, keep_served=False)
    assert engine.versions.served is None
    assert engine.graph.num_nodes == run.engine.graph.num_nodes
    assert engine.assessment.served_score().scored[0] == scored
    following = learned(Run(engine=engine))
    assert served(following)[1] in {*WIDER.trainer.students, GROUP}
    assert_exact(following)
