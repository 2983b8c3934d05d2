"""A base exists exactly as long as a process holds it, whatever happens in which order."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import hypothesis.strategies as st
import pytest
from hypothesis import settings
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, rule

from kju.errors import FileError
from kju.store.forks.held_folder import HeldFolder, is_held, sweep


class Holders(RuleBasedStateMachine):
    """Folders that are made, held, released and lost by SIGKILL, beside sweeps."""

    folders = Bundle("folders")
    holders = Bundle("holders")

    def __init__(self) -> None:
        super().__init__()
        self.place = tempfile.TemporaryDirectory()
        self.root = Path(self.place.name)
        self.users: dict[Path, int] = {}

    def teardown(self) -> None:
        self.place.cleanup()

    @rule(target=holders)
    def create(self) -> HeldFolder:
        held = HeldFolder.create(self.root, "01234567")
        self.users[held.path] = 1
        return held

    @rule(target=holders, other=holders)
    def hold(self, other: HeldFolder) -> HeldFolder:
        if self.users[other.path]:
            self.users[other.path] += 1
            return HeldFolder.hold(other.path)
        if other.path.exists():  # its last user was killed: a new one may still come
            self.users[other.path] += 1
            return HeldFolder.hold(other.path)
        with pytest.raises(FileError):
            HeldFolder.hold(other.path)
        return other

    @rule(held=consumes(holders))
    def release(self, held: HeldFolder) -> None:
        if held.is_held:
            self.users[held.path] -= 1
        held.release()
        if not self.users[held.path]:
            assert not held.path.exists() or not is_held(held.path)

    @rule(held=consumes(holders))
    def kill(self, held: HeldFolder) -> None:
        if held.is_held:
            self.users[held.path] -= 1
            os.close(held._fd)
            held._fd = -1

    @rule(times=st.integers(1, 2))
    def sweep(self, times: int) -> None:
        for _ in range(times):
            sweep(self.root)
        left = {path for path in self.root.iterdir() if path.is_dir()}
        assert left == {path for path, users in self.users.items() if users}

    @invariant()
    def a_held_folder_exists(self) -> None:
        for path, users in self.users.items():
            if users:
                assert path.is_dir() and is_held(path)


Holders.TestCase.settings = settings(deadline=None, max_examples=60, stateful_step_count=30)
TestHolders = Holders.TestCase
