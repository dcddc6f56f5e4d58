"""A recorder for a CPU that does what CUDA graphs do: it repeats operations on the memory that they had."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map_only
from typing_extensions import override

from benchmarks.operations import Operations
from olad_core.learning.recorded import Run


class Tape:
    """Records operations, and repeats them without Python's decisions: what changed in Python since has no effect."""

    def __init__(self) -> None:
        self.recorded = self.repeated = 0

    def warm_up(self, run: Run) -> Tensor:
        return run()

    def record(self, run: Run) -> Run:
        """Recording computes nothing that stays: what is written during it is put back."""
        operations = Operations()
        written: dict[int, tuple[Tensor, Tensor]] = {}
        with _Saving(written), operations:
            found = run()
        for tensor, before in written.values():
            tensor.copy_(before)
        self.recorded += 1

        def again() -> Tensor:
            self.repeated += 1
            with torch.no_grad():
                for func, args, kwargs, results in operations.done:
                    _repeat(func, args, kwargs, results)
            return found

        return again

    def read(self, found: Tensor) -> Tensor:
        return found.clone()


class _Saving(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Keeps what tensors held before an operation wrote to them for the first time."""

    def __init__(self, written: dict[int, tuple[Tensor, Tensor]]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._written = written

    @override
    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        for argument, value in zip(func._schema.arguments, args, strict=False):
            if argument.alias_info is not None and argument.alias_info.is_write:
                for each in tree_leaves(value):
                    self._written.setdefault(each.data_ptr(), (each.detach(), each.detach().clone()))
        return func(*args, **(kwargs or {}))


def _repeat(func: Any, args: Any, kwargs: Any, results: Any) -> None:
    detached: Callable[[Any], Any] = lambda value: tree_map_only(Tensor, Tensor.detach, value)  # noqa: E731
    found = func(*detached(args), **detached(kwargs))
    writes = any(argument.alias_info is not None for argument in func._schema.arguments)
    if not writes:
        for new, old in zip(tree_leaves(found), tree_leaves(results), strict=True):
            if isinstance(old, Tensor):
                old.detach().copy_(new)
