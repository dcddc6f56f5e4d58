"""The table of architectures: the built-in ones, and those that were registered under a name of their own."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import torch

from olad_core.config import GROUP, LINEAR, TREES
from olad_core.errors import OladError
from olad_core.students.evolvegcn import EvolveGCN
from olad_core.students.gat import GAT
from olad_core.students.gcn import GCN
from olad_core.students.mlp import MLP
from olad_core.students.sage import SAGE
from olad_core.students.sign import SIGN
from olad_core.students.student import Student
from olad_core.students.tgcn import TGCN

ARCHITECTURES: dict[str, type[Student]] = {
    student.architecture: student for student in (GCN, SAGE, GAT, EvolveGCN, TGCN, MLP, SIGN)
}
"""Every architecture by its name."""


class UnknownArchitecture(OladError, ValueError):
    """No architecture has this name."""


class NameTaken(OladError, ValueError):
    """Another architecture has this name."""


def architecture(name: str) -> type[Student]:
    """The architecture of that name.

    Raises:
        UnknownArchitecture: there is none.
    """
    if name not in ARCHITECTURES:
        raise UnknownArchitecture(f"no student is registered as {name}: there are {', '.join(ARCHITECTURES)}")
    return ARCHITECTURES[name]


def register(name: str, student: type[Student]) -> None:
    """Add an architecture, so that groups and checkpoints can name it. To add the same one again changes nothing.

    Raises:
        NameTaken: another architecture, the group, the trees or the linear model have the name.
    """
    if name in {GROUP, TREES, LINEAR}:
        raise NameTaken(f"{name} is what the {name} are named: give the student another name")
    if ARCHITECTURES.setdefault(name, student) is not student:
        raise NameTaken(f"{name} is the name of another student: {ARCHITECTURES[name].__qualname__}")


def registered_name(student: Student) -> str:
    """The name under which :func:`architecture` finds the class of a student; the first, where it has several."""
    for name, known in ARCHITECTURES.items():
        if known is type(student):
            return name
    raise UnknownArchitecture(f"{type(student).__qualname__} is not registered")


def build_student(
    name: str,
    feature_width: int,
    width: int,
    class_capacity: int,
    seed: int,
    relations: int = 1,
    type_widths: tuple[int, ...] = (),
    edge_width: int = 0,
) -> Student:
    """A student with weights drawn from ``seed``. The state of torch's global random generator stays.

    Raises:
        UnknownArchitecture: no architecture has this name.
    """
    return build(architecture(name), feature_width, width, class_capacity, seed, relations, type_widths, edge_width)


def build(
    student: type[Student],
    feature_width: int,
    width: int,
    class_capacity: int,
    seed: int,
    relations: int = 1,
    type_widths: tuple[int, ...] = (),
    edge_width: int = 0,
) -> Student:
    """As :func:`build_student`, for a class that need not be registered."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        built = student(feature_width, width, class_capacity)
        if relations > 1:
            built.relate(relations)
        if edge_width:
            built.read_edges(edge_width)
        if type_widths:
            built.distinguish(type_widths)
        return built


def recurrent(architectures: Sequence[str]) -> tuple[str, ...]:
    """Names within the group of the students that have a hidden state for each node.

    >>> recurrent(["tgcn", "sage", "tgcn"])
    ('tgcn', 'tgcn-2')
    """
    names = zip(student_names(architectures), architectures, strict=True)
    return tuple(name for name, kind in names if architecture(kind).remembers)


def student_names(architectures: Sequence[str]) -> tuple[str, ...]:
    """Names within the group.

    >>> student_names(["gcn", "sage", "sage"])
    ('gcn', 'sage', 'sage-2')
    """
    seen: Counter[str] = Counter()
    names = []
    for kind in architectures:
        seen[kind] += 1
        names.append(kind if seen[kind] == 1 else f"{kind}-{seen[kind]}")
    return tuple(names)
