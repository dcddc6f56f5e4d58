"""Which operations on tensors a program consists of."""

from __future__ import annotations

from typing import Any

from torch.utils._python_dispatch import TorchDispatchMode
from typing_extensions import override

READS = ("aten._local_scalar_dense", "aten.nonzero", "aten.is_nonzero", "aten.equal", "aten.bincount")
"""Operations that wait for a device, or whose shape depends on values."""


class Operations(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Follows operations, views of tensors left out: on a GPU each is a launch or more."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.done: list[tuple[Any, tuple[Any, ...], dict[str, Any], Any]] = []
        """Each with its arguments and its result."""

    @property
    def names(self) -> list[str]:
        """Of the operations, in order."""
        return [str(each[0]) for each in self.done]

    @property
    def reads(self) -> list[str]:
        """Those that read values."""
        return [name for name in self.names if name.startswith(READS)]

    @override
    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        found = func(*args, **(kwargs or {}))
        if not func.is_view:
            self.done.append((func, args, kwargs or {}, found))
        return found
