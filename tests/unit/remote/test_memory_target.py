"""The memory of a remote screen: bounded, and the same whatever the sender asks for."""

from __future__ import annotations

import threading

import pytest

from kju.errors import LimitError, UnavailableError
from kju.remote.memory_target import MAX_PIXELS, MemoryBudget, MemoryTarget
from kju.surface import State
from kju.surface.formats import R8, XR24
from kju.surface.geometry import Rect


def test_thumbnail_follows_the_pixels_and_the_mode() -> None:
    target = MemoryTarget(MemoryBudget())
    with pytest.raises(UnavailableError):
        target.thumbnail((8, 8), None)
    target.set_mode(64, 32, fourcc=XR24)
    first = target.thumbnail((16, 16), None)
    assert first.pixels.shape == (8, 16, 4)
    assert target.thumbnail((16, 16), first) is first
    before = target.version
    target.begin()
    target.pixels[:] = 200
    assert target.publish([Rect(0, 0, 64, 32)]) > before
    second = target.thumbnail((16, 16), first)
    assert (second.pixels[..., :3] == 200).all()
    before = target.version
    assert target.set_mode(640, 480, fourcc=R8) > before  # in a larger surface
    assert target.thumbnail((16, 16), second).pixels.shape == (12, 16)


def test_too_large_a_picture_is_refused_and_nothing_is_taken() -> None:
    budget = MemoryBudget()
    target = MemoryTarget(budget)
    with pytest.raises(LimitError, match="too large"):
        target.set_mode(MAX_PIXELS // 8 + 1, 8, fourcc=XR24)
    assert budget.used == 0
    assert target.pixels.size == 0


def test_memory_of_all_screens_is_bounded_and_given_back() -> None:
    budget = MemoryBudget(40 << 20)
    targets = [MemoryTarget(budget) for _ in range(3)]
    targets[0].set_mode(1280, 800, fourcc=XR24)
    targets[1].set_mode(1920, 1080, fourcc=XR24)
    used = budget.used
    targets[1].set_mode(800, 600, fourcc=XR24)  # fits into what it has
    assert budget.used == used
    with pytest.raises(LimitError, match="40 MiB"):
        targets[2].set_mode(4096, 2160, fourcc=XR24)
    version = targets[1].version
    for target in targets:
        target.close()
        target.close()
    assert budget.used == 0
    assert targets[1].version == version


def test_state_before_a_picture_has_a_surface_of_its_own() -> None:
    budget = MemoryBudget()
    target = MemoryTarget(budget)
    target.set_state(State.UNAVAILABLE, "no picture yet")
    assert target.consumer.state == (State.UNAVAILABLE, "no picture yet")
    target.set_mode(64, 32, fourcc=XR24)
    assert target.consumer.mode.width == 64
    target.close()
    assert budget.used == 0


def test_versions_of_the_surface_begin_again_when_it_grows() -> None:
    target = MemoryTarget(MemoryBudget())
    target.set_mode(8, 8, fourcc=XR24)
    before = target.version
    version = target.set_mode(640, 480, fourcc=XR24)
    assert target.surface_version(version) == target.consumer.reader.version
    assert target.surface_version(before) == 0


def test_threads_that_replace_the_surface_together_count_it_once() -> None:
    budget = MemoryBudget()
    for _ in range(50):
        target, begin = MemoryTarget(budget), threading.Barrier(2)

        def draw(target: MemoryTarget = target, begin: threading.Barrier = begin) -> None:
            begin.wait()
            target.set_mode(64, 32, fourcc=XR24)

        thread = threading.Thread(target=draw)
        thread.start()
        begin.wait()
        target.set_state(State.LIVE, "")
        thread.join()
        target.close()
        assert budget.used == 0


def test_cursor_is_published_if_it_is_wanted() -> None:
    for wanted in (False, True):
        target = MemoryTarget(MemoryBudget(), has_cursor=wanted)
        target.set_mode(64, 32, fourcc=XR24)
        target.set_cursor(bytes(4), 1, 1, 0, 0)
        target.move_cursor(5, 6, True)
        cursor = target.consumer.cursor()
        assert (cursor.visible, cursor.x) == ((True, 5) if wanted else (False, 0))
