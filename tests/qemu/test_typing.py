"""Every character of a layout, typed into a Linux text console with Debian's keymap for it.

The console's keymap is made by ckbcomp, which reads X11's data by itself, and what it and
`kju.keys` agree on comes back from the guest. Where the console cannot follow X11, nothing is
typed: see `same`.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from support import guests
from support.wait import until

import kju
from kju import keys

pytestmark = pytest.mark.qemu

#: Dead keys of the console that are X11's, and what they put on a letter. The kernel composes
#: Latin-1 alone, and after a space gives the accent's ASCII character.
ACCENTS = {
    "dead_grave": "\N{COMBINING GRAVE ACCENT}",
    "dead_acute": "\N{COMBINING ACUTE ACCENT}",
    "dead_circumflex": "\N{COMBINING CIRCUMFLEX ACCENT}",
    "dead_tilde": "\N{COMBINING TILDE}",
    "dead_diaeresis": "\N{COMBINING DIAERESIS}",
    "dead_cedilla": "\N{COMBINING CEDILLA}",
}
ALONE = {"dead_grave": "`", "dead_circumflex": "^", "dead_tilde": "~"}
#: Characters that must be among the typed ones, so that the test covers AltGr and dead keys.
AMONG = {
    "en-us": "~!@#$%^&*()_+{}|:\"<>?\\`'",
    "en-gb": '£"@#~|\\€ß',
    "de": "yzßäÄ€@{[]}\\|~ẞéÉèêôâûò^`",
    "fr": "éèçàùÀ1234567890&~#{[|\\@]}€êôâûîëïüÿÊË<>^",
    "es": "ñÑ¡¿@#|€áéíóúÁüàâ[]{}",
    "sv": "åäöÅ@£${[]}\\~|éüâ^",
    "fr-ch": "éèàüöäÜ@#|~[]{}ñâê",
    "pt-br": "çÇáãõâêôàü/?|\\{}[]¹²³",
    "ru": "йцукёЖЯ№",
}
#: For an accent of its own in X11, ckbcomp has an apostrophe.
LACKING = dict.fromkeys(("sv", "pt-br"), "\N{ACUTE ACCENT}")


class Console(NamedTuple):
    machine: kju.Machine
    guest: guests.Console
    serial: guests.Serial


@pytest.fixture(scope="module")
def console(
    shared_runtime_folder: None, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Console]:
    """One guest for all layouts."""
    guest = guests.console(tmp_path_factory.mktemp("console"))
    with (
        kju.launch(args=guest.arguments, name="typed") as machine,
        guests.Serial(guest) as serial,
    ):
        serial.wait("^kju: ready", 90)
        yield Console(machine, guest, serial)


def keymap(path: Path) -> dict[int, list[str]]:
    """Return a keymap's entries of each Linux key: plain, with shift, with AltGr, with both."""
    rows = {}
    for line in path.read_text().splitlines():
        left, _, right = line.partition(" = ")
        if left.startswith("keycode "):
            rows[int(left.split()[1])] = [word.lstrip("+") for word in right.split()[:4]]
    return rows


def on_console(rows: dict[int, list[str]], chord: keys.Chord) -> str:
    """Return the character, or the dead key's name, of a chord on the console."""
    evdev = keys.to_evdev(chord[-1])
    word = rows.get(evdev or 0, ["", "", "", ""])[(0x2A in chord) + 2 * (0xB8 in chord)]
    return chr(int(word[2:], 16)) if word.startswith("U+") else word


def same(layout: keys.Layout, rows: dict[int, list[str]]) -> str:
    """Return the characters of a layout that have the same keys on the console."""
    found = []
    for text, stroke in layout.chords.items():
        *dead, last = (on_console(rows, chord) for chord in stroke)
        if not dead:
            works = last == text
        elif len(dead) == 1 and dead[0] in ACCENTS:
            made = unicodedata.normalize("NFC", last + ACCENTS[dead[0]])
            latin1 = made == text and 0xA0 <= ord(text) <= 0xFF
            works = latin1 or (last == " " and ALONE.get(dead[0]) == text)
        else:
            works = False
        if works:
            found.append(text)
    return "".join(sorted(found))


@pytest.mark.parametrize("name", sorted(AMONG))
def test_every_character_of_a_layout_reaches_the_console(console: Console, name: str) -> None:
    layout, typed = keys.layout(name), console.guest.typed
    characters = same(layout, keymap(console.guest.keymaps / f"{name}.map"))
    assert set(AMONG[name]) <= set(characters)
    direct = {c for c in layout.chords if len(layout.chords[c]) == 1 and c.isprintable()}
    assert direct - set(characters) == set(LACKING.get(name, ""))
    # Every character once in order and once between distant ones: the keys held between
    # two chords differs.
    text = characters + "\t" + characters[::2] + "\n" + characters[::-3]
    assert console.serial.ask(name, r"^kju: (loaded|cannot load) \S+$")[0] == f"kju: loaded {name}"
    before = typed.read_bytes()
    console.machine.keyboard.type(text, layout=name, interval=2)
    wanted = text.replace("\n", "\r").encode()
    until(lambda: len(typed.read_bytes()) >= len(before) + len(wanted), f"{len(wanted)} bytes")
    assert typed.read_bytes()[len(before) :].decode(errors="replace") == wanted.decode()
