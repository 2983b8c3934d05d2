"""A host in this process."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from support.fake_host import FakeHost, fake_host


@pytest.fixture
def host(runtime_folder: Path) -> Iterator[FakeHost]:
    with fake_host() as running:
        yield running
