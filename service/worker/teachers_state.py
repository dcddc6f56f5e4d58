"""What a checkpoint holds of members that teach the students: it is left out where they do not, and begins if missing.

:class:`~olad_core.judging.member_teacher.MemberTeacher` checks what it takes over.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TypeVar

TEACHERS = "teachers/"

_Held = TypeVar("_Held")


def wanted_teachers(tensors: Mapping[str, _Held], names: Collection[str]) -> Mapping[str, _Held]:
    """The tensors, without those of members that do not teach.

    Args:
        tensors: of the state.
        names: of the members that teach.
    """
    wanted = tuple(f"{TEACHERS}{name}/" for name in names)
    return {name: held for name, held in tensors.items() if not name.startswith(TEACHERS) or name.startswith(wanted)}
