"""The grab of a view; distances from positions, and notches from fractions."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.stub_view import StubView

from kju.keys import NUMBERS
from kju.viewers.contract import ViewCommand
from kju.viewers.input.grab import GrabPolicy
from kju.viewers.input.guest_input import GuestInput, NotchCounter, Relative
from kju.viewers.input.sender import SetButton, SetKey

CTRL, ALT, A, TAB = (NUMBERS[n] for n in ("ctrl", "alt", "a", "tab"))


class GrabbingStub(StubView):
    """Keeps what it was told to grab: the keyboard, the pointer."""

    has = False, False

    def grab(self, keyboard: bool, pointer: bool) -> None:
        self.has = keyboard, pointer


class View:
    """The input of a stub."""

    def __init__(self, controls: bool = True) -> None:
        self.backend = GrabbingStub(64, 48)
        self.sent: list[object] = []
        self.input = GuestInput(self.backend, self.sent.append, lambda: None, controls=controls)

    @property
    def keys(self) -> list[tuple[int, bool]]:
        return [tuple(item) for item in self.sent if isinstance(item, SetKey)]

    def press(self, *numbers: int) -> None:
        for number in numbers:
            self.input.key(number, True)
        for number in reversed(numbers):
            self.input.key(number, False)


def test_grab_takes_the_keyboard_and_a_relative_pointer():
    view = View()
    view.press(CTRL, ALT)
    assert view.backend.has == (True, False)
    view.input.set_absolute(False)
    assert view.backend.has == (True, True)
    view.press(CTRL, ALT)
    assert view.backend.has == (False, False)


def test_menu_lifts_the_grab_and_releases_the_keys():
    view = View()
    view.press(CTRL, ALT)
    view.input.key(A, True)
    view.input.popup(True)
    assert view.backend.has == (False, False)
    assert view.keys[-1] == (A, False)
    assert view.input.grabbed, "the guest gets it back"
    view.input.popup(False)
    assert view.backend.has == (True, False)


def test_release_key_ends_the_grab_while_a_menu_is_open():
    view = View()
    view.press(CTRL, ALT)
    view.input.popup(True)
    sent = len(view.keys)
    consumed = [
        view.input.popup_key(key, down)
        for key, down in [(CTRL, True), (ALT, True), (ALT, False), (CTRL, False), (A, True)]
    ]
    assert consumed == [True, True, True, True, False]
    assert not view.input.grabbed
    view.input.popup(False)
    assert view.backend.has == (False, False)
    assert len(view.keys) == sent, "the guest gets none of these keys"


def test_grab_is_lifted_while_a_chord_of_the_desktop_may_follow():
    view = View()
    view.input.set_grab_policy(GrabPolicy.CHORD, ["alt-tab"])
    view.press(CTRL, ALT)
    view.input.key(ALT, True)
    assert view.backend.has == (False, False)
    assert view.input.grabbed
    view.input.key(ALT, False)
    assert view.backend.has == (True, False)


def test_click_grabs_and_is_the_guests_too():
    view = View()
    view.input.set_grab_policy(GrabPolicy.CLICK)
    view.input.button("left", True)
    assert view.backend.has == (True, False)
    assert view.sent[-1] == SetButton("left", True)


def test_policy_never_leaves_the_keyboard_and_grabs_a_relative_pointer_at_a_click():
    view = View()
    view.input.set_grab_policy(GrabPolicy.NEVER)
    view.press(CTRL, ALT)
    assert not view.input.grabbed
    view.input.set_absolute(False)
    view.input.button("left", True)
    view.input.set_absolute(False)  # the host's answer
    assert view.backend.has == (False, True)
    view.press(CTRL, ALT)
    assert view.backend.has == (False, False)


@pytest.mark.parametrize("policy", list(GrabPolicy))
def test_view_without_control_grabs_nothing(policy):
    view = View(controls=False)
    view.input.set_grab_policy(policy)
    view.input.moved(3, 3, None)
    view.input.full_screen(True)
    view.press(CTRL, ALT)
    view.input.grab(True)
    assert not view.input.grabbed
    assert view.backend.has == (False, False)


def test_control_that_is_given_up_releases_all():
    view = View()
    view.press(CTRL, ALT)
    view.input.key(A, True)
    view.input.set_controls(False)
    assert view.keys[-1] == (A, False)
    assert view.backend.has == (False, False)


def test_focus_loss_releases_keys_and_grab_and_the_release_key_works_after_it():
    view = View()
    view.press(CTRL, ALT)
    view.input.key(TAB, True)
    view.input.focused(False)
    assert view.keys[-1] == (TAB, False)
    assert view.backend.has == (False, False)
    view.input.focused(True)
    view.press(CTRL, ALT)
    assert view.backend.has == (True, False)


def test_shortcut_is_a_command_where_the_view_has_it():
    view = View()
    view.input.set_shortcuts(frozenset({ViewCommand.MENU}))
    view.press(CTRL, ALT, NUMBERS["m"])
    assert view.backend.commands == [ViewCommand.MENU]
    assert (NUMBERS["m"], True) not in view.keys
    view.press(CTRL, ALT, NUMBERS["f"])
    assert (NUMBERS["f"], True) in view.keys


@given(
    st.lists(st.tuples(st.integers(-10, 10), st.integers(-10, 10)), max_size=60),
    st.sampled_from([0.5, 1.0, 1.5, 3.0]),
    st.integers(0, 3),
)
def test_recentring_the_pointer_keeps_the_total_distance(steps, scale, late):
    """The window system delivers some events late, with the old position."""
    relative, view = Relative(), (400, 300)
    at = [200, 150]
    moved = [0, 0]
    waiting: tuple[int, tuple[int, int]] | None = None
    relative.moved((200, 150), scale)
    for dx, dy in steps:
        if waiting is not None:
            left, target = waiting
            waiting = (left - 1, target) if left else None
            if not left:
                at = list(target)
        at = [at[0] + dx, at[1] + dy]
        got = relative.moved((at[0], at[1]), scale)
        moved = [moved[0] + got[0], moved[1] + got[1]]
        if (target := relative.recentre(view)) is not None:
            waiting = (late, target)
    wanted = [sum(s[axis] for s in steps) / scale for axis in (0, 1)]
    assert all(abs(a - b) < 1 + 1e-9 for a, b in zip(moved, wanted, strict=True))


@given(st.lists(st.floats(0.01, 3)))
def test_fractions_of_notches_add_up(turns):
    wheel = NotchCounter()
    total = sum(wheel.turned(turn, 0)[0] for turn in turns)
    assert sum(turns) - 1.001 < total <= sum(turns) + 0.001


def test_wheel_turned_back_starts_at_zero():
    wheel = NotchCounter()
    assert wheel.turned(0.75, 0) == (0, 0)
    assert wheel.turned(-0.75, 0) == (0, 0)
    assert wheel.turned(-0.25, 0) == (-1, 0)
    assert wheel.turned(0, 2) == (0, 2)
