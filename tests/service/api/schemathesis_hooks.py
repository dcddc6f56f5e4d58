"""Rules of this API's bodies that schemathesis cannot derive."""

from __future__ import annotations

from typing import Any

import schemathesis


@schemathesis.serializer("application/x-ndjson")
def ndjson(_context: Any, value: Any) -> bytes:
    """The schema demands text; negative tests may send anything."""
    return value if isinstance(value, bytes) else str(value).encode("utf-8", "surrogatepass")
