"""A surface and the memory it lives in, made together: the producer's whole side."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Self

from ..surface import MAX_SIDE, TILE_SIDE, State, surface_size
from ..surface.formats import fourcc_name
from ..surface.producer import Producer
from .address import create, split_address
from .identity import own_identity

if TYPE_CHECKING:
    from .shared import Segment


class SurfaceProducer(Producer):
    """A `Producer` that owns its memory. Close it, or use it as a context manager.

    Every publication also raises `MemoryLostError` when the surface's file was cut,
    `SupersededError` when another file has its name, and `ProducerGoneError` when it has none.
    """

    segment: Segment

    @classmethod
    def create(
        cls,
        address: str | os.PathLike[str],
        *,
        capacity: int,
        tile: int = TILE_SIDE,
        max_side: int = MAX_SIDE,
    ) -> Self:
        """Make shared memory at an address and format a surface in it; no mode yet.

        Args:
            address: As `kju.memory.create` takes it.
            capacity: Bytes of pixels it must have room for, in every mode to come.
            tile: Side of a tile, pixels, a power of two from 8 to 256.
            max_side: Widest and highest mode, pixels.

        Raises:
            ConflictError: The address is taken.
            LimitError: A limit of the system, or the space, is in the way.
            OSError: The system refused otherwise.
        """
        size = surface_size(capacity, tile=tile, max_side=max_side)
        segment = create(address, size)
        try:
            segment.reserve(size - capacity)
            producer = cls.format(
                segment.mapping,
                capacity,
                incarnation=int.from_bytes(os.urandom(8)) | 1,
                tile=tile,
                max_side=max_side,
                identity=own_identity(locks=split_address(address)[0] in ("file", "posix")),
            )
            segment.commit()
        except BaseException:
            segment.close()
            raise
        producer.segment = segment
        return producer

    @property
    def address(self) -> str:
        """Opens the surface in another process; empty for a memfd."""
        return self.segment.address

    def _make_room(self, size: int) -> None:
        self.segment.reserve(self.pixels_offset + size)

    def _published(self) -> None:
        self.segment.check()

    def close(self, state: State = State.CLOSED, reason: str = "") -> None:
        """Say the last word and give the memory back; a named file stays.

        Args:
            state: What consumers are to be told.
            reason: Why.
        """
        if not self.segment.closed:
            self.set_state(state, reason)
            self.segment.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        mode = self.mode
        what = f"{mode.width}x{mode.height} {fourcc_name(mode.fourcc)}" if mode.epoch else "no mode"
        return f"<{type(self).__name__} {self.address or 'memfd'} {what}>"
