"""The recurrent cells of torch-geometric-temporal, which is imported where a student needs one."""

from __future__ import annotations

from torch import nn

from olad_core.errors import OladError


class CellsMissing(OladError, ImportError):
    """torch-geometric-temporal cannot be imported; the message states what to do."""

    def __init__(self, cause: ImportError) -> None:
        super().__init__(
            f"EvolveGCN and T-GCN need torch-geometric-temporal, which cannot be imported: {cause}. Install it, and "
            "call service.worker.temporal_library.import_temporal_library() first where torch-sparse is not installed"
        )


def evolvegcn_cell(width: int) -> nn.Module:
    """A cell of EvolveGCN-O, whose state is a ``[width, width]`` matrix.

    Raises:
        CellsMissing: the library cannot be imported.
    """
    try:
        from torch_geometric_temporal.nn.recurrent.evolvegcno import EvolveGCNO  # noqa: PLC0415
    except ImportError as error:
        raise CellsMissing(error) from error
    cell: nn.Module = EvolveGCNO(width)
    return cell


def tgcn_cell(width: int) -> nn.Module:
    """A cell of T-GCN, from rows of this width to hidden states of this width.

    Raises:
        CellsMissing: the library cannot be imported.
    """
    try:
        from torch_geometric_temporal.nn.recurrent.temporalgcn import TGCN  # noqa: PLC0415
    except ImportError as error:
        raise CellsMissing(error) from error
    cell: nn.Module = TGCN(width, width)
    return cell
