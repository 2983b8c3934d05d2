"""Machines for environments, without QEMU."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

pytest.importorskip("gymnasium")

from support.gym_host import GymMachine, gym_host


@pytest.fixture
def guest(runtime_folder: Path) -> Iterator[GymMachine]:
    """Run one machine with the name ``gym``."""
    with gym_host("gym") as machine:
        yield machine


@pytest.fixture
def guests(runtime_folder: Path) -> Iterator[list[GymMachine]]:
    """Run three machines with the names ``gym0`` to ``gym2``."""
    with ExitStack() as stack:
        yield [stack.enter_context(gym_host(f"gym{number}")) for number in range(3)]
