"""SHELL: a copy of a base of another node, from pieces."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Protocol

from ...errors import UnavailableError, UsageError
from ...store.forks.bases import Base
from ...store.forks.copies import copy_base
from ..images.source import FleetImage
from .source import BaseManifest, FleetBase, PiecesHash


class RemoteBases(Protocol):
    """The bases of other nodes."""

    def manifest(self, base: FleetBase) -> BaseManifest:
        """Return the manifest of a base.

        Raises:
            KjuError: It does not exist any more, or its node does not answer.
        """

    def pieces(self, image: FleetImage) -> Iterator[bytes]:
        """Yield the contents of a file in order.

        Raises:
            KjuError: It has changed, or its node does not send it.
        """


def copy_from(
    remote: RemoteBases, base: FleetBase, files: Mapping[str, str], is_wanted: Callable[[], bool]
) -> Base:
    """Copy a base to this node, and hold the copy.

    Args:
        remote: The bases of other nodes.
        base: The base.
        files: The paths here of the files below its disks, by those on its node.
        is_wanted: Returns false to give up.

    Raises:
        KjuError: It cannot be copied: see `copy_base`. Nothing is left of the copy.
    """
    manifest = remote.manifest(base)
    state, *_ = manifest.files
    known = {file.path: file for file in manifest.files}

    def contents(path: str) -> Iterator[bytes]:
        found = PiecesHash()
        for piece in remote.pieces(known[path]):
            if not is_wanted():
                raise UnavailableError(f"the base {base.tag} of {base.machine} is not wanted")
            found.add(piece)
            yield piece
        if found.hexdigest() != known[path].sha256:
            raise UsageError(
                f"the copy of {path} has other contents than the base {base.tag} of"
                f" {base.machine}: freeze the machine again"
            )

    return copy_base(manifest.description, state.path, contents, files)
