"""Keys by what others call them: Linux, X11 and browsers.

A viewer gets a key in its toolkit's terms and sends QEMU's number. Where it can, it takes the
code of the key's place (`from_evdev`, `from_x11`, `from_browser`), which is the same whatever
layout either side has; a keysym says what is printed on the key, and on which key that is
depends on the layout.

Every look-up returns None for a key that QEMU does not have.
"""

from __future__ import annotations

from functools import cache

from .table import KEYS

#: X11's keycodes are Linux's codes, so much higher (the "evdev" rules of xkb-data).
X11_OFFSET = 8


def from_evdev(code: int) -> int | None:
    """The number of the key with this Linux input event code, such as 30 for KEY_A."""
    return _by_evdev().get(code)


def to_evdev(number: int) -> int | None:
    """The Linux input event code of the key with this number: `from_evdev` turned around."""
    return _evdev().get(number)


def to_qcode(number: int) -> str | None:
    """QEMU's name (QKeyCode) of the key with this number, such as ``"ret"`` for 0x1c.

    None as well for the keys that QEMU 7.2 does not name, F13 to F24.
    """
    return _qcodes().get(number)


def from_x11(keycode: int) -> int | None:
    """The number of the key with this X11 keycode, or Wayland's, such as 38 for a."""
    return from_evdev(keycode - X11_OFFSET)


def from_browser(code: str) -> int | None:
    """The number of the key with this ``KeyboardEvent.code``, such as ``"KeyA"``."""
    return _by_browser().get(code)


def from_keysym(keysym: int) -> int | None:
    """The number of the key that has this X11 keysym on a US keyboard, such as 0xff0d (Return).

    Shifted or not: a and A are one key. For a character of another layout use that layout's
    chords, or the code of the key's place.
    """
    return _by_keysym().get(keysym)


@cache
def _by_evdev() -> dict[int, int]:
    return {evdev: number for number, _, evdev, _, _ in KEYS}


@cache
def _evdev() -> dict[int, int]:
    return {number: evdev for number, _, evdev, _, _ in KEYS}


@cache
def _qcodes() -> dict[int, str]:
    renamed = {"linux_menu": "menu"}  # to QEMU's name, from the one of table.py
    unnamed = {f"f{n}" for n in range(13, 25)}
    return {n: renamed.get(name, name) for n, name, _, _, _ in KEYS if name not in unnamed}


@cache
def _by_browser() -> dict[str, int]:
    return {code: number for number, _, _, codes, _ in KEYS for code in codes}


@cache
def _by_keysym() -> dict[int, int]:
    return {keysym: number for number, _, _, _, keysyms in KEYS for keysym in keysyms}
