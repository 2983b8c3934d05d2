"""The lock lamps of a keyboard; the guest switches them."""

from __future__ import annotations

from typing import NamedTuple, Self

#: The lock keys by number, in the order of `Lamps`.
LOCKS = (0x46, 0x45, 0x3A)


class Lamps(NamedTuple):
    """The lamps that are on. A guest may leave them off although a lock is on."""

    scroll: bool
    num: bool
    caps: bool

    @classmethod
    def from_bits(cls, bits: int) -> Self:
        """Decode QEMU's bits: 1 scroll, 2 num, 4 caps."""
        return cls(bool(bits & 1), bool(bits & 2), bool(bits & 4))

    @property
    def names(self) -> list[str]:
        """The names of the lamps that are on."""
        return [name for name, on in self._asdict().items() if on]
