"""SHELL: remove a folder that holds only files of kju."""

from __future__ import annotations

import errno
import stat
from collections.abc import Callable

from ..errors import FileError
from .folder import Folder

#: Returns whether kju wrote a path of the folder; the path of a folder in it ends in a slash.
Known = Callable[[str], bool]
#: Paths that a message lists.
_NAMED = 5


def unknown(folder: Folder, known: Known, prefix: str = "") -> list[str]:
    """Return the paths in a folder that kju did not write.

    Args:
        folder: It is read, with the known folders in it.
        known: Returns whether kju writes a path.
        prefix: The beginning of the returned paths.

    Raises:
        FileError: It cannot be read, or a known folder in it is another user's.
    """
    found = []
    for name in folder.names():
        path = prefix + name
        if not _is_folder(folder, name):
            found += [] if known(path) else [path]
        elif not known(f"{path}/"):
            found.append(f"{path}/")
        else:
            with folder.folder(name) as inner:
                found += unknown(inner, known, f"{path}/")
    return found


def remove_tree(parent: Folder, name: str, known: Known) -> None:
    """Remove a folder with its files, if kju wrote all of them. Do nothing if it is missing.

    Links are removed, their targets are not.

    Args:
        parent: Its parent folder.
        name: Its name.
        known: Returns whether kju writes a path.

    Raises:
        FileError: It holds other files and nothing was removed; or a file could not be removed.
    """
    if parent.status(name) is None:
        return
    with parent.folder(name) as folder:
        # Before the first removal: a refusal must leave the folder complete.
        if others := unknown(folder, known):
            listed = listing(others)
            raise FileError(
                f"{folder.path} is not removed: it holds files that are not kju's ({listed});"
                " move them to another place first",
                str(folder.path),
                errno.ENOTEMPTY,
            )
        _empty(folder)
    parent.remove_folder(name)


def listing(paths: list[str]) -> str:
    """Return paths for a message: the first few, and how many more."""
    more = f" and {len(paths) - _NAMED} more" if len(paths) > _NAMED else ""
    return ", ".join(paths[:_NAMED]) + more


def _empty(folder: Folder) -> None:
    for name in folder.names():
        if _is_folder(folder, name):
            with folder.folder(name) as inner:
                _empty(inner)
            folder.remove_folder(name)
        else:
            folder.remove(name)


def _is_folder(folder: Folder, name: str) -> bool:
    status = folder.status(name)
    return status is not None and stat.S_ISDIR(status.st_mode)
