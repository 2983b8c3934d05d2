"""SHELL: the pictures of QEMU's listener: mapped memory, or bytes in a message.

The memory belongs to another process, which may truncate it at any time. It is mapped guarded, so
that truncation sets a flag (`ScanoutPicture.lost`) and does not end this process.
"""

from __future__ import annotations

import os
import stat
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ...errors import PeerError
from ...memory._system import Mapping
from ...surface.geometry import Rect
from .listener import Scanout, ScanoutMap, Update

if TYPE_CHECKING:
    from collections.abc import Iterator

#: Buffers kept mapped: a guest flips between two or three, and one is being replaced. Not more: a
#: mapping keeps its memory alive in the kernel after QEMU has freed it.
MAX_MAPPINGS = 4


@dataclass(slots=True, eq=False)
class ScanoutPicture:
    """One scanout: its pixels and their form.

    Attributes:
        known: The same memory was shown before, so this is a page flip.
        placeholder: It may be QEMU's "Display output is not active": memory that QEMU, not the
            guest's graphics device, has just made.
    """

    width: int
    height: int
    stride: int
    offset: int
    source_format: str
    pixels: memoryview | Mapping
    mapping: Mapping | None = None
    known: bool = False
    placeholder: bool = False

    @property
    def size(self) -> tuple[int, int]:
        """Width and height."""
        return self.width, self.height

    @property
    def lost(self) -> bool:
        """True if its memory was truncated; the pixels read since then are zeros."""
        return self.mapping is not None and self.mapping.lost

    def alike(self, other: ScanoutPicture | None) -> bool:
        """True if geometry and format are the same."""
        return (
            other is not None
            and self.size == other.size
            and self.stride == other.stride
            and self.source_format == other.source_format
        )


class Mappings:
    """The mapped buffers of one console, by device and inode."""

    def __init__(self) -> None:
        self._known: OrderedDict[tuple[int, int, int], Mapping] = OrderedDict()

    def __len__(self) -> int:
        return len(self._known)

    def __iter__(self) -> Iterator[Mapping]:
        return iter(self._known.values())

    def picture(self, event: ScanoutMap) -> ScanoutPicture:
        """Map the memory of *event*; its descriptor can be closed afterwards.

        Raises:
            PeerError: The descriptor is not memory, or is smaller than the event states.
        """
        fd = event.fd.fileno()
        found = os.fstat(fd)
        size = event.offset + event.stride * event.height
        if not stat.S_ISREG(found.st_mode):
            raise PeerError("the descriptor of ScanoutMap is not memory", found.st_mode)
        if found.st_size < size:
            raise PeerError(f"ScanoutMap needs {size} bytes, its memory has {found.st_size}", size)
        key = (found.st_dev, found.st_ino, size)
        mapping = self._known.pop(key, None)
        known = mapping is not None
        if mapping is None:
            try:
                mapping = Mapping(fd, size)
            except OSError as error:
                raise PeerError(f"{size} bytes of ScanoutMap cannot be mapped: {error}") from error
        self._known[key] = mapping
        while len(self._known) > MAX_MAPPINGS:
            self._known.popitem(last=False)
        return ScanoutPicture(
            event.width,
            event.height,
            event.stride,
            event.offset,
            event.source_format,
            mapping,
            mapping,
            known,
            not known and _made_by_qemu(fd),
        )

    def keep(self, picture: ScanoutPicture | None) -> None:
        """Unmap every buffer but that of *picture*."""
        for key, mapping in list(self._known.items()):
            if picture is None or mapping is not picture.mapping:
                del self._known[key]


def copied(event: Scanout) -> ScanoutPicture:
    """Return the picture of *event* with a copy of its bytes."""
    pixels = np.array(event.data[: event.stride * event.height], np.uint8)
    return borrowed(event, pixels.data)


def borrowed(event: Scanout, pixels: memoryview | None = None) -> ScanoutPicture:
    """Return the picture of *event* in the receive buffer: valid until more is received."""
    return ScanoutPicture(
        event.width,
        event.height,
        event.stride,
        0,
        event.source_format,
        event.data if pixels is None else pixels,
    )


def paint(picture: ScanoutPicture, event: Update, bytes_per_pixel: int) -> None:
    """Draw *event* into a copied picture of the same format."""
    rect: Rect = event.rect
    row = rect.width * bytes_per_pixel
    source = np.frombuffer(event.data, np.uint8)[: event.stride * rect.height]
    pixels = np.frombuffer(memoryview(picture.pixels), np.uint8)
    start = rect.x * bytes_per_pixel
    target = pixels[: picture.stride * picture.height].reshape(picture.height, picture.stride)
    target[rect.y : rect.bottom, start : start + row] = source.reshape(rect.height, -1)[:, :row]


def _made_by_qemu(fd: int) -> bool:
    """Return whether QEMU named this memory as its own drawing, not as the guest's.

    A hint for timing only: text and converted modes have the same name as placeholders.
    """
    try:
        return str(Path(f"/proc/self/fd/{fd}").readlink()).startswith("/memfd:displaysurface")
    except OSError:
        return False
