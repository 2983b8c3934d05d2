"""Names of keys and their numbers.

A key has one number, its qnum: the low seven bits are the PC scan code of set 1, and
0x80 is set for the keys whose scan code starts with 0xe0. A name is QEMU's own (its
"qcode"), or one of the aliases people type instead. Names are lower case; look-ups
ignore case.

Source:
    QKeyCode and the key numbers of QEMU (qapi/ui.json). The table was compared with a
    running QEMU, which names the key it receives (trace event ``input_event_key_number``).
"""

from __future__ import annotations

from ..errors import UsageError

EXTENDED = 0x80

_ROWS = {
    0x01: "esc 1 2 3 4 5 6 7 8 9 0 minus equal backspace tab",
    0x10: "q w e r t y u i o p bracket_left bracket_right ret ctrl",
    0x1E: "a s d f g h j k l semicolon apostrophe grave_accent shift backslash",
    0x2C: "z x c v b n m comma dot slash shift_r kp_multiply alt spc caps_lock",
    0x3B: "f1 f2 f3 f4 f5 f6 f7 f8 f9 f10 num_lock scroll_lock",
    0x47: "kp_7 kp_8 kp_9 kp_subtract kp_4 kp_5 kp_6 kp_add kp_1 kp_2 kp_3 kp_0 kp_decimal",
    0x54: "print",
    0x56: "less f11 f12 kp_equals",
    0x70: "katakanahiragana",
    0x73: "ro",
    0x77: "hiragana",
    0x79: "henkan",
    0x7B: "muhenkan",
    0x7D: "yen kp_comma",
    0x90: "audioprev",
    0x99: "audionext",
    0x9C: "kp_enter ctrl_r",
    0xA0: "audiomute calculator audioplay",
    0xA4: "audiostop",
    0xAE: "volumedown",
    0xB0: "volumeup",
    0xB2: "ac_home",
    0xB5: "kp_divide",
    0xB8: "alt_r",
    0xC6: "pause home up pgup",
    0xCB: "left",
    0xCD: "right",
    0xCF: "end down pgdn insert delete",
    0xDB: "meta_l meta_r compose power sleep",
    0xE3: "wake",
}

#: QEMU's name of every key in the table, and its number.
NUMBERS: dict[str, int] = {
    name: first + offset
    for first, names in _ROWS.items()
    for offset, name in enumerate(names.split())
}

#: What people type, and the name it stands for.
ALIASES: dict[str, str] = {
    "enter": "ret",
    "return": "ret",
    "space": "spc",
    "escape": "esc",
    "bksp": "backspace",
    "del": "delete",
    "ins": "insert",
    "pageup": "pgup",
    "page_up": "pgup",
    "pagedown": "pgdn",
    "page_down": "pgdn",
    "sysrq": "print",
    "printscreen": "print",
    "break": "pause",
    "control": "ctrl",
    "ctrl_l": "ctrl",
    "shift_l": "shift",
    "alt_l": "alt",
    "option": "alt",
    "altgr": "alt_r",
    "meta": "meta_l",
    "super": "meta_l",
    "win": "meta_l",
    "cmd": "meta_l",
    "menu": "compose",
    "capslock": "caps_lock",
    "numlock": "num_lock",
    "scrolllock": "scroll_lock",
    "grave": "grave_accent",
    "period": "dot",
    "kp_dot": "kp_decimal",
    "kp_plus": "kp_add",
    "kp_minus": "kp_subtract",
    "asterisk": "kp_multiply",
}

NAMES: dict[int, str] = {number: name for name, number in NUMBERS.items()}


def number(name: str) -> int:
    """The number of a named key.

    Raises:
        UsageError: No key has this name; the message offers the nearest ones.
    """
    wanted = name.strip().lower().replace(" ", "_")
    try:
        return NUMBERS[ALIASES.get(wanted, wanted)]
    except KeyError:
        raise UsageError(f"no key is named {name!r}{_offer(wanted)}") from None


def _offer(wanted: str) -> str:
    """Names that start like the wanted one, as the end of a message."""
    near = [n for n in (*NUMBERS, *ALIASES) if len(wanted) > 1 and n.startswith(wanted[:2])][:6]
    return f"; did you mean {', '.join(near)}?" if near else "; kju.keys.NUMBERS lists them all"
