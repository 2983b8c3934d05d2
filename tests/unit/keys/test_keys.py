"""Names and chords."""

from __future__ import annotations

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

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
def test_known_numbers(name: str, number: int) -> None:
    assert keys.number(name) == number


@pytest.mark.parametrize(
    ("text", "chord"),
    [
        ("ctrl-alt-f2", (0x1D, 0x38, 0x3C)),
        ("ctrl+alt+delete", (0x1D, 0x38, 0xD3)),
        ("ctrl--", (0x1D, 0x0C)),
        ("ctrl++", (0x1D, 0x2A, 0x0D)),
        ("-", (0x0C,)),
        ("+", (0x2A, 0x0D)),
        ("ctrl-?", (0x1D, 0x2A, 0x35)),
        ("shift-a", (0x2A, 0x1E)),
        ("a", (0x1E,)),
        ("ctrl-minus", (0x1D, 0x0C)),
    ],
)
def test_chords(text: str, chord: tuple[int, ...]) -> None:
    assert keys.parse_chord(text) == chord


@pytest.mark.parametrize("text", ["", "ctrl-", "ctrl-nokey", "é", "ctrl-é"])
def test_bad_chords(text: str) -> None:
    with pytest.raises(UsageError):
        keys.parse_chord(text)


def test_bad_name_offers_near_ones() -> None:
    with pytest.raises(UsageError, match="backspace"):
        keys.number("back")


def test_every_printable_ascii_character_can_be_typed() -> None:
    for character in string.printable.replace("\x0b", "").replace("\x0c", ""):
        assert len(keys.US.type(character)) == 1


def test_unknown_characters_are_named_before_anything_is_made() -> None:
    with pytest.raises(UsageError, match=r"'é' \(position 1\), '→' \(position 3\)"):
        keys.US.type("aéb→é")


@given(st.text(alphabet=string.ascii_letters + string.digits + string.punctuation + " \n\t"))
def test_steps_leave_every_key_up(text: str) -> None:
    held: list[int] = []
    for key, down in keys.steps(keys.US.type(text)):
        if down:
            assert key not in held
            held.append(key)
        else:
            assert held.pop() == key
    assert held == []


def test_held_keys_are_shared_and_come_up() -> None:
    shift, altgr, h, e, q = 0x2A, 0xB8, 0x23, 0x12, 0x10
    german = keys.layout("de")

    def typed(text: str, most: int = 32) -> list[list[keys.Step]]:
        return keys.held_steps(german.strokes(text), most)

    assert typed("HEh") == [[
        (shift, True), (h, True), (h, False), (e, True), (e, False), (shift, False),
        (h, True), (h, False),
    ]]  # fmt: skip
    assert typed("@€") == [[
        (altgr, True), (q, True), (q, False), (e, True), (e, False), (altgr, False),
    ]]  # fmt: skip
    assert [len(group) for group in typed("HEHE", 6)] == [6, 6]
    assert [len(group) for group in typed("HH", 1)] == [4, 4]
    assert typed("é", 1) == [[(0x0D, True), (0x0D, False), (e, True), (e, False)]]
    assert typed("") == []
