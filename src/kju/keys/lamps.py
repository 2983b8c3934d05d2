"""The lamps of a keyboard, which its guest lights."""

from __future__ import annotations

from typing import NamedTuple, Self

#: The keys that light one, by number, in the order of `Lamps`.
LOCKS = (0x46, 0x45, 0x3A)


class Lamps(NamedTuple):
    """Which locks are on, as far as the guest lights the lamps of its keyboard."""

    scroll: bool
    num: bool
    caps: bool

    @classmethod
    def from_bits(cls, bits: int) -> Self:
        """As QEMU counts them: 1 scroll, 2 num, 4 caps."""
        return cls(bool(bits & 1), bool(bits & 2), bool(bits & 4))

    @property
    def names(self) -> list[str]:
        """The names of those that are on."""
        return [name for name, on in self._asdict().items() if on]
