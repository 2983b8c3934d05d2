"""SHELL: a producer that makes its surface's memory, and owns it."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Self

from ..surface import MAX_SIDE, TILE_SIDE, State, surface_size
from ..surface.formats import fourcc_name
from ..surface.producer import Producer
from .address import create, split_address
from .file import own_identity

if TYPE_CHECKING:
    from collections.abc import Callable

    from .shared import SharedMemory


class SurfaceProducer(Producer):
    """A `Producer` that owns its memory. Close it, or use it as a context manager.

    Every publication also raises `MemoryLostError` if the surface's file was truncated,
    `SupersededError` if another file has its name, and `ProducerGoneError` if the name was removed.

    Attributes:
        memory: The memory of the surface.
    """

    memory: SharedMemory

    @classmethod
    def create(
        cls,
        address: str | os.PathLike[str],
        *,
        capacity: int,
        tile: int = TILE_SIDE,
        max_side: int = MAX_SIDE,
        on_mode: Callable[[], object] | None = None,
    ) -> Self:
        """Make shared memory at an address and format a surface in it; no mode yet.

        Args:
            address: As `kju.memory.create` takes it.
            capacity: Bytes of pixels of the largest mode.
            tile: Side of a tile, pixels, a power of two from 8 to 256.
            max_side: Widest and highest mode, pixels.
            on_mode: Called after each change of the mode, in the thread that made it.

        Raises:
            ConflictError: The address is in use, or is not valid.
            LimitError: The file system is full, or a limit of the system is exceeded.
            OSError: Another error of the system.
        """
        size = surface_size(capacity, tile=tile, max_side=max_side)
        memory = create(address, size)
        try:
            memory.reserve(size - capacity)
            producer = cls.format(
                memory.mapping,
                capacity,
                incarnation=int.from_bytes(os.urandom(8)) | 1,
                tile=tile,
                max_side=max_side,
                identity=own_identity(locks=split_address(address)[0] in ("file", "posix")),
                on_mode=on_mode,
            )
            memory.commit()
        except BaseException:
            memory.close()
            raise
        producer.memory = memory
        return producer

    @property
    def address(self) -> str:
        """The address that opens the surface in another process; empty for a memfd."""
        return self.memory.address

    def _make_room(self, size: int) -> None:
        self.memory.reserve(self.pixels_offset + size)

    def _published(self) -> None:
        self.memory.check()

    def close(self, state: State = State.CLOSED, reason: str = "") -> None:
        """Publish the final state and release the memory; a named file stays.

        Args:
            state: The final state.
            reason: Its reason, for consumers.
        """
        if not self.memory.closed:
            self.set_state(state, reason)
            self.memory.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        mode = self.mode
        what = f"{mode.width}x{mode.height} {fourcc_name(mode.fourcc)}" if mode.epoch else "no mode"
        return f"<{type(self).__name__} {self.address or 'memfd'} {what}>"
