"""SHELL: the last picture of a defined machine: a small PNG in its folder.

A machine that is off is shown by it. It is not written durably: after a power failure an older one,
or none, is as good.
"""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import encoding
from ..errors import KjuError
from ..files import Folder
from .paths import check_name, definitions_folder, is_defined

if TYPE_CHECKING:
    import numpy.typing as npt

    Pixels = npt.NDArray[np.uint8]

#: The file in a machine's folder.
FILE = "last-picture.png"
#: Bytes of the file, and pixels of a side, that are read.
MAX_BYTES = 8 << 20
MAX_SIDE = 4096


def save(name: str, pixels: Pixels) -> bool:
    """Save the last picture of a machine; return False if no machine of this name is defined.

    Args:
        name: The machine.
        pixels: ``(height, width, 4)``, B G R X, or ``(height, width)``.

    Raises:
        FileError: It could not be written; the picture before is unchanged.
    """
    if not is_defined(name):
        return False
    data = encoding.png(pixels)
    with Folder.open(definitions_folder() / name, follow_own_link=True) as folder:
        folder.write(FILE, data, durable=False)
    return True


def load(name: str) -> Pixels | None:
    """Return the last picture of a machine, ``(height, width, 4)``, B G R X; None without one.

    A file that is not such a picture counts as none.
    """
    try:
        with Folder.open(definitions_folder() / check_name(name), follow_own_link=True) as folder:
            data = folder.read(FILE, limit=MAX_BYTES)
    except KjuError:
        return None
    return _decoded(data)


def _decoded(data: bytes) -> Pixels | None:
    from PIL import Image

    try:
        with Image.open(io.BytesIO(data), formats=["PNG"]) as image:
            if max(image.size) > MAX_SIDE:
                return None
            rgb: np.ndarray[Any, np.dtype[np.uint8]] = np.asarray(image.convert("RGB"))
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return None
    pixels = np.full((*rgb.shape[:2], 4), 255, np.uint8)
    pixels[..., :3] = rgb[..., ::-1]
    pixels.flags.writeable = False
    return pixels
