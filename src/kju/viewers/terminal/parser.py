"""Parser of a terminal's input: bytes in, key and mouse events out. I/O-free.

With Kitty's keyboard protocol a terminal reports every key, its press and its release. Other
terminals send characters and escape sequences, from which only chords and texts can be restored.
Rules:

- Bytes may be cut anywhere: an incomplete sequence waits for the rest. `flush` ends the wait of a
  lone escape character, which is the Esc key.
- Unknown sequences are dropped. Nothing that a terminal sends raises.

Source:
    https://sw.kovidgoyal.net/kitty/keyboard-protocol/; xterm's control sequences: mouse tracking
    (SGR, mode 1006), focus (1004), bracketed paste (2004).
    ECMA-48, for the final bytes and numbers of function keys.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from ...keys import NUMBERS, from_keysym

#: Requests every report of the protocol: disambiguation, event types, alternate keys, all keys,
#: associated text. The terminal answers `QUERY_KITTY` where it has the protocol.
QUERY_KITTY, PUSH_KITTY, POP_KITTY = b"\x1b[?u", b"\x1b[>31u", b"\x1b[<u"
#: Reports: mouse movement, SGR coordinates, focus, bracketed paste.
START_REPORTS = b"\x1b[?1003h\x1b[?1006h\x1b[?1004h\x1b[?2004h"
STOP_REPORTS = b"\x1b[?2004l\x1b[?1004l\x1b[?1006l\x1b[?1003l"

_CSI = re.compile(rb"\x1b\[([<=>?]?)([0-9:;]*)([ -/]*)([@-Z\\-~])")
_LINUX_FUNCTION = re.compile(rb"\x1b\[\[([A-E])")
_SS3 = re.compile(rb"\x1bO([ -~])")
_CUT = re.compile(rb"\x1b(\[[<=>?]?[0-9:;]*[ -/]*|\[\[|O)?\Z")
_CHARACTERS = re.compile(rb"[ -~\x80-\xff]+")
_PASTE, _PASTE_END = b"\x1b[200~", b"\x1b[201~"
# A parameter of more digits is nonsense; int() of very many would take long.
_MAX_DIGITS = 7

_BUTTONS = {0: "left", 1: "middle", 2: "right", 128: "side", 129: "extra"}
_WHEEL = {64: (-1, 0), 65: (1, 0), 66: (0, -1), 67: (0, 1)}
_MOTION, _MOUSE_MODIFIERS = 32, 4 | 8 | 16


class KeyChange(NamedTuple):
    """A key goes down, goes up or repeats (Kitty's protocol)."""

    number: int
    down: bool
    repeat: bool


class ChordTyped(NamedTuple):
    """Keys were pressed together; their releases are not reported."""

    numbers: tuple[int, ...]


class TextTyped(NamedTuple):
    """Characters were typed or pasted."""

    text: str


class MouseMoved(NamedTuple):
    """The pointer is over a cell, counted from 0."""

    column: int
    row: int


class MouseButton(NamedTuple):
    """A button goes down or up."""

    name: str
    down: bool


class WheelTurned(NamedTuple):
    """The wheel turns by notches; positive is down and right."""

    vertical: int
    horizontal: int


class FocusChanged(NamedTuple):
    """The terminal gets or loses the keyboard focus."""

    has_focus: bool


class KittySupported(NamedTuple):
    """The terminal has Kitty's protocol: the answer to `QUERY_KITTY`."""


Event = (
    KeyChange | ChordTyped | TextTyped | MouseMoved | MouseButton | WheelTurned | FocusChanged
    | KittySupported
)  # fmt: skip


class InputParser:
    """Parses one terminal's input.

    Attributes:
        kitty: The protocol is switched on: keys carry their own press and release, modifiers
            included.
    """

    def __init__(self) -> None:
        self.kitty: bool = False
        self._rest = b""
        self._pasting = False

    @property
    def waits(self) -> bool:
        """True where the last bytes may be the begin of a sequence."""
        return bool(self._rest)

    def feed(self, data: bytes) -> list[Event]:
        """Return the events of these bytes and of those that waited before them."""
        self._rest += data
        events: list[Event] = []
        while self._rest:
            taken = self._paste(events) if self._pasting else self._next(events)
            if not taken:
                break
            self._rest = self._rest[taken:]
        return events

    def flush(self) -> list[Event]:
        """Return the events of bytes that waited in vain: Esc, and the characters after it."""
        rest, self._rest = self._rest, b""
        if self._pasting or not rest:
            self._rest = rest
            return []
        if rest[0] != 0x1B:
            return []  # half a character
        return [ChordTyped(chord("esc")), *self.feed(rest[1:])]

    def _next(self, events: list[Event]) -> int:
        """Parse one event; return the number of its bytes, 0 if it is incomplete."""
        rest, first = self._rest, self._rest[0]
        if first != 0x1B:
            if first < 0x20 or first == 0x7F:
                events.append(ChordTyped(chord(*_control_keys(first))))
                return 1
            return self._characters(events)
        if rest.startswith(_PASTE):
            self._pasting = True
            return len(_PASTE)
        if match := _LINUX_FUNCTION.match(rest):
            events.append(ChordTyped(chord(f"f{match[1][0] - 0x40}")))
        elif match := _CSI.match(rest):
            self._csi(match, events)
        elif match := _SS3.match(rest):
            if (name := LETTERS.get(match[1].decode())) is not None:
                events.append(ChordTyped(chord(name)))
        elif _CUT.match(rest):
            return 0
        else:
            return self._alt(events)
        return match.end()

    def _alt(self, events: list[Event]) -> int:
        """Parse a character after Esc: Alt was held."""
        code = self._rest[1]
        if code == 0x1B or code >= 0x80:
            events.append(ChordTyped(chord("esc")))
            return 1
        if code < 0x20 or code == 0x7F:
            keys = _control_keys(code)
            # Ctrl before Alt, as the release key names them.
            keys = ("ctrl", "alt", *keys[1:]) if keys[0] == "ctrl" else ("alt", *keys)
            events.append(ChordTyped(chord(*keys)))
        elif (number := _kitty_key(code)) is not None:
            shift = chord("shift") if _is_shifted(code) else ()
            events.append(ChordTyped((*chord("alt"), *shift, number)))
        return 2

    def _characters(self, events: list[Event]) -> int:
        match = _CHARACTERS.match(self._rest)
        run = match[0] if match else self._rest[:1]
        whole = len(run)
        # Up to three bytes at the end may be the begin of a character.
        for cut in range(1, min(4, len(run) + 1)):
            lead = run[-cut]
            if lead >= 0xC0:
                needed = 2 if lead < 0xE0 else 3 if lead < 0xF0 else 4
                whole -= cut if cut < needed else 0
            if lead < 0x80 or lead >= 0xC0:
                break
        if text := run[:whole].decode(errors="ignore"):
            events.append(TextTyped(text))
        return whole

    def _paste(self, events: list[Event]) -> int:
        """Take pasted characters up to the end of the paste; a paste is not buffered."""
        rest = self._rest
        end = rest.find(_PASTE_END)
        if end >= 0:
            self._pasting = False
            text, taken = rest[:end], end + len(_PASTE_END)
        else:
            # The end marker, a character or an end of a line may be cut.
            taken = max(0, len(rest) - len(_PASTE_END) + 1)
            while taken and rest[taken] & 0xC0 == 0x80:
                taken -= 1
            taken -= rest[:taken].endswith(b"\r")
            text = rest[:taken]
        if text:
            pasted = text.decode(errors="replace").replace("\r\n", "\n").replace("\r", "\n")
            # Only characters: a paste must not press Ctrl+C or Esc in the guest.
            pasted = "".join(c for c in pasted if c in "\n\t" or c.isprintable())
            events.append(TextTyped(pasted))
        return taken

    def _csi(self, match: re.Match[bytes], events: list[Event]) -> None:
        private, final = match[1].decode(), match[4].decode()
        fields = _fields(match[2])
        if match[3] or fields is None:
            return
        if private == "<" and final in "Mm":
            events += _mouse(fields, down=final == "M")
        elif private == "?" and final == "u":
            events.append(KittySupported())
        elif not private and final in "IO" and not match[2]:
            events.append(FocusChanged(final == "I"))
        elif not private:
            events += self._key(fields, final)

    def _key(self, fields: list[list[int]], final: str) -> list[Event]:
        """Return the events of a key, in Kitty's or in xterm's form."""
        code = fields[0][0]
        held, kind = [*(fields[1] if fields[1:] else [1]), 1][:2]
        if final == "Z":
            return [ChordTyped(chord("shift", "tab"))]
        if final == "u":
            base = fields[0][2] if len(fields[0]) > 2 else 0
            number = _kitty_key(code, base)
        else:
            name = NUMBERED.get(code) if final == "~" else LETTERS.get(final)
            number = chord(name)[0] if name else None
        if number is None:
            text = "".join(map(chr, fields[2])) if len(fields) > 2 and kind != 3 else ""
            return [TextTyped(text)] if text.isprintable() and text else []
        if self.kitty:
            return [KeyChange(number, kind != 3, kind == 2)]
        if kind == 3:
            return []
        return [ChordTyped((*chord(*modifiers(held)), number))]


def _fields(parameters: bytes) -> list[list[int]] | None:
    """Return the numbers between semicolons and colons, 0 where one is missing."""
    fields = [field.split(b":") for field in parameters.split(b";")]
    if any(len(number) > _MAX_DIGITS for field in fields for number in field):
        return None
    numbers = [[int(number or 0) for number in field] for field in fields]
    return None if any(n > 0x10FFFF for field in numbers for n in field) else numbers


def _mouse(fields: list[list[int]], *, down: bool) -> list[Event]:
    """Return the events of an SGR mouse report."""
    if len(fields) != 3:
        return []
    code, column, row = (field[0] for field in fields)
    code &= ~_MOUSE_MODIFIERS
    events: list[Event] = [MouseMoved(max(column, 1) - 1, max(row, 1) - 1)]
    if code & _MOTION:
        return events
    if (turn := _WHEEL.get(code)) is not None:
        return [*events, WheelTurned(*turn)] if down else events
    if (name := _BUTTONS.get(code)) is not None:
        events.append(MouseButton(name, down))
    return events


def _is_shifted(code: int) -> bool:
    return chr(code) in '~!@#$%^&*()_+{}|:"<>?' or chr(code).isupper()


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


def _kitty_key(code: int, base: int = 0) -> int | None:
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


def _control_keys(code: int) -> tuple[str, ...]:
    """Return the keys of a control character."""
    return CONTROLS.get(code) or ("ctrl", chr(code + 0x60))


def chord(*names: str) -> tuple[int, ...]:
    """Return the numbers of keys, in their order."""
    return tuple(NUMBERS[name] for name in names)
