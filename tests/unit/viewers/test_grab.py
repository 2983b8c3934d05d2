"""Keys: what the guest gets, what the window keeps, and that everything comes up."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kju.errors import UsageError
from kju.keys import NUMBERS
from kju.viewers.grab import SHORTCUTS, Command, Keys

CTRL, CTRL_R, ALT, A, F, F2 = (NUMBERS[n] for n in ("ctrl", "ctrl_r", "alt", "a", "f", "f2"))


def act(keys: Keys, *events: tuple[int, bool]) -> list[object]:
    return [
        done
        for number, down in events
        for done in (keys.press(number) if down else keys.release(number))
    ]


def test_a_key_goes_down_once_however_often_it_repeats():
    keys = Keys()
    assert act(keys, (A, True), (A, True), (A, True), (A, False)) == [(A, True), (A, False)]


def test_the_release_key_alone_grabs_and_gives_back():
    keys = Keys()
    chord = [(CTRL, True), (ALT, True), (ALT, False), (CTRL, False)]
    assert act(keys, *chord) == [*chord[:3], Command.GRAB, chord[3]]
    keys.grabbed = True
    assert act(keys, *chord) == [*chord[:3], Command.UNGRAB, chord[3]]


def test_either_ctrl_is_ctrl():
    assert Command.GRAB in act(Keys(), (CTRL_R, True), (ALT, True), (ALT, False))


def test_the_release_key_with_another_key_is_the_guests():
    keys = Keys()
    events = [(CTRL, True), (ALT, True), (F2, True), (F2, False), (ALT, False), (CTRL, False)]
    assert act(keys, *events) == events


def test_the_release_key_with_a_click_is_the_guests():
    keys = Keys()
    act(keys, (CTRL, True), (ALT, True))
    keys.pointer_used()
    assert act(keys, (ALT, False), (CTRL, False)) == [(ALT, False), (CTRL, False)]


def test_a_shortcut_is_the_windows_and_the_guest_sees_nothing_of_its_letter():
    keys = Keys()
    assert act(keys, (CTRL, True), (ALT, True)) == [(CTRL, True), (ALT, True)]
    assert act(keys, (F, True), (F, True), (F, False)) == [Command.FULL_SCREEN]
    assert act(keys, (ALT, False), (CTRL, False)) == [(ALT, False), (CTRL, False)]


def test_a_grabbed_keyboard_has_no_shortcuts():
    keys = Keys()
    keys.grabbed = True
    events = [(CTRL, True), (ALT, True), (F, True), (F, False)]
    assert act(keys, *events) == events


def test_letting_go_lifts_everything_in_the_opposite_order():
    keys = Keys()
    act(keys, (CTRL, True), (A, True))
    assert keys.release_all() == [(A, False), (CTRL, False)]
    assert keys.release_all() == []
    assert act(keys, (A, False)) == [], "the key itself comes up later"


def test_the_release_key_can_be_another():
    keys = Keys("scroll_lock")
    lock = NUMBERS["scroll_lock"]
    assert act(keys, (lock, True), (lock, False)) == [(lock, True), (lock, False), Command.GRAB]
    assert keys.release_key == "Scroll_lock"
    with pytest.raises(UsageError, match="no key is named"):
        Keys("ctrl-nonsense")


numbers = st.sampled_from([CTRL, CTRL_R, ALT, A, F2, *SHORTCUTS])


@given(st.lists(st.tuples(numbers, st.booleans())), st.booleans())
def test_the_guest_holds_no_released_key(events, grabbed):
    keys = Keys()
    keys.grabbed = grabbed
    held: set[int] = set()
    for done in [*act(keys, *events), *keys.release_all()]:
        if isinstance(done, Command):
            continue
        number, down = done
        assert (number in held) is not down, "down once, up once"
        (held.add if down else held.remove)(number)
    assert not held
