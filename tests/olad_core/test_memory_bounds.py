"""What an engine holds depends on what is alive, however much came and went before."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from olad_core.config import EngineConfig
from olad_core.engine import Engine
from olad_core.events import Event, RemoveNode, UpsertEdge, UpsertNode
from olad_core.graph.store import FEWEST_GIVEN_BACK
from olad_core.serving.embedding import Embedding
from olad_core.serving.served_member import ServedMember
from service.worker.checkpoint import read_checkpoint, write_checkpoint
from service.worker.restoring import restore
from tests.device import DEVICE
from tests.olad_core.runs import CONFIG, PAIR, Run, assert_readers_are_fresh, learned
from tests.olad_core.streams import two_communities

REMEMBERING = replace(CONFIG, trainer=replace(CONFIG.trainer, students=("tgcn", "gat")))
LIVING, PER_TURN = 600, 300


def arriving(numbers: range) -> list[Event]:
    """Labelled nodes with features and edges, whose ids are of one length."""
    events: list[Event] = []
    for number in numbers:
        label = number % 2
        events.append(UpsertNode(f"n{number:09}", [float(label), 1.0 - label, number % 7 / 7], ["red", "blue"][label]))
        if number >= 2:
            events.append(UpsertEdge(f"n{number:09}", f"n{number - 2:09}"))
    return events


def state_bytes(engine: Engine) -> int:
    """Without the scores of classes, which grow with the classes and never with the nodes."""
    return sum(tensor.nbytes for name, tensor in engine.state()[0].items() if not name.startswith("scores/by_class/"))


def containers(found: object, seen: set[int]) -> Iterator[int]:
    """Lengths of all Python containers and arrays that an object of the core reaches."""
    if id(found) in seen or isinstance(found, (str, bytes, type)):
        return
    seen.add(id(found))
    if isinstance(found, np.ndarray):
        yield found.size
    elif isinstance(found, (Mapping, AbstractSet, list, tuple)):
        yield len(found)
        # What is alike in a long container is looked at once.
        values = list(found.values()) if isinstance(found, Mapping) else list(found)
        for value in values[:100]:
            yield from containers(value, seen)
    elif type(found).__module__.startswith("olad_core"):
        yield from containers(vars(found) if hasattr(found, "__dict__") else (), seen)


class TestChurn:
    def test_ids_never_the_same_leave_nothing_behind(self) -> None:
        """Nodes come and go with training and a served version, and neither the state nor the containers grow."""
        run = Run(replace(PAIR, removed_ids_kept=4000))
        held: list[tuple[int, int]] = []
        for turn in range(60):
            first = turn * PER_TURN
            gone = range(max(0, first - LIVING), max(0, first - LIVING + PER_TURN))
            leaving = [RemoveNode(f"n{number:09}") for number in gone]
            run.turn([*leaving, *arriving(range(first, first + PER_TURN))], steps=1)
            run.published.clear()
            if turn >= 20:
                held.append((state_bytes(run.engine), sum(containers(run.engine, set()))))
        assert run.reader.served is not None
        assert_readers_are_fresh(run)
        # Stale entries are swept now and then, so the greatest of a while is compared.
        (state, inside), (state_later, inside_later) = (np.max(part, axis=0) for part in (held[:20], held[20:]))
        assert state_later < 1.03 * state
        assert inside_later < 1.03 * inside
        assert inside > LIVING


class TestAnEmptiedGraph:
    @pytest.mark.parametrize("config", [CONFIG, REMEMBERING], ids=["default", "remembering"])
    @pytest.mark.parametrize("steps", [0, 2])
    def test_gives_its_rows_back_and_goes_on(self, config: EngineConfig, steps: int, tmp_path: Path) -> None:
        run = learned(Run(config))
        small = state_bytes(run.engine)
        run.turn(arriving(range(3 * FEWEST_GIVEN_BACK)), steps)
        assert state_bytes(run.engine) > 2 * small
        living = run.engine.graph.ids(np.flatnonzero(run.engine.graph.alive))
        half = len(living) // 2
        run.turn([RemoveNode(node) for node in living[:half]], steps)
        run.turn([RemoveNode(node) for node in living[half:]], steps)
        graph = run.engine.graph
        assert (graph.num_nodes, graph.sizes.nodes) == (0, 0)
        assert graph.capacity < FEWEST_GIVEN_BACK
        # Removed ids are remembered all the same.
        removed = sum(len(node) + 8 for node in living)
        combined = run.engine.assessment.combined
        assert combined is not None
        labels = sum(array.nbytes for array in combined.state().values())
        assert state_bytes(run.engine) < small + removed + labels + 10_000
        assert run.reader.tables[run.reader.served or 0] == {}

        checkpoint = read_checkpoint(write_checkpoint(tmp_path, *run.engine.state(), keep=1))
        other = Run(engine=restore(config, checkpoint, DEVICE))
        for turn in range(4):
            batch = [*two_communities(60, seed=turn), *arriving(range(10_000 + turn, 10_040 + turn))]
            for each in (run, other):
                each.turn(batch, steps=2)
        assert_readers_are_fresh(run)
        for name, tensor in run.engine.state()[0].items():
            assert tensor.numpy().tobytes() == other.engine.state()[0][name].numpy().tobytes(), name
        held = run.engine.versions.served
        assert held is not None
        rows = np.flatnonzero(run.engine.graph.alive)
        if config is CONFIG:
            members = [ServedMember(student, held.embedding.classes, DEVICE) for student in held.students.values()]
            expected = Embedding(members, DEVICE, held.embedding.combination)
            while not expected.complete:
                expected.advance(run.engine.graph)
            found = held.embedding.probabilities(rows)
            np.testing.assert_allclose(found, expected.probabilities(rows), rtol=1e-5, atol=1e-7)

    def test_that_was_small_keeps_its_rows(self) -> None:
        run = Run(CONFIG)
        run.turn(two_communities(20))
        run.turn([RemoveNode(str(node)) for node in range(20)])
        assert run.engine.graph.sizes.nodes == 20

    def test_that_fills_again_before_readers_see_it_keeps_its_rows(self) -> None:
        run = Run(CONFIG)
        nodes = 2 * FEWEST_GIVEN_BACK
        run.turn(arriving(range(nodes)))
        run.engine.apply("2-0", [RemoveNode(f"n{number:09}") for number in range(nodes)], 2.0)
        run.engine.apply("3-0", two_communities(20), 3.0)
        run.engine.refresh()
        run.publish()
        assert run.engine.graph.num_nodes == 20
        run.turn([], steps=10)
        assert_readers_are_fresh(run)
