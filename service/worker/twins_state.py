"""What a checkpoint holds of the twins that measure teaching: taken over whole, or not at all.

It is left out where teaching is not measured, and missing where it was not. Then the twins begin anew.
"""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from olad_core.judging.worth import Worth
from olad_core.named_state import take_part

WORTH = "worth/"
TWINS = "trainer/twins/"


def whole_twins(tensors: Mapping[str, Tensor], *, wanted: bool) -> Mapping[str, Tensor]:
    """The tensors, without those of twins where they are not wanted, or where one of both parts is missing."""
    there = all(any(name.startswith(part) for name in tensors) for part in (WORTH, TWINS))
    if wanted and there:
        return tensors
    return {name: tensor for name, tensor in tensors.items() if not name.startswith((WORTH, TWINS))}


def check_worth(tensors: Mapping[str, Tensor], rows: int) -> None:
    """See that the arrays of the twins' comparison are as those of a new one, but for how many nodes wait.

    Args:
        tensors: of the state.
        rows: of the graph.

    Raises:
        KeyError: one is missing.
        ValueError: naming one that is not as it must be.
    """
    found = {name: tensor.numpy() for name, tensor in take_part(tensors, WORTH.rstrip("/")).items()}
    if not found:
        return
    for name, wanted in Worth(1).state().items():
        shapes = [list(array.shape) for array in (found[name], wanted)]
        if name in {"arrivals/rows", "arrivals/arrival"}:
            shapes = [shape[1:] for shape in shapes]
        if name == "arrivals/probabilities":
            shapes = [shape[1:2] for shape in shapes]
        if (found[name].dtype, found[name].ndim) != (wanted.dtype, wanted.ndim) or shapes[0] != shapes[1]:
            raise ValueError(f"{WORTH}{name}: {found[name].dtype} {list(found[name].shape)}")
    held = found["arrivals/rows"]
    if len(held) and not -1 <= int(held.min()) <= int(held.max()) < rows:
        raise ValueError(f"{WORTH}arrivals/rows: holds rows that the graph does not have")
    if len(found["arrivals/arrival"]) != len(held) or len(found["arrivals/probabilities"]) != int((held >= 0).sum()):
        raise ValueError(f"{WORTH}arrivals: its arrays have different lengths")
