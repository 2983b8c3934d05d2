"""The layouts: the characters of each key in X11's keyboard data, and those of dead keys.

libxkbcommon computes both, as it does in a guest: for each key, the keysyms with no modifier,
shift, AltGr and both, with caps lock off and on; and for each dead key, its composition with every
keysym of the layout by the rules of en_US.UTF-8.

From xkb-data 2.35 (Debian 12) to 2.42 (Debian 13) the keys of ASCII characters did not change in
any layout. AltGr changed, most of all in "sv".

Only the typewriter's keys count. A number pad types other things while num lock is off.
"""

from __future__ import annotations

import unicodedata
from pathlib import Path
from typing import NamedTuple

from xkbcommon import xkb

from .numbers import X11_OFFSET, context

#: Name, as QEMU has it; model, layout and variant of xkb-data; title; other names. QEMU's own
#: "de" and "fr" are the variants without dead keys; guests that are set to "de" or "fr" have the
#: others. Its "bepo" is made from fr(dvorak), another layout; this is fr(bepo).
LAYOUTS = [
    ("ar", "pc105", "ara", "", "Arabic", "ara"),
    ("bepo", "pc105", "fr", "bepo", "French (BÉPO)", ""),
    ("cz", "pc105", "cz", "", "Czech", "cs"),
    ("da", "pc105", "dk", "", "Danish", "dk"),
    ("de", "pc105", "de", "", "German", ""),
    ("de-ch", "pc105", "ch", "", "German (Switzerland)", "ch"),
    ("de-nodeadkeys", "pc105", "de", "nodeadkeys", "German (no dead keys)", ""),
    ("en-gb", "pc105", "gb", "", "English (UK)", "gb uk"),
    ("en-us", "pc105", "us", "", "English (US)", "us"),
    ("es", "pc105", "es", "", "Spanish", ""),
    ("et", "pc105", "ee", "", "Estonian", "ee"),
    ("fi", "pc105", "fi", "", "Finnish", ""),
    ("fo", "pc105", "fo", "", "Faroese", ""),
    ("fr", "pc105", "fr", "", "French", ""),
    ("fr-be", "pc105", "be", "", "Belgian", "be"),
    ("fr-ca", "pc105", "ca", "fr", "French (Canada)", "ca"),
    ("fr-ch", "pc105", "ch", "fr", "French (Switzerland)", ""),
    ("fr-nodeadkeys", "pc105", "fr", "nodeadkeys", "French (no dead keys)", ""),
    ("hr", "pc105", "hr", "", "Croatian", ""),
    ("hu", "pc105", "hu", "", "Hungarian", ""),
    ("is", "pc105", "is", "", "Icelandic", ""),
    ("it", "pc105", "it", "", "Italian", ""),
    ("ja", "jp106", "jp", "", "Japanese", "jp"),
    ("lt", "pc105", "lt", "", "Lithuanian", ""),
    ("lv", "pc105", "lv", "", "Latvian", ""),
    ("mk", "pc105", "mk", "", "Macedonian", ""),
    ("nl", "pc105", "nl", "", "Dutch", ""),
    ("no", "pc105", "no", "", "Norwegian", ""),
    ("pl", "pc105", "pl", "", "Polish", ""),
    ("pt", "pc105", "pt", "", "Portuguese", ""),
    ("pt-br", "pc105", "br", "", "Portuguese (Brazil)", "br"),
    ("ru", "pc105", "ru", "", "Russian", ""),
    ("sl", "pc105", "si", "", "Slovenian", "si"),
    ("sv", "pc105", "se", "", "Swedish", "se"),
    ("th", "pc105", "th", "", "Thai", ""),
    ("tr", "pc105", "tr", "", "Turkish", ""),
]
#: QEMU's number and Linux's code of the typewriter's keys.
TYPEWRITER = {
    **{n: n for row in ((2, 14), (16, 28), (30, 42), (43, 54), (57, 58)) for n in range(*row)},
    0x56: 86,
    0x73: 89,
    0x7D: 124,
}
SHIFT, ALTGR = 42 + X11_OFFSET, 100 + X11_OFFSET
HELD = [(), (SHIFT,), (ALTGR,), (SHIFT, ALTGR)]
#: The characters of symbols/pc on the key that only European keyboards have. A layout that has both
#: on other keys only inherits them here, and guests other than X11 have other characters there.
INHERITED = ["<", ">"]
#: Dead keys after one another, at most, before the character they change.
DEEPEST = 2

Table = dict[int, list[str]]
Composed = dict[tuple[str, ...], dict[str, str]]


class Layout(NamedTuple):
    """One layout.

    Attributes:
        keys: For each key number its symbols at the four levels: a character, the name of a dead
            key, or nothing.
        composed: After these dead keys, the character that each symbol gives. Only where no
            shorter way types it.
        caps: For each key that caps lock changes, one letter for each level: the number of the
            level that gives its symbol while caps lock is on, or x for none.
    """

    keys: Table
    composed: Composed
    caps: dict[int, str]


def read(root: Path, model: str, layout: str, variant: str) -> Layout:
    """One layout of xkb-data.

    Raises:
        xkbcommon.xkb.XKBKeymapCreationFailure: There is none of this name.
    """
    keymap = context(root).keymap_new_from_names(
        rules="evdev", model=model, layout=layout, variant=variant
    )
    rules = (root / "usr/share/X11/locale/en_US.UTF-8/Compose").read_bytes()
    composing = context(root).compose_table_new_from_buffer(rules, "en_US.UTF-8")
    state = composing.compose_state_new()
    found = {
        number: [(keysym, _symbol(state, keysym)) for keysym in row]
        for number, row in _keysyms(keymap).items()
    }
    keys = {n: [text for _, text in row] for n, row in found.items() if any(dict(row).values())}
    _drop_inherited(keys)
    symbols = {keysym: text for n in sorted(keys) for keysym, text in found[n] if text}
    # The few dead keys that xkb-data 2.35 has on AltGr in "nodeadkeys" are gone in 2.42.
    composed = {} if variant == "nodeadkeys" else _compose(state, symbols)
    return Layout(keys, _useful(keys, composed), _caps(keymap, keys))


def _symbol(state: xkb.ComposeState, keysym: int) -> str:
    """Return the character, or the dead key's name, or an empty text."""
    state.reset()
    state.feed(keysym)
    name = str(xkb.keysym_get_name(keysym))
    if state.get_status() == xkb.XKB_COMPOSE_COMPOSING:
        return name if name.startswith("dead_") else ""
    # One key may type two characters, such as Arabic's lam with alef: each has a key of its own.
    composed = state.get_status() == xkb.XKB_COMPOSE_COMPOSED
    text = str((state.get_utf8() if composed else xkb.keysym_to_string(keysym)) or "")
    return text if len(text) == 1 and unicodedata.category(text) != "Cc" else ""


def _caps(keymap: xkb.Keymap, keys: Table) -> dict[int, str]:
    off, on = _keysyms(keymap), _keysyms(keymap, caps_lock=True)
    found = {}
    for number in sorted(keys):
        levels = [
            "x" if keysym not in on[number] else str(on[number].index(keysym))
            for keysym in off[number]
        ]
        # The same level is best where several have the symbol.
        for level, keysym in enumerate(off[number]):
            if on[number][level] == keysym:
                levels[level] = str(level)
        if levels != [str(level) for level in range(len(levels))]:
            found[number] = "".join(levels)
    return found


def _keysyms(keymap: xkb.Keymap, *, caps_lock: bool = False) -> dict[int, list[int]]:
    levels = keymap.key_get_syms_by_level(ALTGR, 0, 0)
    has_altgr = levels == [xkb.keysym_from_name("ISO_Level3_Shift")]
    found: dict[int, list[int]] = {}
    for number, evdev in TYPEWRITER.items():
        for held in HELD[: 4 if has_altgr else 2]:
            state = keymap.state_new()
            for keycode in held:
                state.update_key(keycode, xkb.XKB_KEY_DOWN)
            if caps_lock:  # no key: that is shift and caps lock on a Japanese keyboard
                down = state.serialize_mods(xkb.XKB_STATE_MODS_DEPRESSED)
                state.update_mask(down, 0, 1 << keymap.mod_get_index("Lock"), 0, 0, 0)
            found.setdefault(number, []).append(state.key_get_one_sym(evdev + X11_OFFSET))
    return found


def _drop_inherited(keys: Table) -> None:
    others = {text for number, row in keys.items() if number != 0x56 for text in row[:2]}
    if 0x56 in keys and keys[0x56][:2] == INHERITED and others.issuperset(INHERITED):
        del keys[0x56]


def _compose(state: xkb.ComposeState, symbols: dict[int, str]) -> Composed:
    found: Composed = {}
    waiting: list[tuple[int, ...]] = [()]
    while waiting:
        prefix = waiting.pop(0)
        for keysym in sorted(symbols):
            state.reset()
            for fed in (*prefix, keysym):
                state.feed(fed)
            if prefix and state.get_status() == xkb.XKB_COMPOSE_COMPOSED:
                text = str(state.get_utf8())
                if len(text) == 1:
                    dead = tuple(symbols[one] for one in prefix)
                    found.setdefault(dead, {}).setdefault(symbols[keysym], text)
            elif state.get_status() == xkb.XKB_COMPOSE_COMPOSING and len(prefix) < DEEPEST:
                waiting.append((*prefix, keysym))
    return found


def _useful(keys: Table, composed: Composed) -> Composed:
    """Return the shortest composition of each character that has no key."""
    cost: dict[str, tuple[int, int]] = {}
    for row in keys.values():
        for text, held in zip(row, HELD, strict=False):
            cost[text] = min(cost.get(text, (9, 9)), (len(held) + 1, 1))
    best: dict[str, tuple[tuple[int, int], tuple[str, ...], str]] = {}
    for prefix, pairs in composed.items():
        for base, text in pairs.items():
            ways = [cost[part] for part in (*prefix, base)]
            total = (sum(way[0] for way in ways), len(ways))
            if total < cost.get(text, (9**9, 0)):
                best[text] = min(best.get(text, (total, prefix, base)), (total, prefix, base))
    useful: Composed = {}
    for text, (_, prefix, base) in sorted(best.items(), key=lambda item: (item[1][1:], item[0])):
        useful.setdefault(prefix, {})[base] = text
    return useful
