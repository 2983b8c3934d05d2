"""The choice of a console's source: the table `KINDS`."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from kju.emulators.qemu.display.guest_mode import LISTEN_AFTER, GuestMode, OtherMode
from kju.emulators.qemu.display.source_policy import (
    KINDS,
    ConsoleParts,
    ListenerKind,
    QemuPolicy,
    ScreendumpKind,
    ScreenFacts,
    VramKind,
)
from kju.sources.base import Phase, SourceStatus
from kju.surface.geometry import Place

PLACE = Place(640, 480, 2560, 0)
NEW = SourceStatus(Phase.NEW, "none")


class Memory:
    """The one fact about video memory that a choice depends on."""

    def __init__(self, *, can_dump: bool = True) -> None:
        self.can_dump = can_dump


class Scene:
    """A policy, and a clock that the test moves."""

    def __init__(self, memory: Any = None) -> None:
        self.now = 100.0
        self.mode = GuestMode()
        display = ConsoleParts(0, self._register, memory, self.mode)
        self.policy = QemuPolicy(display, lambda: self.now)

    async def _register(self, *_: object) -> None:
        raise AssertionError("nothing is started here")

    def read(self, found: Place | OtherMode) -> None:
        self.mode.update(found, self.now)
        self.mode.note_visibility(self.now)

    def chosen(self, last: SourceStatus = NEW) -> type:
        return type(self.policy.choose(last))


def test_some_kind_suits_every_situation() -> None:
    for place in (None, PLACE):
        for lasts, can_dump, slow in itertools.product((False, True), repeat=3):
            scene, situation = Scene(), ScreenFacts(place, lasts, can_dump, slow)
            suits = [kind.suits(situation) for kind in scene.policy._kinds]
            assert any(suits), situation
            assert suits[0] is (place is not None)


def test_console_without_shared_memory_has_a_listener() -> None:
    scene = Scene()
    assert scene.chosen() is ListenerKind


def test_source_follows_the_mode() -> None:
    scene = Scene(Memory())
    scene.read(PLACE)
    assert scene.chosen() is VramKind
    scene.read(OtherMode("a text mode"))
    assert scene.chosen() is ScreendumpKind
    scene.now += LISTEN_AFTER + 1
    assert scene.chosen() is ListenerKind
    scene.read(PLACE)
    assert scene.chosen() is VramKind


def test_no_listener_is_registered_for_viewers_that_look_rarely() -> None:
    scene = Scene(Memory())
    scene.policy.slow = True
    scene.read(OtherMode("a text mode"))
    scene.now += LISTEN_AFTER + 1
    assert scene.chosen() is ScreendumpKind
    kind = scene.policy.choose(NEW)
    assert scene.policy.follow(kind, NEW)
    scene.policy.slow = False  # a viewer without a rate
    assert not scene.policy.follow(kind, NEW)
    listener = scene.policy.choose(NEW)
    assert type(listener) is ListenerKind
    scene.policy.slow = True  # an existing one stays: QEMU never frees it
    assert scene.policy.follow(listener, NEW)


def test_blanked_screen_comes_from_screenshots_however_long() -> None:
    scene = Scene(Memory())
    scene.read(PLACE)
    scene.mode.hidden = True
    scene.read(PLACE)
    scene.now += 10 * LISTEN_AFTER
    assert scene.chosen() is ScreendumpKind


@pytest.mark.parametrize(
    ("can_dump", "last"),
    [(False, NEW), (True, SourceStatus(Phase.ENDED, "screendump", "QEMU cannot write it"))],
)
def test_listener_takes_the_place_of_screenshots_that_fail(
    can_dump: bool, last: SourceStatus
) -> None:
    scene = Scene(Memory(can_dump=can_dump))
    scene.read(OtherMode("a text mode"))
    assert scene.chosen(last) is ListenerKind


def test_running_listener_stays_until_the_picture_is_in_the_memory() -> None:
    scene = Scene(Memory())
    scene.read(OtherMode("a text mode"))
    vram, screendump, listener = scene.policy._kinds
    assert scene.policy.follow(listener, NEW), "screenshots would be chosen for a new source"
    assert scene.policy.follow(screendump, NEW)
    scene.now += LISTEN_AFTER + 1
    assert not scene.policy.follow(screendump, NEW)
    scene.read(PLACE)
    assert not scene.policy.follow(listener, NEW)
    assert scene.policy.follow(vram, NEW)
    assert not scene.policy.follow(None, NEW), "nothing runs"


def test_every_kind_stands_in_the_table_once() -> None:
    assert len(set(KINDS)) == len(KINDS)
    assert KINDS[-1] is ListenerKind, "it suits wherever no other kind does"
