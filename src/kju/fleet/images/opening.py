"""SHELL: an image of the computer of a program that launches machines."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from ...errors import UsageError
from ...files import always
from ...protocol.values import tag_fault
from ...store import definitions, disk_files, snapshot_files
from .cache import cache_folder
from .files import file_identity
from .hashes import sha256_of
from .source import FleetImage, is_sha256


def open_image(path: Path, node: str, is_wanted: Callable[[], bool] = always) -> FleetImage | None:
    """Return an image of this computer that can be copied to others.

    Args:
        path: The image, absolute.
        node: This node.
        is_wanted: Returns false to give up.

    Returns:
        None for a path that only the nodes may have: it is missing here, or a block device; and for
        a disk in several files, which are not copied.

    Raises:
        UsageError: It is not an image, is empty, cannot be read, or was changed meanwhile.
    """
    if not path.exists():
        if path.is_symlink():
            raise UsageError(f"the image {path} is a link to a file that is missing")
        return None
    if path.is_block_device():
        return None
    if path.is_file() and not path.stat().st_size:
        # Also a file of proc(5), whose reader may wait for ever.
        raise UsageError(f"the image {path} is empty")
    image = disk_files.read_image(str(path))
    _, chain = disk_files.checked(image, trusted=True, made=definitions.layers_made)
    if len(chain.layers) > 1:
        return None
    if (copied := copied_image(path, node)) is not None:
        return copied
    sha256, file = sha256_of(path, is_wanted)
    return FleetImage(sha256, file, str(path), node)


def require_snapshot(path: Path, tag: object) -> None:
    """Check that an image has a snapshot; the nodes check one that only they have.

    Args:
        path: The image, absolute.
        tag: The snapshot's name.

    Raises:
        UsageError: It has no snapshot of this name, or cannot be read.
        QemuError: qemu-img is missing or failed.
    """
    if not isinstance(tag, str) or tag_fault(tag):
        raise UsageError(tag_fault(tag))
    if path.exists() and not path.is_block_device():
        snapshot_files.check_snapshot([disk_files.read_image(str(path))], tag)


def copied_image(path: Path, node: str) -> FleetImage | None:
    """Return the image of a copy in this node's cache, which was checked; None for other files."""
    file = file_identity(path)
    sha256 = path.name.partition(".")[0]
    if path.parent != cache_folder().resolve() or file is None or not is_sha256(sha256):
        return None
    return FleetImage(sha256, file, str(path), node)
