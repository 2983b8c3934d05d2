"""Two models of a guest's keyboard, from steps to text, that check each other.

`Model` knows a layout's own table and nothing of how texts become steps. `X11` is
libxkbcommon with the installed keyboard data, what a guest's desktop has.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import cache
from pathlib import Path

from kju import keys
from kju.keys import keyboards
from kju.keys.keyboards import VERSION
from kju.keys.keyboards import X11 as X11_NAMES

SHIFT, ALTGR = 0x2A, 0xB8
CONTROLS = {0x0F: "\t", 0x1C: "\n", 0x0E: "\b", 0x01: "\x1b", 0xD3: "\x7f"}
COMPOSE_RULES = Path("/usr/share/X11/locale/en_US.UTF-8/Compose")


def symbol(word: str) -> str:
    return chr(int(word[2:], 16)) if re.fullmatch("U[+][0-9A-F]+", word) else word


class Model:
    """A keyboard that is set to a layout: modifiers, a table of levels, pending dead keys."""

    def __init__(self, name: str) -> None:
        folder = Path(keyboards.__file__).parent
        _, rows = (folder / f"{name}.txt").read_text().rstrip("\n").split("\n\n")
        _, composed = (folder / "dead_keys.txt").read_text().rstrip("\n").split("\n\n")
        self.rows = {}
        for line in rows.split("\n"):
            number, *symbols = line.split(" ")
            self.rows[int(number, 16)] = [symbol(word) for word in symbols]
        self.composed = {}
        for line in composed.splitlines():
            dead, _, pairs = line.partition(": ")
            words = [symbol(word) for word in pairs.split(" ")]
            for base, text in zip(words[::2], words[1::2], strict=True):
                self.composed[(*dead.split(" "), base)] = text
        self.down: set[int] = set()
        self.pending: tuple[str, ...] = ()
        self.text = ""

    def take(self, steps: Iterable[keys.Step]) -> None:
        for key, down in steps:
            if not down:
                assert key in self.down, f"key {key:#x} comes up that is not down"
                self.down.remove(key)
                continue
            assert key not in self.down, f"key {key:#x} goes down twice"
            others = self.down - {SHIFT, ALTGR}
            assert not others, f"key {key:#x} goes down while {others} are"
            self.down.add(key)
            if key not in (SHIFT, ALTGR):
                self.press(key)

    def press(self, key: int) -> None:
        if key in CONTROLS:
            assert self.down == {key}, "a control key with a modifier is another one"
            self.text += CONTROLS[key]
            return
        level = (SHIFT in self.down) + 2 * (ALTGR in self.down)
        fed = (*self.pending, self.rows[key][level])
        if fed in self.composed:
            self.text += self.composed[fed]
            self.pending = ()
        elif any(known[: len(fed)] == fed for known in self.composed):
            self.pending = fed
        else:
            assert len(fed) == 1, f"nothing is composed of {fed}"
            assert len(fed[0]) == 1, f"a dead key begins nothing: {fed}"
            self.text += fed[0]


class X11:
    """A keyboard as an X11 or Wayland guest decodes it.

    Args:
        name: The layout, as kju has it.
    """

    def __init__(self, name: str) -> None:
        self.xkb, self.keymap, table = _x11(name)
        self.state = self.keymap.state_new()
        self.compose = table.compose_state_new()
        self.text = ""

    def take(self, steps: Iterable[keys.Step]) -> None:
        for key, down in steps:
            evdev = keys.to_evdev(key)
            assert evdev is not None
            self.evdev(evdev, down)

    def evdev(self, code: int, down: bool) -> None:
        """One event of Linux's input layer."""
        xkb, keycode = self.xkb, code + 8
        if down:
            self.press(keycode)
        self.state.update_key(keycode, xkb.XKB_KEY_DOWN if down else xkb.XKB_KEY_UP)

    def press(self, keycode: int) -> None:
        xkb = self.xkb
        keysym = self.state.key_get_one_sym(keycode)
        if self.compose.feed(keysym) == xkb.XKB_COMPOSE_FEED_IGNORED:
            return  # a modifier
        status = self.compose.get_status()
        if status == xkb.XKB_COMPOSE_COMPOSED:
            self.text += self.compose.get_utf8()
        elif status == xkb.XKB_COMPOSE_NOTHING:
            self.text += self.state.key_get_string(keycode)
        else:
            assert status == xkb.XKB_COMPOSE_COMPOSING, f"{keysym:#x} ends what was composed"


@cache
def _x11(name: str):
    from xkbcommon import xkb

    model, layout, variant = X11_NAMES[name]
    context = xkb.Context()
    keymap = context.keymap_new_from_names(
        rules="evdev", model=model, layout=layout, variant=variant
    )
    rules = COMPOSE_RULES.read_bytes()
    return xkb, keymap, context.compose_table_new_from_buffer(rules, "en_US.UTF-8")


def x11_is_the_same() -> bool:
    """Whether the layouts were made from the keyboard data that is installed here."""
    try:
        described = Path("/usr/share/pkgconfig/xkeyboard-config.pc").read_text()
    except FileNotFoundError:
        return False
    return f"Version: {VERSION.rpartition('-')[0]}\n" in described and COMPOSE_RULES.exists()
