"""Keys of a view: those of the guest, those of the window, and their release."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kju.errors import UsageError
from kju.keys import NUMBERS
from kju.viewers.contract import ViewCommand
from kju.viewers.grab import SHORTCUTS, KeyEvent, Repeats, ViewKeys

CTRL, CTRL_R, ALT, A, F, F2 = (NUMBERS[n] for n in ("ctrl", "ctrl_r", "alt", "a", "f", "f2"))
DOWN, UP, AGAIN = KeyEvent(54, True, False), KeyEvent(54, False, False), KeyEvent(54, True, True)


def act(keys: ViewKeys, *events: tuple[int, bool]) -> list[object]:
    return [
        done
        for number, down in events
        for done in (keys.press(number) if down else keys.release(number))
    ]


def test_repeating_key_is_pressed_once():
    keys = ViewKeys()
    assert act(keys, (A, True), (A, True), (A, True), (A, False)) == [(A, True), (A, False)]


def test_release_key_alone_grabs_and_releases():
    keys = ViewKeys()
    chord = [(CTRL, True), (ALT, True), (ALT, False), (CTRL, False)]
    assert act(keys, *chord) == [*chord[:3], ViewCommand.GRAB, chord[3]]
    keys.grabbed = True
    assert act(keys, *chord) == [*chord[:3], ViewCommand.UNGRAB, chord[3]]


def test_either_ctrl_is_ctrl():
    assert ViewCommand.GRAB in act(ViewKeys(), (CTRL_R, True), (ALT, True), (ALT, False))


def test_release_key_with_another_key_is_sent_to_the_guest():
    keys = ViewKeys()
    events = [(CTRL, True), (ALT, True), (F2, True), (F2, False), (ALT, False), (CTRL, False)]
    assert act(keys, *events) == events


def test_release_key_with_a_click_is_sent_to_the_guest():
    keys = ViewKeys()
    act(keys, (CTRL, True), (ALT, True))
    keys.pointer_used()
    assert act(keys, (ALT, False), (CTRL, False)) == [(ALT, False), (CTRL, False)]


def test_letter_of_a_shortcut_is_not_sent_to_the_guest():
    keys = ViewKeys()
    assert act(keys, (CTRL, True), (ALT, True)) == [(CTRL, True), (ALT, True)]
    assert act(keys, (F, True), (F, True), (F, False)) == [ViewCommand.FULL_SCREEN]
    assert act(keys, (ALT, False), (CTRL, False)) == [(ALT, False), (CTRL, False)]


def test_a_grabbed_keyboard_has_no_shortcuts():
    keys = ViewKeys()
    keys.grabbed = True
    events = [(CTRL, True), (ALT, True), (F, True), (F, False)]
    assert act(keys, *events) == events


def test_release_of_all_keys_is_in_reverse_order():
    keys = ViewKeys()
    act(keys, (CTRL, True), (A, True))
    assert keys.release_all() == [(A, False), (CTRL, False)]
    assert keys.release_all() == []
    assert act(keys, (A, False)) == [], "the key itself comes up later"


def test_the_release_key_can_be_another():
    keys = ViewKeys("scroll_lock")
    lock = NUMBERS["scroll_lock"]
    assert act(keys, (lock, True), (lock, False)) == [(lock, True), (lock, False), ViewCommand.GRAB]
    assert keys.release_key == "Scroll_lock"
    with pytest.raises(UsageError, match="no key is named"):
        ViewKeys("ctrl-nonsense")


numbers = st.sampled_from([CTRL, CTRL_R, ALT, A, F2, *SHORTCUTS])


@given(st.lists(st.tuples(numbers, st.booleans())), st.booleans())
def test_the_guest_holds_no_released_key(events, grabbed):
    keys = ViewKeys()
    keys.grabbed = grabbed
    held: set[int] = set()
    for done in [*act(keys, *events), *keys.release_all()]:
        if isinstance(done, ViewCommand):
            continue
        number, down = done
        assert (number in held) is not down, "down once, up once"
        (held.add if down else held.remove)(number)
    assert not held


def test_a_release_and_a_press_of_one_moment_are_a_repeat():
    keys = Repeats()
    assert keys.press(54, 100, False) == [DOWN]
    for time in (700, 740):
        assert keys.release(54, time, False) == []
        assert keys.press(54, time, False) == [AGAIN]
    assert keys.release(54, 760, False) == []
    assert keys.flush() == [UP]
    assert keys.flush() == []


def test_second_press_of_a_key_releases_it_first():
    keys = Repeats()
    keys.press(54, 100, False)
    keys.release(54, 130, False)
    assert keys.press(54, 131, False) == [UP, DOWN]


def test_pending_release_is_sent_before_another_key():
    keys = Repeats()
    keys.press(54, 100, False)
    keys.release(54, 130, False)
    assert keys.press(38, 130, False) == [UP, KeyEvent(38, True, False)]
    keys.release(54, 200, False)
    assert keys.release(38, 200, False) == [UP]
    assert keys.flush() == [KeyEvent(38, False, False)]


def test_repeats_marked_by_the_toolkit_are_used():
    keys = Repeats()
    keys.press(54, 100, False)
    assert keys.release(54, 700, True) == []
    assert keys.press(54, 700, True) == [AGAIN]
    assert keys.flush() == []
