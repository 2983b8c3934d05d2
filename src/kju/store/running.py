"""SHELL: running machines: find one, claim a name, connect, kill, remove the remains.

A machine runs exactly as long as its host holds the flock on ``host.pid``. The kernel releases it
however the host ends, and unlike a process number it cannot be reused.

A machine's folder is made and removed only under the lock ``.lock`` of their parent, held just for
that. So two machines cannot claim one name, and `sweep` does not remove a folder that was just made
and is not locked yet.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import select
import signal
import socket
import struct
from collections.abc import Iterator
from pathlib import Path

from ..errors import KjuError, MachineExistsError, MachineNotFoundError, WaitTimeoutError
from ..files import (
    Folder,
    descriptor_limit,
    failing,
    file_error,
    limited,
    remove_tree,
    stat_fields,
)
from .paths import (
    NAME,
    RUNTIME_HINT,
    Paths,
    RuntimeFolderError,
    check_name,
    fallback_note,
    is_defined,
    machine_paths,
    name_for,
    runtime_folder,
)


def find(name: str) -> Paths:
    """Return the files of a running machine.

    Raises:
        MachineNotFoundError: No machine of this name runs.
    """
    found = machine_paths(name)
    if is_alive(found):
        return found
    if is_defined(name):
        raise MachineNotFoundError(
            f"the machine {name!r} is not running; start it: kju start {name}", name
        )
    running = ", ".join(names())
    hint = f"start it: kju run --detach --name {name} IMAGE"
    if running:
        hint = f"running machines: {running}"
    searched = f" ({note})" if (note := fallback_note()) else ""
    raise MachineNotFoundError(f"no machine {name!r} is running; {hint}{searched}", name)


def names() -> list[str]:
    """Return the names of the running machines, sorted."""
    folder = runtime_folder(create=False)
    try:
        entries = sorted(entry.name for entry in os.scandir(folder) if entry.is_dir())
    except FileNotFoundError:
        return []
    return [n for n in entries if NAME.fullmatch(n) and _is_listed(Paths(folder / n))]


def _is_listed(machine: Paths) -> bool:
    """Return whether a machine runs and is not hidden."""
    return not machine.hidden.exists() and is_alive(machine)


def is_alive(machine: Paths) -> bool:
    """Return whether a host holds the lock of this machine."""
    try:
        descriptor = os.open(machine.pid, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except OSError:
        return False
    try:
        # Shared: two processes that check at the same moment must not see each other's lock.
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    else:
        return False
    finally:
        os.close(descriptor)


def host_pid(name: str) -> int:
    """Return the process number of a running machine's host; 0 if unknown.

    The recorded start time is compared, in case the number was given to another process.
    """
    with contextlib.suppress(OSError, ValueError, IndexError):
        number, started = machine_paths(name).pid.read_text().splitlines()[0].split()
        if int(number) > 0 and start_time(int(number)) == int(started):
            return int(number)
    return 0


def start_time(pid: int) -> int:
    """Return a process's start time in clock ticks since boot; 0 if it does not exist.

    Source:
        Field 22 of /proc/PID/stat (proc_pid_stat(5)).
    """
    try:
        return int(stat_fields(f"/proc/{pid}")[19])
    except OSError:
        return 0


def is_stopped(pid: int) -> bool:
    """Return whether a process is stopped, by SIGSTOP or a debugger."""
    try:
        return stat_fields(f"/proc/{pid}")[0] in ("T", "t")
    except OSError:
        return False


#: A killed process ends only after the kernel has finished writing for it.
_KILL_TIMEOUT = 10.0


class Claim:
    """A claimed name: its folder exists and belongs to this process until `release`."""

    def __init__(self, name: str, machine: Paths, descriptor: int) -> None:
        self.name = name
        self.paths = machine
        self._descriptor = descriptor

    def record(self, child: int) -> None:
        """Write the process numbers of the host and its child, for users and for `sweep`."""
        text = f"{_this_process()}\n{child} {start_time(child)}\n"
        with failing(self.paths.pid, "written"):
            os.pwrite(self._descriptor, text.encode(), 0)
            os.ftruncate(self._descriptor, len(text))

    def show(self) -> None:
        """List a hidden machine from now on.

        Raises:
            FileError: Its mark cannot be removed.
        """
        with Folder.open(self.paths.folder) as folder:
            folder.remove(self.paths.hidden.name)

    def release(self, *, keep_logs: bool = False) -> None:
        """Remove the folder and release the name. A second call does nothing.

        Args:
            keep_logs: The machine failed; see `kju.store.log_files`.
        """
        if self._descriptor >= 0:
            with _exclusive(self.paths.folder.parent) as folder:
                _settle_logs(self.paths, failed=keep_logs)
                with contextlib.suppress(KjuError):
                    remove_tree(folder, self.paths.folder.name, _is_removable)
                # Closed last, since this releases the lock by which `is_alive` knows the machine.
                os.close(self._descriptor)
                self._descriptor = -1


def claim(name: str, *, hidden: bool = False) -> Claim:
    """Claim a machine's name.

    Args:
        name: The name.
        hidden: Do not list the machine until `Claim.show`.

    Raises:
        MachineExistsError: A running machine has it. Of several claims at the same moment
            exactly one succeeds.
        RuntimeFolderError: The folder for running machines is missing and cannot be made.
    """
    machine = Paths(runtime_folder() / check_name(name))
    try:
        with _exclusive(machine.folder.parent) as folder:
            return _claim_exclusively(name, machine, folder, hidden=hidden)
    except OSError as error:
        failed = file_error(error, machine.folder, "made")
        raise RuntimeFolderError(f"{failed}; correct that, or {RUNTIME_HINT}") from error


def free_name(image: str | None) -> str:
    """Return a name made from *image* that no running machine has now."""
    stem = name_for(image)
    for number in range(1, 1000):
        name = stem if number == 1 else f"{stem}-{number}"
        if not is_alive(machine_paths(name)):
            return name
    raise MachineExistsError(f"a thousand machines named {stem!r} are running", stem)


def require_free(name: str) -> None:
    """Raise an error if a running machine has this name.

    Raises:
        MachineExistsError: One has.
    """
    if is_alive(machine_paths(name)):
        raise MachineExistsError(
            f"a machine named {name!r} is already running: end it with kju stop {name}, or start"
            " another one under another name",
            name,
        )


def claim_any(image: str | None, *, hidden: bool = False) -> Claim:
    """Claim a name made from *image*, with a number appended if necessary: see `claim`."""
    stem = name_for(image)
    for number in range(1, 1000):
        try:
            return claim(stem if number == 1 else f"{stem}-{number}", hidden=hidden)
        except MachineExistsError:
            continue
    raise MachineExistsError(f"a thousand machines named {stem!r} are running", stem)


def sweep() -> list[str]:
    """Remove the folders of killed hosts (`kju.store.sweeping`).

    Returns:
        The names of the machines removed.
    """
    folder = runtime_folder(create=False)
    if not folder.is_dir():
        return []
    dead = [entry.name for entry in os.scandir(folder) if _is_dead(folder, entry.name)]
    if not dead:
        return []
    swept = []
    with _exclusive(folder) as opened:
        for name in dead:
            # Checked again under the lock: the name may have been claimed since.
            if _is_dead(folder, name):
                with contextlib.suppress(KjuError):
                    _remove(Paths(folder / name), opened)
                    swept.append(name)
    return swept


def kill(name: str) -> int:
    """Kill a machine's host, which need not respond, and its emulator.

    Returns:
        The process number of the host.

    Raises:
        MachineNotFoundError: No machine of this name runs, or its host's process is unknown.
        KjuError: It could not be killed.
    """
    machine = find(name)
    number = host_pid(name)
    try:
        process = os.pidfd_open(number) if number else -1
    except ProcessLookupError:
        process = -1
    if process < 0:
        raise MachineNotFoundError(f"the host's process of {name!r} is not in {machine.pid}", name)
    try:
        # From here the number cannot be reused: its start time is compared once more.
        if host_pid(name) == number:
            signal.pidfd_send_signal(process, signal.SIGKILL)
            select.select([process], [], [], _KILL_TIMEOUT)
    except PermissionError as error:
        raise KjuError(f"the host of {name!r}, process {number}: {error.strerror}") from error
    finally:
        os.close(process)
    if is_alive(machine):
        raise KjuError(f"the host of {name!r}, process {number}, was killed and has not ended")
    sweep()
    return number


@contextlib.contextmanager
def _exclusive(folder: Path) -> Iterator[Folder]:
    """Hold the lock under which machines' folders are made and removed."""
    with Folder.open(folder) as opened, opened.lock():
        yield opened


def _this_process() -> str:
    return f"{os.getpid()} {start_time(os.getpid())}"


def _claim_exclusively(name: str, machine: Paths, folder: Folder, *, hidden: bool) -> Claim:
    require_free(name)
    # The folder of a killed host: no host locks it, and the parent's lock is held.
    _remove(machine, folder)
    descriptor = -1
    try:
        with folder.folder(name, create=True) as own:
            if hidden:
                own.write(machine.hidden.name, b"", durable=False)
            descriptor = own.new(machine.pid.name)
        # Blocking is right: only `is_alive` can hold it, shared, for a few microseconds.
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        with failing(machine.pid, "written"):
            os.write(descriptor, f"{_this_process()}\n".encode())
    except BaseException:
        with contextlib.suppress(KjuError):
            remove_tree(folder, name, _is_removable)
        if descriptor >= 0:
            os.close(descriptor)
        raise
    return Claim(name, machine, descriptor)


def _is_dead(folder: Path, name: str) -> bool:
    machine = Paths(folder / name)
    return bool(NAME.fullmatch(name)) and machine.folder.is_dir() and not is_alive(machine)


def _remove(machine: Paths, folder: Folder) -> None:
    """Remove a dead machine's folder, and kill its emulator if that still runs.

    The host was killed, or it would have removed the folder itself: the logs are kept.

    Raises:
        FileError: It contains folders, which are not kju's; or it could not be removed.
    """
    with contextlib.suppress(OSError, ValueError, IndexError):
        number, started = machine.pid.read_text().splitlines()[1].split()
        # Compared in case the number was given to another process. Of a damaged file, the number 0
        # would be this process's group.
        if int(number) > 0 and start_time(int(number)) == int(started):
            os.kill(int(number), signal.SIGKILL)
    _settle_logs(machine, failed=True)
    remove_tree(folder, machine.folder.name, _is_removable)


def _is_removable(path: str) -> bool:
    """Return whether a path in a machine's folder may be removed: any file, no folder."""
    return "/" not in path


def _settle_logs(machine: Paths, *, failed: bool) -> None:
    """Keep the logs of a machine that failed; those of an earlier failure are old otherwise."""
    from . import log_files

    if failed:
        log_files.keep_logs(machine)
    else:
        log_files.mark_old(machine.folder.name)


#: sun_path of struct sockaddr_un holds 108 bytes, the last of them zero (unix(7)).
_MAX_ADDRESS = 107


@contextlib.contextmanager
def reachable(path: Path) -> Iterator[str]:
    """Yield an address of *path* that is short enough for a Unix socket; valid in the block."""
    if len(os.fsencode(path)) <= _MAX_ADDRESS:
        yield str(path)
        return
    folder = os.open(path.parent, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{folder}/{path.name}"
    finally:
        os.close(folder)


def connect(machine: Paths, name: str, timeout: float | None = None) -> socket.socket:
    """Connect to a machine's control socket.

    Args:
        machine: Its files.
        name: Its name, for messages.
        timeout: Seconds to wait while the socket's queue is full (0: do not wait, None: no limit).

    Raises:
        MachineNotFoundError: No process listens on it.
        LimitError: This process cannot open more files.
        WaitTimeoutError: The host did not accept the connection in time.
    """
    with limited():
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
    if timeout == 0:
        connection.setblocking(False)
    elif timeout is not None:
        # Not `settimeout`: a non-blocking connect does not wait for a place in the queue (unix(7)).
        parts = divmod(int(timeout * 1e6), 1_000_000)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, struct.pack("@ll", *parts))
    try:
        with reachable(machine.control) as address:
            connection.connect(address)
    except BlockingIOError as error:
        connection.close()
        raise WaitTimeoutError(f"the host of {name!r} did not answer in time") from error
    except OSError as error:
        connection.close()
        if limit := descriptor_limit(error):
            raise limit from error
        raise MachineNotFoundError(
            f"the machine {name!r} does not answer on {machine.control}: {error.strerror}", name
        ) from error
    return connection
