"""Students from outside the package: found by name, checked, and registered with the core."""

from __future__ import annotations

from collections.abc import Iterable
from importlib.metadata import EntryPoint, entry_points

from olad_core.config import TrainerConfig
from olad_core.errors import OladError
from olad_core.students import ARCHITECTURES, Student, register
from olad_core.students.check import ESSENTIAL, results
from service.worker.temporal_library import import_temporal_library

ENTRY_POINTS = "olad.students"
"""Group of entry points under which packages register students by name."""


class StudentUnusable(OladError, RuntimeError):
    """A name does not lead to a student that the worker can run; the message has the reason."""


def find_class(name: str) -> type[Student]:
    """The class that a name in ``OLAD_STUDENTS`` stands for, unchecked.

    Imports the module that holds it, and the library that some students need.

    Args:
        name: of a built-in architecture, of an entry point of the group ``olad.students``, or
            ``package.module:Class``.

    Raises:
        StudentUnusable: there is none, or its module cannot be imported.
    """
    import_temporal_library()
    return ARCHITECTURES[name] if name in ARCHITECTURES else _import(name, _entry_point(name))


def register_students(names: Iterable[str]) -> None:
    """Register the students of these names with the core, so that groups and checkpoints can name them.

    Raises:
        StudentUnusable: as :func:`find_class`; or a class fails an essential check, or has another number of layers
            than the worker samples.
    """
    layers = len(TrainerConfig().fanouts)
    for name in names:
        student = find_class(name)
        for result in results(student, ESSENTIAL):
            if result.problem is not None:
                raise StudentUnusable(f"student {name}: {result.name}: {result.problem}")
        if student.num_layers != layers:
            raise StudentUnusable(f"student {name}: num_layers is {student.num_layers}, the worker needs {layers}")
        register(name, student)


def _entry_point(name: str) -> EntryPoint:
    if ":" in name:
        return EntryPoint(name, name, ENTRY_POINTS)
    known = {point.name: point for point in entry_points(group=ENTRY_POINTS)}
    if name not in known:
        there = ", ".join([*ARCHITECTURES, *(other for other in sorted(known) if other not in ARCHITECTURES)])
        raise StudentUnusable(
            f"there is no student {name}: give one of {there}, or package.module:Class for a student of your own"
        )
    return known[name]


def _import(name: str, point: EntryPoint) -> type[Student]:
    try:
        found: type[Student] = point.load()
    except (Exception, SystemExit) as error:  # Whatever somebody's module does while it is imported.
        raise StudentUnusable(
            f"student {name}: {point.value} cannot be imported ({type(error).__name__}: {error}): "
            "install its package, or put its directory into PYTHONPATH"
        ) from error
    return found
