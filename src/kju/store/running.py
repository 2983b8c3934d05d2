"""SHELL: where running machines leave their sockets, logs and locks.

``BASE/NAME/`` is one machine: ``control.sock``, ``host.log``, ``host.pid``, and ``qemu.log`` or
``xvfb.log`` with the screen of an Xvfb. Rules:

- A machine is alive exactly as long as somebody holds the flock on its ``host.pid``.
  The kernel lets go of it however the host dies, and no number can be reused.
- Folders are made and removed only by whoever holds ``BASE/.lock``, and only for the
  moment that takes. So two machines of one name cannot both win, and nobody sweeps a
  folder that has just been made and is not locked yet.
- The folder is 0700 and its owner is checked: what is inside may be believed.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import select
import signal
import socket
import stat
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from ..errors import (
    FileError,
    KjuError,
    LimitError,
    MachineExistsError,
    MachineNotFoundError,
    UsageError,
    WaitTimeoutError,
)
from ..files import (
    Folder,
    descriptor_limit,
    failing,
    file_error,
    limited,
    private_folder,
    remove_tree,
)

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
#: sun_path of struct sockaddr_un holds 108 bytes, the last of them zero (unix(7)).
LONGEST_ADDRESS = 107
#: A process that is killed while the kernel writes for it ends later.
_KILLED_SECONDS = 10.0
_HINT = (
    "set XDG_RUNTIME_DIR to a folder of yours with mode 0700, such as:"
    " mkdir -m 700 ~/.kju-run; export XDG_RUNTIME_DIR=~/.kju-run"
)


class RuntimeFolderError(KjuError):
    """There is no folder in which machines could run; the message says how to make one."""


class Paths(NamedTuple):
    """The files of one machine."""

    folder: Path

    @property
    def control(self) -> Path:
        """The control socket."""
        return self.folder / "control.sock"

    @property
    def host_log(self) -> Path:
        """What the host has to say."""
        return self.folder / "host.log"

    @property
    def qemu_log(self) -> Path:
        """What QEMU wrote to its standard output and error."""
        return self.folder / "qemu.log"

    @property
    def xvfb_log(self) -> Path:
        """What an Xvfb wrote there, where the machine is one."""
        return self.folder / "xvfb.log"

    @property
    def input_log(self) -> Path:
        """What clients have typed and done with the pointer; `kju.protocol.input_log`."""
        return self.folder / "input.jsonl"

    @property
    def pid(self) -> Path:
        """The host's number and its emulator's, and the lock."""
        return self.folder / "host.pid"


def check_name(name: str) -> str:
    """Return *name* if a machine may have it.

    Raises:
        UsageError: It is empty, too long, or not made of letters, digits, ``.``, ``_``
            and ``-`` with a letter or digit first.
    """
    if not NAME.fullmatch(name):
        raise UsageError(
            f"{name!r} cannot be a machine's name: use up to 64 letters, digits, '.', '_' and '-',"
            " beginning with a letter or digit"
        )
    return name


def name_for(image: str | None) -> str:
    """A name made from an image's file name; ``machine`` where there is none."""
    stem = re.sub(r"[^A-Za-z0-9._-]+", "-", Path(image).stem if image else "")
    return stem.lstrip("._-")[:56] or "machine"


def base(*, create: bool = True) -> Path:
    """The folder that holds all machines of this user, checked.

    ``$XDG_RUNTIME_DIR/kju``; without that ``/run/user/UID/kju``; without that
    ``/tmp/kju-UID``, which goes by the user's number because everybody shares ``/tmp``
    and not by ``$TMPDIR``, which two shells of one user may have set differently.

    Raises:
        RuntimeFolderError: It belongs to somebody else, is no folder, or cannot be made; or
            others may replace it.
    """
    home = _home()
    path = Path(home) / "kju" if home else _fallback()
    try:
        return _private(path, create)
    except (FileError, LimitError) as error:
        hint = "" if isinstance(error, LimitError) else f"; or {_HINT}"
        raise RuntimeFolderError(f"{error}{hint}") from error


def note() -> str:
    """Name the folder that is searched, and why, if that is the one in /tmp; empty otherwise.

    A machine that was started where XDG_RUNTIME_DIR is set (a desktop's session) is not found
    where it is not (sudo, cron, a service), and the other way round.
    """
    if _home():
        return ""
    given = os.environ.get("XDG_RUNTIME_DIR")
    why = "is not a folder of this user" if given else "is not set"
    return f"looked in {_fallback()}; XDG_RUNTIME_DIR {why}"


def _fallback() -> Path:
    # Safe though everybody can write in /tmp: `_private` insists on whose it is.
    return Path(f"/tmp/kju-{os.getuid()}")  # noqa: S108


def _home() -> str:
    """The folder that is made for this user's sessions; empty if there is none."""
    for home in (os.environ.get("XDG_RUNTIME_DIR"), f"/run/user/{os.getuid()}"):
        if home and Path(home).is_absolute() and _is_mine(home):
            return home
    return ""


def _is_mine(path: str) -> bool:
    try:
        found = Path(path).stat()
    except OSError:
        return False
    return stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid()


def _private(path: Path, create: bool) -> Path:
    """Make a folder of mode 0700, or insist that the one there is ours alone.

    Raises:
        FileError: It cannot be made, is a link, or another user's; or others may replace it.
    """
    above = path.parent
    with failing(path, "made"):
        # Without the sticky bit, whoever may write above it may put another in its place.
        mode = above.stat().st_mode if above.is_dir() else 0
    if mode & 0o002 and not mode & stat.S_ISVTX:
        why = f"other users may replace what is in {above}; run: chmod o-w {above}"
        raise FileError(f"{path} is not used: {why}", str(path))
    if create or os.path.lexists(path):
        private_folder(path).close()
    return path


def network() -> str:
    """Where this user's screens are served that are served nowhere else: a socket's address."""
    return f"unix:{base()}/.network"


def paths(name: str) -> Paths:
    """The files of the machine of this name, whether it runs or not."""
    return Paths(base(create=False) / check_name(name))


def find(name: str) -> Paths:
    """The files of a running machine.

    Raises:
        MachineNotFoundError: None of this name runs.
    """
    found = paths(name)
    if not is_alive(found):
        from . import defined as store  # which knows runtime, too

        if store.is_kept(name):
            raise MachineNotFoundError(
                f"the machine {name!r} is kept and does not run; start it with: kju start {name}",
                name,
            )
        running = ", ".join(names())
        hint = f"these are: {running}" if running else "start one: kju run IMAGE"
        searched = f" ({where})" if (where := note()) else ""
        raise MachineNotFoundError(f"no machine {name!r} is running; {hint}{searched}", name)
    return found


def names() -> list[str]:
    """The names of the machines that run, sorted."""
    folder = base(create=False)
    try:
        entries = sorted(entry.name for entry in os.scandir(folder) if entry.is_dir())
    except FileNotFoundError:
        return []
    return [n for n in entries if NAME.fullmatch(n) and is_alive(Paths(folder / n))]


def is_alive(machine: Paths) -> bool:
    """Whether a host holds the lock of this machine."""
    try:
        descriptor = os.open(machine.pid, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except OSError:
        return False
    try:
        # Shared: two that look at the same moment must not see each other's lock.
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    else:
        return False
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def _exclusive(folder: Path) -> Iterator[Folder]:
    """Hold the lock under which machines' folders come and go."""
    with Folder.open(folder) as opened, opened.lock():
        yield opened


class Claim:
    """A machine's name, taken: its folder exists, and is ours until `release`."""

    def __init__(self, name: str, machine: Paths, descriptor: int) -> None:
        self.name = name
        self.paths = machine
        self._descriptor = descriptor

    def record(self, child: int) -> None:
        """Note the host's process number and its child's, for people and for `sweep`."""
        text = f"{_this_process()}\n{child} {start_time(child)}\n"
        with failing(self.paths.pid, "written"):
            os.pwrite(self._descriptor, text.encode(), 0)
            os.ftruncate(self._descriptor, len(text))

    def release(self, *, keep_logs: bool = False) -> None:
        """Remove the folder and let go of the name. Calling it again does nothing.

        Args:
            keep_logs: The machine did not end well; see `kju.store.postmortem`.
        """
        if self._descriptor >= 0:
            with _exclusive(self.paths.folder.parent) as folder:
                if keep_logs:
                    _keep_logs(self.paths)
                with contextlib.suppress(KjuError):
                    remove_tree(folder, self.paths.folder.name, _is_file)
                os.close(self._descriptor)
                self._descriptor = -1


def _this_process() -> str:
    return f"{os.getpid()} {start_time(os.getpid())}"


def host_pid(name: str) -> int:
    """The process of a running machine's host, by its own note; 0 where that is not known.

    Its start time is compared, so that it is not another process that was given the number.
    """
    with contextlib.suppress(OSError, ValueError, IndexError):
        number, started = paths(name).pid.read_text().splitlines()[0].split()
        if int(number) > 0 and start_time(int(number)) == int(started):
            return int(number)
    return 0


def kill(name: str) -> int:
    """End a machine by ending its host's process, which need not respond, and its emulator.

    Returns:
        The process that was ended.

    Raises:
        MachineNotFoundError: No machine of this name runs, or its host's process is not known.
        KjuError: It could not be ended.
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
        # The number now belongs to this descriptor's process: its start time is looked at again.
        if host_pid(name) == number:
            signal.pidfd_send_signal(process, signal.SIGKILL)
            select.select([process], [], [], _KILLED_SECONDS)
    except PermissionError as error:
        raise KjuError(f"the host of {name!r}, process {number}: {error.strerror}") from error
    finally:
        os.close(process)
    if is_alive(machine):
        raise KjuError(f"the host of {name!r}, process {number}, was killed and has not ended")
    sweep()
    return number


def claim(name: str) -> Claim:
    """Take a machine's name.

    Raises:
        MachineExistsError: A running machine has it. Exactly one of several that ask at
            the same moment gets it.
        RuntimeFolderError: There is no folder for machines, and none can be made.
    """
    machine = Paths(base() / check_name(name))
    try:
        with _exclusive(machine.folder.parent) as folder:
            return _claim_exclusively(name, machine, folder)
    except OSError as error:
        failed = file_error(error, machine.folder, "made")
        raise RuntimeFolderError(f"{failed}; see to that, or {_HINT}") from error


def _claim_exclusively(name: str, machine: Paths, folder: Folder) -> Claim:
    if is_alive(machine):
        raise MachineExistsError(
            f"a machine named {name!r} is already running: end it with kju stop {name}, or start"
            " another one under another name",
            name,
        )
    _remove(machine, folder)
    descriptor = -1
    try:
        with folder.folder(name, create=True) as own:
            descriptor = own.new(machine.pid.name)
        _lock_waiting_for_lookers(descriptor)
        with failing(machine.pid, "written"):
            os.write(descriptor, f"{_this_process()}\n".encode())
    except BaseException:
        with contextlib.suppress(KjuError):
            remove_tree(folder, name, _is_file)
        if descriptor >= 0:
            os.close(descriptor)
        raise
    return Claim(name, machine, descriptor)


def _lock_waiting_for_lookers(descriptor: int) -> None:
    # Blocking is right: only `is_alive` can hold it, shared, for a few microseconds.
    fcntl.flock(descriptor, fcntl.LOCK_EX)


def claim_any(image: str | None) -> Claim:
    """Take a name made from *image*, with a number behind it if need be."""
    stem = name_for(image)
    for number in range(1, 1000):
        try:
            return claim(stem if number == 1 else f"{stem}-{number}")
        except MachineExistsError:
            continue
    raise MachineExistsError(f"a thousand machines named {stem!r} are running", stem)


def sweep() -> list[str]:
    """Remove what killed hosts left behind; every command calls this first.

    Returns:
        The names that were swept.
    """
    folder = base(create=False)
    if not folder.is_dir():
        return []
    dead = [entry.name for entry in os.scandir(folder) if _looks_dead(folder, entry.name)]
    if not dead:
        return []
    swept = []
    with _exclusive(folder) as opened:
        for name in dead:
            # Looked at again: somebody may have claimed it since.
            if _looks_dead(folder, name):
                with contextlib.suppress(KjuError):
                    _remove(Paths(folder / name), opened)
                    swept.append(name)
    return swept


def _looks_dead(folder: Path, name: str) -> bool:
    machine = Paths(folder / name)
    return bool(NAME.fullmatch(name)) and machine.folder.is_dir() and not is_alive(machine)


def _remove(machine: Paths, folder: Folder) -> None:
    """Remove a dead machine's folder, and its emulator should that have survived.

    Its host was killed, or it would have done this: the logs are kept.

    Raises:
        FileError: It holds folders, which are not kju's; or it could not be removed.
    """
    with contextlib.suppress(OSError, ValueError, IndexError):
        number, started = machine.pid.read_text().splitlines()[1].split()
        # The start time makes sure that the number was not given to another process.
        if start_time(int(number)) == int(started):
            os.kill(int(number), signal.SIGKILL)
    _keep_logs(machine)
    remove_tree(folder, machine.folder.name, _is_file)


def _is_file(path: str) -> bool:
    """Whether kju may have made it: whatever is in a machine's own folder, but for folders."""
    return "/" not in path


def _keep_logs(machine: Paths) -> None:
    from . import (
        postmortem as kept,  # every command imports this module, and few find anything dead
    )

    kept.keep(machine)


def start_time(pid: int) -> int:
    """When a process started, in clock ticks since boot; 0 if there is none.

    Source:
        Field 22 of /proc/PID/stat (proc_pid_stat(5)). The name before it may hold
        spaces and brackets, so fields are counted from the last bracket.
    """
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return 0
    return int(text.rpartition(")")[2].split()[19])


def is_stopped(pid: int) -> bool:
    """Whether a process exists and stands still, by SIGSTOP or a debugger."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return text.rpartition(")")[2].split()[0] in ("T", "t")


@contextlib.contextmanager
def reachable(path: Path) -> Iterator[str]:
    """An address for *path* that is short enough for a Unix socket, while in here."""
    if len(os.fsencode(path)) <= LONGEST_ADDRESS:
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
        timeout: Seconds to wait where more clients wait already than the socket queues; 0 does not
            wait, None has no end.

    Raises:
        MachineNotFoundError: Nobody answers there.
        LimitError: This process can open no more files.
        WaitTimeoutError: The host lets nobody in.
    """
    with limited():
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
    if timeout == 0:
        connection.setblocking(False)
    elif timeout is not None:
        # A socket that does not block would not wait at all for a place in the queue (unix(7)).
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
