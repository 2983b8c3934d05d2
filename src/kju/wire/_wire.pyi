"""Encode pixels as few bytes, in C. Private: `kju.wire` is the API; csrc/pixels.h has the format.

A form is width, height, bytes from one row to the next, bytes of a pixel (4 or 1). A buffer of
another size, or a rectangle outside the form, raises ValueError.
"""

from collections.abc import Iterable
from typing import Any, TypeAlias

import numpy.typing as npt
from typing_extensions import Buffer as _Buffer

Buffer: TypeAlias = _Buffer | npt.NDArray[Any]
Form: TypeAlias = tuple[int, int, int, int]
Box: TypeAlias = tuple[int, int, int, int]

#: Maximum number of items of a block, and of times that they may cover the picture together.
MAX_ITEMS: int
MAX_PASSES: int

def trim(old: Buffer, now: Buffer, form: Form, rects: Iterable[Box], /) -> list[Box]: ...
def find_move(
    old: Buffer, now: Buffer, form: Form, rect: Box, /
) -> tuple[Box, int, int] | None: ...
def move(picture: Buffer, form: Form, to: Box, x: int, y: int, /) -> None: ...
def pack(now: Buffer, form: Form, rects: Iterable[Box], /) -> bytes: ...
def pack_move(to: Box, x: int, y: int, /) -> bytes: ...
def check(block: Buffer, size: tuple[int, int, int], /) -> list[Box]: ...
def unpack(block: Buffer, picture: Buffer, form: Form, /) -> None: ...
