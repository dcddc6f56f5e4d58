from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.chaos.workers import Nursery
from tests.chaos.workers import nursery as running_nursery


@pytest.fixture(scope="session")
def nursery() -> Iterator[Nursery]:
    """Forks workers for all tests."""
    with running_nursery() as running:
        yield running
