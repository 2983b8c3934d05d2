"""Every layout: the characters that it types, and its agreement with QEMU's keymaps."""

from __future__ import annotations

import string
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.keyboard_model import X11, Model, x11_is_the_same

from kju import keys
from kju.errors import UsageError
from kju.keys import keyboards

KEYMAPS = Path("/usr/share/qemu/keymaps")
SHIFT, ALTGR = 0x2A, 0xB8
#: The layouts that QEMU 7.0 to 10.0 ship keymaps for.
QEMU = [
    *("ar", "bepo", "cz", "da", "de", "de-ch", "en-gb", "en-us", "es", "et", "fi", "fo"),
    *("fr", "fr-be", "fr-ca", "fr-ch", "hr", "hu", "is", "it", "ja", "lt", "lv", "mk", "nl"),
    *("no", "pl", "pt", "pt-br", "ru", "sl", "sv", "th", "tr"),
]
every_layout = pytest.mark.parametrize("name", sorted(keys.LAYOUTS))


def test_every_qemu_keymap_has_a_layout() -> None:
    assert set(QEMU) <= set(keys.LAYOUTS)
    assert set(keys.LAYOUTS) - set(QEMU) == {"de-nodeadkeys", "fr-nodeadkeys"}


@pytest.mark.parametrize(
    ("alias", "name"),
    [("us", "en-us"), ("gb", "en-gb"), ("uk", "en-gb"), ("jp", "ja"), ("br", "pt-br")],
)
def test_an_alias_is_the_same_layout(alias: str, name: str) -> None:
    assert keys.layout(alias) is keys.layout(name)


def test_an_unknown_layout_is_refused_with_a_list() -> None:
    with pytest.raises(UsageError, match=r"'klingon'.* de-ch,.* us\b"):
        keys.layout("klingon")


@every_layout
def test_every_character_is_typed(name: str) -> None:
    layout, guest = keys.layout(name), Model(name)
    text = "".join(sorted(layout.chords)).replace("\r", "")
    for group in keys.held_steps(layout.strokes(text), 32):
        guest.take(group)
    assert guest.text == text


@every_layout
@pytest.mark.skipif(not x11_is_the_same(), reason="another version of xkb-data is installed")
def test_every_character_is_typed_in_x11(name: str) -> None:
    pytest.importorskip("xkbcommon")
    layout, guest = keys.layout(name), X11(name)
    text = "".join(sorted(layout.chords)).replace("\r", "")
    for group in keys.held_steps(layout.strokes(text), 32):
        guest.take(group)
    assert guest.text.replace("\r", "\n") == text


@every_layout
def test_every_stroke_is_the_shortest(name: str) -> None:
    rows, layout = Model(name).rows, keys.layout(name)
    for number, row in rows.items():
        for level, text in enumerate(row):
            if len(text) == 1:
                pressed = sum(len(chord) for chord in layout.chords[text])
                assert pressed <= 1 + (level & 1) + (level >> 1), f"{text!r} on {number:#x}"


@every_layout
def test_latin_layouts_type_ascii(name: str) -> None:
    """A layout that types Latin letters types every character that a shell needs."""
    chords = keys.layout(name).chords
    if name in {"ar", "mk", "ru", "th"}:
        assert "a" not in chords
    else:
        assert all(c in chords for c in map(chr, range(0x20, 0x7F)))


def test_the_us_layout_is_the_one_written_by_hand() -> None:
    lower = "abcdefghijklmnopqrstuvwxyz1234567890-=[]\\;'`,./"
    upper = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ!@#$%^&*()_+{}|:"~<>?'
    named = {
        "-": "minus", "=": "equal", "[": "bracket_left", "]": "bracket_right", ";": "semicolon",
        "\\": "backslash", "'": "apostrophe", "`": "grave_accent", ",": "comma", ".": "dot",
        "/": "slash",
    }  # fmt: skip
    for below, above in zip(lower, upper, strict=True):
        key = keys.number(named.get(below, below))
        assert keys.US.chords[below] == ((key,),)
        assert keys.US.chords[above] == ((SHIFT, key),)
    assert len(keys.US.chords) == len(lower) + len(upper) + len(" \t\n\r\b\x1b\x7f")


@pytest.mark.parametrize(
    ("name", "text", "chords"),
    [
        ("de", "z", [(0x15,)]),
        ("de", "@", [(ALTGR, 0x10)]),
        ("de", "^", [(0x29,), (0x39,)]),
        ("de", "é", [(0x0D,), (0x12,)]),
        ("de", "´", [(0x0D,), (0x0D,)]),
        ("de", "Ê", [(0x29,), (SHIFT, 0x12)]),
        ("de-nodeadkeys", "^", [(0x29,)]),
        ("de", "ẞ", [(SHIFT, ALTGR, 0x1F)]),
        ("fr", "é", [(0x03,)]),
        ("fr", "1", [(SHIFT, 0x02)]),
        ("fr", "ê", [(0x1A,), (0x12,)]),
        ("fr", "<", [(0x56,)]),
        ("us", "<", [(SHIFT, 0x33)]),
        ("pt-br", "ã", [(0x28,), (0x1E,)]),
        ("pt-br", "/", [(0x73,)]),
        ("ru", "Ж", [(SHIFT, 0x27)]),
    ],
)
def test_known_characters_have_their_chords(name: str, text: str, chords: list[keys.Chord]) -> None:
    assert keys.layout(name).type(text) == chords


def test_a_text_is_normalised_where_it_must_be() -> None:
    german = keys.layout("de")
    assert german.type("e\N{COMBINING ACUTE ACCENT}") == german.type("é")
    with pytest.raises(UsageError, match=r"'us'.*'é' \(position 1\); choose"):
        keys.layout("us")._replace(name="us").type("ae\N{COMBINING ACUTE ACCENT}")
    # What it can type as it stands stays as it is: this would else become another character.
    thai = keys.layout("th")
    text = "".join(c for c in thai.chords if ord(c) > 0xE00)
    assert [thai.chords[c] for c in text] == thai.strokes(text)


def test_only_the_requested_layout_and_its_dead_keys_are_read() -> None:
    program = (
        "import sys\n"
        "def opened(event, arguments):\n"
        "    if event == 'open' and str(arguments[0]).endswith('.txt'): print(arguments[0])\n"
        "sys.addaudithook(opened)\n"
        "import kju.keys; kju.keys.layout('de')"
    )
    said = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    names = [Path(line).name for line in said.stdout.splitlines()]
    assert names == ["en-us.txt", "de.txt", "dead_keys.txt"]


# ---- QEMU's keymaps ----

#: What QEMU has under these names is another layout: "bepo" is fr(dvorak), "et" is Ethiopia's
#: where the name means Estonian, "sl" is an old Slovenian with y and z where English has them.
OTHERS = {"bepo", "et", "sl"}
#: Its German and French are the ones without dead keys.
WITHOUT_DEAD_KEYS = {"de": "de-nodeadkeys", "fr": "fr-nodeadkeys"}
#: Written by hand, long ago: dead keys and AltGr are largely missing.
BY_HAND = {"sv": {("acute", "dead_acute"), ("grave", "dead_grave")}}
#: QEMU's are made from an older xkb-data. On AltGr it had these: its symbol and today's.
OLDER = {
    ("lstroke", "ſ"), ("Lstroke", "§"), ("section", "ẞ"), ("section", "ß"),
    ("leftdoublequotemark", "„"), ("leftsinglequotemark", "‚"),
    ("rightdoublequotemark", "“"), ("rightsinglequotemark", "‘"), ("horizconnector", "•"),
}  # fmt: skip
#: The same, for one layout each.
OLDER_IN = {
    "es": {("dead_tilde", "dead_cedilla"), ("asciitilde", "dead_ogonek"),
           ("asciitilde", "dead_tilde")},
    "fi": {("nobreakspace", " ")},
    "hr": {("leftdoublequotemark", "”"), ("asciicircum", "§")},
    "hu": {("dead_caron", "ẞ")},
    "is": {("thorn", "|"), ("THORN", "π")},
    "pt-br": {("EuroSign", "°"), ("masculine", "dead_caron")},
    # X11 gives two characters, lam and alef, which have keys of their own.
    "ar": {("UFEF7", "none"), ("UFEF9", "none")},
}  # fmt: skip
#: Layouts whose right alt key is no AltGr: what a keymap has on AltGr cannot be typed.
NO_ALTGR = {"en-us", "ja", "mk", "ru", "th"}
#: The key between shift and z has nothing where the layout has its < and > elsewhere.
INHERITED = {"less", "greater", "bar", "brokenbar"}
LEVELS = {"": 0, "addupper": 0, "localstate": 0, "shift": 1, "altgr": 2, "shift altgr": 3}


def keymap(name: str) -> Iterator[tuple[int, str, str]]:
    """Return key, modifiers and keysym of each line about the typewriter's keys."""
    rows = Model(name).rows
    for line in (KEYMAPS / name).read_text().splitlines():
        words = line.partition("#")[0].split()
        if len(words) > 1 and words[1].startswith("0x") and int(words[1], 16) in {*rows, 0x56}:
            held = " ".join(words[2:])
            if held in LEVELS:
                yield int(words[1], 16), held, words[0]


@pytest.mark.parametrize("name", sorted(set(QEMU) - OTHERS))
def test_a_layout_agrees_with_qemus_keymap(name: str) -> None:
    xkb = pytest.importorskip("xkbcommon.xkb")
    if not (KEYMAPS / name).exists():
        pytest.skip("QEMU's keymaps are not installed")
    rows = Model(WITHOUT_DEAD_KEYS.get(name, name)).rows
    compared = 0
    for number, held, keysym in keymap(name):
        row, level = rows.get(number, []), LEVELS[held]
        ours = row[level] if level < len(row) else "none"
        value = xkb.keysym_from_name(keysym)
        theirs = (
            keysym if keysym.startswith("dead_") else xkb.keysym_to_string(value) if value else ""
        )
        compared += 1
        explained = (
            (keysym, ours) in OLDER | OLDER_IN.get(name, set()) | BY_HAND.get(name, set())
            or (name in NO_ALTGR and level > 1)
            or (number == 0x56 and number not in rows and keysym in INHERITED)
        )
        assert explained or ours == (theirs or "none"), f"{number:#x} {held}: {keysym}, {ours}"
    assert compared > 80


def test_every_layout_file_belongs_to_a_layout() -> None:
    folder = Path(keyboards.__file__).parent
    assert {path.stem for path in folder.glob("*.txt")} == {*keys.LAYOUTS, "dead_keys"}
    assert set(keys.LAYOUT_ALIASES.values()) <= set(keys.LAYOUTS)
    assert not set(keys.LAYOUT_ALIASES) & set(keys.LAYOUTS)
    assert all(c in keys.US.chords for c in string.ascii_letters)


LOCK = 0x3A


@every_layout
@pytest.mark.skipif(not x11_is_the_same(), reason="another version of xkb-data is installed")
def test_strokes_under_caps_lock_type_the_same_in_x11(name: str) -> None:
    """All but the small letters whose key has no capital."""
    pytest.importorskip("xkbcommon")
    layout, typed = keys.layout(name), 0
    for character, stroke in layout.chords.items():
        under = layout.under_caps_lock([stroke])
        if under is None:
            assert not (character.isascii() and character.isalpha()), "ASCII letters have capitals"
            continue
        guest = X11(name)
        guest.take(keys.steps([(SHIFT, LOCK) if name == "ja" else (LOCK,)]))
        for group in keys.held_steps(under, 32):
            guest.take(group)
        assert guest.text == ("\r" if character == "\n" else character)
        typed += 1
    assert typed > 90


@pytest.mark.parametrize(
    ("name", "text", "shifted"),
    [
        ("us", "aB1!", [True, False, False, True]),
        ("fr", "aB1&", [True, False, True, False]),  # 1 is shifted on a French keyboard
        ("de", "\u00e4\u00dcz@", [True, False, True, False]),
    ],
)
def test_caps_lock_inverts_shift_for_letters_only(
    name: str, text: str, shifted: list[bool]
) -> None:
    layout = keys.layout(name)
    under = layout.under_caps_lock(layout.strokes(text))
    assert under is not None
    assert [SHIFT in chord for stroke in under for chord in stroke] == shifted


def test_a_small_letter_without_its_capital_cannot_be_typed_under_caps_lock() -> None:
    layout = keys.layout("fr")
    assert layout.under_caps_lock(layout.strokes("\u00e9t\u00e9")) is None
    assert layout.under_caps_lock(layout.strokes("ETA 12&(")) is not None


def test_every_printable_ascii_character_can_be_typed() -> None:
    for character in string.printable.replace("\x0b", "").replace("\x0c", ""):
        assert len(keys.US.type(character)) == 1


def test_missing_characters_are_named_with_their_positions() -> None:
    with pytest.raises(UsageError, match=r"'é' \(position 1\), '→' \(position 3\)"):
        keys.US.type("aéb→é")
