"""SHELL: the files of a base of this computer, for the nodes that copy it."""

from __future__ import annotations

import os
import threading
from pathlib import Path

from ...errors import UsageError
from ...store.forks import bases
from ...store.forks.copies import own_files
from ..images.files import file_identity, read_piece
from ..images.source import FleetImage
from .source import BaseManifest, PiecesHash

#: The SHA-256 of a file that is not known yet.
_UNKNOWN = "0" * 64


class Manifests:
    """The manifests of bases of this computer; each base is read once."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._made: dict[str, BaseManifest] = {}

    def get(self, name: str, node: str) -> BaseManifest:
        """Return the manifest of a base.

        Args:
            name: The base's ID.
            node: The node of this keeper, which sends the pieces.

        Raises:
            ForkError: It does not exist any more.
            UsageError: One of its files was changed.
        """
        # One at a time: nodes that ask at the same time get one answer.
        with self._lock:
            # Opened each time: it may have been removed.
            with bases.open_base(name) as base:
                if name not in self._made:
                    self._made[name] = _manifest(base, node)
            for gone in [each for each in self._made if not _exists(each)]:
                del self._made[gone]
            return self._made[name]


def _exists(name: str) -> bool:
    return bases.is_here(name)


def _manifest(base: bases.Base, node: str) -> BaseManifest:
    description = base.description
    paths = map(Path, own_files(description, base.state))
    return BaseManifest(description, tuple(_file(path, node) for path in paths))


def _file(path: Path, node: str) -> FleetImage:
    identity = file_identity(path)
    if identity is None:
        raise UsageError(f"{path} of a base is missing")
    file = FleetImage(_UNKNOWN, identity, os.fspath(path), node)
    found = PiecesHash()
    for number in range(file.pieces):
        found.add(read_piece(file, number))
    return FleetImage(found.hexdigest(), identity, file.path, node)
