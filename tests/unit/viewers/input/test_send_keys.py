"""Chords that a window offers."""

from __future__ import annotations

from itertools import chain

from kju.keys import NUMBERS, parse_chord
from kju.viewers.input.grab import ViewKeys
from kju.viewers.input.send_keys import DESKTOP_CHORDS, FIRST, GROUPS


def test_every_chord_has_keys_and_a_label_of_its_own():
    items = [*FIRST, *chain.from_iterable(GROUPS.values())]
    assert all(item.numbers for item in items)
    assert (
        len({item.label for item in items}) == len({item.numbers for item in items}) == len(items)
    )


def test_text_consoles_one_to_twelve_are_offered():
    consoles = [item.numbers for item in GROUPS["Text consoles"]]
    assert consoles == [(NUMBERS["ctrl"], NUMBERS["alt"], NUMBERS[f"f{n}"]) for n in range(1, 13)]


def test_chords_of_the_desktop_are_chords():
    chords = list(chain.from_iterable(DESKTOP_CHORDS.values()))
    assert all(parse_chord(chord) for chord in chords)
    ViewKeys().set_desktop_chords(chords)
