"""Fault injection for `kju.files`: the n-th system call fails, for every n."""

from __future__ import annotations

import contextlib
import errno
import itertools
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from kju.cli.output import Exit, code_of
from kju.errors import KjuError
from kju.files import filling, folder, is_temporary, ownership, writing

MODULES = (filling, folder, ownership, writing)
CALLS = (
    *("open", "write", "fsync", "close", "rename", "link", "unlink", "mkdir", "rmdir", "fchmod"),
    "posix_fallocate",
)


class Faults:
    """The `os` of the modules that write; its n-th call of `CALLS` fails.

    A write that fails has written half of its data, and a close that fails has closed.
    """

    def __init__(self, at: int, number: int) -> None:
        self.left = at
        self.number = number
        self.fired = ""

    def __getattr__(self, name: str) -> Any:
        call = getattr(os, name)
        return self._counted(name, call) if name in CALLS else call

    def _counted(self, name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def counted(*arguments: Any, **options: Any) -> Any:
            self.left -= 1
            if self.left:
                return call(*arguments, **options)
            self.fired = name
            if name == "write":
                call(arguments[0], arguments[1][: len(arguments[1]) // 2])
            if name == "close":
                call(*arguments)
            raise OSError(self.number, os.strerror(self.number))

        return counted


class Killed(BaseException):
    """The end of a process that `Kill` stands for."""


class Kill(Faults):
    """The `os` of a process that is killed before its n-th call: no later call does anything.

    A descriptor is closed all the same, as the kernel does it.
    """

    def __init__(self, at: int) -> None:
        super().__init__(at, 0)

    def _counted(self, name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def counted(*arguments: Any, **options: Any) -> Any:
            self.left -= 1
            if self.left > 0:
                return call(*arguments, **options)
            self.fired = self.fired or name
            if name == "close":
                call(*arguments)
            raise Killed

        return counted


def kills(operation: Callable[[], object], patch: pytest.MonkeyPatch) -> Iterator[str]:
    """Run an operation again and again, each time killed one call later, until it ends.

    Yields:
        The call before which it was killed; the caller then looks, and restores what was.
    """
    for at in itertools.count(1):
        kill = Kill(at)
        with patch.context() as patched:
            for module in MODULES:
                patched.setattr(module, "os", kill)
            with contextlib.suppress(Killed):
                operation()
        if not kill.fired:
            return
        yield kill.fired


Tree = dict[str, bytes]


def tree(root: Path) -> Tree:
    """Every file, link and folder below a folder; not the locks, and of a disk the name only."""
    found = {}
    for path in sorted(root.rglob("*")):
        name = str(path.relative_to(root))
        if path.is_symlink():
            found[name] = os.fsencode(os.readlink(path))
        elif path.name != ".lock":
            is_file = path.is_file() and path.suffix != ".qcow2"
            found[name] = path.read_bytes() if is_file else b""
    return found


def sweep(
    root: Path,
    operation: Callable[[], object],
    patch: pytest.MonkeyPatch,
    leaves: Callable[[str], bool] = lambda name: False,
    number: int = errno.ENOSPC,
) -> list[str]:
    """Fail each call of an operation in turn, until it ends without a fault.

    After each, the files below *root* are those from before or those of a success, and an error is
    one of kju's, has an exit code, and names a file.

    Args:
        root: All files of the operation; it is put back before each attempt.
        operation: What is tried.
        patch: Puts the faults in.
        leaves: Files that a success with an error may leave.
        number: The error.

    Returns:
        The calls that failed, in order.
    """
    saved = root.with_name(f"{root.name}-saved")
    shutil.copytree(root, saved, symlinks=True)
    old = tree(root)
    operation()
    new = tree(root)
    assert new != old, "the operation does something"
    failed: list[str] = []
    for at in itertools.count(1):
        shutil.rmtree(root)
        shutil.copytree(saved, root, symlinks=True)
        faults, error = Faults(at, number), None
        with patch.context() as patched:
            for module in MODULES:
                patched.setattr(module, "os", faults)
            try:
                operation()
            except KjuError as caught:
                error = caught
        now, where = tree(root), f"call {at}, {faults.fired}: {error}"
        assert not [name for name in now if is_temporary(Path(name).name)], where
        if not faults.fired:
            assert error is None and is_new(now, old, new), where
            return failed
        failed.append(faults.fired)
        if error is None:
            assert is_new(now, old, new), where
        else:
            less = {name: data for name, data in now.items() if name in old or not leaves(name)}
            assert old in (now, less) or is_new(now, old, new) or is_new(less, old, new), where
            assert str(root) in str(error), where
            assert code_of(error) is not Exit.OK
    raise AssertionError


def is_new(now: Tree, old: Tree, new: Tree) -> bool:
    """Whether these are the files of a success; keys are others each time."""
    changed = {name for name in new if new[name] != old.get(name)}
    return now.keys() == new.keys() and all(
        (now[name] != old.get(name)) == (name in changed) for name in now
    )
