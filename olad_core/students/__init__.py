"""The members of the group: one file each, one line each in :data:`ARCHITECTURES`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import torch

from olad_core.messages.block import Block
from olad_core.messages.inputs import Inputs
from olad_core.students.evolvegcn import EvolveGCN
from olad_core.students.gat import GAT
from olad_core.students.gcn import GCN
from olad_core.students.linear import LinearStudent
from olad_core.students.memory import Memory
from olad_core.students.sage import SAGE
from olad_core.students.side_by_side import Stack, stacks
from olad_core.students.student import Student
from olad_core.students.tgcn import TGCN

ARCHITECTURES: dict[str, type[Student]] = {
    student.architecture: student for student in (GCN, SAGE, GAT, EvolveGCN, TGCN)
}
"""Every kind of student by its name."""

__all__ = [
    "ARCHITECTURES",
    "GAT",
    "GCN",
    "SAGE",
    "TGCN",
    "Block",
    "EvolveGCN",
    "Inputs",
    "LinearStudent",
    "Memory",
    "Stack",
    "Student",
    "build_student",
    "recurrent",
    "stacks",
    "student_names",
]


def build_student(architecture: str, feature_width: int, width: int, class_capacity: int, seed: int) -> Student:
    """A student with weights drawn from ``seed``, torch's global random state untouched."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return ARCHITECTURES[architecture](feature_width, width, class_capacity)


def recurrent(architectures: Sequence[str]) -> tuple[str, ...]:
    """Names of the students that remember.

    >>> recurrent(["tgcn", "sage", "tgcn"])
    ('tgcn', 'tgcn-2')
    """
    names = zip(student_names(architectures), architectures, strict=True)
    return tuple(name for name, architecture in names if ARCHITECTURES[architecture].remembers)


def student_names(architectures: Sequence[str]) -> tuple[str, ...]:
    """Names within the group.

    >>> student_names(["gcn", "sage", "sage"])
    ('gcn', 'sage', 'sage-2')
    """
    seen: Counter[str] = Counter()
    names = []
    for architecture in architectures:
        seen[architecture] += 1
        names.append(architecture if seen[architecture] == 1 else f"{architecture}-{seen[architecture]}")
    return tuple(names)
