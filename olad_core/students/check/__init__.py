"""The contract of students as checks that anyone can run on a student of their own.

>>> from olad_core.students import GCN
>>> check_student(GCN)
>>> class Careless(GCN):
...     uses_degree = False
>>> check_student(Careless)  # doctest: +ELLIPSIS
Traceback (most recent call last):
...
olad_core.students.check.case.ContractBroken: Careless:
degree_is_declared: uses_degree is False, but rows depend on it
inference_is_exact: after ... random events, incremental and full inference differ: ...
inference_is_exact_for_types: after ... random events, incremental and full inference differ: ...
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from olad_core.students.check import extremes, inference, learning, rows, structure
from olad_core.students.check.case import Case, ContractBroken
from olad_core.students.registry import architecture as registered
from olad_core.students.student import Student

__all__ = ["CHECKS", "ESSENTIAL", "Check", "ContractBroken", "Result", "check_student", "results"]

Check = Callable[[Case], None]
"""Raises :class:`ContractBroken` where a student breaks one part of the contract; its docstring names the part."""

ESSENTIAL: tuple[Check, ...] = (structure.is_a_student, structure.is_built)
"""Checks that the others rely on. They take milliseconds."""

CHECKS: tuple[Check, ...] = (
    *ESSENTIAL,
    structure.shapes_are_declared,
    rows.rows_are_computed_alone,
    rows.rows_read_neighbours_only,
    rows.order_of_nodes_does_not_matter,
    rows.degree_is_declared,
    rows.columns_are_alike,
    rows.hidden_state_is_declared,
    rows.factors_scale_features,
    extremes.finite_without_edges,
    extremes.finite_without_features,
    extremes.finite_on_huge_features,
    extremes.finite_on_huge_weights,
    extremes.labels_beyond_capacity_are_unknown,
    extremes.sparse_features_are_features,
    learning.seed_decides_weights,
    learning.forward_is_repeatable,
    learning.every_parameter_learns,
    learning.growing_keeps_what_was_learned,
    learning.state_holds_everything,
    learning.copies_are_independent,
    inference.inference_is_exact,
    inference.inference_is_exact_for_types,
)
"""The contract, in the order in which it is checked."""


@dataclass(frozen=True)
class Result:
    """What one check found.

    Attributes:
        name: of the check.
        contract: what it holds a student to.
        problem: in what the student does not keep it; None where it does.
    """

    name: str
    contract: str
    problem: str | None


def results(architecture: type[Student], checks: tuple[Check, ...] = CHECKS) -> Iterator[Result]:
    """Run the checks one after the other; the first essential one that fails is the last that is run."""
    case = Case(architecture)
    for check in checks:
        result = Result(check.__name__, (check.__doc__ or "").strip(), _problem(check, case))
        yield result
        if result.problem is not None and check in ESSENTIAL:
            return


def check_student(architecture: type[Student] | str) -> None:
    """Hold an architecture to the whole contract. Takes some seconds.

    Args:
        architecture: a class of students, or the name of a registered one.

    Raises:
        ContractBroken: it does not keep the contract; the message has a line for each check that failed.
        UnknownArchitecture: no architecture has this name.
    """
    kind = registered(architecture) if isinstance(architecture, str) else architecture
    broken = [f"{result.name}: {result.problem}" for result in results(kind) if result.problem is not None]
    if broken:
        raise ContractBroken("\n".join([f"{getattr(kind, '__qualname__', kind)}:", *broken]))


def _problem(check: Check, case: Case) -> str | None:
    try:
        check(case)
    except ContractBroken as broken:
        return str(broken)
    except Exception as error:  # Any exception of the checked student is a result.
        return f"raised {type(error).__name__}: {error}"
    return None
