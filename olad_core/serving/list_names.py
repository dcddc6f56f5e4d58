"""Names of the lists of nodes that readers can ask for, the same in requests, in the worker and in Redis."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias, get_args

Order: TypeAlias = Literal["top", "disagreement", "changed", "arrived", "id"]

SIZES = (100, 1_000)
"""Nodes in a list, at most: a list of one of these sizes serves every smaller one."""


@dataclass(frozen=True)
class ListName:
    """What is listed.

    Attributes:
        order: ``top`` is by the probability of a class, ``changed`` and ``arrived`` are the last ones first, ``id`` is
            by the id.
        size: nodes at most, one of :data:`SIZES`.
        labelled: whether nodes whose label is known are listed, too.
        filter: of ``top`` the name of the class, of ``id`` what the ids begin with; empty for the other orders.
    """

    order: Order
    size: int
    labelled: bool
    filter: str = ""

    def __str__(self) -> str:
        """As it is requested and stored.

        >>> str(ListName("top", 100, False, "a:b")), ListName.parsed("top:100:0:a:b").filter
        ('top:100:0:a:b', 'a:b')
        """
        return f"{self.order}:{self.size}:{int(self.labelled)}:{self.filter}"

    @classmethod
    def parsed(cls, text: str) -> ListName:
        """The inverse of :meth:`__str__`.

        Raises:
            ValueError: it is no name of a list.
        """
        parts = text.split(":", 3)
        if len(parts) == 4 and parts[1].isdigit():
            order, size, labelled, text = parts
            for known in get_args(Order):
                if order == known and int(size) in SIZES and labelled in {"0", "1"}:
                    return cls(known, int(size), labelled == "1", text)
        raise ValueError(f"{text!r} is no name of a list")
