"""Answers where nothing is served yet, and where a part cannot be computed; the others are in ``test_worker.py``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import msgspec
import pytest

from olad_core.events import UpsertEdge
from olad_core.partition import Partition, PartitionedLearner, Superstep, run_in_lockstep
from olad_core.partition.node_lists import ListedNode
from service.partitioned import answering
from service.partitioned.answering import RankAnswers, Wanted
from service.partitioned.follower import Counts, Follower
from service.partitioned.ranks import Ranks
from service.partitioned.serving import LearningServing
from service.store.questions import (
    Answer,
    EmbeddingsAsked,
    ExplainAsked,
    NeighboursAnswered,
    NeighboursAsked,
    Question,
    Refused,
)
from tests.olad_core.partition.learning import LEARNING


class OneRank:
    """A rank without others."""

    def run(self, superstep: Superstep[Any]) -> Any:
        return run_in_lockstep([superstep])[0]

    def together(self, _what: str, kind: Any, step: Callable[[], Any]) -> list[Any]:
        return [msgspec.json.decode(msgspec.json.encode(step()), type=kind)]


@pytest.fixture
def answers() -> RankAnswers:
    partition = Partition(0, 1)
    run_in_lockstep([partition.apply([UpsertEdge("a", "b"), UpsertEdge("a", "c", 2.0)], 0.0)])
    serving = LearningServing(PartitionedLearner(LEARNING, partition), None)
    return RankAnswers(cast("Ranks", OneRank()), Follower(partition, serving, Counts("1-0", 2, 0)), most_read=10)


def reply(answers: RankAnswers, question: Question) -> Answer:
    wanted = Wanted("1-0", question="q", content=msgspec.msgpack.encode(question))
    [found] = answers.answer([wanted]).replies
    assert found.question == "q"
    answer: Answer = msgspec.msgpack.decode(found.content, type=Answer)
    return answer


def test_edges_are_known_before_anything_is_served(answers: RankAnswers) -> None:
    found = reply(answers, NeighboursAsked("a", 10))
    assert isinstance(found, NeighboursAnswered)
    assert [(each.node, each.weight) for each in found.edges] == [("c", 2.0), ("b", 1.0)]
    nobody = reply(answers, NeighboursAsked("nobody", 10))
    assert isinstance(nobody, Refused)
    assert nobody.reason == "unknown-node"


def test_what_needs_a_version_is_refused_before_the_first(answers: RankAnswers) -> None:
    assert reply(answers, EmbeddingsAsked(["a"])) == Refused("no-model")
    others = [Wanted("1-0", list_name="arrived:100:1:"), Wanted("2-0", whole=("a",)), Wanted("3-0", list_name="?")]
    assert answers.answer(others) == ((), (), ())


def test_what_ranks_do_not_answer_is_refused(answers: RankAnswers) -> None:
    assert reply(answers, ExplainAsked("a", 10)) == Refused("partitioned")


def test_a_part_that_cannot_be_computed_ends_no_rank(answers: RankAnswers, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise ArithmeticError("as if")

    monkeypatch.setattr(answering, "edges_of_node", fail)
    assert reply(answers, NeighboursAsked("a", 10)) == Refused("failed")
    [unreadable] = answers.answer([Wanted("1-0", question="q", content=b"?")]).replies
    assert msgspec.msgpack.decode(unreadable.content, type=Answer) == Refused("failed")


def test_an_answer_that_is_no_number_ends_no_rank(answers: RankAnswers, monkeypatch: pytest.MonkeyPatch) -> None:
    nothing = float("nan")
    listed = [ListedNode(-1.0, 0, "a", 0, nothing, nothing)]
    monkeypatch.setattr(answers, "_listed", lambda _: listed)
    assert answers.answer([Wanted("1-0", list_name="disagreement:100:1:")]) == ((), (), ())
