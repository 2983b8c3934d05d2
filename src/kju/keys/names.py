"""Names of keys and their numbers.

A key has one number, its qnum: the low seven bits are the PC scan code of set 1, and
0x80 is set for the keys whose scan code starts with 0xe0. A name is QEMU's own (its
"qcode"), or one of the aliases people type instead. Names are lower case; look-ups
ignore case.

Source:
    `table`, which a running QEMU named.
"""

from __future__ import annotations

from ..errors import UsageError
from .table import KEYS

EXTENDED = 0x80

#: QEMU's name of every key in the table, and its number. The one exception is
#: ``linux_menu``, QEMU's "menu": people mean the key that QEMU calls "compose".
NUMBERS: dict[str, int] = {key[1]: key[0] for key in KEYS}

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
