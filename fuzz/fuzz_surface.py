"""Fuzzes a surface: every operation gives a result or a documented error, within its memory.

The memory is between two gigabytes of forbidden address space, so that an access one byte beyond
ends the process; tests/c/hostile.c runs the C code under the address sanitizer.

An input is a byte of flags and then changes of the header of a valid surface: a field, a kind of
value, eight bytes of value. With flag 128 it is the header itself.
"""

from __future__ import annotations

import ctypes
import random
import struct
import zlib
from collections.abc import Callable, Iterator
from functools import partial

import harness
import numpy as np

with harness.instrumented():
    from kju.errors import FormatError, KjuError
    from kju.surface import NOTHING_TAKEN, Change, Mark, Mode, layout, surface_size
    from kju.surface.consumer import Consumer, blend_cursor, copy_frame
    from kju.surface.formats import R8, XR24
    from kju.surface.geometry import Rect
    from kju.surface.producer import Producer
    from kju.surface.thumbnail import Thumbnail, copy_thumbnail

CAPACITY = 64 * 48 * 4
GUARD = 1 << 30
RAW, SHORT = 128, 64
HEADER = layout.BY_NAME["reason"].offset + layout.REASON_SIZE
FIELDS = [f for f in layout.FIELDS if f.length == 1]
# A consumer waits a tenth of a second for a half-written mode, so only few inputs have one.
PATIENT_ONES = 4096
# A few operations wait for that time, once for the mode and once for the cursor.
BUDGET = harness.Budget(seconds=1.0)


def guarded(size: int) -> memoryview:
    """Return zeroed memory with forbidden address space before and after it."""
    libc = ctypes.CDLL(None, use_errno=True)
    libc.mmap.restype = ctypes.c_void_p
    libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, *[ctypes.c_int] * 3, ctypes.c_long]
    libc.mprotect.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
    private_anonymous_noreserve = 0x02 | 0x20 | 0x4000
    start = libc.mmap(None, size + 2 * GUARD, 0, private_anonymous_noreserve, -1, 0)
    if libc.mprotect(start + GUARD, size, 3):
        raise OSError(ctypes.get_errno(), "mprotect")
    return memoryview((ctypes.c_char * size).from_address(start + GUARD)).cast("B")


def small_surface() -> bytes:
    """Return a valid surface with as little around its pixels as the format allows."""
    memory = bytearray(surface_size(CAPACITY, tile=8, max_side=64))
    producer = Producer.format(memory, CAPACITY, incarnation=1, tile=8, max_side=64)
    picture = np.arange(CAPACITY, dtype=np.uint32).astype(np.uint8)
    producer.set_mode(64, 48, source=picture)
    producer.set_cursor(bytes(range(256)) * 4, 16, 16, 3, 3)
    producer.move_cursor(10, 10, True)
    producer.draw(Rect(9, 9, 20, 20), picture)
    producer.set_live(0, 64 * 4)
    old = {f.name: int(f.read(bytes(memory))) for f in FIELDS}
    cursor = 8192
    parts = {"cursor_offset": cursor, "cursor_capacity": 16384, "pixels_offset": cursor + 16384}
    parts["size"] = parts["pixels_offset"] + old["pixels_capacity"]
    small = bytearray(parts["size"])
    small[:cursor] = memory[:cursor]
    small[parts["pixels_offset"] :] = memory[old["pixels_offset"] :]
    for name, value in parts.items():
        field = layout.BY_NAME[name]
        small[field.offset : field.offset + field.size] = value.to_bytes(field.size, "little")
    return bytes(small)


GOOD = small_surface()
MEMORY = guarded(len(GOOD))
MEMORY[:] = GOOD
# Memory of live windows: exactly one picture, between forbidden address space.
WINDOW = guarded(CAPACITY)
TABLE_END = 4096 + 8 * (64 // 8) * (64 // 8)


def change(header: bytearray, which: int, kind: int, value: int) -> None:
    """Store a number in a field; *kind* selects its derivation."""
    field = FIELDS[which % len(FIELDS)]
    old = int.from_bytes(header[field.offset : field.offset + field.size], "little")
    made = (
        value,
        value & 0xFF,
        -(value & 0xFF),
        old + (value & 0xFF),
        old - (value & 0xFF),
        old ^ 1 << (value & 63),
        1 << (value & 63),
        (len(GOOD), CAPACITY)[value >> 8 & 1] + (value & 0xFF) - 128,
        (value & 0xFF) << 12,
        old * (value & 0xFF),
    )[kind % 10]
    masked = made & (1 << 8 * field.size) - 1
    header[field.offset : field.offset + field.size] = masked.to_bytes(field.size, "little")


def make_input(data: bytes) -> memoryview:
    """Write the surface that *data* describes; return its memory."""
    header = bytearray(GOOD[:HEADER])
    flags, rest = (data[0], data[1:]) if data else (0, b"")
    if flags & RAW:
        header[: len(rest)] = rest[:HEADER]
    else:
        for at in range(0, len(rest) - 9, 10):
            change(header, *struct.unpack_from("<BBQ", rest, at))
    if zlib.crc32(data) % PATIENT_ONES:
        for name in ("mode_sequence", "cursor_sequence"):
            header[layout.BY_NAME[name].offset] &= 0xFE
    start = 0
    if flags & SHORT:  # less memory than the surface's size: it ends at the forbidden space
        start = min(len(GOOD), 8 * int.from_bytes(rest[-3:], "little"))
    left = len(GOOD) - start
    MEMORY[start:] = GOOD[:left]
    MEMORY[start : start + min(HEADER, left)] = header[: min(HEADER, left)]
    return MEMORY[start:]


def allocate(shape: tuple[int, ...]) -> np.ndarray:
    """Return memory for a frame, which cannot be larger than the surface."""
    size = int(np.prod(shape))
    assert size <= len(GOOD), shape
    return np.empty(shape, np.uint8)


def operations(consumer: Consumer, data: bytes) -> Iterator[Callable[[], object]]:
    """Yield all operations on a surface."""
    numbers = struct.unpack("<4H", data[-8:].rjust(8, b"\0"))
    rect = Rect(*(n % 80 - 3 for n in numbers))
    yield lambda: consumer.mode
    yield lambda: consumer.state
    yield lambda: consumer.producer
    yield consumer.raise_unless_live
    yield consumer.tile_versions
    yield lambda: consumer.changes(NOTHING_TAKEN)
    yield lambda: consumer.changes(Mark(consumer.incarnation, consumer.reader.epoch, numbers[0]))
    yield lambda: consumer.view(consumer.mode).tobytes() if consumer.mode.epoch else b""
    for name in ("bgrx", "rgb", "rgba", "grey"):
        yield partial(copy_frame, consumer, None, name, False, allocate, 1)
    yield lambda: copy_frame(consumer, rect, "bgrx", True, allocate, 1)
    yield lambda: copy_frame(consumer, rect, "rgb", False, allocate, 1)
    for width, height in ((16, 16), (1 + numbers[2] % 80, 1 + numbers[3] % 80)):
        yield partial(copy_thumbnail, consumer, width, height, None, 1)
    whole = Thumbnail(np.zeros((12, 16, 4), np.uint8), Mode(64, 48, 256, XR24, 1), NOTHING_TAKEN)
    mark = Mark(consumer.incarnation, consumer.reader.epoch, numbers[0])
    yield lambda: copy_thumbnail(consumer, 16, 16, whole._replace(mark=mark), 1)
    yield lambda: consumer.reader.thumbnail(allocate((12, 16, 4)), 16, 12, 1, rect)
    yield consumer.reader.live
    for where in (None, rect):
        yield partial(copy_frame, consumer, where, "rgb", False, allocate, 1, WINDOW)
    yield lambda: copy_frame(consumer, rect, "bgrx", False, allocate, 1, WINDOW)
    yield lambda: live_bytes(consumer)
    yield lambda: consumer.reader.wait(numbers[1], numbers[2], 1, 0)
    yield lambda: consumer.reader.wait_changes(0, 0, numbers[1], 1, 0)

    def blend() -> None:
        frame = np.zeros((48, 64, 4), np.uint8)
        blend_cursor(frame, Rect(0, 0, 64, 48), consumer.cursor())

    yield blend


def live_bytes(consumer: Consumer) -> bytes:
    """Return every byte of a live view; empty without one."""
    mode = consumer.mode
    view = consumer.live_view(mode, WINDOW) if mode.epoch else None
    return b"" if view is None else view.tobytes()


TALLY = {"refused": 0, "accepted": 0}


def one_input(data: bytes) -> None:
    """Run all operations of a consumer; only documented errors are allowed."""
    memory = make_input(data)
    try:
        consumer = Consumer(memory)
    except FormatError as error:
        assert error.expected is not None, error
        TALLY["refused"] += 1
        return
    TALLY["accepted"] += 1
    for operation in operations(consumer, data):
        try:
            result = operation()
        except KjuError:
            continue
        check(consumer, result)


def check(consumer: Consumer, result: object) -> None:
    """Check that a result is possible."""
    if isinstance(result, Change) and result.rects:
        mode = result.mode
        whole = Rect(0, 0, mode.width, mode.height)
        assert all(whole.contains(r) and r.area for r in result.rects), result
        assert sum(r.area for r in result.rects) <= whole.area, result


def seeds() -> list[bytes]:
    """Return a valid surface, its plain header, and each field changed in each way."""
    found = [b"", bytes([RAW]) + GOOD[:HEADER], bytes([SHORT]) + b"\1\0\0"]
    for which in range(len(FIELDS)):
        found += [b"\0" + struct.pack("<BBQ", which, kind, 3) for kind in range(10)]
    # A grey picture whose live window ends at the end of its memory.
    number = {field.name: at for at, field in enumerate(FIELDS)}
    fourcc = struct.pack("<BBQ", number["fourcc"], 0, R8)
    end = struct.pack("<BBQ", number["live_offset"], 0, CAPACITY - 47 * 256 - 64)
    return [*found, b"\0" + fourcc + end]


def invent(source: random.Random) -> bytes:
    """Return a few changed fields, of the valid header or of noise."""
    flags = source.choice((0, 0, 0, 0, 0, 0, SHORT, RAW))
    if flags == RAW:
        header = bytearray(GOOD[:HEADER])
        for _ in range(source.randint(1, 20)):
            header[source.randrange(8, HEADER)] = source.choice((0, 1, 0x7F, 0x80, 0xFF))
        return bytes([flags]) + header
    changes = (source.randbytes(10) for _ in range(source.randint(0, 4)))
    return bytes([flags]) + b"".join(changes) + source.randbytes(source.randint(0, 8))


if __name__ == "__main__":
    harness.run(one_input, seeds(), invent, options=("-max_len=512",), budget=BUDGET)
