"""Any text: a model of a keyboard with that layout reads the text from the steps."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.keyboard_model import X11, Model, x11_is_the_same

from kju import keys

MODIFIERS = {0x2A, 0xB8}
# The guest reads "\r" for a typed "\n", and the reverse.
ALPHABETS = {name: sorted(set(keys.layout(name).chords) - {"\r"}) for name in keys.LAYOUTS}


@st.composite
def typed(draw: st.DrawFn) -> tuple[str, str]:
    name = draw(st.sampled_from(sorted(keys.LAYOUTS)))
    return name, draw(st.text(alphabet=st.sampled_from(ALPHABETS[name]), max_size=60))


def groups_of(name: str, text: str, most: int) -> list[list[keys.Step]]:
    return keys.held_steps(keys.layout(name).strokes(text), most)


@settings(max_examples=600)
@given(typed(), st.integers(1, 64))
def test_held_steps_type_the_text(case: tuple[str, str], most: int) -> None:
    name, text = case
    model = Model(name)
    for group in groups_of(name, text, most):
        model.take(group)
        assert model.down == set(), "no key is held between groups"
        assert model.pending == (), "no character is split between groups"
    assert model.text == text


@settings(max_examples=300)
@given(typed())
def test_plain_steps_type_the_text(case: tuple[str, str]) -> None:
    name, text = case
    model = Model(name)
    model.take(keys.steps(keys.layout(name).type(text)))
    assert (model.text, model.down) == (text, set())


@settings(max_examples=300)
@given(typed(), st.integers(1, 64))
def test_groups_are_short_and_held_steps_fewer(case: tuple[str, str], most: int) -> None:
    name, text = case
    groups = groups_of(name, text, most)
    longest = [len(keys.steps(stroke)) for stroke in keys.layout(name).strokes(text)]
    assert all(len(group) <= max(most, *longest) for group in groups)
    assert sum(map(len, groups)) <= len(keys.steps(keys.layout(name).type(text)))
    presses = [key for group in groups for key, down in group if down and key not in MODIFIERS]
    assert presses == [chord[-1] for chord in keys.layout(name).type(text)]


@pytest.mark.skipif(not x11_is_the_same(), reason="another version of xkb-data is installed")
@settings(max_examples=300)
@given(typed(), st.integers(1, 64))
def test_x11_reads_the_text(case: tuple[str, str], most: int) -> None:
    pytest.importorskip("xkbcommon")
    name, text = case
    guest = X11(name)
    for group in groups_of(name, text, most):
        guest.take(group)
    assert guest.text.replace("\r", "\n") == text
