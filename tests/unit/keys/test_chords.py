"""Parse chords, and turn them into steps that leave every key up."""

from __future__ import annotations

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kju import keys
from kju.errors import UsageError


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
        ("ctrl-question", (0x1D, 0x2A, 0x35)),
        ("exclam", (0x2A, 0x02)),
        ("ctrl-Underscore", (0x1D, 0x2A, 0x0C)),
        ("at", (0x2A, 0x03)),
        ("braceleft", (0x2A, 0x1A)),
        ("tilde", (0x2A, 0x29)),
        ("<bar>", (0x2A, 0x2B)),
        ("asterisk", (0x37,)),
    ],
)
def test_a_chord_is_parsed_into_its_keys(text: str, chord: tuple[int, ...]) -> None:
    assert keys.parse_chord(text) == chord


@pytest.mark.parametrize("text", ["", "ctrl-", "ctrl-nokey", "é", "ctrl-é"])
def test_an_invalid_chord_is_refused(text: str) -> None:
    with pytest.raises(UsageError):
        keys.parse_chord(text)


def test_a_single_bracket_is_a_character() -> None:
    assert keys.parse_chord("shift-<") == (0x2A, 0x33)
    assert keys.parse_chord("ctrl-alt-<del>") == (0x1D, 0x38, 0xD3)


@given(st.text(alphabet=string.ascii_letters + string.digits + string.punctuation + " \n\t"))
def test_steps_release_every_key(text: str) -> None:
    held: list[int] = []
    for key, down in keys.steps(keys.US.type(text)):
        if down:
            assert key not in held
            held.append(key)
        else:
            assert held.pop() == key
    assert held == []


def test_shared_modifiers_are_held_and_released() -> None:
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
