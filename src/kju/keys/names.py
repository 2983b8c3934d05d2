"""Names of keys and their numbers.

A key has one number, its qnum: the low seven bits are the PC scan code of set 1, and 0x80 is set
for keys whose scan code starts with 0xe0. A key is found by QEMU's name (its "qcode", in lower
case), by the names of Linux, X11, browsers and Packer, and by common aliases.

Source:
    `table`, generated from the names that a running QEMU gives.
"""

from __future__ import annotations

import difflib
from functools import cache

from ..errors import UsageError
from .table import KEYS, LINUX, X11

#: Set in the number of a key that a PS/2 keyboard sends with a prefix byte.
EXTENDED = 0x80

#: QEMU's name of every key, and its number. The exception is ``linux_menu``, which QEMU calls
#: "menu": users who write "menu" mean the key that QEMU calls "compose".
NUMBERS: dict[str, int] = {key[1]: key[0] for key in KEYS}

#: Common aliases, and the names that they stand for.
ALIASES: dict[str, str] = {
    "enter": "ret",
    "return": "ret",
    "newline": "ret",
    "space": "spc",
    "escape": "esc",
    "spacebar": "spc",
    "bs": "backspace",
    "bksp": "backspace",
    "bkspc": "backspace",
    "del": "delete",
    "ins": "insert",
    "pageup": "pgup",
    "page_up": "pgup",
    "pagedown": "pgdn",
    "page_down": "pgdn",
    "pgdown": "pgdn",
    "pgdwn": "pgdn",
    "prior": "pgup",
    "next": "pgdn",
    "arrow_up": "up",
    "arrow_down": "down",
    "arrow_left": "left",
    "arrow_right": "right",
    "uparrow": "up",
    "downarrow": "down",
    "leftarrow": "left",
    "rightarrow": "right",
    "sysrq": "print",
    "printscreen": "print",
    "print_screen": "print",
    "prtsc": "print",
    "prtscn": "print",
    "prtscr": "print",
    "prnt": "print",
    "snapshot": "print",
    "break": "pause",
    "brk": "pause",
    "control": "ctrl",
    "ctl": "ctrl",
    "ctrl_l": "ctrl",
    "shift_l": "shift",
    "alt_l": "alt",
    "option": "alt",
    "opt": "alt",
    "altgr": "alt_r",
    "altgraph": "alt_r",
    "left_ctrl": "ctrl",
    "left_control": "ctrl",
    "right_ctrl": "ctrl_r",
    "right_control": "ctrl_r",
    "left_shift": "shift",
    "right_shift": "shift_r",
    "left_alt": "alt",
    "right_alt": "alt_r",
    "left_super": "meta_l",
    "right_super": "meta_r",
    "left_meta": "meta_l",
    "right_meta": "meta_r",
    "left_win": "meta_l",
    "right_win": "meta_r",
    "win_l": "meta_l",
    "win_r": "meta_r",
    "super_l": "meta_l",
    "super_r": "meta_r",
    "meta": "meta_l",
    "super": "meta_l",
    "win": "meta_l",
    "windows": "meta_l",
    "cmd": "meta_l",
    "command": "meta_l",
    "os": "meta_l",
    "logo": "meta_l",
    "menu": "compose",
    "apps": "compose",
    "application": "compose",
    "contextmenu": "compose",
    "caps": "caps_lock",
    "capslock": "caps_lock",
    "numlk": "num_lock",
    "scrlk": "scroll_lock",
    "linefeed": "lf",
    "numlock": "num_lock",
    "scrolllock": "scroll_lock",
    "grave": "grave_accent",
    "backquote": "grave_accent",
    "backtick": "grave_accent",
    "dash": "minus",
    "hyphen": "minus",
    "equals": "equal",
    "quote": "apostrophe",
    "left_bracket": "bracket_left",
    "right_bracket": "bracket_right",
    "leftbrace": "bracket_left",
    "rightbrace": "bracket_right",
    "period": "dot",
    "kp_dot": "kp_decimal",
    "kp_plus": "kp_add",
    "kp_minus": "kp_subtract",
    # QEMU has this second name for the key. It types the character in every layout.
    "asterisk": "kp_multiply",
}
for _key, _left, _right in (
    ("ctrl", "ctrl", "ctrl_r"),
    ("control", "ctrl", "ctrl_r"),
    ("shift", "shift", "shift_r"),
    ("alt", "alt", "alt_r"),
    ("win", "meta_l", "meta_r"),
    ("super", "meta_l", "meta_r"),
    ("meta", "meta_l", "meta_r"),
    ("cmd", "meta_l", "meta_r"),
):
    ALIASES |= {f"l{_key}": _left, f"r{_key}": _right}
    ALIASES |= {f"{_key}_left": _left, f"{_key}_right": _right}

#: Names of characters that need more than one key on a US keyboard, X11's names first. They are
#: valid in a chord, not as a key.
CHARACTERS: dict[str, str] = {
    "exclam": "!",
    "quotedbl": '"',
    "numbersign": "#",
    "dollar": "$",
    "percent": "%",
    "ampersand": "&",
    "parenleft": "(",
    "parenright": ")",
    "plus": "+",
    "colon": ":",
    "greater": ">",
    "question": "?",
    "at": "@",
    "asciicircum": "^",
    "underscore": "_",
    "braceleft": "{",
    "bar": "|",
    "braceright": "}",
    "asciitilde": "~",
    "exclamation": "!",
    "double_quote": '"',
    "hash": "#",
    "left_paren": "(",
    "right_paren": ")",
    "caret": "^",
    "left_curly": "{",
    "pipe": "|",
    "right_curly": "}",
    "tilde": "~",
}

NAMES: dict[int, str] = {number: name for name, number in NUMBERS.items()}

#: Ignored when names are compared.
_SEPARATORS = str.maketrans("", "", "_- ")


def number(name: str) -> int:
    """Return the number of a key.

    Case, ``_``, ``-``, spaces and angle brackets around the name do not matter.

    Args:
        name: QEMU's name, an alias, Linux's (``KEY_ENTER``), X11's (``Control_L``), a browser's
            ``code`` or ``key`` (``ArrowUp``), or Packer's (``<leftCtrl>``).

    Raises:
        UsageError: No key has this name; the message suggests similar names.
    """
    found = find(name)
    if found is None and (character := named_character(name)):
        raise UsageError(
            f"{name!r} is the character {character!r} and takes more than one key:"
            " press it as a chord (keyboard.chord, kju key), or type it"
        )
    if found is None:
        raise UsageError(f"no key is named {name!r}{_offer(name)}")
    return found


def find(name: str) -> int | None:
    """Return the number of a key, or None when no key has this name."""
    return _folded().get(_fold(_bare(name)))


def named_character(name: str) -> str:
    """Return the character with a name in `CHARACTERS`, or an empty string."""
    return _characters().get(_fold(_bare(name)), "")


def other_names(key: int) -> list[str]:
    """Return the names of a key other than QEMU's: aliases, Linux's, browsers' and X11's."""
    return _others().get(key, [])


def _bare(name: str) -> str:
    """Remove the spaces and angle brackets around a name."""
    wanted = name.strip()
    if len(wanted) > 2 and wanted[0] == "<" and wanted[-1] == ">":
        wanted = wanted[1:-1].strip()
    return wanted


def _fold(name: str) -> str:
    return name.lower().translate(_SEPARATORS)


@cache
def _others() -> dict[int, list[str]]:
    found: dict[int, list[str]] = {}
    codes = {key: words for key, _, _, words, _ in KEYS}
    for key, name in NAMES.items():
        aliases = [alias for alias, meant in ALIASES.items() if meant == name]
        every = [*aliases, *LINUX.get(key, ()), *codes[key], *X11.get(key, ())]
        found[key] = [word for word in dict.fromkeys(every) if word != name]
    return found


@cache
def _folded() -> dict[str, int]:
    """Map every name, folded, to its key. QEMU's names take precedence, then the aliases."""
    found: dict[str, int] = {}
    for name, key in NUMBERS.items():
        found.setdefault(_fold(name), key)
    for alias, name in ALIASES.items():
        found.setdefault(_fold(alias), NUMBERS[name])
    for key, words in _others().items():
        for word in words:
            found.setdefault(_fold(word), key)
    # Linux's names without KEY_ come last: users do not mean Linux's "menu".
    for key, names in LINUX.items():
        for name in names:
            found.setdefault(_fold(name.removeprefix("KEY_")), key)
    found.pop("", None)
    return found


@cache
def _characters() -> dict[str, str]:
    return {_fold(name): character for name, character in CHARACTERS.items()}


def _offer(wanted: str) -> str:
    """Return the end of a message with the names most similar to *wanted*."""
    folded = _fold(wanted.strip("<> "))
    shown = {_fold(name): name for name in (*ALIASES, *NUMBERS, *CHARACTERS)}
    like = difflib.get_close_matches(folded, [*_folded(), *_characters()], n=4, cutoff=0.7)
    near = [shown.get(name) or NAMES[_folded()[name]] for name in like]
    near += [n for key, n in shown.items() if len(folded) > 2 and key.startswith(folded[:3])]
    listed = list(dict.fromkeys(near))[:4]
    offer = f"; did you mean {', '.join(listed)}?" if listed else ""
    return f"{offer or ';'} kju key --list shows them all"
