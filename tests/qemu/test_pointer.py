"""Pointer input of clients, and the place and time at which the guest receives it."""

from __future__ import annotations

import random
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from support import guests
from support.paint_guest import SEEN, Guest
from support.tablet_guest import LEFT, MIDDLE, RIGHT, Pointed, booted_tablet
from support.wait import until

import kju
import kju.aio
from kju.errors import GeometryError, RoleError, UsageError, WaitTimeoutError

pytestmark = pytest.mark.qemu

CLICKS = 1000
ATTACH_AND_HOLD = """
import sys, time, kju
machine = kju.attach("tablet")
machine.pointer.press("right")
machine.keyboard.press("ctrl", "shift")
print("held", flush=True)
time.sleep(60)
"""


@pytest.fixture(scope="module")
def tablet(
    shared_runtime_folder: None, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Guest]:
    with booted_tablet(tmp_path_factory.mktemp("tablet")) as guest:
        yield guest


@pytest.fixture
def pointed(tablet: Guest) -> Pointed:
    return Pointed(tablet)


def test_thousand_clicks_reach_their_pixels(pointed: Pointed) -> None:
    rng = random.Random(7)
    places = [(rng.randrange(1360), rng.randrange(768)) for _ in range(CLICKS)]
    places[:4] = [(0, 0), (1359, 0), (0, 767), (1359, 767)]
    for x, y in places:
        pointed.guest.machine.pointer.click(x, y)
    expected = [(LEFT, verb, x, y) for x, y in places for verb in ("down", "up")]
    until(lambda: len(pointed.buttons) >= len(expected), "all have been seen")
    assert pointed.buttons == expected


def test_drag_presses_the_button_at_its_first_pixel(pointed: Pointed) -> None:
    """QEMU merges a move with a button that the guest has not read: kju must avoid that."""
    pointer = pointed.guest.machine.pointer
    for _ in range(20):
        pointer.drag((10, 20), (500, 400), (700, 600), button="middle")
    one = [(MIDDLE, "down", 10, 20), (MIDDLE, "up", 700, 600)]
    pointed.until(*one * 20)


def test_double_click_buttons_and_wheel_reach_the_guest(pointed: Pointed) -> None:
    pointer = pointed.guest.machine.pointer
    pointer.click(5, 6, button="right", count=2)
    pointer.press("left", "middle")
    pointer.release("middle", "left")
    pointed.until(
        *[(RIGHT, "down", 5, 6), (RIGHT, "up", 5, 6)] * 2,
        (LEFT, "down", 5, 6), (MIDDLE, "down", 5, 6),
        (MIDDLE, "up", 5, 6), (LEFT, "up", 5, 6),
    )  # fmt: skip
    pointer.wheel(3)
    pointer.wheel(-2)
    until(lambda: pointed.said.count("wheel -1") >= 1, "it turned down")
    until(lambda: "wheel 2" in pointed.said or pointed.said.count("wheel 1") == 2, "and up")


def test_buttons_reach_the_guest_after_its_touch_screen_has_started_again(
    pointed: Pointed,
) -> None:
    """QEMU sends buttons to the device with buttons that was started last."""
    assert pointed.guest.tell("reload virtio_input") == "kju: reloaded"
    pointer = pointed.guest.machine.pointer
    until(lambda: "MultiTouch" in pointed.said, "the guest reads its touch screen")
    places = [(10 * number, 20) for number in range(1, 20)]
    for x, y in places:
        pointer.click(x, y, button="right")
    pointed.until(*[(RIGHT, verb, x, y) for x, y in places for verb in ("down", "up")])


def test_finger_reaches_the_guest(pointed: Pointed) -> None:
    pointed.guest.machine.pointer.touch((0, 0), (680, 384))
    until(lambda: "finger -1" in pointed.said, "it is lifted")
    places = [int(at) for at in re.findall(r"finger [xy] (\d+)", pointed.said)]
    assert [at * size >> 15 for at, size in zip(places, (1360, 768) * 2, strict=True)] == [
        0, 0, 680, 384
    ]  # fmt: skip


def test_input_outside_or_by_a_viewer_is_an_error_and_not_sent(pointed: Pointed) -> None:
    machine = pointed.guest.machine
    with pytest.raises(GeometryError, match="1360x768"):
        machine.pointer.drag((1, 1), (1360, 1))
    with pytest.raises(UsageError, match="unknown button 'foot'"):
        machine.pointer.click(1, 1, button="foot")
    with pytest.raises(UsageError, match="takes positions"):
        machine.pointer.move_by(1, 1)
    with kju.attach("tablet", "view") as viewer, pytest.raises(RoleError):
        viewer.pointer.move(1, 1)
    machine.pointer.click(3, 3)
    pointed.until((LEFT, "down", 3, 3), (LEFT, "up", 3, 3))


def test_keys_and_buttons_of_a_killed_client_are_released(pointed: Pointed) -> None:
    pointed.guest.machine.pointer.move(40, 50)
    with subprocess.Popen(
        [sys.executable, "-c", ATTACH_AND_HOLD], stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "held\n"
        until(lambda: "key 42 down" in pointed.said, "the keys are down")
        assert pointed.guest.console()["buttons_held"] == ["right"]
        other.kill()
    pointed.until((RIGHT, "down", 40, 50), (RIGHT, "up", 40, 50))
    until(lambda: "key 42 up" in pointed.said, "the key is up")
    until(lambda: "key 29 up" in pointed.said, "and the other")
    assert pointed.guest.console()["keys_held"] == []


def test_shift_is_released_after_capitals(pointed: Pointed) -> None:
    """A text is split to fit the keyboard's queue; the last piece may be a single release."""
    keyboard = pointed.guest.machine.keyboard
    for count in range(1, 17):
        keyboard.type("A" * count)
    keyboard.type("b")
    until(lambda: "key 48 up" in pointed.said, "all has been typed")
    shifts = re.findall(r"key 42 (\w+)", pointed.said)
    assert shifts[-1] == "up"
    assert shifts.count("up") == shifts.count("down") >= 16
    assert pointed.said.count("key 30 down") == sum(range(1, 17))


def test_after_returns_the_change_that_an_input_caused(pointed: Pointed) -> None:
    """The guest redraws the square 64 pixels from the left at every key."""
    guest = pointed.guest
    square, elsewhere = kju.Rect(64, 0, 64, 64), kju.Rect(700, 300, 64, 64)
    with kju.attach("tablet") as machine:
        for _ in range(20):
            before = machine.screen.frame(square)[8, 8].tolist()
            mark = machine.keyboard.chord("a", interval=0)
            change = machine.screen.after(mark, region=square, timeout=SEEN)
            assert any(rect.intersection(square) for rect in change.rects) or change.everything
            until(
                lambda b=before: machine.screen.frame(square)[8, 8].tolist() != b,
                "it",
            )
        with pytest.raises(WaitTimeoutError):
            machine.screen.after(machine.screen.mark, region=elsewhere, timeout=0.2)
    assert guest.console()["keys_held"] == []


def test_input_log_is_replayed(pointed: Pointed) -> None:
    machine = pointed.guest.machine
    begin = len(machine.input_log())
    machine.pointer.click(100, 200)
    machine.keyboard.type("aB")
    entries = machine.input_log()[begin:]
    once = pointed.said
    until(lambda: "key 42 up" in pointed.said, "all of it")
    once = re.findall(r"(?:key|button) .*", pointed.said)
    machine.replay(entries, speed=4)
    until(
        lambda: re.findall(r"(?:key|button) .*", pointed.said) == once * 2,
        "the input is repeated",
    )
    with pytest.raises(UsageError, match="speed"):
        machine.replay(entries, speed=0)
    with kju.attach("tablet", "view") as viewer, pytest.raises(RoleError):
        viewer.input_log()


async def test_asyncio_sends_pointer_and_keys(pointed: Pointed) -> None:
    async with await kju.aio.attach("tablet") as machine:
        assert await machine.pointer.is_absolute()
        await machine.pointer.click(9, 9)
        async with machine.keyboard.hold("ctrl"):
            await machine.keyboard.press("c")
        mark = await machine.keyboard.release("c")
        await machine.screen.after(mark, timeout=SEEN)
    pointed.until((LEFT, "down", 9, 9), (LEFT, "up", 9, 9))
    until(lambda: "key 46 up" in pointed.said, "the key")
    keys = re.findall(r"key (\d+) (\w+)", pointed.said)
    assert keys == [("29", "down"), ("46", "down"), ("29", "up"), ("46", "up")]


def test_guest_without_a_tablet_driver_has_a_relative_mouse(tmp_path: Path) -> None:
    with kju.launch(guests.INVADERS, args=guests.invaders()[:-2], name="mouse") as machine:
        assert not machine.pointer.is_absolute()
        with pytest.raises(UsageError, match="give a distance"):
            machine.pointer.move(1, 1)
        machine.pointer.move_by(5, -5)
