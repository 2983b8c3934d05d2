"""Names of machines, and the paths of everything that kju keeps on disk for them. SHELL.

| folder | holds |
|---|---|
| ``$XDG_RUNTIME_DIR/kju/NAME/`` | a running machine: control socket, lock, logs |
| ``$XDG_DATA_HOME/kju/machines/NAME/`` | a defined machine: `kju.store.definitions` |
| ``$XDG_DATA_HOME/kju/forks/`` | disks of frozen machines and forks: `kju.store.forks.places` |
| ``$XDG_STATE_HOME/kju/logs/NAME/`` | logs of a machine that failed: `kju.store.log_files` |
| ``$XDG_STATE_HOME/kju/views/NAME.json`` | place, size and scale of windows |
| ``$XDG_STATE_HOME/kju/web/access.json`` | links and sessions of `kju web` |
| ``$XDG_CACHE_HOME/kju/images/`` | copies of images for a fleet: `kju.fleet.images.cache` |

The runtime folder has mode 0700 and its owner is checked, so its contents can be trusted.
"""

from __future__ import annotations

import os
import re
import stat
from pathlib import Path
from typing import NamedTuple

from ..errors import FileError, KjuError, LimitError, UsageError
from ..files import failing, private_folder

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
#: The definition in a defined machine's folder.
DEFINITION_FILE = "machine.toml"
RUNTIME_HINT = (
    "set XDG_RUNTIME_DIR to a folder of yours with mode 0700, such as:"
    " mkdir -m 700 ~/.kju-run; export XDG_RUNTIME_DIR=~/.kju-run"
)


class RuntimeFolderError(KjuError):
    """The folder for running machines is unusable; the message has the command that makes one."""


class Paths(NamedTuple):
    """The files of one running machine."""

    folder: Path

    @property
    def control(self) -> Path:
        """The control socket."""
        return self.folder / "control.sock"

    @property
    def host_log(self) -> Path:
        """The log of the host process."""
        return self.folder / "host.log"

    def emulator_log(self, kind: str) -> Path:
        """Return the log of an emulator's standard output and error.

        Args:
            kind: The emulator's kind (`kju.protocol.values`).
        """
        return self.folder / f"{kind}.log"

    @property
    def input_log(self) -> Path:
        """The log of keyboard and pointer input (`kju.protocol.input_log`)."""
        return self.folder / "input.jsonl"

    @property
    def hidden(self) -> Path:
        """The mark of a machine that is not listed."""
        return self.folder / "hidden"

    @property
    def lease(self) -> Path:
        """The lease of a machine that has one (`kju.store.leased`)."""
        return self.folder / "lease.json"

    @property
    def base(self) -> Path:
        """The ID of the base that the machine was forked from (`kju.store.forks.bases`)."""
        return self.folder / "base"

    @property
    def pid(self) -> Path:
        """The process numbers of the host and its emulator; also the machine's lock."""
        return self.folder / "host.pid"


def check_name(name: str) -> str:
    """Return *name* if it is a valid name for a machine.

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
    """Return a machine's name made from an image's file name; ``machine`` without an image."""
    stem = re.sub(r"[^A-Za-z0-9._-]+", "-", Path(image).stem if image else "")
    return stem.lstrip("._-")[:56] or "machine"


# -- running machines


def runtime_folder(*, create: bool = True) -> Path:
    """Return the folder of all running machines of this user, after checking its owner.

    ``$XDG_RUNTIME_DIR/kju``; without that ``/run/user/UID/kju``; without that
    ``/tmp/kju-UID``. The last contains the user's number because all users share ``/tmp``.
    ``$TMPDIR`` is not used: two shells of one user may have different values.

    Raises:
        RuntimeFolderError: It belongs to another user, is not a folder, cannot be made, or
            other users can replace it.
    """
    parent = _session_folder()
    path = Path(parent) / "kju" if parent else _fallback()
    try:
        return _private(path, create)
    except (FileError, LimitError) as error:
        hint = "" if isinstance(error, LimitError) else f"; or {RUNTIME_HINT}"
        raise RuntimeFolderError(f"{error}{hint}") from error


def fallback_note() -> str:
    """Return a note if the runtime folder is the one in /tmp, with the reason; else "".

    A machine that was started with XDG_RUNTIME_DIR set (a desktop session) is not found by a
    process without it (sudo, cron, a service), and the other way round.
    """
    if _session_folder():
        return ""
    given = os.environ.get("XDG_RUNTIME_DIR")
    why = "is not a folder of this user" if given else "is not set"
    return f"looked in {_fallback()}; XDG_RUNTIME_DIR {why}"


def _fallback() -> Path:
    # Safe although everyone can write to /tmp: `_private` checks the folder's owner.
    return Path(f"/tmp/kju-{os.getuid()}")  # noqa: S108


def _session_folder() -> str:
    """Return the system's runtime folder of this user; empty if it is missing."""
    for folder in (os.environ.get("XDG_RUNTIME_DIR"), f"/run/user/{os.getuid()}"):
        if folder and Path(folder).is_absolute() and _is_mine(folder):
            return folder
    return ""


def _is_mine(path: str) -> bool:
    try:
        status = Path(path).stat()
    except OSError:
        return False
    return stat.S_ISDIR(status.st_mode) and status.st_uid == os.getuid()


def _private(path: Path, create: bool) -> Path:
    """Make a folder of mode 0700, or check that an existing one belongs to this user alone.

    Raises:
        FileError: It cannot be made, is a link, belongs to another user, or other users can
            replace it.
    """
    above = path.parent
    with failing(path, "made"):
        # Without the sticky bit, a user with write access above it can put another in its place.
        mode = above.stat().st_mode if above.is_dir() else 0
    if mode & 0o002 and not mode & stat.S_ISVTX:
        why = f"other users may replace folders in {above}; run: chmod o-w {above}"
        raise FileError(f"{path} is not used: {why}", str(path))
    if create or os.path.lexists(path):
        private_folder(path).close()
    return path


def machine_paths(name: str) -> Paths:
    """Return the files of a machine, running or not."""
    return Paths(runtime_folder(create=False) / check_name(name))


def local_network() -> str:
    """Return the address of the socket where screens are served for this user only."""
    return f"unix:{runtime_folder()}/.network"


class DefaultNetwork(NamedTuple):
    """The network of programs that name none.

    Attributes:
        connect: Addresses to connect to.
        user: The user's name there; empty for a connection without certificates.
    """

    connect: list[str]
    user: str


def default_network() -> DefaultNetwork:
    """Return the network of ``KJU_CONNECT`` and ``KJU_USER``; else this user's socket.

    ``KJU_CONNECT`` has addresses, separated by spaces.
    """
    if connect := os.environ.get("KJU_CONNECT", "").split():
        return DefaultNetwork(connect, os.environ.get("KJU_USER", ""))
    return DefaultNetwork([local_network()], "")


# -- defined machines and kept logs


def definitions_folder() -> Path:
    """Return the folder of defined machines; it may not exist."""
    return _data_folder() / "machines"


def forks_folder() -> Path:
    """Return the folder of the overlays of frozen machines and forks; it may not exist."""
    return _data_folder() / "forks"


def is_defined(name: str) -> bool:
    """Return whether a machine of this name is defined."""
    return (definitions_folder() / check_name(name) / DEFINITION_FILE).is_file()


def kept_logs_folder() -> Path:
    """Return the folder of logs of machines that failed; it may not exist."""
    return _state_folder() / "logs"


def view_settings_folder() -> Path:
    """Return the folder of the settings of machines' windows; it may not exist."""
    return _state_folder() / "views"


def _data_folder() -> Path:
    # As platformdirs does it, whose import takes longer than the whole sweep of a command.
    home = Path(os.environ.get("XDG_DATA_HOME", ""))
    return (home if home.is_absolute() else Path.home() / ".local" / "share") / "kju"


def web_folder() -> Path:
    """Return the folder of the web server's links and sessions; it may not exist."""
    return _state_folder() / "web"


def _state_folder() -> Path:
    import platformdirs  # most commands do not need it

    return platformdirs.user_state_path("kju", appauthor=False)
