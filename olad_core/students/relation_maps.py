"""What a student makes of messages along edges of several types."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from olad_core.students.initial_weights import add_diagonal

MOST_MAPS = 8
"""With more types of edges the map of each is a combination of so many basis maps."""
NOISE = 0.05
"""Standard deviation of the initial weights, times the root of the width, around those that treat all types alike."""


class RelationMaps(nn.Module):
    """A map of received messages for each type of edges, as in R-GCN (Schlichtkrull et al. 2018, eq. 2).

    With many types the maps are combinations of a few basis maps (eq. 3). Initially every map is nearly a multiple of
    the identity, so that an untrained student treats all types alike.

    Args:
        width: of a message.
        relations: number of types.
        start: what the identity is multiplied by initially.
    """

    def __init__(self, width: int, relations: int, start: float = 1.0) -> None:
        super().__init__()
        count = min(relations, MOST_MAPS)
        self.maps = nn.Parameter(torch.randn(count, width, width) * (NOISE * width**-0.5))
        for each in self.maps.data:
            add_diagonal(each, start)
        shares = torch.eye(count).repeat(-(-relations // count), 1)[:relations]
        self.shares = nn.Parameter(shares) if relations > count else None
        self.start = start

    def forward(self, received: Tensor, targets: int) -> Tensor:
        """The sum of what the targets receive along edges of all types, each mapped by its type: ``[N, width]``.

        Args:
            received: ``[N R, width]``, that of one target together. Types declared after the student was made are
                mapped by a multiple of the identity.
            targets: N.
        """
        width = self.maps.shape[-1]
        types = len(received) // targets if targets else 1
        received = received.view(targets, types, width)
        known, beyond = received[:, : self._known], received[:, self._known :]
        if self.shares is None:
            maps = self.maps[: known.shape[1]]
        else:
            known, maps = torch.einsum("nrw,rb->nbw", known, self.shares[: known.shape[1]]), self.maps
        mapped = known.flatten(1) @ maps.flatten(0, 1)
        return mapped + self.start * beyond.sum(dim=1) if beyond.shape[1] else mapped

    @property
    def _known(self) -> int:
        return len(self.maps if self.shares is None else self.shares)
