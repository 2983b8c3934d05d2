"""`act` against a host without QEMU whose screen reacts as a test tells it to: both halves."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.acting_host import ActingMachine, Later, acting_host, animated
from support.halves import Api
from support.wait import until

import kju
import kju.aio
from kju import keys
from kju.acting import (
    AnyInput,
    ButtonDown,
    ButtonUp,
    Chord,
    Click,
    Drag,
    KeyDown,
    KeyUp,
    Move,
    MoveBy,
    Pause,
    Touch,
    Type,
    Wheel,
)
from kju.errors import GeometryError, InputError, RoleError, UsageError
from kju.protocol import messages
from kju.protocol.values import Button, By, Finger, To
from kju.protocol.values import TurnWheel as Turn
from kju.surface.geometry import Rect
from kju.vision import ScreenTimeoutError

pytestmark = pytest.mark.usefixtures("runtime_folder")
SHIFT, A = keys.number("shift"), keys.number("a")
QUICK = {"first": 0.05, "still": 0.05}


@pytest.fixture
def host(runtime_folder: Path) -> Iterator[ActingMachine]:
    with acting_host() as machine:
        yield machine


@pytest.fixture
def machine(api: Api, host: ActingMachine) -> Iterator[Any]:
    host.fill((0, 0, 640, 400), 0)
    attached = api(api.module.attach, "acting")
    yield attached
    api(attached.close)


def test_answer_is_what_changed_after_the_input(
    api: Api, machine: Any, host: ActingMachine
) -> None:
    host.after = lambda request: host.fill((10, 20, 30, 40), 99)
    answer = api(machine.act, Chord("a"), first=20, still=0.05)
    assert answer.changed and answer.settled
    assert answer.rects == (Rect(10, 20, 30, 40),)
    assert answer.version == host.producer.version == answer.frame.version
    assert answer.frame.shape == (400, 640, 3) and answer.frame[20, 10].tolist() == [99] * 3
    assert 0 <= answer.seconds < 20
    assert repr(answer).startswith("<Answer: changed in 30x40 at 10,20 after")


def test_pixels_published_before_the_input_are_no_answer(
    api: Api, machine: Any, host: ActingMachine
) -> None:
    """They come after the frame that `act` compares with, and before the input's mark."""
    shade = iter(range(1, 99))
    host.before = lambda request: host.fill((10, 20, 30, 40), next(shade))
    answer = api(machine.act, Chord("a"), **QUICK)
    assert not answer.changed and answer.rects == ()
    host.after = lambda request: host.fill((300, 20, 30, 40), 77)
    answer = api(machine.act, Chord("a"), first=20, still=0.05)
    assert answer.rects == (Rect(300, 20, 30, 40),)


@pytest.mark.parametrize(
    "inputs",
    [
        [Type("A")], [Chord("shift-a", 0.01)], [Chord("a"), Type("bc")],
        [ButtonDown(), ButtonUp()],
    ],
    ids=str,
)  # fmt: skip
def test_the_answer_begins_with_the_mark_of_the_first_input(
    api: Api, machine: Any, host: ActingMachine, inputs: list[AnyInput]
) -> None:
    drawings = iter([(10, 20, 30, 40)])

    def draw_once(request: object) -> None:
        for rect in drawings:
            host.fill(rect, 99)

    host.before = draw_once
    answer = api(machine.act, inputs, **QUICK)
    assert not answer.changed and answer.rects == ()
    assert answer.frame[20, 10].tolist() == [99] * 3


def test_a_change_that_is_published_in_two_parts_is_one_answer(
    api: Api, machine: Any, host: ActingMachine
) -> None:
    rest = [(10, 40, 30, 20)]

    def draw(request: object) -> None:
        host.refreshed = lambda: rest and host.fill(rest.pop(), 99)
        host.fill((10, 20, 30, 20), 99)

    host.after = draw
    answer = api(machine.act, Chord("a"), first=20, still=0)
    assert answer.changed and answer.settled and not rest
    assert answer.rects == (Rect(10, 20, 30, 40),)
    assert answer.frame[59, 39].tolist() == [99] * 3


def test_echo_of_the_first_character_belongs_to_the_answer(
    api: Api, machine: Any, host: ActingMachine
) -> None:
    places = iter(range(0, 640, 32))
    host.after = lambda request: host.fill((next(places), 0, 8, 16), 200)
    answer = api(machine.act, Type("a"), [Type("b"), Type("c")], first=20, still=0.05)
    assert answer.rects == (Rect(0, 0, 8, 16), Rect(32, 0, 8, 16), Rect(64, 0, 8, 16))


def test_no_answer_is_an_answer(api: Api, machine: Any, host: ActingMachine) -> None:
    answer = api(machine.act, Chord("a"), **QUICK)
    assert (answer.changed, answer.settled, answer.rects) == (False, True, ())
    assert host.log == [(A, True), (A, False)]


def test_a_late_answer_is_waited_for(api: Api, machine: Any, host: ActingMachine) -> None:
    later = Later()
    host.after = lambda request: later(0.2, host.fill, (0, 0, 64, 64), 5)
    answer = api(machine.act, Click(3, 4), first=20, still=0.05)
    later.join()
    assert answer.changed and answer.seconds >= 0.19


def test_limit_ends_an_animation(api: Api, machine: Any, host: ActingMachine) -> None:
    with animated(host):
        answer = api(machine.act, Chord("a"), first=20, still=20, limit=0.3)
    assert answer.changed and not answer.settled


def test_every_input_is_sent_in_order(api: Api, machine: Any, host: ActingMachine) -> None:
    api(
        machine.act,
        [Chord("shift-a"), KeyDown("a"), KeyUp(A), Chord("a", 0.01), Pause(0.01), MoveBy(3, -4)],
        Click(1, 2, "right", 2, ("shift",)), Move(5, 6), Drag([(1, 1), (9, 9), (20, 5)]),
        Wheel(2, -1, 7, 8), ButtonDown(), ButtonUp("left"), Touch([(1, 2)], 3), Type("A"),
        **QUICK,
    )  # fmt: skip
    assert host.log == [
        (SHIFT, True), (A, True), (A, False), (SHIFT, False), (A, True), (A, False), (A, True),
        (A, False), By(3, -4),
        (SHIFT, True), To(1, 2), Button(2, True), Button(2, False), Button(2, True),
        Button(2, False), (SHIFT, False),
        To(5, 6), To(1, 1), Button(0, True), To(9, 9), To(20, 5), Button(0, False),
        To(7, 8), Turn(2, -1), Button(0, True), Button(0, False),
        Finger(3, "begin", 1, 2), Finger(3, "end", 1, 2),
        (SHIFT, True), (A, True), (A, False), (SHIFT, False),
    ]  # fmt: skip


def test_held_keys_are_released_after_a_failed_click(
    api: Api, machine: Any, host: ActingMachine
) -> None:
    def fails(request: object) -> Exception | None:
        is_click = isinstance(request, messages.Point)
        return InputError("the guest does not read its pointer") if is_click else None

    host.fails = fails
    with pytest.raises(InputError):
        api(machine.act, Click(1, 2, keys=("shift", "ctrl")), **QUICK)
    down = {key for key, is_down in host.log if is_down}
    assert [key for key, is_down in host.log if not is_down][: len(down)] == [29, SHIFT]


def test_a_long_drag_that_fails_half_way_releases_its_button(
    api: Api, machine: Any, host: ActingMachine
) -> None:
    points = [(x, 7) for x in range(100)]

    def fails(request: object) -> Exception | None:
        later = isinstance(request, messages.Point) and To(50, 7) in request.actions
        return InputError("the guest does not read its pointer") if later else None

    host.fails = fails
    with pytest.raises(InputError):
        api(machine.act, Drag(points), **QUICK)
    assert host.log[0] == To(0, 7) and host.log[-1] == Button(0, False)
    assert To(50, 7) not in host.log


async def test_cancelled_hold_releases_its_key(host: ActingMachine) -> None:
    async with await kju.aio.attach("acting") as machine:
        act = asyncio.ensure_future(machine.act(Chord("a", 60)))
        while not host.log:
            await asyncio.sleep(0.001)
        act.cancel()
        with pytest.raises(asyncio.CancelledError):
            await act
        until(lambda: host.log[-1] == (A, False), "the key is released")


def test_nothing_is_sent_where_an_input_is_invalid(
    api: Api, machine: Any, host: ActingMachine
) -> None:
    with pytest.raises(GeometryError, match="640x400 screen"):
        api(machine.act, Chord("a"), Click(640, 0))
    with pytest.raises(UsageError, match="is not an input"):
        api(machine.act, Chord("a"), "b")
    with pytest.raises(UsageError, match="limit is 0 to 3600 seconds"):
        api(machine.act, Chord("a"), limit=-1)
    with pytest.raises(UsageError, match="the ignored area"):
        api(machine.act, Chord("a"), ignore=[(0, 0, 0, 5)])
    viewer = api(api.module.attach, "acting", "view")
    with pytest.raises(RoleError):
        api(viewer.act, Chord("a"))
    api(viewer.close)
    assert host.log == []


def test_region_outside_the_screen_is_an_error_at_the_limit(
    api: Api, machine: Any, host: ActingMachine
) -> None:
    with pytest.raises(ScreenTimeoutError, match="the screen is 640x400 and has no such region"):
        api(machine.act, Chord("a"), region=(600, 0, 100, 10), limit=0.05, first=0.05)
