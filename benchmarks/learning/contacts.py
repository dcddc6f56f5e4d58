"""Who sits in which class at a high school: contacts come and expire, half of the students' classes are known."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from benchmarks.learning.stream import Stream, Turn, dataset
from olad_core.events import Event, LabelNode, UpsertEdge, UpsertNode

DAY, HOUR, TURN = 86_400.0, 3_600.0, 900.0
"""Seconds: how long an edge lives, how often the others are asked, how long a turn is."""
FIRST_HOURS = 3
"""Hours before the first question: most students have arrived by then."""


def highschool(seed: int, size: int | None = None) -> Stream:
    """Contacts of five days; every hour of them the students whose class is not known are asked.

    Args:
        seed: decides whose class is known. It is told in the turn after the student's first contact.
        size: contacts at most.
    """
    school = dataset("highschool_contacts.npz")
    assert school.edge_time is not None, "contacts have times"
    order = np.argsort(school.edge_time, kind="stable")[:size]
    ends, times = school.edges[:, order], school.edge_time[order]
    name_of = [school.classes[label] for label in school.labels.tolist()]
    turn_of = ((times - times[0]) // TURN).astype(np.int64)

    def turns() -> Iterator[Turn]:
        told = np.random.default_rng([seed, 41]).permutation(len(school)) < len(school) // 2
        here: dict[int, None] = {}
        late: list[Event] = []
        hours = 0
        for turn in np.unique(turn_of):
            of_turn = np.flatnonzero(turn_of == turn)
            events, late = late, []
            for src, dst, time in zip(*ends[:, of_turn].tolist(), times[of_turn].tolist(), strict=True):
                for student in (src, dst):
                    if student not in here:
                        here[student] = None
                        events.append(UpsertNode(id=str(student), ts=time))
                        if told[student]:
                            late.append(LabelNode(id=str(student), label=name_of[student], ts=time))
                events.append(UpsertEdge(src=str(src), dst=str(dst), ts=time))
            asked: tuple[tuple[str, str], ...] = ()
            if (turn + 1) % (HOUR / TURN) == 0:
                hours += 1
                if hours > FIRST_HOURS:
                    asked = tuple((str(student), name_of[student]) for student in here if not told[student])
            yield Turn(tuple(events), asked)

    return Stream(school.schema(DAY), turns, first_part=len(np.unique(turn_of)) * 3 // 10, window=len(school) // 2)
