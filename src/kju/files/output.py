"""SHELL: a file at a path that the user named, such as ``-o screen.png``.

Its folder may be anybody's (/tmp), so a link of another user is replaced and not written through.
A device, a pipe or an open file (/dev/null, /dev/stdout) is written to as it is.
"""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

from ..bounded import is_open_file
from ..errors import FileError, KjuError
from . import staging
from .failure import failing, file_error, release
from .ownership import is_own, own_target

_PARENT = os.O_DIRECTORY | os.O_CLOEXEC


def write_output(
    path: str | os.PathLike[str], data: bytes, *, mode: int | None = None, replace: bool = True
) -> None:
    """Write a file that the user named, whole or not at all.

    Args:
        path: The file. A link of this user's is followed.
        data: Its content.
        mode: Its permissions; None for those of the file that is replaced, or of a new one
            under the umask.
        replace: Take the place of an existing file.

    Raises:
        FileError: It could not be written, and an old file is as it was; or *replace* is false
            and it exists.
    """
    target = own_target(Path(path))
    if is_open_file(target) or _is_special(target):
        _write_through(target, data)
        return
    # Where nothing may be replaced, a link is refused as a file is.
    target = target if replace else Path(path)
    folder = _open_parent(target)
    try:
        if replace:
            staging.replace(folder, target, data, _mode(target, mode))
        else:
            _create(folder, target, data, mode)
    finally:
        release(folder)


def check_new(path: str | os.PathLike[str]) -> None:
    """Check before long work that `write_output` with ``replace=False`` will find its place.

    Args:
        path: The file to be.

    Raises:
        FileError: There is such a file already, or no such folder.
    """
    target = own_target(Path(path))
    if is_open_file(target) or _is_special(target):
        return
    release(_open_parent(Path(path)))
    if os.path.lexists(path):
        taken = FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST))
        raise _exists(Path(path), file_error(taken, path, "written")) from None


def _exists(target: Path, error: KjuError) -> FileError:
    why = f"{error}, and it is not replaced; remove it, or choose another name"
    return FileError(why, str(target), errno.EEXIST)


def _open_parent(target: Path) -> int:
    with failing(target, "written"):
        try:
            return os.open(target.parent, os.O_RDONLY | _PARENT)
        except PermissionError:  # one may write in a folder that one cannot read
            return os.open(target.parent, os.O_PATH | _PARENT)


def _create(folder: int, target: Path, data: bytes, mode: int | None) -> None:
    try:
        staging.create(folder, target, target.name, data, mode)
    except FileError as error:
        if error.errno != errno.EEXIST:
            raise
        raise _exists(target, error) from error
    try:
        staging.sync(folder, target.parent)
    except BaseException:
        staging.discard(folder, target.name)
        raise


def make_folders(path: Path) -> None:
    """Make a folder that the user named, and missing folders above it.

    Raises:
        FileError: It could not be made.
    """
    with failing(path, "made"):
        path.mkdir(parents=True, exist_ok=True)


def _mode(target: Path, wanted: int | None) -> int | None:
    """Return the permissions of the replaced file, if it is this user's."""
    if wanted is not None:
        return wanted
    try:
        status = target.lstat()
    except OSError:
        return None
    if stat.S_ISREG(status.st_mode) and status.st_uid == os.geteuid():
        return stat.S_IMODE(status.st_mode) & 0o777
    return None


def _is_special(target: Path) -> bool:
    """Return whether it is a device, pipe or socket that this user trusts."""
    try:
        status = target.lstat()
    except OSError:
        return False
    kind = status.st_mode
    plain = stat.S_ISREG(kind) or stat.S_ISDIR(kind) or stat.S_ISLNK(kind)
    return not plain and (is_own(status) or stat.S_ISCHR(kind))


def _write_through(target: Path, data: bytes) -> None:
    flags = os.O_WRONLY | os.O_NOCTTY | os.O_CLOEXEC
    flags |= os.O_TRUNC if is_open_file(target) else os.O_NOFOLLOW
    with failing(target, "written"):
        descriptor = os.open(target, flags)
        try:
            staging.write_fully(descriptor, data)
        finally:
            os.close(descriptor)
