"""`kju.aio.fleet`: imported by its name, or when it is first used."""

from __future__ import annotations

import subprocess
import sys

import pytest

import kju.fleet

pytest.importorskip("ray")


@pytest.mark.parametrize(
    "program",
    [
        "import kju.aio.fleet",
        "import kju.aio; assert 'ray' not in sys.modules; kju.aio.fleet",
        "from kju.aio import fleet",
    ],
)
def test_fleet_of_asyncio_has_the_names_of_the_other(program: str) -> None:
    check = f"""
import inspect, sys
{program}
fleet = sys.modules["kju.aio.fleet"]
assert sorted(fleet.__all__) == {sorted(kju.fleet.__all__)}
assert inspect.iscoroutinefunction(fleet.Fleet.launch)
"""
    done = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
