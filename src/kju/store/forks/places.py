"""SHELL: the folders of bases and overlays, and the budget of bases' memory.

| folder | holds |
|---|---|
| ``/dev/shm/kju-UID/ID/`` | memory and state of a frozen machine: a base |
| ``$XDG_RUNTIME_DIR/kju/.forks/ID/`` | the same, where /dev/shm is too small |
| ``$XDG_DATA_HOME/kju/forks/ID/`` | overlays; bases too, where no tmpfs is large enough |

ID begins with eight digits that stand for the runtime folder (`world`). Machines' names are unique
in one runtime folder only, so a base is found from machines of the same one.
"""

from __future__ import annotations

import contextlib
import os
import zlib
from pathlib import Path
from typing import NamedTuple

from ...errors import FileError, KjuError, LimitError
from ...files import Folder, private_folder, proc_lines
from ..paths import forks_folder, runtime_folder
from .held_folder import ID, LOCK, HeldFolder

#: Every user may write here; a folder of another user at our path is refused, and skipped.
SHARED_MEMORY = Path("/dev/shm")  # noqa: S108
STATE = "state"
#: Bytes for the state of the devices, which has the video memory in it.
MARGIN = 64 << 20
_MEMORY_SYSTEMS = {"tmpfs", "ramfs"}


def world() -> str:
    """Return eight digits that stand for this user's folder of running machines."""
    path = os.path.realpath(runtime_folder(create=False))
    return f"{zlib.crc32(os.fsencode(path)):08x}"


def disk_root(*, create: bool = True) -> Path:
    """Return the folder of overlays, and of bases without a tmpfs.

    Raises:
        FileError: It cannot be made, or is another user's.
    """
    root = forks_folder()
    if create:
        Folder.open(root, create=True, follow_own_link=True).close()
    return root


def base_roots() -> list[Path]:
    """Return the folders that may hold bases, in the order of preference."""
    shared = SHARED_MEMORY / f"kju-{os.getuid()}"
    return [shared, runtime_folder(create=False) / ".forks", disk_root(create=False)]


def has_folders(root: Path) -> bool:
    """Return whether a root has folders of bases or overlays."""
    try:
        with os.scandir(root) as entries:
            return any(ID.fullmatch(entry.name) for entry in entries)
    except OSError:
        return False


def new_base(memory: int) -> HeldFolder:
    """Make a folder for a base, with space reserved for the memory of its guest.

    The whole memory counts, not the used part: a fork that reads a page which the base lacks gets
    it from the file system.

    The first tmpfs that is large enough in total is used, and the disk if there is none. A tmpfs
    that is large enough but occupied is an error: memory on a disk is slow.

    Args:
        memory: Bytes of guest memory.

    Raises:
        LimitError: The file system has too little free space.
        FileError: The folder could not be made; nothing is left of it.
    """
    root = _choose_root(memory + MARGIN)
    # Between the check and the reservation no other process reserves.
    with Folder.open(root) as folder, folder.lock(".budget"):
        _check_budget(root, memory)
        return HeldFolder.create(root, world(), f"{memory + MARGIN}\n".encode())


class Space(NamedTuple):
    """The space of the file system of one folder, in bytes.

    Attributes:
        total: Its size.
        free: Free for this user now.
        reserved: Not free for others although nothing is written there yet.
    """

    total: int
    free: int
    reserved: int


def space(root: Path) -> Space:
    """Return the space of the file system of a folder of bases.

    Raises:
        OSError: It cannot be read.
    """
    found = os.statvfs(root)
    reserved = 0
    for lock in root.glob(f"*/{LOCK}"):
        if not ID.fullmatch(lock.parent.name):
            continue
        # It may be removed now; the folder of overlays has an empty lock.
        with contextlib.suppress(OSError, ValueError):
            whole, used = int(lock.read_bytes()[:32] or b"0"), 0
            with contextlib.suppress(FileNotFoundError):
                used = lock.with_name(STATE).lstat().st_blocks * 512
            reserved += max(0, whole - used)
    return Space(found.f_blocks * found.f_frsize, found.f_bavail * found.f_frsize, reserved)


def largest_base() -> str:
    """Return how much memory a machine may have to be frozen in memory, as a sentence.

    Raises:
        OSError: There is no file system in memory.
    """
    root = base_roots()[0]
    found = space(root if root.is_dir() else root.parent)
    most = max(0, found.free - found.reserved - MARGIN)
    return f"machines with up to {_mib(most)} of memory can be frozen in {root.parent}"


def is_in_memory(path: Path) -> bool:
    """Return whether a path is on a file system in memory (proc_pid_mountinfo(5))."""
    try:
        device = path.stat().st_dev
        lines = proc_lines("/proc/self/mountinfo")
    except OSError:
        return False
    wanted = f"{os.major(device)}:{os.minor(device)}"
    for line in lines:
        mounted, _, system = line.partition(" - ")
        if mounted.split()[2] == wanted:
            return system.split()[0] in _MEMORY_SYSTEMS
    return False


def _choose_root(size: int) -> Path:
    """Return the folder for a base, which exists and belongs to this user."""
    *in_memory, disk = base_roots()
    for root in in_memory:
        try:
            if is_in_memory(root.parent) and space(root.parent).total >= size:
                private_folder(root).close()
                return root
        except (KjuError, OSError):
            continue  # another user's folder has our name, or there is none above it
    disk_root()
    return disk


def _check_budget(root: Path, memory: int) -> None:
    try:
        found = space(root)
    except OSError as error:
        raise FileError(f"{root} cannot be read: {error.strerror}", str(root)) from error
    needed = memory + MARGIN
    if needed <= found.free - found.reserved:
        return
    other = f", of which other bases may still use {_mib(found.reserved)}" if found.reserved else ""
    raise LimitError(
        f"the base of a guest with {_mib(memory)} of memory needs {_mib(needed)} in {root}, where"
        f" {_mib(found.free)} are free{other}; stop forks, or remove bases with kju freeze NAME TAG"
        " --remove (kju ls shows both), or use a guest with less memory (--memory)",
        "free bytes for bases",
        max(0, found.free - found.reserved),
        needed,
    )


def _mib(size: int) -> str:
    return f"{-(-size // (1 << 20)):,} MiB"
