"""Keys of a view: those of the guest, those of the window, and their release."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kju.errors import UsageError
from kju.keys import NUMBERS
from kju.viewers.contract import ViewCommand
from kju.viewers.input.grab import SHORTCUTS, Grab, GrabPolicy, KeyEvent, Repeats, ViewKeys

CTRL, CTRL_R, ALT, A, F, F2 = (NUMBERS[n] for n in ("ctrl", "ctrl_r", "alt", "a", "f", "f2"))
TAB, SUPER, LEFT, L = (NUMBERS[n] for n in ("tab", "meta_l", "left", "l"))
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


def test_letter_without_a_command_of_the_view_is_sent_to_the_guest():
    keys = ViewKeys(shortcuts=frozenset({ViewCommand.CLOSE}))
    events = [(CTRL, True), (ALT, True), (F, True), (F, False)]
    assert act(keys, *events) == events


def grabbing(*chords: str) -> ViewKeys:
    keys = ViewKeys()
    keys.grabbed = True
    keys.set_desktop_chords(chords)
    return keys


def test_chord_of_the_desktop_lifts_the_grab_while_its_first_keys_are_held():
    keys = grabbing("alt-tab")
    assert not keys.lifted
    assert act(keys, (ALT, True)) == [(ALT, True)]
    assert keys.lifted
    assert act(keys, (TAB, True), (TAB, False)) == [], "the guest does not get its last key"
    assert keys.lifted
    assert act(keys, (ALT, False)) == [(ALT, False)]
    assert not keys.lifted


def test_other_chords_with_the_same_first_key_are_sent_to_the_guest():
    keys = grabbing("alt-tab")
    events = [(ALT, True), (F2, True), (F2, False), (ALT, False)]
    assert act(keys, *events) == events
    events = [(CTRL, True), (TAB, True), (TAB, False), (CTRL, False)]
    assert act(keys, *events) == events


def test_lone_key_of_the_desktop_keeps_the_keys_pressed_while_it_is_held():
    keys = grabbing("meta_l")
    assert act(keys, (SUPER, True)) == []
    assert keys.lifted
    assert act(keys, (L, True), (L, False), (SUPER, False)) == []
    assert not keys.lifted
    assert act(keys, (L, True)) == [(L, True)]


def test_desktop_chord_that_contains_the_release_key_leaves_it_working():
    keys = grabbing("ctrl-alt-left")
    act(keys, (CTRL, True), (ALT, True))
    assert keys.lifted
    assert act(keys, (LEFT, True), (LEFT, False)) == []
    assert act(keys, (ALT, False), (CTRL, False)) == [(ALT, False), (CTRL, False)]
    assert ViewCommand.UNGRAB in act(keys, (CTRL, True), (ALT, True), (ALT, False))


def test_desktop_chords_matter_only_while_the_keyboard_is_grabbed():
    keys = grabbing("alt-tab", "meta_l")
    keys.grabbed = False
    events = [(ALT, True), (TAB, True), (TAB, False), (ALT, False), (SUPER, True), (SUPER, False)]
    assert act(keys, *events) == events


@pytest.mark.parametrize(
    ("policy", "clicked", "entered", "full"),
    [
        (GrabPolicy.CHORD, False, False, False),
        (GrabPolicy.CLICK, True, False, False),
        (GrabPolicy.HOVER, True, True, False),
        (GrabPolicy.FULL_SCREEN, False, False, True),
        (GrabPolicy.NEVER, False, False, False),
    ],
)
def test_policy_decides_at_which_occasions_the_keyboard_is_grabbed(policy, clicked, entered, full):
    assert Grab(policy).clicked() is clicked
    assert Grab(policy).pointer_inside(True) is entered
    assert Grab(policy).full_screen(True) is full
    grab = Grab(policy)
    assert grab.set(True), "the menu grabs it always"


def test_grab_by_hovering_ends_when_the_pointer_leaves():
    grab = Grab(GrabPolicy.HOVER)
    grab.pointer_inside(True)
    assert grab.pointer_inside(False) is False


def test_release_key_holds_until_the_next_occasion():
    grab = Grab(GrabPolicy.HOVER)
    grab.pointer_inside(True)
    assert grab.set(False) is False
    assert grab.focus(True) is False, "nothing has changed"
    grab.pointer_inside(False)
    assert grab.pointer_inside(True) is True
    grab = Grab(GrabPolicy.FULL_SCREEN)
    grab.full_screen(True)
    grab.set(False)
    assert grab.full_screen(True) is False
    grab.focus(False)
    assert grab.focus(True) is True


@pytest.mark.parametrize("policy", list(GrabPolicy))
def test_nothing_is_grabbed_without_the_focus(policy):
    grab = Grab(policy)
    grab.set(True)
    assert grab.focus(False) is False
    assert grab.pointer_inside(True) is False
    assert grab.full_screen(True) is False


def test_policy_applies_at_once():
    grab = Grab()
    grab.pointer_inside(True)
    assert grab.set_policy(GrabPolicy.HOVER) is True
    assert grab.set_policy(GrabPolicy.NEVER) is False


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
