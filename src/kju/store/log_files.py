"""SHELL: logs of bounded size, and the kept logs of machines that failed.

A log is two files: the current one, and with ``.1`` the one before it. When the current one is full
it replaces the one before. The runtime folder is memory on most systems, so this bounds memory too.

A runtime folder is removed with its machine. The logs of a machine that was killed, crashed or did
not start are first moved to the folder of kept logs: the last logs of each name, and only of the
newest `MAX_KEPT` names.
"""

from __future__ import annotations

import contextlib
import copy
import logging
import os
from collections.abc import Callable
from pathlib import Path

from ..errors import KjuError
from ..escaping import one_line
from ..files import Folder, is_temporary, remove_tree
from ..protocol.values import KINDS
from .paths import Paths, check_name, kept_logs_folder, machine_paths

#: Bytes of one file; a log has two. A day of a busy machine's host.log at level info is 30 KB.
LIMIT = 1 << 20
#: Bytes read at the end of a log to find its last lines.
_TAIL = 8192


def before(path: Path) -> Path:
    """Return the path of the file before the current one."""
    return path.with_name(f"{path.name}.1")


def parts(path: Path) -> list[Path]:
    """Return the existing files of a log, oldest first."""
    return [part for part in (before(path), path) if part.is_file()]


def read(path: Path) -> bytes:
    """Return a whole log; empty if it is missing."""
    whole = b""
    for part in (before(path), path):
        with contextlib.suppress(OSError):
            whole += part.read_bytes()
    return whole


def tail(path: Path, lines: int = 8) -> list[str]:
    """Return the last lines of a log; an empty list if it cannot be read."""
    data = b""
    for part in (path, before(path)):
        with contextlib.suppress(OSError), part.open("rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - _TAIL))
            data = file.read() + data
        if len(data) >= _TAIL:
            break
    kept = [line for line in data.decode("utf-8", "replace").splitlines() if line.strip()]
    # A guest may have written this, and it is printed to a terminal.
    return [one_line(line, 400) for line in kept[-lines:]]


class BoundedLog:
    """A log that is being written.

    Args:
        path: The current file; an existing one is appended to.
        opened: Called with the descriptor of every new file; it stays this object's.
        limit: Bytes of one file.
        note: The first line of a file that follows another.
    """

    def __init__(
        self,
        path: Path,
        opened: Callable[[int], object] = lambda fd: None,
        limit: int = LIMIT,
        note: str = "[kju: {limit} bytes are full; earlier lines are in {before}]\n",
    ) -> None:
        self._path = path
        self._opened = opened
        self._limit = limit
        self._note = note.format(limit=limit, before=before(path).name)
        with Folder.open(path.parent) as folder:
            self._fd = self._open(folder)

    def _open(self, folder: Folder) -> int:
        fd = folder.append(self._path.name)
        self._opened(fd)
        return fd

    def write(self, data: bytes) -> None:
        """Append to it. Errors are ignored: a full disk must not end the machine."""
        with contextlib.suppress(KjuError, OSError):
            # Read each time: others may write through the same descriptor.
            if self._fd >= 0 and os.fstat(self._fd).st_size + len(data) > self._limit:
                self._begin()
            while data and self._fd >= 0:
                data = data[os.write(self._fd, data) :]

    def _begin(self) -> None:
        present, old = self._path.name, before(self._path).name
        with Folder.open(self._path.parent) as folder:
            folder.rename(present, old)
            try:
                self._use(self._open(folder))
            except BaseException:
                folder.rename(old, present)  # its contents stay readable
                raise
        os.write(self._fd, self._note.encode())

    def _use(self, fd: int) -> None:
        full, self._fd = self._fd, fd
        os.close(full)

    def replace(self, data: bytes) -> None:
        """Replace its contents by these lines, as many as fit into the two files.

        A concurrent reader gets the end of the old lines or of the new ones, never a mixture.
        Does nothing once it is closed.

        Raises:
            FileError: The new lines could not be written. The old ones stay, except that those of
                the older file may be lost.
        """
        if self._fd < 0:
            return
        present, old = self._path.name, before(self._path).name
        new, older = _split(data, self._limit)
        with Folder.open(self._path.parent) as folder:
            staged = []
            try:
                staged.append(folder.stage(present, new))
                staged += [folder.stage(old, older)] if older else []
                folder.remove(old)
                folder.rename(staged[0], present)
                self._use(self._open(folder))
                if older:
                    folder.rename(staged[1], old)
            except BaseException:
                for name in staged:
                    with contextlib.suppress(KjuError):
                        folder.remove(name)
                raise

    def close(self) -> None:
        """Stop writing. A second call does nothing."""
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)


def _split(data: bytes, limit: int) -> tuple[bytes, bytes]:
    """Return the last whole lines that fit into *limit* bytes, and those before, as many again."""
    parts = []
    for _ in range(2):
        at = len(data) - limit
        begin = data.find(b"\n", at - 1) + 1 if at > 0 else 0
        parts.append(data[begin:])
        data = data[:begin]
    return parts[0], parts[1]


class LogHandler(logging.Handler):
    """A handler of Python's logging for a `BoundedLog`."""

    def __init__(self, log: BoundedLog) -> None:
        super().__init__()
        self._log = log

    def emit(self, record: logging.LogRecord) -> None:
        """Write one record, with any characters."""
        record = copy.copy(record)
        try:
            # It may contain texts of a guest or a peer: one record's message is one line.
            record.msg, record.args = one_line(record.getMessage()), ()
            line = self.format(record)
        except Exception:
            self.handleError(record)
            return
        self._log.write(line.encode("utf-8", "backslashreplace") + b"\n")


#: A file beside kept logs: they are not those of the name's last machine, or of its last run.
_OLD = "old"
#: Machines whose logs are kept. Each has at most two logs of two files: 64 MiB in total.
MAX_KEPT = 16


def keep_logs(machine: Paths) -> None:
    """Move a machine's logs away, replacing those that were kept under its name.

    Errors are ignored: without space or a home folder the logs are lost with the machine.
    """
    found = [part.name for log in _logs(machine) for part in parts(log)]
    if not found:
        return
    name = machine.folder.name
    with (
        contextlib.suppress(KjuError),
        Folder.open(machine.folder) as dead,
        Folder.open(kept_logs_folder(), create=True, follow_own_link=True) as kept,
    ):
        # Renamed when complete: another command may read them, or keep logs of the same name.
        new = f".{name}.{os.getpid()}"
        try:
            with kept.folder(new, create=True) as place:
                for part in found:
                    place.write(part, dead.read(part), durable=False)
            remove_tree(kept, name, _is_log)
            kept.rename(new, name)
        finally:
            with contextlib.suppress(KjuError):
                remove_tree(kept, new, _is_log)
        _remove_old(kept)


def mark_old(name: str) -> None:
    """Mark the kept logs of a name: a later run has ended well, or it is another machine's name.

    Errors are ignored: the logs are then shown as those of the last run.
    """
    if not (kept_logs_folder() / name).is_dir():
        return
    with (
        contextlib.suppress(KjuError),
        Folder.open(kept_logs_folder(), follow_own_link=True) as kept,
        kept.folder(name) as place,
    ):
        place.write(_OLD, b"", durable=False)


def last_run_failed(name: str) -> bool:
    """Return whether the last run of a machine failed: its logs are kept, and not old."""
    place = kept_logs_folder() / check_name(name)
    return place.is_dir() and not (place / _OLD).exists()


def find_kept(name: str) -> Paths | None:
    """Return the kept logs of the last machine of this name, if any."""
    place = kept_logs_folder() / check_name(name)
    return Paths(place) if place.is_dir() else None


def failure_lines(name: str, lines: int = 5) -> tuple[str, ...]:
    """Return the last lines of the logs of a machine that has failed, each with its log's name.

    Args:
        name: The machine. Its folder may have been removed.
        lines: The most lines of each log.

    Returns:
        Lines of about 400 characters at most, without control characters; empty without a log.
    """
    running = machine_paths(name)
    found = running if running.folder.is_dir() else find_kept(name)
    if found is None:
        return ()
    logs = {log.name: tail(log, lines) for log in _logs(found)}
    return tuple(f"{log}: {line}" for log, last in logs.items() for line in last)


def _logs(machine: Paths) -> tuple[Path, ...]:
    return machine.host_log, *map(machine.emulator_log, KINDS)


def _is_log(name: str) -> bool:
    """Return whether a file of this name is one of a machine's kept logs."""
    known = (part.name for log in _logs(Paths(Path())) for part in (log, before(log)))
    return name in known or name == _OLD or is_temporary(name)


def _remove_old(kept: Folder) -> None:
    ages = [(status.st_mtime, name) for name in kept.names() if (status := kept.status(name))]
    for _, name in sorted(ages)[:-MAX_KEPT]:
        with contextlib.suppress(KjuError):
            remove_tree(kept, name, _is_log)
