"""The mode of a guest, by the test's clock."""

from __future__ import annotations

import pytest

from kju.emulators.qemu.bochs import OtherMode
from kju.emulators.qemu.guest_mode import DOUBT, HIDDEN, LISTEN_AFTER, GuestMode
from kju.surface.geometry import Place

PLACE = Place(640, 480, 2560, 0)
TEXT = OtherMode("a text mode")
UNKNOWN = OtherMode("the registers make no sense", unknown=True)


@pytest.fixture
def mode() -> GuestMode:
    made = GuestMode()
    assert made.update(PLACE, 10.0)
    return made


def test_new_size_is_a_new_mode_and_a_new_offset_is_a_page_flip(mode: GuestMode) -> None:
    assert not mode.update(PLACE, 11.0), "the same mode"
    assert not mode.flips
    assert not mode.update(PLACE._replace(offset=4096), 12.0)
    assert mode.flips
    assert mode.changed_at == 12.0
    assert mode.update(Place(800, 600, 3200, 0), 13.0)
    assert not mode.flips


def test_unknown_registers_leave_the_mode_valid_for_a_while(mode: GuestMode) -> None:
    mode.update(UNKNOWN, 20.0)
    mode.update(UNKNOWN, 20.0 + DOUBT / 2)
    assert mode.place == PLACE
    assert mode.reason == ""
    mode.update(UNKNOWN, 20.0 + DOUBT)
    assert mode.place is None
    assert mode.reason == UNKNOWN.reason


def test_valid_registers_in_between_begin_the_doubt_anew(mode: GuestMode) -> None:
    mode.update(UNKNOWN, 20.0)
    mode.update(PLACE, 20.0 + DOUBT / 2)
    mode.update(UNKNOWN, 20.0 + DOUBT)
    assert mode.place == PLACE


def test_hidden_mode_has_no_visible_place_until_the_mode_changes(mode: GuestMode) -> None:
    mode.hidden = True
    assert mode.visible_place is None
    assert mode.reason == HIDDEN
    mode.update(PLACE._replace(offset=4096), 11.0)
    assert mode.hidden, "a page flip changes nothing"
    mode.update(Place(800, 600, 3200, 0), 12.0)
    assert mode.visible_place == Place(800, 600, 3200, 0)


def test_mode_outside_of_the_memory_lasts_after_a_while_unless_hidden(mode: GuestMode) -> None:
    mode.note_visibility(10.0)
    assert not mode.lasts(1000.0)
    mode.update(TEXT, 20.0)
    mode.note_visibility(20.0)
    mode.note_visibility(25.0)
    assert not mode.lasts(20.0 + LISTEN_AFTER)
    assert mode.lasts(20.1 + LISTEN_AFTER)
    mode.hidden = True
    assert not mode.lasts(20.1 + LISTEN_AFTER)
    mode.update(PLACE, 50.0)
    mode.note_visibility(50.0)
    assert not mode.lasts(100.0)
