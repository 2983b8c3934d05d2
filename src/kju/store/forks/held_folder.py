"""SHELL: a folder that exists as long as at least one process holds it.

Each user of the folder holds a shared flock on its file ``lock``. The kernel counts the locks, and
releases those of a process however it ends. So no count is written anywhere, and none can be wrong
after SIGKILL. A folder without a lock is removed by the next release or by `sweep`.

A folder is made under the lock ``.lock`` of its parent (the root), and removed under the same lock
and its own exclusive lock: a new folder cannot be taken for one without users. A process that
opened ``lock`` just before the removal gets its shared lock afterwards, and finds the file
unlinked.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Self

from ...errors import ClosedError, FileError, KjuError
from ...files import Folder, failing, is_temporary, remove_tree
from ..snapshot_files import is_made

LOCK = "lock"
#: The runtime folder's part (`places.world`), and a random one.
ID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{16}")
_FILES = re.compile(r"lock|state|begin|base\.json|disks\.json|[0-9]{1,4}-[0-9]{1,9}\.qcow2")
_SNAPSHOTS = re.compile(r"[0-9]{1,4}-[0-9]{1,9}\.qcow2\.snapshots/")

#: Returns whether an unused folder must stay: it has data that is written to a user's disk later.
Keep = Callable[[Folder], bool]


class HeldFolder:
    """A folder that this process holds until `release`.

    Attributes:
        path: The folder.
    """

    def __init__(self, path: Path, descriptor: int) -> None:
        self.path = path
        self._fd = descriptor

    @classmethod
    def create(cls, root: Path, world: str, reserved: bytes = b"") -> Self:
        """Make a new folder and hold it.

        Args:
            root: Its parent, a private folder of this user.
            world: The first part of its name.
            reserved: The content of its lock: the space that is reserved for it.

        Raises:
            FileError: It cannot be made; nothing is left of it.
        """
        name, descriptor = f"{world}-{os.urandom(8).hex()}", -1
        with Folder.open(root) as parent, parent.lock():
            try:
                with parent.new_folder(name) as folder:
                    folder.write(LOCK, reserved, durable=False)
                    descriptor = folder.open_lock(LOCK)
                    _lock(descriptor, fcntl.LOCK_SH, folder.path)
            except BaseException:
                if descriptor >= 0:
                    os.close(descriptor)
                with contextlib.suppress(KjuError):
                    remove_tree(parent, name, is_own)
                raise
        return cls(root / name, descriptor)

    @classmethod
    def hold(cls, path: Path) -> Self:
        """Hold an existing folder.

        Raises:
            FileError: It is missing (ENOENT): its last user has released it. Or it cannot be read.
        """
        with Folder.open(path) as folder:
            descriptor = folder.open_lock(LOCK)
        try:
            # Waits only while another process looks for users or removes the folder.
            _lock(descriptor, fcntl.LOCK_SH, path)
            if not os.fstat(descriptor).st_nlink:
                why = f"{path} was removed: its last user has ended"
                raise FileError(why, str(path), errno.ENOENT)
        except BaseException:
            os.close(descriptor)
            raise
        return cls(path, descriptor)

    @classmethod
    def adopt(cls, path: Path, descriptor: int) -> Self:
        """Hold a folder by another process's lock; takes ownership of the descriptor."""
        return cls(path, descriptor)

    def fileno(self) -> int:
        """Return the descriptor of the lock, for another process to `adopt`."""
        return self._fd

    @property
    def is_held(self) -> bool:
        """True if this object holds the folder."""
        return self._fd >= 0

    def require_held(self) -> None:
        """Raise an error after `release`.

        Raises:
            ClosedError: It was released.
        """
        if not self.is_held:
            raise ClosedError(f"{self.path} was released; nothing can be done with it any more")

    def release(self, keep: Keep | None = None) -> None:
        """Stop holding the folder, and remove it if no process holds it. Errors are ignored.

        A second call does nothing.

        Args:
            keep: Returns whether the folder must stay.
        """
        fd, self._fd = self._fd, -1
        if fd < 0:
            return
        os.close(fd)
        with contextlib.suppress(KjuError), Folder.open(self.path.parent) as parent, parent.lock():
            _remove_unused(parent, self.path.name, keep)


def sweep(root: Path, keep: Keep | None = None) -> list[Path]:
    """Remove the folders in *root* that no process holds, and return their paths.

    Args:
        root: It may be missing.
        keep: Returns whether an unused folder must stay.
    """
    if not root.is_dir():
        return []
    removed = []
    with Folder.open(root) as parent, parent.lock():
        for name in parent.names():
            # A folder that cannot be removed must not keep the others.
            with contextlib.suppress(KjuError):
                if ID.fullmatch(name) and _remove_unused(parent, name, keep):
                    removed.append(root / name)
    return removed


def exclusive(path: Path) -> int:
    """Lock a folder that no process holds; return the descriptor, or -1 if one holds it.

    Raises:
        FileError: It is missing, or cannot be read.
    """
    # Under the root's lock: a sweep, which locks each folder for a moment, is not a user.
    with Folder.open(path.parent) as parent, parent.lock():
        return _exclusive(path)


def is_held(path: Path) -> bool:
    """Return whether a process holds a folder; false for a missing one."""
    try:
        descriptor = exclusive(path)
    except FileError:
        return False
    if descriptor >= 0:
        os.close(descriptor)
    return descriptor < 0


def remove_locked(path: Path) -> None:
    """Remove a folder that the caller has locked (`exclusive`).

    Raises:
        FileError: It could not be removed.
    """
    with Folder.open(path.parent) as parent, parent.lock():
        remove_tree(parent, path.name, is_own)


def _exclusive(path: Path) -> int:
    """Do what `exclusive` does; the caller has locked the parent."""
    with Folder.open(path) as folder:
        descriptor = folder.open_lock(LOCK)
    try:
        _lock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB, path)
    except BaseException as error:
        os.close(descriptor)
        if isinstance(error, FileError) and error.errno == errno.EWOULDBLOCK:
            return -1
        raise
    return descriptor


def _lock(descriptor: int, operation: int, path: Path) -> None:
    with failing(path / LOCK, "locked"):
        fcntl.flock(descriptor, operation)


def is_own(path: str) -> bool:
    """Return whether kju, or QEMU for it, makes a file of this path in a held folder."""
    # Snapshots of a fork have their pictures beside its first disk.
    if beside := _SNAPSHOTS.match(path):
        return is_made(path[beside.end() :])
    return bool(_FILES.fullmatch(path)) or is_temporary(path)


def _remove_unused(parent: Folder, name: str, keep: Keep | None) -> bool:
    """Remove a folder that no process holds; the caller has locked its parent."""
    try:
        descriptor = _exclusive(parent.path / name)
    except FileError as error:
        if error.errno != errno.ENOENT:
            raise
        descriptor = -2  # killed before it made its lock: no process can hold it
    if descriptor == -1:
        return False
    try:
        if keep is not None and parent.status(name):
            with parent.folder(name) as folder:
                if keep(folder):
                    return False
        remove_tree(parent, name, is_own)
    finally:
        if descriptor >= 0:
            os.close(descriptor)
    return True
