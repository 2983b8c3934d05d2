"""Find a key by the names that QEMU, Linux, X11, browsers and people give it."""

from __future__ import annotations

import pytest

from kju import keys
from kju.errors import UsageError


def test_names_and_numbers_are_one_to_one() -> None:
    assert len(set(keys.NUMBERS.values())) == len(keys.NUMBERS) == len(keys.NAMES)
    assert all(0 < number <= 0xFF for number in keys.NUMBERS.values())
    assert all(name in keys.NUMBERS for name in keys.ALIASES.values())
    assert not set(keys.ALIASES) & set(keys.NUMBERS)


@pytest.mark.parametrize(
    ("name", "number"),
    [("esc", 1), ("F12", 0x58), ("up", 0xC8), ("kp_enter", 0x9C), ("Enter", 0x1C), ("AltGr", 0xB8)],
)
def test_names_of_known_keys(name: str, number: int) -> None:
    assert keys.number(name) == number


def test_the_name_of_a_character_is_a_chord_and_not_a_key() -> None:
    for name, character in keys.CHARACTERS.items():
        assert (keys.parse_chord(name),) == keys.US.chords[character]
        assert len(keys.parse_chord(name)) == 2, "one key alone is a key's name"
        with pytest.raises(UsageError, match="more than one key: press it as a chord"):
            keys.number(name)


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("backspac", "backspace"),
        ("entr", "enter"),
        ("crtl", "ctrl"),
        ("pgupp", "pgup"),
        ("exclaim", "exclam"),
    ],
)
def test_a_misspelt_name_suggests_similar_names(name: str, near: str) -> None:
    with pytest.raises(UsageError, match=f"{name!r}; did you mean .*{near}.*kju key --list"):
        keys.number(name)


@pytest.mark.parametrize(
    ("names", "key"),
    [
        ("esc <esc> Escape KEY_ESC ESCAPE", "esc"),
        ("enter return ret KEY_ENTER Return Enter <enter> <return>", "ret"),
        ("bs <bs> bksp BackSpace Backspace KEY_BACKSPACE", "backspace"),
        ("ctrl Control_L ControlLeft KEY_LEFTCTRL leftCtrl <leftCtrl> Control ctrl_l", "ctrl"),
        ("Super_L MetaLeft KEY_LEFTMETA <leftSuper> win cmd super OS", "meta_l"),
        ("AltGr ISO_Level3_Shift Alt_R AltRight KEY_RIGHTALT AltGraph <rightAlt>", "alt_r"),
        ("ArrowUp Up up KEY_UP arrow_up <up>", "up"),
        ("Prior Page_Up PageUp pgup KEY_PAGEUP <pageUp>", "pgup"),
        ("prtsc Print PrintScreen KEY_SYSRQ sysrq", "print"),
        ("Menu ContextMenu KEY_COMPOSE apps <menu>", "compose"),
        ("KEY_MENU", "linux_menu"),
        ("space spacebar KEY_SPACE Space <spacebar> spc", "spc"),
        ("KP_Home KP_7 Numpad7 KEY_KP7 kp7 kp_7", "kp_7"),
        ("KeyA KEY_A a A", "a"),
        ("Digit1 KEY_1 1", "1"),
        ("lctrl ctrl_left lcontrol LCtrl control-left", "ctrl"),
        ("rctrl ctrl_right RControl", "ctrl_r"),
        ("lshift shift_left", "shift"),
        ("rshift shift_right", "shift_r"),
        ("lalt alt_left", "alt"),
        ("ralt alt_right", "alt_r"),
        ("lwin lsuper win_left lmeta", "meta_l"),
        ("rwin rsuper win_right rcmd", "meta_r"),
        ("newline", "ret"),
        ("pgdwn", "pgdn"),
        ("F5 <f5> KEY_F5 f5", "f5"),
        ("minus KEY_MINUS Minus dash hyphen", "minus"),
    ],
)
def test_a_key_is_found_by_names_of_linux_x11_browsers_and_packer(names: str, key: str) -> None:
    assert {name: keys.NAMES[keys.number(name)] for name in names.split()} == dict.fromkeys(
        names.split(), key
    )


def test_every_other_name_leads_to_its_key() -> None:
    """But for a few that two of the sources give to different keys."""
    unlike = {
        word: (keys.NAMES[number], keys.NAMES[keys.number(word)])
        for number in keys.NAMES
        for word in keys.other_names(number)
        if keys.number(word) != number
    }
    assert unlike == {"Meta_L": ("alt", "meta_l"), "Meta_R": ("alt_r", "meta_r")}, unlike
