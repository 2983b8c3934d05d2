"""SHELL: changes of folders, by inotify: machines that are started, defined, changed or removed.

Source:
    inotify(7): ``struct inotify_event`` and the meaning of the masks.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import struct
from collections.abc import Callable
from pathlib import Path

_CREATE, _DELETE, _MOVED, _CLOSE_WRITE = 0x100, 0x200, 0xC0, 0x8
_DELETE_SELF, _MOVE_SELF, _ONLYDIR = 0x400, 0x800, 0x1000000
_MASK = _CREATE | _DELETE | _MOVED | _CLOSE_WRITE | _DELETE_SELF | _MOVE_SELF | _ONLYDIR
_IGNORED, _OVERFLOW = 0x8000, 0x4000
_EVENT = struct.Struct("iIII")
_CHUNK = 64 << 10


class FolderWatch:
    """Reports changes in a set of folders.

    A folder that is missing is replaced by its nearest existing ancestor, until it exists.

    Raises:
        OSError: The user has no further inotify instance.
    """

    def __init__(self) -> None:
        self._libc = ctypes.CDLL(None, use_errno=True)
        flags = os.O_NONBLOCK | os.O_CLOEXEC
        self._descriptor: int = self._libc.inotify_init1(flags)
        if self._descriptor < 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number))
        self._folders: dict[int, Path] = {}

    def fileno(self) -> int:
        """Return the descriptor; it is readable after a change."""
        return self._descriptor

    def watch(self, folders: Callable[[], set[Path]]) -> None:
        """Watch exactly these folders from now on.

        Args:
            folders: Returns them. It is called again after they are watched, until its answer stays
                the same: of a folder that was made meanwhile no event may report anything.
        """
        wanted = _existing_of(folders())
        while True:
            self._watch(wanted)
            newest = _existing_of(folders())
            if newest == wanted:
                return
            wanted = newest

    def _watch(self, wanted: set[Path]) -> None:
        for number, folder in list(self._folders.items()):
            if folder not in wanted:
                self._libc.inotify_rm_watch(self._descriptor, number)
                del self._folders[number]
        for folder in wanted.difference(self._folders.values()):
            number = self._libc.inotify_add_watch(self._descriptor, os.fsencode(folder), _MASK)
            # It may have been removed since, or the user's limit of watches is reached.
            if number >= 0:
                self._folders[number] = folder

    def read(self) -> bool:
        """Return whether anything has changed since the last call; never waits."""
        changed = False
        while True:
            try:
                data = os.read(self._descriptor, _CHUNK)
            except BlockingIOError:
                return changed
            except OSError as error:
                if error.errno == errno.EINTR:
                    continue
                raise
            at = 0
            while at < len(data):
                number, mask, _, length = _EVENT.unpack_from(data, at)
                at += _EVENT.size + length
                if mask & _IGNORED:  # the folder was removed, or is no longer watched
                    self._folders.pop(number, None)
                changed = changed or bool(mask & (_MASK | _OVERFLOW))

    def close(self) -> None:
        """Stop watching. A second call does nothing."""
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            with contextlib.suppress(OSError):
                os.close(descriptor)


def _existing_of(folders: set[Path]) -> set[Path]:
    return {_existing(folder) for folder in folders}


def _existing(folder: Path) -> Path:
    """Return a folder, or its nearest ancestor that exists."""
    for candidate in (folder, *folder.parents):
        if candidate.is_dir():
            return candidate
    return Path("/")
