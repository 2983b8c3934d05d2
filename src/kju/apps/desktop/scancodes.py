"""Scan codes of the window system, as QEMU's key numbers. I/O-free.

X11 and Wayland both count Linux's evdev codes from 8. This is the one place where a window
turns them into key numbers: a table of every key replaces `number_of_evdev` when `kju.keys`
has one.

Source:
    linux/input-event-codes.h; the key numbers are those of `kju.keys.names`.
"""

from __future__ import annotations

from ...keys import NUMBERS

#: What X11 and Wayland add to an evdev code.
XKB_OFFSET = 8

# Up to KEY_F12 evdev counts as the PC's first set of scan codes does.
_LAST_SAME = 88
_NAMES = {
    89: "ro", 92: "henkan", 93: "katakanahiragana", 94: "muhenkan", 95: "kp_comma",
    96: "kp_enter", 97: "ctrl_r", 98: "kp_divide", 99: "print", 100: "alt_r", 102: "home",
    103: "up", 104: "pgup", 105: "left", 106: "right", 107: "end", 108: "down", 109: "pgdn",
    110: "insert", 111: "delete", 113: "audiomute", 114: "volumedown", 115: "volumeup",
    116: "power", 117: "kp_equals", 119: "pause", 121: "kp_comma", 124: "yen", 125: "meta_l",
    126: "meta_r", 127: "compose", 140: "calculator", 142: "sleep", 143: "wake",
    163: "audionext", 164: "audioplay", 165: "audioprev", 166: "audiostop", 172: "ac_home",
}  # fmt: skip


def number_of_evdev(code: int) -> int | None:
    """The number of a key, or None for one that QEMU does not know."""
    if 1 <= code <= _LAST_SAME:
        return code
    name = _NAMES.get(code)
    return NUMBERS[name] if name else None


def number_of_scan_code(code: int) -> int | None:
    """The number of the key that a toolkit calls *code*; None for none, and for made-up keys."""
    return number_of_evdev(code - XKB_OFFSET)
