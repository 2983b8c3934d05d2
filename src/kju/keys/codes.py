"""Key codes of Linux, X11 and browsers, converted to QEMU's numbers and back; lock lamps.

A viewer receives a key in its toolkit's terms and sends QEMU's number. The code of the key's
position (`from_evdev`, `from_x11`, `from_browser`) is right with every layout of either side. A
keysym is the symbol on the key, whose position depends on the layout: use it only where there is
no code.

Every conversion returns None for a key that QEMU does not have.
"""

from __future__ import annotations

from functools import cache
from typing import NamedTuple, Self

from .table import KEYS

#: An X11 keycode is Linux's code plus this (the "evdev" rules of xkb-data).
X11_OFFSET = 8
#: The lock keys by number, in the order of `Lamps`.
LOCKS = (0x46, 0x45, 0x3A)


def from_evdev(code: int) -> int | None:
    """Return the number of the key with a Linux input event code, such as 30 for KEY_A."""
    return _by_evdev().get(code)


def to_evdev(number: int) -> int | None:
    """Return the Linux input event code of a key, the inverse of `from_evdev`."""
    return _evdev().get(number)


def to_qcode(number: int) -> str | None:
    """Return QEMU's name (QKeyCode) of a key, such as ``"ret"`` for 0x1c.

    F13 to F24 have none: QEMU 7.2 does not name them.
    """
    return _qcodes().get(number)


def from_x11(keycode: int) -> int | None:
    """Return the number of the key with an X11 or Wayland keycode, such as 38 for a."""
    return from_evdev(keycode - X11_OFFSET)


def from_browser(code: str) -> int | None:
    """Return the number of the key with a ``KeyboardEvent.code``, such as ``"KeyA"``."""
    return _by_browser().get(code)


def from_keysym(keysym: int) -> int | None:
    """Return the number of the key with an X11 keysym on a US keyboard, such as 0xff0d (Return).

    Shift does not matter: a and A are one key. For a character of another layout use the chords of
    that layout, or the code of the key's position.
    """
    return _by_keysym().get(keysym)


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


@cache
def _by_evdev() -> dict[int, int]:
    return {evdev: number for number, _, evdev, _, _ in KEYS}


@cache
def _evdev() -> dict[int, int]:
    return {number: evdev for number, _, evdev, _, _ in KEYS}


@cache
def _qcodes() -> dict[int, str]:
    renamed = {"linux_menu": "menu"}  # QEMU's own name, which table.py changes
    unnamed = {f"f{n}" for n in range(13, 25)}
    return {n: renamed.get(name, name) for n, name, _, _, _ in KEYS if name not in unnamed}


@cache
def _by_browser() -> dict[str, int]:
    return {code: number for number, _, _, codes, _ in KEYS for code in codes}


@cache
def _by_keysym() -> dict[int, int]:
    return {keysym: number for number, _, _, _, keysyms in KEYS for keysym in keysyms}
