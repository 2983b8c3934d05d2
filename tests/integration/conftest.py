"""Both halves of the API."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from support.halves import HALVES, Api


@pytest.fixture(params=HALVES)
def api(request: pytest.FixtureRequest) -> Iterator[Api]:
    made = Api(request.param)
    yield made
    made.close()
