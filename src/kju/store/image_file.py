"""SHELL: reading the first bytes of an image, for `image` to classify."""

from __future__ import annotations

import os
import re
from pathlib import Path

from ..errors import UsageError
from .image import HEAD, Image, classify

#: Prefixes that QEMU reads as a network address or a block driver, in any part of a path.
_PROTOCOL = re.compile(
    r"(?:^|/)(?:json|fat|https?|ftps?|nbd(?:\+\w+)?|ssh|iscsi|rbd|nfs|gluster(?:\+\w+)?|vvfat"
    r"|blkdebug|blkverify|null-(?:co|aio)|host_device|nvme|sheepdog|tftp|vxhs):"
)


def read_image(path: str) -> Image:
    """Read the first bytes of an image and return its kind.

    Raises:
        UsageError: It is missing, unreadable, a folder, or a kernel QEMU cannot start.
    """
    whole = Path(path).expanduser().absolute()
    if whole.is_dir():
        raise UsageError(f"the image {whole} is a folder; name a disk, an ISO or a kernel in it")
    if not whole.exists() and _PROTOCOL.search(str(whole)):
        raise UsageError(
            f"the image {path} is not a file: kju opens files only. For an address that QEMU is to"
            " open, use its own arguments: kju run -- -drive file=..."
        )
    if whole.exists() and not (whole.is_file() or whole.is_block_device()):
        raise UsageError(f"the image {whole} is neither a file nor a block device")
    try:
        with whole.open("rb") as file:
            head = file.read(HEAD)
    except OSError as error:
        raise UsageError(f"the image {whole} cannot be read: {error.strerror}") from error
    return classify(str(whole), head, read_only=not os.access(whole, os.W_OK))
