"""SHELL: the SHA-256 of large files, kept in the cache until a file changes.

A program reads a whole image before it launches, and a keeper before it uses a file where it lies.
So each file is read once for all programs of this user on a computer.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from pathlib import Path

import msgspec

from ...errors import KjuError
from ...files import Folder, always
from ...store.forks.description import FileIdentity
from .cache import cache_folder
from .files import file_identity, hash_file

#: The hashes in the folder of the cache.
HASHES = "hashes.json"
#: Bytes of a file from which its hash is kept; a smaller one is read faster than it is looked up.
KEPT_FROM = 64 << 20
#: Hashes that are kept; those that were found first are dropped.
_MAX_HASHES = 256
#: Seconds. A file that has changed this recently may change again without a new time.
_TOO_NEW = 2.0


class _Known(msgspec.Struct, frozen=True):
    """A file whose contents were read."""

    file: FileIdentity
    sha256: str


_decode = msgspec.json.Decoder(dict[str, _Known]).decode


def sha256_of(path: Path, is_wanted: Callable[[], bool] = always) -> tuple[str, FileIdentity]:
    """Return the SHA-256 of a file, and the file: see `hash_file`."""
    found = file_identity(path)
    if found is None or found.size < KEPT_FROM:
        return hash_file(path, is_wanted)
    known = _read().get(str(path))
    if known is not None and known.file == found:
        return known.sha256, found
    sha256, found = hash_file(path, is_wanted)
    if max(found.modified, found.changed) < time.time_ns() - _TOO_NEW * 1e9:
        _note(path, _Known(found, sha256))
    return sha256, found


def _read() -> dict[str, _Known]:
    # Without a usable cache, or with a damaged file, everything is read again.
    with contextlib.suppress(KjuError, msgspec.MsgspecError), Folder.open(cache_folder()) as folder:
        return _decode(folder.read(HASHES))
    return {}


def _note(path: Path, known: _Known) -> None:
    with (
        contextlib.suppress(KjuError),
        Folder.open(cache_folder(), create=True) as folder,
        folder.lock(),
    ):
        hashes = _read()
        hashes.pop(str(path), None)
        newest = list(hashes.items())[1 - _MAX_HASHES :]
        data = msgspec.json.encode({**dict(newest), str(path): known})
        folder.write(HASHES, data, durable=False)
