"""SHELL: the steps of a write, and files at a path that the user named (``-o screen.png``).

The steps are: write a temporary file, fsync it, rename it, fsync the folder. All take the
descriptor of the folder. A temporary file is made with `O_EXCL` and `O_NOFOLLOW` under a random
name, so another user cannot have put a file or link in its place.

The folder of a file that the user named may be writable for others (/tmp), so a link of another
user is replaced, and its target is not written. A device, a pipe or an open file (/dev/null,
/dev/stdout) is written to directly.

Source:
    openat(2), rename(2), fsync(2). The order of the steps: "Ensuring data reaches disk", LWN
    457667; a rename before the fsync may leave an empty file after a power cut.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import stat
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from ..errors import FileError, KjuError, UnavailableError, UsageError
from .failure import failing, file_error, is_open_file, reader, release
from .ownership import check_file, is_own, own_target

NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
#: Of hard links: vfat and some FUSE have none; a file of root's, where fs.protected_hardlinks is
#: set; a file with as many as there may be.
_NO_LINK = (errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK)
_OLD = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
#: Of folders: the file system does not know it (CIFS, some FUSE), or the folder is not readable.
_NO_SYNC = (errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP, errno.EBADF)
#: Of copy_file_range: two file systems, or one that does not know it.
_NO_RANGE = (errno.EXDEV, errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP)
_COPIED = 64 << 20
_TEMPORARY = re.compile(r"\.kju-[0-9a-f]{16}\.new")


def temporary_name() -> str:
    """Return a new random name for a temporary file."""
    return f".kju-{os.urandom(8).hex()}.new"


def is_temporary(name: str) -> bool:
    """Return whether a name is that of a temporary file, which a killed process may leave."""
    return _TEMPORARY.fullmatch(name) is not None


def write_fully(descriptor: int, data: bytes) -> None:
    """Write all of *data*, with as many calls as write(2) needs."""
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


def always() -> bool:
    """Return true: the work is not to be given up."""
    return True


def copy_content(source: int, target: int, is_wanted: Callable[[], bool] = always) -> None:
    """Copy one open file to another, which is empty; holes stay holes.

    A signal is noticed between two parts.

    Args:
        source: The descriptor of the file to read.
        target: The descriptor of the empty file.
        is_wanted: Returns false to give up, between two parts.

    Raises:
        UsageError: The file was cut short meanwhile.
        UnavailableError: It was given up.
    """
    size = os.lseek(source, 0, os.SEEK_END)  # also of a block device
    for begin, end in _data_ranges(source, size):
        at = begin
        while at < end:
            if not (copied := _copy_part(source, target, at, min(_COPIED, end - at))):
                raise UsageError("the file was cut short while it was copied")
            at += copied
            if not is_wanted():
                raise UnavailableError("the copy of a file was given up")
    # Its end may be a hole.
    os.ftruncate(target, size)


def _data_ranges(source: int, size: int) -> Iterator[tuple[int, int]]:
    """Yield the beginning and the end of each part of a file that has data.

    Source:
        lseek(2): ENXIO if nothing but a hole is left, EINVAL of a device. A file system that knows
        no holes reports one part.
    """
    end = 0
    while end < size:
        begin = end
        try:
            begin = os.lseek(source, begin, os.SEEK_DATA)
            end = os.lseek(source, begin, os.SEEK_HOLE)
        except OSError as error:
            if error.errno == errno.ENXIO:
                return
            if error.errno != errno.EINVAL:
                raise
            end = size
        yield begin, end


def _copy_part(source: int, target: int, at: int, size: int) -> int:
    """Copy bytes to the same place of another file; return how many, 0 at its end."""
    try:
        return os.copy_file_range(source, target, size, at, at)
    except OSError as error:
        if error.errno not in _NO_RANGE:
            raise
        os.lseek(target, at, os.SEEK_SET)
        return os.sendfile(target, source, at, size)


def create_file(
    folder: int, path: Path, name: str, data: bytes, mode: int | None, *, durable: bool = True
) -> None:
    """Write a new file, and remove it again if that fails.

    Args:
        folder: The folder's descriptor.
        path: The file that a message names.
        name: The file, which must not exist.
        data: Its content.
        mode: Its permissions; None for 0666 under the umask.
        durable: Wait until the content is on the disk.

    Raises:
        FileError: It exists, or could not be written.
    """
    with failing(path, "written"):
        descriptor = os.open(name, NEW, 0o666 if mode is None else mode, dir_fd=folder)
        try:
            try:
                if mode is not None:
                    # The mode given to open(2) is reduced by the umask.
                    os.fchmod(descriptor, mode)
                write_fully(descriptor, data)
                if durable:
                    os.fsync(descriptor)
            finally:
                # NFS reports a full disk here.
                os.close(descriptor)
        except BaseException:
            discard(folder, name)
            raise


def replace_file(
    folder: int, path: Path, data: bytes, mode: int | None, *, durable: bool = True
) -> None:
    """Write a file in place of an old one, whole or not at all.

    Args:
        folder: The folder's descriptor.
        path: The file; its last part is its name in the folder.
        data: Its content.
        mode: Its permissions; None for 0666 under the umask.
        durable: Wait until it is on the disk (two fsyncs).

    Raises:
        FileError: It could not be written and the old file is unchanged; or the disk failed after
            the new file had replaced the old one.
    """
    temporary = temporary_name()
    # The content reaches the disk before the name: a rename before the fsync may leave an empty
    # file after a power cut.
    create_file(folder, path, temporary, data, mode, durable=durable)
    try:
        rename_file(folder, path, temporary)
    except BaseException:
        discard(folder, temporary)
        raise
    if durable:
        sync_folder(folder, path.parent)


def replace_files(folder: int, path: Path, files: Mapping[str, tuple[bytes, int]]) -> None:
    """Write several files that belong together: if one fails, none are changed.

    Everything that needs space on the disk is done before the first rename. If a rename fails, the
    files already replaced are put back. A process that is killed, or a computer that loses power,
    between two renames leaves the first files new and the others old. The given order is the order
    of replacement, and readers check that the files belong together.

    Args:
        folder: The folder's descriptor.
        path: The folder.
        files: Content and permissions by name.

    Raises:
        FileError: One could not be written; all are unchanged.
    """
    staged = {name: temporary_name() for name in files}
    saved: dict[str, str] = {}
    replaced: list[str] = []
    try:
        for name, (data, mode) in files.items():
            create_file(folder, path / name, staged[name], data, mode)
        # Links to the old files: putting them back is a rename, which needs no space.
        for name in files:
            _save_aside(folder, path / name, saved)
        for name, temporary in staged.items():
            rename_file(folder, path / name, temporary)
            replaced.append(name)
        sync_folder(folder, path)
    except BaseException:
        for name in replaced:
            if name in saved:
                with contextlib.suppress(OSError):
                    os.rename(saved.pop(name), name, src_dir_fd=folder, dst_dir_fd=folder)
            else:
                discard(folder, name)
        for temporary in (*staged.values(), *saved.values()):
            discard(folder, temporary)
        raise
    for temporary in saved.values():
        discard(folder, temporary)


def rename_file(folder: int, path: Path, old: str) -> None:
    """Give *old* the last part of *path* as its name, in place of a file of that name.

    Raises:
        FileError: It could not be renamed.
    """
    with failing(path, "written"):
        os.rename(old, path.name, src_dir_fd=folder, dst_dir_fd=folder)


def sync_folder(folder: int, path: Path) -> None:
    """Wait until the names in a folder are on the disk.

    Raises:
        FileError: The disk failed. The files have their names, but may lose them.
    """
    try:
        with failing(path, "synchronised to the disk"):
            os.fsync(folder)
    except FileError as error:
        if error.errno not in _NO_SYNC:
            raise


def discard(folder: int, name: str) -> None:
    """Remove a file after a failure, without raising another error."""
    for _ in range(2):  # the first call may fail with the error that led here
        try:
            os.unlink(name, dir_fd=folder)
        except FileNotFoundError:
            return
        except OSError:
            continue
        return


def _save_aside(folder: int, path: Path, saved: dict[str, str]) -> None:
    """Save an existing file under a second name (a hard link or a copy), to be put back from."""
    temporary = temporary_name()
    with failing(path, "written"), contextlib.suppress(FileNotFoundError):
        try:
            os.link(path.name, temporary, src_dir_fd=folder, dst_dir_fd=folder)
        except OSError as error:
            if error.errno not in _NO_LINK:
                raise
            _copy(folder, path, temporary)
        saved[path.name] = temporary


def _copy(folder: int, path: Path, name: str) -> None:
    """Copy a regular file in the folder to a new name, with its permissions."""
    with reader(os.open(path.name, _OLD, dir_fd=folder)) as file:
        status = os.fstat(file.fileno())
        check_file(status, path)
        create_file(folder, path, name, file.read(), stat.S_IMODE(status.st_mode))


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
        FileError: It could not be written and an old file is unchanged; or *replace* is false and
            it exists.
    """
    target = own_target(Path(path))
    if is_open_file(target) or _is_special(target):
        _write_through(target, data)
        return
    # Without *replace*, an existing link is refused like a file, so it is not followed.
    target = target if replace else Path(path)
    folder = open_parent(target)
    try:
        if replace:
            replace_file(folder, target, data, _mode(target, mode))
        else:
            _create(folder, target, data, mode)
    finally:
        release(folder)


def check_new(path: str | os.PathLike[str]) -> None:
    """Check, before long work, that `write_output` with ``replace=False`` can write a file.

    Args:
        path: The file to write later.

    Raises:
        FileError: The file exists, or its folder is missing.
    """
    target = own_target(Path(path))
    if is_open_file(target) or _is_special(target):
        return
    release(open_parent(Path(path)))
    if os.path.lexists(path):
        taken = FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST))
        raise _exists(Path(path), file_error(taken, path, "written")) from None


def _exists(target: Path, error: KjuError) -> FileError:
    why = f"{error}, and it is not replaced; remove it, or choose another name"
    return FileError(why, str(target), errno.EEXIST)


def open_parent(target: Path) -> int:
    """Return a descriptor of a file's folder.

    Raises:
        FileError: The folder cannot be opened.
    """
    with failing(target, "written"):
        try:
            return os.open(target.parent, os.O_RDONLY | _PARENT)
        except PermissionError:  # a folder may be writable and not readable
            return os.open(target.parent, os.O_PATH | _PARENT)


def _create(folder: int, target: Path, data: bytes, mode: int | None) -> None:
    try:
        create_file(folder, target, target.name, data, mode)
    except FileError as error:
        if error.errno != errno.EEXIST:
            raise
        raise _exists(target, error) from error
    try:
        sync_folder(folder, target.parent)
    except BaseException:
        discard(folder, target.name)
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
            write_fully(descriptor, data)
        finally:
            os.close(descriptor)
