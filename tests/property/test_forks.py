"""A base exists exactly as long as a process holds it; a damaged description is refused."""

from __future__ import annotations

import contextlib
import os
import tempfile
from pathlib import Path

import hypothesis.strategies as st
import pytest
from hypothesis import given, settings
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, rule
from support.forks import facts

from kju.errors import FileError, FormatError
from kju.store.disk_headers import parse
from kju.store.forks.description import (
    Description,
    FileIdentity,
    FrozenDisks,
    decode,
    encode,
)
from kju.store.forks.held_folder import HeldFolder, is_held, sweep
from kju.store.forks.qcow2 import empty_overlay, virtual_size


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


GOOD = encode(
    Description(1, facts(), 1.5, FileIdentity(1, 2, 3, 4, 5), FrozenDisks((), "/home/forks/x"))
)


@given(st.binary(max_size=300))
def test_bytes_that_are_no_description_are_refused(data: bytes) -> None:
    with pytest.raises(FormatError):
        decode(data, "base.json")


@given(st.integers(0, len(GOOD) - 1), st.binary(min_size=1, max_size=4))
def test_a_damaged_description_is_refused_or_is_one(at: int, data: bytes) -> None:
    damaged = GOOD[:at] + data + GOOD[at + len(data) :]
    with contextlib.suppress(FormatError):
        assert isinstance(decode(damaged, "base.json"), Description)


@given(st.integers(1, 1 << 42), st.text(min_size=1, max_size=100).filter(lambda t: "\0" not in t))
def test_the_size_of_an_overlay_is_that_of_its_disk(size: int, name: str) -> None:
    data = empty_overlay(size, f"/{name}".encode(), "raw")
    assert virtual_size(data[:32]) == -(-size // 512) * 512
    assert len(data) % (64 << 10) == 0
    found = parse(lambda at, count: data[at : at + count])
    assert (found.format, found.backing, found.backing_format) == ("qcow2", f"/{name}", "raw")
