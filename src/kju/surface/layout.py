"""The surface's header, field by field. Generated from include/kju/surface.h.

Do not edit: run tools/gen_layout.py. Programs use `producer` and `consumer`;
this is for looking at the bytes themselves, which may be anything.
"""

from __future__ import annotations

from typing import NamedTuple

MAGIC = 0x667275732D756A6B
FORMAT = 1
HEADER_SIZE = 4096
PAGE = 4096
REASON_SIZE = 128
CURSOR_SIDE = 512
WAIT_CAP_MS = 500
MAX_SIDE = 65535
MAX_PIXELS = 268435456
FEATURES_KNOWN = 0
XR24 = 875713112
R8 = 538982482


class Field(NamedTuple):
    """One field of the header.

    Attributes:
        name: As in the header.
        offset: Bytes from the start of the surface.
        type: ``u8``, ``u32``, ``i32`` or ``u64``, little-endian.
        length: How many of them.
        constant: It never changes once the magic is written.
        meaning: The header's comment.
    """

    name: str
    offset: int
    type: str
    length: int
    constant: bool
    meaning: str

    @property
    def size(self) -> int:
        """Bytes."""
        return TYPE_SIZES[self.type] * self.length

    def read(self, header: bytes) -> int | bytes:
        """The value in the bytes of a header; bytes where there are several."""
        raw = header[self.offset : self.offset + self.size]
        if self.length > 1:
            return raw
        return int.from_bytes(raw, "little", signed=self.type[0] == "i")


TYPE_SIZES = {"u8": 1, "u32": 4, "i32": 4, "u64": 8}

STATES = {
    1: "live",
    2: "paused",
    3: "unavailable",
    4: "superseded",
    5: "gone",
    6: "closed",
}

FIELDS = (
    Field("magic", 0, "u64", 1, True, "const: KJU_MAGIC; written last"),
    Field("format", 8, "u32", 1, True, "const: KJU_FORMAT"),
    Field("features", 12, "u32", 1, True, "const: feature bits"),
    Field("incarnation", 16, "u64", 1, True, "const: random; new whenever a producer starts"),
    Field("size", 24, "u64", 1, True, "const: bytes of the whole surface"),
    Field("tiles_offset", 32, "u64", 1, True, "const: bytes to the tile table"),
    Field("tiles_capacity", 40, "u64", 1, True, "const: entries in the tile table"),
    Field("cursor_offset", 48, "u64", 1, True, "const: bytes to the cursor's shape"),
    Field("cursor_capacity", 56, "u64", 1, True, "const: bytes of the cursor's shape"),
    Field("pixels_offset", 64, "u64", 1, True, "const: bytes to the pixels, page-aligned"),
    Field("pixels_capacity", 72, "u64", 1, True, "const: bytes of pixels"),
    Field("tile_side", 80, "u32", 1, True, "const: pixels, 8 to 256, a power of two"),
    Field("producer_pid", 84, "u32", 1, True, "const: process id, a hint; 0 is unknown"),
    Field(
        "producer_start", 88, "u64", 1, True, "const: start time in clock ticks since boot, a hint"
    ),
    Field("producer_namespace", 96, "u64", 1, True, "const: inode of the producer's pid namespace"),
    Field(
        "producer_locks",
        104,
        "u32",
        1,
        True,
        "const: 1: it holds a record lock on the file for life",
    ),
    Field("reserved_0", 108, "u8", 20, True, "zero"),
    Field("version", 128, "u64", 1, False, "newest published version; only grows"),
    Field("pulse", 136, "u32", 1, False, "futex word: +1 per publication, wraps"),
    Field("state", 140, "u32", 1, False, "enum kju_state"),
    Field("sequence", 144, "u32", 1, False, "odd while pixels are written"),
    Field("mode_sequence", 148, "u32", 1, False, "odd while mode or reason are written"),
    Field("reserved_1", 152, "u8", 40, True, "zero"),
    Field("epoch", 192, "u64", 1, False, "mode: +1 per mode change; 0: no mode yet"),
    Field("width", 200, "u32", 1, False, "mode: pixels"),
    Field("height", 204, "u32", 1, False, "mode: pixels"),
    Field("stride", 208, "u32", 1, False, "mode: bytes per row"),
    Field("fourcc", 212, "u32", 1, False, "mode: KJU_XR24 or KJU_R8"),
    Field("live_offset", 216, "u64", 1, False, "live window: bytes to its first pixel"),
    Field("live_stride", 224, "u32", 1, False, "live window: bytes per row"),
    Field("live_number", 228, "u32", 1, False, "live window: +1 per change; 0: no window"),
    Field("reserved_2", 232, "u8", 24, True, "zero"),
    Field("cursor_version", 256, "u64", 1, False, "+1 per change of shape, position or visibility"),
    Field("cursor_sequence", 264, "u32", 1, False, "odd while the cursor is written"),
    Field("cursor_x", 268, "i32", 1, False, "position of the hot spot, pixels; may lie outside"),
    Field("cursor_y", 272, "i32", 1, False, "position of the hot spot, pixels; may lie outside"),
    Field("cursor_visible", 276, "u32", 1, False, "0 or 1"),
    Field("cursor_width", 280, "u32", 1, False, "shape: pixels; 0: no shape"),
    Field("cursor_height", 284, "u32", 1, False, "shape: pixels"),
    Field("cursor_hot_x", 288, "u32", 1, False, "shape: hot spot from its left, pixels"),
    Field("cursor_hot_y", 292, "u32", 1, False, "shape: hot spot from its top, pixels"),
    Field("reserved_3", 296, "u8", 24, True, "zero"),
    Field("reason", 320, "u8", 128, False, "UTF-8, the reason for the state"),
)

BY_NAME = {field.name: field for field in FIELDS}
