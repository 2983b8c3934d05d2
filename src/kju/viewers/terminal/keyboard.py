"""Names of the keys that a terminal reports. I/O-free.

Source:
    ECMA-48 and xterm's control sequences, for the final bytes and numbers of function keys;
    https://sw.kovidgoyal.net/kitty/keyboard-protocol/ for the numbers from 57344 on.
"""

from __future__ import annotations

from ...keys import NUMBERS, from_keysym

#: Final byte of ``CSI`` or ``SS3`` and the key.
LETTERS = {
    "A": "up", "B": "down", "C": "right", "D": "left", "E": "kp_5", "F": "end", "H": "home",
    "P": "f1", "Q": "f2", "R": "f3", "S": "f4",
}  # fmt: skip
#: Number before ``~`` and the key.
NUMBERED = {
    1: "home", 2: "insert", 3: "delete", 4: "end", 5: "pgup", 6: "pgdn", 7: "home", 8: "end",
    11: "f1", 12: "f2", 13: "f3", 14: "f4", 15: "f5", 17: "f6", 18: "f7", 19: "f8", 20: "f9",
    21: "f10", 23: "f11", 24: "f12", 29: "compose", 57427: "kp_5",
}  # fmt: skip
#: Control characters that are keys of their own. The others are ctrl and a letter.
CONTROLS = {
    0x00: ("ctrl", "spc"),
    0x08: ("backspace",),
    0x09: ("tab",),
    0x0D: ("ret",),
    0x1B: ("esc",),
    0x1C: ("ctrl", "backslash"),
    0x1D: ("ctrl", "bracket_right"),
    0x1E: ("ctrl", "shift", "6"),
    0x1F: ("ctrl", "shift", "minus"),
    0x7F: ("backspace",),
}
#: Kitty's numbers of keys without a character.
_KITTY = {
    9: "tab", 13: "ret", 27: "esc", 32: "spc", 127: "backspace",
    57358: "caps_lock", 57359: "scroll_lock", 57360: "num_lock", 57361: "print", 57362: "pause",
    57363: "compose",
    **{57399 + digit: f"kp_{digit}" for digit in range(10)},
    57409: "kp_decimal", 57410: "kp_divide", 57411: "kp_multiply", 57412: "kp_subtract",
    57413: "kp_add", 57414: "kp_enter", 57415: "kp_equals", 57416: "kp_comma",
    57417: "kp_4", 57418: "kp_6", 57419: "kp_8", 57420: "kp_2", 57421: "kp_9", 57422: "kp_3",
    57423: "kp_7", 57424: "kp_1", 57425: "kp_0", 57426: "kp_decimal", 57427: "kp_5",
    57428: "audioplay", 57432: "audiostop", 57435: "audionext", 57436: "audioprev",
    57438: "volumedown", 57439: "volumeup", 57440: "audiomute",
    57441: "shift", 57442: "ctrl", 57443: "alt", 57444: "meta_l",
    57447: "shift_r", 57448: "ctrl_r", 57449: "alt_r", 57450: "meta_r", 57453: "alt_r",
}  # fmt: skip
_MODIFIERS = ((1, "shift"), (2, "alt"), (4, "ctrl"), (8, "meta_l"))


def kitty_key(code: int, base: int = 0) -> int | None:
    """Return the number of the key that Kitty's protocol reports; None where it is unknown.

    Args:
        code: The unshifted character of the key, or the number of a key without one.
        base: The character at the key's place on a US keyboard, where it is another one.
    """
    if (name := _KITTY.get(code)) is not None:
        return NUMBERS.get(name)
    # A Latin-1 character's keysym is its code point; others have no key on a US keyboard.
    return from_keysym(base or code) if (base or code) < 0x80 else None


def modifiers(parameter: int) -> tuple[str, ...]:
    """Return the modifiers of a parameter, which is 1 and a sum of bits."""
    bits = max(parameter, 1) - 1
    return tuple(name for bit, name in _MODIFIERS if bits & bit)


def control_keys(code: int) -> tuple[str, ...]:
    """Return the keys of a control character."""
    return CONTROLS.get(code) or ("ctrl", chr(code + 0x60))


def chord(*names: str) -> tuple[int, ...]:
    """Return the numbers of keys, in their order."""
    return tuple(NUMBERS[name] for name in names)
