"""The keyboard that several clients share, and its lamps."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from kju.emulators.input import keyboard as keyboard_module
from kju.emulators.input.keyboard import MAX_SECONDS, Begun, KeyboardLamps, SharedKeyboard
from kju.emulators.input.pace import Gauge, Pace
from kju.errors import QemuError, UsageError
from kju.keys import Lamps, Step
from kju.surface import Mark

CAPS_LOCK = 0x3A


class Roomy(Gauge):
    """A keyboard with room for everything."""

    name, room = "roomy", 1000

    def __init__(self) -> None:
        super().__init__()
        self.checks = 0

    async def is_empty(self) -> bool:
        self.checks += 1
        return True


class Guest:
    def __init__(self) -> None:
        self.finds = 0
        self.seen: list[tuple[int, bool]] = []
        self.refuse = False

        self.gauge = Roomy()
        self.pace = Pace(self.find)
        self.keyboard = SharedKeyboard(self.send, self.pace, self.begin)
        #: What QEMU has still to answer.
        self.open: list[asyncio.Future[None]] = []

    async def find(self) -> Gauge:
        self.finds += 1
        return self.gauge

    def begin(self, steps: Sequence[Step]) -> Begun:
        self.seen += steps
        self.open.append(asyncio.get_running_loop().create_future())
        return Begun(Mark(1, 1, len(self.seen)), self.open[-1])

    async def send(self, steps: Sequence[Step]) -> Mark:
        if self.refuse:
            raise QemuError("no")
        self.seen += steps
        return Mark(1, 1, len(self.seen))


async def test_key_is_released_by_its_last_holder() -> None:
    guest = Guest()
    keyboard = guest.keyboard
    await keyboard.press("a", [(1, True)], 0)
    await keyboard.press("b", [(1, True)], 0)
    await keyboard.press("a", [(1, False)], 0)
    assert guest.seen == [(1, True)]
    assert keyboard.held == [1]
    await keyboard.press("b", [(1, False)], 0)
    assert guest.seen == [(1, True), (1, False)]
    assert keyboard.held == []


async def test_release_sends_key_up_on_disconnect() -> None:
    guest = Guest()
    keyboard = guest.keyboard
    await keyboard.press("a", [(1, True), (2, True)], 0)
    await keyboard.press("b", [(2, True)], 0)
    await keyboard.leave("a")
    assert guest.seen == [(1, True), (2, True), (1, False)]
    assert keyboard.held == [2]
    await keyboard.leave("nobody")


async def test_cancelled_request_releases_its_keys() -> None:
    guest = Guest()
    keyboard = guest.keyboard
    task = asyncio.create_task(keyboard.press("a", [(1, True), (1, False)], MAX_SECONDS / 2))
    while not guest.seen:
        await asyncio.sleep(0)
    task.cancel()
    await keyboard.leave("a")
    assert guest.seen == [(1, True), (1, False)]


async def test_steps_of_two_requests_are_not_mixed() -> None:
    guest = Guest()
    keyboard = guest.keyboard
    one = [(1, True), (1, False)] * 3
    two = [(2, True), (2, False)] * 3
    await asyncio.gather(keyboard.press("a", one, 0.0001), keyboard.press("b", two, 0.0001))
    assert guest.seen == one + two


async def test_key_that_no_client_holds_is_not_released() -> None:
    guest = Guest()
    await guest.keyboard.press("a", [(42, False)], 0)
    await guest.keyboard.press("a", [(42, False), (30, True), (30, False), (30, False)])
    assert guest.seen == [(30, True), (30, False)]


async def test_refused_step_raises_and_refused_release_does_not_stop_a_disconnect() -> None:
    guest = Guest()
    keyboard = guest.keyboard
    await keyboard.press("a", [(1, True)], 0)
    guest.refuse = True
    with pytest.raises(QemuError):
        await keyboard.press("a", [(2, True)], 0)
    await keyboard.leave("a")
    assert keyboard.held == [1, 2], "they may be down, so they stay recorded"
    guest.refuse = False
    await keyboard.press("b", [(3, True), (3, False)], 0)
    assert guest.seen[1:] == [(1, False), (2, False), (3, True), (3, False)]
    assert keyboard.held == []


async def test_client_whose_release_failed_still_holds_the_key() -> None:
    guest = Guest()
    keyboard = guest.keyboard
    await keyboard.press("a", [(1, True)], 0)
    guest.refuse = True
    with pytest.raises(QemuError):
        await keyboard.press("a", [(1, False)], 0)
    assert keyboard.held == [1]
    guest.refuse = False
    await keyboard.leave("a")
    assert keyboard.held == []
    assert guest.seen == [(1, True), (1, False)]


async def test_failed_release_of_a_disconnected_client_is_repeated() -> None:
    guest = Guest()
    keyboard = guest.keyboard
    await keyboard.press("a", [(1, True)], 0)
    await keyboard.press("b", [(2, True)], 0)
    guest.refuse = True
    await keyboard.leave("a")
    guest.refuse = False
    await keyboard.settle()
    assert keyboard.held == [2]


async def test_interrupted_request_releases_its_keys_and_no_others() -> None:
    guest = Guest()
    keyboard = guest.keyboard
    await keyboard.press("a", [(9, True)], 0)
    chord = [(29, True), (46, True), (46, False), (29, False)]
    task = asyncio.create_task(keyboard.press("a", chord, MAX_SECONDS / 4))
    while (29, True) not in guest.seen:
        guest.pace._last = float("-inf")  # the keyboard has rested
        await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert guest.seen == [(9, True), (29, True), (29, False)]
    assert keyboard.held == [9]


async def test_request_that_would_take_too_long_is_rejected() -> None:
    guest = Guest()
    with pytest.raises(UsageError, match="divide"):
        await guest.keyboard.press("a", [(1, True), (1, False)] * 512, 0.01)
    assert guest.seen == []


async def test_interval_is_kept_between_requests() -> None:
    keyboard = Guest().keyboard
    loop = asyncio.get_running_loop()
    began = loop.time()
    for _ in range(3):
        await keyboard.press("a", [(1, True)], 0.01)
    assert loop.time() - began >= 0.019


async def test_mark_is_from_before_the_last_steps() -> None:
    guest = Guest()
    keyboard = guest.keyboard
    assert await keyboard.press("a", [(1, True), (1, False)]) == Mark(1, 1, 2)
    assert await keyboard.press("a", []) is None


async def test_steps_on_keys_of_another_client_are_not_sent() -> None:
    guest = Guest()
    await guest.keyboard.press("a", [(42, True)], 0)
    await guest.keyboard.press("b", [(42, True), (30, True), (30, False), (42, False)])
    assert guest.seen == [(42, True), (30, True), (30, False)]
    assert guest.keyboard.held == [42]


@pytest.mark.parametrize(
    ("steps", "before"),
    [
        ([(1, True), (1, False)], 1),
        ([(1, True), (1, False), (2, True), (2, False)], 3),
        ([(1, True), (2, True), (2, False), (1, False)], 1),
        ([(1, True), (2, True), (2, False), (3, True), (3, False), (1, False)], 4),
    ],
)
async def test_mark_is_from_before_the_last_chord(steps: list[Step], before: int) -> None:
    # The mark of `send` counts what has been sent, this step included.
    assert await Guest().keyboard.press("a", steps, 0) == Mark(1, 1, before)


async def test_single_key_is_sent_within_the_call_and_waits_for_no_answer() -> None:
    guest = Guest()
    await guest.pace.find()
    assert guest.keyboard.can_press_at_once("a", [(1, True)], None)
    assert guest.keyboard.press_at_once("a", (1, True)) == Mark(1, 1, 1)
    assert guest.seen == [(1, True)]
    assert guest.keyboard.held == [1]
    assert not guest.open[0].done()
    guest.open[0].set_result(None)


async def test_step_that_has_to_wait_is_not_sent_at_once() -> None:
    guest = Guest()
    await guest.pace.find()
    guest.gauge.room = 1
    keyboard, one = guest.keyboard, [(1, True)]
    assert not keyboard.can_press_at_once("a", [(1, True), (1, False)], None)
    assert not keyboard.can_press_at_once("a", one, 0)
    async with guest.pace.turn:
        assert not keyboard.can_press_at_once("a", one, None), "another request is being sent"
    keyboard.press_at_once("a", (2, True))
    assert not keyboard.can_press_at_once("a", one, None), "there is no room"


async def test_a_chord_that_fits_waits_for_no_check_of_the_queue() -> None:
    guest = Guest()
    await guest.pace.find()
    chord = [(29, True), (30, True), (30, False), (29, False)]
    for _ in range(3):
        await guest.keyboard.press("a", chord)
    assert guest.gauge.checks == 0
    await guest.keyboard.press("a", [*chord, *chord])
    assert guest.gauge.checks == 1, "programs may lose keys of a text"
    guest.gauge.room = 6
    await guest.keyboard.press("a", chord)
    assert guest.gauge.checks == 2, "there was no room"
    assert guest.seen == chord * 6


async def test_the_only_device_is_not_determined_again_before_a_chord() -> None:
    guest = Guest()
    await guest.pace.find()
    chord = [(1, True), (1, False)]
    for alone, steps, finds in ((False, chord, 2), (True, chord, 2), (True, chord * 2, 3)):
        guest.gauge.alone = alone
        guest.pace._found_at -= 5  # so many seconds ago
        await guest.keyboard.press("a", steps)
        assert guest.finds == finds


async def test_late_refusal_is_raised_by_the_next_call_of_this_client() -> None:
    guest = Guest()
    await guest.pace.find()
    keyboard = guest.keyboard
    keyboard.press_at_once("a", (1, True))
    guest.open[0].set_exception(QemuError("no"))
    await asyncio.sleep(0)
    assert await keyboard.press("b", [(2, True)], 0), "another client is not affected"
    assert not keyboard.can_press_at_once("a", [(3, True)], None)
    with pytest.raises(QemuError, match="no"):
        await keyboard.press("a", [(3, True), (1, False)], None)
    assert guest.seen == [(1, True), (2, True), (1, False)], "only the releases of that call"
    assert keyboard.held == [2]
    assert await keyboard.press("a", [(3, True)], 0), "it is raised once"


async def test_refused_release_is_repeated_when_the_client_leaves() -> None:
    guest = Guest()
    await guest.pace.find()
    keyboard = guest.keyboard
    for down in (True, False):
        keyboard.press_at_once("a", (1, down))
    guest.open[0].set_result(None)
    guest.open[1].set_exception(QemuError("no"))
    await asyncio.sleep(0)
    assert keyboard.held == [1]
    await keyboard.leave("a")
    assert guest.seen[-1] == (1, False)
    assert keyboard.held == []


async def test_release_that_is_refused_after_its_client_left_is_repeated() -> None:
    guest = Guest()
    await guest.pace.find()
    keyboard = guest.keyboard
    for down in (True, False):
        keyboard.press_at_once("a", (1, down))
    await keyboard.leave("a")
    guest.open[1].set_exception(QemuError("no"))
    await asyncio.sleep(0)
    assert not keyboard.can_press_at_once("b", [(2, True)], None), "the release is sent first"
    await keyboard.press("b", [(2, True)], 0)
    assert guest.seen[-2:] == [(1, False), (2, True)]


async def test_step_is_not_sent_at_once_while_the_device_is_unknown() -> None:
    guest = Guest()
    keyboard, one = guest.keyboard, [(1, True)]
    assert not keyboard.can_press_at_once("a", one, None), "the device is unknown"
    await guest.pace.find()
    assert keyboard.can_press_at_once("a", one, None)
    keyboard.forget()  # another guest has been loaded
    assert not keyboard.can_press_at_once("a", one, None)
    assert await keyboard.press("a", one, None) == Mark(1, 1, 1)
    assert keyboard.can_press_at_once("a", [(1, False)], None)


async def test_lamps_are_unknown_until_they_are_announced() -> None:
    lamps = KeyboardLamps()
    lamps.sent([(CAPS_LOCK, True)])
    assert await lamps.read() is None
    lamps.update(6)
    assert await lamps.read() == Lamps(scroll=False, num=True, caps=True)


async def test_lamps_are_read_after_the_change_that_follows_a_lock_key() -> None:
    lamps = KeyboardLamps()
    lamps.update(0)
    lamps.sent([(CAPS_LOCK, True), (CAPS_LOCK, False)])
    reading = asyncio.create_task(lamps.read())
    await asyncio.sleep(0)
    assert not reading.done()
    lamps.update(4)
    assert (await reading).names == ["caps"]


async def test_lamps_that_a_guest_does_not_light_are_read_after_a_time_limit(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(keyboard_module, "SETTLE_SECONDS", 0.01)
    lamps = KeyboardLamps()
    lamps.update(0)
    lamps.sent([(CAPS_LOCK, True)])
    assert (await lamps.read()).names == []
    lamps.sent([(0x1E, True)])  # no lock key: nothing to wait for
    assert (await lamps.read()).names == []
