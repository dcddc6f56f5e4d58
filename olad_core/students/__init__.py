"""The members of the group: one file for each architecture, one table of their names, and the contract they keep."""

from __future__ import annotations

from olad_core.messages.block import Block
from olad_core.messages.inputs import Inputs
from olad_core.students.check import ContractBroken, check_student
from olad_core.students.evolvegcn import EvolveGCN
from olad_core.students.gat import GAT
from olad_core.students.gcn import GCN
from olad_core.students.input_shape import InputShape
from olad_core.students.linear import LinearStudent
from olad_core.students.memory import Memory, memory_name
from olad_core.students.mlp import MLP
from olad_core.students.registry import (
    ARCHITECTURES,
    NameTaken,
    UnknownArchitecture,
    architecture,
    build_student,
    recurrent,
    register,
    registered_name,
    student_names,
)
from olad_core.students.sage import SAGE
from olad_core.students.side_by_side import Stack, stacks
from olad_core.students.sign import SIGN
from olad_core.students.student import Student
from olad_core.students.tgcn import TGCN

__all__ = [
    "ARCHITECTURES",
    "GAT",
    "GCN",
    "MLP",
    "SAGE",
    "SIGN",
    "TGCN",
    "Block",
    "ContractBroken",
    "EvolveGCN",
    "InputShape",
    "Inputs",
    "LinearStudent",
    "Memory",
    "NameTaken",
    "Stack",
    "Student",
    "UnknownArchitecture",
    "architecture",
    "build_student",
    "check_student",
    "memory_name",
    "recurrent",
    "register",
    "registered_name",
    "stacks",
    "student_names",
]
