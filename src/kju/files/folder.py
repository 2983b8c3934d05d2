"""SHELL: a folder of this user, and operations on its files through its descriptor.

Another user may have write access to the parent folder (a disk in a shared folder), and can replace
this folder by a link or another folder at any moment. So the folder is opened once, without
following a link; its owner and mode are read from the descriptor; and every later call takes the
descriptor (``dir_fd``).
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import socket
import stat
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import BinaryIO, Self

from ..errors import WaitTimeoutError
from . import writing
from .failure import failing, read_most, reader, release
from .ownership import check_file, check_folder, foreign, open_directory, own_target

#: A FIFO in the place of a file must not block its reader.
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_LOCK = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
_APPEND = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
#: Seconds between two attempts to lock a file.
_LOCK_POLL = 0.02
#: Far above any file of kju that is read whole.
_LONGEST = 64 << 20


class Folder:
    """An open folder that only this user (or root) can change.

    Args:
        descriptor: The folder; this object closes it.
        path: Its path, for messages and for other programs.

    Raises:
        FileError: It belongs to another user, or others may write in it.
    """

    def __init__(self, descriptor: int, path: Path) -> None:
        self.path = path
        self._fd = descriptor
        try:
            check_folder(os.fstat(descriptor), path)
        except BaseException:
            self.close()
            raise

    @classmethod
    def open(cls, path: Path, *, create: bool = False, follow_own_link: bool = False) -> Self:
        """Open a folder by its path.

        Args:
            path: The folder. Its last part must not be a link.
            create: Make it (mode 0700), and missing folders above it.
            follow_own_link: Its last part may be a link that belongs to this user or root.

        Raises:
            FileError: It is missing, a link, another user's, or others may write in it.
        """
        path = own_target(path) if follow_own_link else path
        if create:
            with failing(path, "made"):
                # The folders above get the mode of the umask: only the last one is private.
                path.parent.mkdir(parents=True, exist_ok=True)
                with contextlib.suppress(FileExistsError):
                    os.mkdir(path, 0o700)  # noqa: PTH102  the call that tests make fail
        return cls(open_directory(path), path)

    def folder(self, name: str, *, create: bool = False) -> Folder:
        """Open a folder in this one, which must not be a link.

        Args:
            name: Its name.
            create: Make it (mode 0700) if it is missing.

        Raises:
            FileError: It is missing, a link, another user's, or others may write in it.
        """
        return folder_in(self._fd, self.path / name, create=create)

    def new_folder(self, name: str) -> Folder:
        """Make a folder (mode 0700) in this one, which must not exist, and open it.

        Raises:
            FileError: It exists, or cannot be made.
        """
        path = self.path / name
        with failing(path, "made"):
            os.mkdir(name, 0o700, dir_fd=self._fd)
        return folder_in(self._fd, path)

    def close(self) -> None:
        """Close the folder. A second call does nothing."""
        # Cleared first: the number may belong to another file when `release` returns.
        fd, self._fd = self._fd, -1
        if fd >= 0:
            release(fd)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # -- reading

    def names(self) -> list[str]:
        """Return the names of everything in the folder, sorted.

        Raises:
            FileError: It cannot be read.
        """
        with failing(self.path, "read"):
            return sorted(os.listdir(self._fd))  # noqa: PTH208  a descriptor

    def status(self, name: str) -> os.stat_result | None:
        """Return the status of *name* without following a link; None if it is missing."""
        try:
            return os.stat(name, dir_fd=self._fd, follow_symlinks=False)
        except OSError:
            return None

    def has(self, name: str) -> bool:
        """Return whether *name* is a regular file of this user, which `read` accepts."""
        try:
            with self._reading(name):
                return True
        except OSError:
            return False

    def read(self, name: str, *, limit: int = _LONGEST, secret: bool = False) -> bytes:
        """Return the content of a file.

        Args:
            name: The file.
            limit: Maximum size in bytes.
            secret: Refuse a file of this user's that others may read.

        Raises:
            FileError: It is missing, not a regular file, another user's, or cannot be read.
            LimitError: It has more bytes.
        """
        with self._reading(name, secret=secret) as file:
            return read_most(file, self.path / name, limit)

    @contextlib.contextmanager
    def _reading(self, name: str, *, secret: bool = False) -> Iterator[BinaryIO]:
        path = self.path / name
        with failing(path, "read"), reader(self._open(name, _READ)) as file:
            check_file(os.fstat(file.fileno()), path, secret=secret)
            yield file

    # -- writing

    def write(self, name: str, data: bytes, *, mode: int = 0o600, durable: bool = True) -> None:
        """Write a file in place of an old one, whole or not at all.

        Args:
            name: The file.
            data: Its content.
            mode: Its permissions.
            durable: Wait until it is on the disk (two fsyncs).

        Raises:
            FileError: It could not be written and the old file is unchanged; or the disk failed
                after the new file had replaced the old one.
        """
        writing.replace_file(self._fd, self.path / name, data, mode, durable=durable)

    def write_all(self, files: Mapping[str, tuple[bytes, int]]) -> None:
        """Write several files that belong together: if one fails, none are changed.

        A process that is killed during the call may leave some files new and the others old.

        Args:
            files: Content and permissions by name.

        Raises:
            FileError: One could not be written; all are unchanged.
        """
        writing.replace_files(self._fd, self.path, files)

    @contextlib.contextmanager
    def staged(self, name: str) -> Iterator[Path]:
        """Let another program write a file, which gets its name at the end of the block.

        The program opens it by its path, so the parent folders must belong to this user too.

        Yields:
            The path to write to, which does not exist yet.

        Raises:
            FileError: It could not be finished; the old file is unchanged.
        """
        temporary = writing.temporary_name()
        try:
            yield self.path / temporary
            self.seal(temporary)
            writing.rename_file(self._fd, self.path / name, temporary)
        except BaseException:
            writing.discard(self._fd, temporary)
            raise
        self.sync()

    def seal(self, name: str) -> None:
        """Give a file that another program wrote mode 0600, and wait until it is on the disk.

        Raises:
            FileError: That could not be done, or it is not a regular file of this user's.
        """
        path = self.path / name
        with failing(path, "written"), reader(self._open(name, _READ)) as file:
            # Another user may have replaced it meanwhile: never chmod a file of unknown owner.
            check_file(os.fstat(file.fileno()), path)
            os.fchmod(file.fileno(), 0o600)
            os.fsync(file.fileno())

    def append(self, name: str) -> int:
        """Open a file (mode 0600) for appending; the caller closes the descriptor.

        Raises:
            FileError: It cannot be opened, is not a regular file, or is another user's.
        """
        path = self.path / name
        with failing(path, "written"):
            descriptor = self._open(name, _APPEND)
            try:
                check_file(os.fstat(descriptor), path)
            except BaseException:
                release(descriptor)
                raise
        return descriptor

    def new(self, name: str) -> int:
        """Make a file (mode 0600) that must not exist; the caller closes the descriptor.

        Raises:
            FileError: It exists, or cannot be made.
        """
        with failing(self.path / name, "made"):
            return self._open(name, writing.NEW)

    def overwrite(self, name: str, offset: int, data: bytes) -> None:
        """Write bytes into an existing file of this user's, in place.

        Raises:
            FileError: It is missing, not a regular file, another user's, or cannot be written.
        """
        path = self.path / name
        with failing(path, "written"):
            descriptor = self._open(name, _APPEND & ~(os.O_CREAT | os.O_APPEND))
            try:
                check_file(os.fstat(descriptor), path)
                os.lseek(descriptor, offset, os.SEEK_SET)
                writing.write_fully(descriptor, data)
            finally:
                release(descriptor)

    def make_read_only(self, name: str) -> os.stat_result:
        """Give a file mode 0400 unless it has it, and return its status.

        Raises:
            FileError: That could not be done, or it is not a regular file of this user's.
        """
        path = self.path / name
        with failing(path, "made read-only"), reader(self._open(name, _READ)) as file:
            check_file(os.fstat(file.fileno()), path)
            # Not again: each call changes st_ctime, by which changes are noticed.
            if stat.S_IMODE(os.fstat(file.fileno()).st_mode) != 0o400:
                os.fchmod(file.fileno(), 0o400)
            return os.fstat(file.fileno())

    def stage(self, name: str, data: bytes) -> str:
        """Write a temporary file, for a later `rename` to *name*; return its name.

        Raises:
            FileError: It could not be written; nothing is left of it.
        """
        temporary = writing.temporary_name()
        writing.create_file(self._fd, self.path / name, temporary, data, 0o600, durable=False)
        return temporary

    def listen(self, listener: socket.socket, name: str, backlog: int, mode: int = 0o600) -> None:
        """Bind a Unix socket, listen on it, and then give its file its name.

        Args:
            listener: The socket.
            name: The name of its file, in place of an old socket.
            backlog: Connections that wait to be accepted.
            mode: The permissions of its file; by default only this user and root can connect.

        Raises:
            FileError: It cannot be made.

        Source:
            The mode of a socket's file is that of its descriptor without the umask's bits:
            unix_bind_bsd in net/unix/af_unix.c of Linux.
        """
        temporary = writing.temporary_name()
        path = self.path / name
        with failing(path, "made"):
            os.fchmod(listener.fileno(), mode)
            # The address of a Unix socket holds 107 bytes (unix(7)); a path may be longer.
            listener.bind(f"/proc/self/fd/{self._fd}/{temporary}")
            try:
                os.chmod(temporary, mode, dir_fd=self._fd)
                listener.listen(backlog)
                # Not before: a client that finds the name can connect at once.
                writing.rename_file(self._fd, path, temporary)
            except BaseException:
                writing.discard(self._fd, temporary)
                raise

    def copy(
        self,
        source: Path,
        name: str,
        *,
        durable: bool = True,
        is_wanted: Callable[[], bool] = writing.always,
    ) -> None:
        """Copy a file into this folder (mode 0600), sharing its blocks where that is possible.

        Args:
            source: Any file that this user can read.
            name: The name of the copy, in place of an old file.
            durable: Wait until the copy is on the disk.
            is_wanted: Returns false to give up.

        Raises:
            FileError: It could not be copied; the old file is unchanged.
            UsageError: It was cut short meanwhile; the old file is unchanged.
            UnavailableError: It was given up; the old file is unchanged.
        """
        temporary = writing.temporary_name()
        try:
            with failing(source, "read"):
                given = os.open(source, os.O_RDONLY | os.O_CLOEXEC)
            try:
                with failing(self.path / name, "written"):
                    copy = self._open(temporary, writing.NEW)
                    try:
                        writing.copy_content(given, copy, is_wanted)
                        if durable:
                            os.fsync(copy)
                    finally:
                        release(copy)
            finally:
                release(given)
            writing.rename_file(self._fd, self.path / name, temporary)
        except BaseException:
            writing.discard(self._fd, temporary)
            raise
        if durable:
            self.sync()

    # -- renaming, removing, locking

    def rename(self, old: str, new: str) -> None:
        """Give a file or folder another name in this folder, in place of a file or empty folder.

        Raises:
            FileError: It could not be renamed.
        """
        writing.rename_file(self._fd, self.path / new, old)

    def remove(self, name: str) -> None:
        """Remove a file or a link, never a link's target. Do nothing if the name is missing.

        Raises:
            FileError: It could not be removed.
        """
        with failing(self.path / name, "removed"), contextlib.suppress(FileNotFoundError):
            os.unlink(name, dir_fd=self._fd)

    def remove_folder(self, name: str) -> None:
        """Remove an empty folder. Do nothing if it is missing.

        Raises:
            FileError: It is not empty, or could not be removed.
        """
        with failing(self.path / name, "removed"), contextlib.suppress(FileNotFoundError):
            os.rmdir(name, dir_fd=self._fd)

    def sync(self) -> None:
        """Wait until the names in the folder are on the disk.

        Raises:
            FileError: The disk failed. The files have their names, but may lose them.
        """
        writing.sync_folder(self._fd, self.path)

    @contextlib.contextmanager
    def lock(self, name: str = ".lock", *, timeout: float | None = None) -> Iterator[None]:
        """Hold an exclusive lock (flock(2)) on a file of this folder.

        Args:
            name: The file.
            timeout: Seconds to wait for the lock; None for no limit.

        Raises:
            FileError: The file cannot be opened.
            WaitTimeoutError: Another process has held the lock for all of *timeout*.
        """
        with failing(self.path / name, "locked"):
            descriptor = self._open(name, _LOCK)
        try:
            if timeout is None:
                fcntl.flock(descriptor, fcntl.LOCK_EX)
            elif not _locked_within(descriptor, timeout):
                raise WaitTimeoutError(f"another process has locked {self.path / name}")
            yield
        finally:
            release(descriptor)

    def open_lock(self, name: str) -> int:
        """Open an existing file that is only locked; the caller closes the descriptor.

        It is opened for writing, without which NFS gives no exclusive lock (flock(2)).

        Raises:
            FileError: It is missing, or cannot be opened.
        """
        with failing(self.path / name, "opened"):
            return self._open(name, _LOCK & ~os.O_CREAT)

    def sweep(self) -> None:
        """Remove temporary files that killed processes left; the caller holds the lock.

        Raises:
            FileError: One could not be removed.
        """
        for name in filter(writing.is_temporary, self.names()):
            self.remove(name)

    def _open(self, name: str, flags: int) -> int:
        return os.open(name, flags, 0o600, dir_fd=self._fd)


def _locked_within(descriptor: int, seconds: float) -> bool:
    """Lock a file within some seconds; flock(2) itself waits without a limit."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > deadline:
                return False
            time.sleep(_LOCK_POLL)
        else:
            return True


def private_folder(path: Path) -> Folder:
    """Open a folder that only this user can enter, and make it if it is missing.

    Its mode is set to 0700.

    Raises:
        FileError: It cannot be made, is a link or a file, or another user's.
    """
    with failing(path, "made"), contextlib.suppress(FileExistsError):
        os.mkdir(path, 0o700)  # noqa: PTH102  the call that tests make fail
    descriptor = open_directory(path)
    try:
        status = os.fstat(descriptor)
        # Not `check_folder`: it accepts root's folders, and this one is to be the user's own.
        if status.st_uid != os.geteuid():
            raise foreign(path, status)
        if stat.S_IMODE(status.st_mode) != 0o700:
            os.fchmod(descriptor, 0o700)
    except BaseException:
        release(descriptor)
        raise
    return Folder(descriptor, path)


def folder_in(within: int, path: Path, *, create: bool = False) -> Folder:
    """Open a folder inside the folder *within*, which may belong to another user.

    Args:
        within: The descriptor of the parent folder.
        path: The folder; its last part is its name there, and must not be a link.
        create: Make it (mode 0700) if it is missing.

    Raises:
        FileError: It is missing, a link, another user's, or others may write in it.
    """
    if create:
        with failing(path, "made"), contextlib.suppress(FileExistsError):
            os.mkdir(path.name, 0o700, dir_fd=within)
    return Folder(open_directory(path, path.name, within), path)
