"""The format of log entries, by which a worker finds out that it must not read one."""

from __future__ import annotations

from olad_core.errors import OladError
from olad_core.events import GraphSchema

ENTRY_FORMAT = 6
"""The latest format that this release reads and writes. Entries without the field ``v`` have format 1."""
NODE_VALUES_FORMAT = 6
"""The format of entries under tasks that predict values of nodes."""
VALUES_FORMAT = 5
"""The format of entries under tasks that predict values of edges alone."""
TASKS_FORMAT = 4
"""The format of entries under other tasks, which releases before values read too."""
VERSIONS_FORMAT = 4
"""The format of entries that change the served version."""
IDS_FORMAT = 3
"""The format of entries under types whose edges have ids, which releases before tasks read too."""
TYPED_FORMAT = 2
"""The format of entries under types, which releases before ids of edges read too."""
FIRST_FORMAT = 1
"""The format of entries that releases before types of edges read too."""
_FIRST = b"1"


def format_under(schema: GraphSchema) -> int:
    """The format of entries under a schema: the earliest one that has what they may hold.

    >>> from olad_core.graph_types import EdgeType
    >>> format_under(GraphSchema()), format_under(GraphSchema(edge_types={"sent": EdgeType()}))
    (1, 2)
    >>> format_under(GraphSchema(edge_types={"paid": EdgeType(ids=True)}))
    3
    """
    if any(task.kind == "node_value" for task in schema.tasks.values()):
        return NODE_VALUES_FORMAT
    if schema.tasks:
        return VALUES_FORMAT if any(task.kind == "edge_value" for task in schema.tasks.values()) else TASKS_FORMAT
    if any(each.has_table for each in schema.edge_types.values()):
        return IDS_FORMAT
    return TYPED_FORMAT if schema.edge_types or schema.node_types else FIRST_FORMAT


class UnknownEntryFormat(OladError, RuntimeError):
    """An entry of a later release: this worker would read it wrongly, so it must not go on."""

    def __init__(self, position: str, found: str) -> None:
        super().__init__(
            f"log entry {position} has format {found}, and this worker reads formats up to {ENTRY_FORMAT}: "
            "start a worker of the release that wrote the entry. Nothing is lost"
        )
        self.position = position
        self.found = found


def require_known(position: str, version: bytes | None) -> None:
    """See that an entry can be read.

    Args:
        position: of the entry.
        version: its field ``v``; None where it has none.

    Raises:
        UnknownEntryFormat: it is of a later release.
    """
    stored = _FIRST if version is None else version
    if not stored.isdigit() or not 1 <= int(stored[:20]) <= ENTRY_FORMAT:
        raise UnknownEntryFormat(position, stored[:20].decode(errors="replace"))
