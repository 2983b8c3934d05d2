"""SHELL: small JSON files of the trust folder that several processes change.

Only `change` writes them, under a lock. A reader sees the old file or the new one.
"""

from __future__ import annotations

import errno
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import msgspec

from ..errors import FileError, UsageError
from ..files import Folder

_Content = TypeVar("_Content", bound=msgspec.Struct)


def read(path: Path, kind: type[_Content]) -> _Content:
    """Return the content of a file, or an empty *kind* if the file is missing.

    Raises:
        UsageError: The file has other content.
        FileError: The file cannot be read, or other users may write to it or to its folder.
    """
    try:
        with Folder.open(path.parent, follow_own_link=True) as folder:
            return _decoded(folder.read(path.name), path, kind)
    except FileError as error:
        if error.errno != errno.ENOENT:
            raise
        return kind()


def change(path: Path, kind: type[_Content], edit: Callable[[_Content], object]) -> None:
    """Edit the content of a file and replace the file.

    Args:
        path: The file. A missing folder is created.
        kind: The type of its content.
        edit: Changes the content in place.

    Raises:
        UsageError: The file has other content.
        FileError: The file cannot be read or written.
    """
    with Folder.open(path.parent, create=True, follow_own_link=True) as folder, folder.lock():
        content = read(path, kind)
        edit(content)
        folder.sweep()
        folder.write(path.name, encoded(content))


def encoded(content: msgspec.Struct) -> bytes:
    """Return the bytes of a file with this content."""
    return msgspec.json.format(msgspec.json.encode(content)) + b"\n"


def _decoded(data: bytes, path: Path, kind: type[_Content]) -> _Content:
    try:
        return msgspec.json.decode(data, type=kind)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise UsageError(f"{path}: {error}; repair or remove it") from error
