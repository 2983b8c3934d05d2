"""A host in this process, and both halves of the API."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from support.fake_host import FakeHost, fake_host
from support.halves import Api

import kju
import kju.aio


@pytest.fixture
def host(runtime_folder: Path) -> Iterator[FakeHost]:
    with fake_host() as running:
        yield running


@pytest.fixture(params=["kju", "kju.aio"])
def api(request: pytest.FixtureRequest) -> Iterator[Api]:
    made = Api(kju if request.param == "kju" else kju.aio)
    if made.loop is None:
        yield made
        return

    async def in_loop() -> None:
        """Run a constructor that needs the running loop."""

    made.loop.run_until_complete(in_loop())
    yield made
    made.loop.close()
