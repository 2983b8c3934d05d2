"""Convert key codes of Linux, X11 and browsers, and QEMU's bits of the lock lamps."""

from __future__ import annotations

import pytest

from kju import keys
from kju.keys import LOCKS, Lamps

# number, evdev, browser, keysym: keys of every kind, from the documents that define them.
KNOWN = {
    "a": (0x1E, 30, "KeyA", 0x61),
    "ret": (0x1C, 28, "Enter", 0xFF0D),
    "kp_enter": (0x9C, 96, "NumpadEnter", 0xFF8D),
    "ctrl_r": (0x9D, 97, "ControlRight", 0xFFE4),
    "up": (0xC8, 103, "ArrowUp", 0xFF52),
    "f12": (0x58, 88, "F12", 0xFFC9),
    "less": (0x56, 86, "IntlBackslash", 0xA6),
    "ro": (0x73, 89, "IntlRo", None),
    "print": (0x54, 99, "PrintScreen", 0xFF61),
    "pause": (0xC6, 119, "Pause", 0xFF13),
    "meta_l": (0xDB, 125, "MetaLeft", 0xFFEB),
    "compose": (0xDD, 127, "ContextMenu", 0xFF67),
    "volumeup": (0xB0, 115, "AudioVolumeUp", 0x1008FF13),
    "f13": (0x5D, 183, "F13", 0xFFCA),
    "lang1": (0x72, 122, "Lang1", 0xFF31),
}


@pytest.mark.parametrize("name", KNOWN)
def test_codes_of_known_keys(name: str) -> None:
    number, evdev, browser, keysym = KNOWN[name]
    assert keys.number(name) == number
    assert keys.from_evdev(evdev) == number
    assert keys.to_evdev(number) == evdev
    assert keys.from_x11(evdev + 8) == number
    assert keys.from_browser(browser) == number
    assert keysym is None or keys.from_keysym(keysym) == number


def test_upper_and_lower_case_are_one_key() -> None:
    assert keys.from_keysym(ord("a")) == keys.from_keysym(ord("A")) == keys.number("a")
    assert keys.from_keysym(ord("<")) == keys.from_keysym(ord(",")) == keys.number("comma")


def test_altgr_is_the_right_alt_key() -> None:
    assert keys.from_keysym(0xFE03) == keys.from_keysym(0xFFEA) == keys.number("altgr")


def test_codes_without_a_qemu_key_are_none() -> None:
    assert keys.from_evdev(0) is keys.from_evdev(248) is keys.from_evdev(-1) is None
    assert keys.from_x11(0) is keys.from_x11(7) is None
    assert keys.from_browser("") is keys.from_browser("Fn") is None
    assert keys.from_keysym(0) is keys.from_keysym(0xFFFFFF) is None
    assert keys.to_evdev(0) is keys.to_evdev(0xB7) is None


@pytest.mark.parametrize(
    ("bits", "names"),
    [
        (0, []),
        (1, ["scroll"]),
        (2, ["num"]),
        (4, ["caps"]),
        (7, ["scroll", "num", "caps"]),
        (8, []),  # a bit that QEMU does not define
    ],
)
def test_each_bit_is_one_lamp(bits: int, names: list[str]) -> None:
    assert Lamps.from_bits(bits).names == names


def test_lock_keys_are_in_the_order_of_the_lamps() -> None:
    assert [keys.NAMES[key] for key in LOCKS] == [f"{name}_lock" for name in Lamps._fields]
