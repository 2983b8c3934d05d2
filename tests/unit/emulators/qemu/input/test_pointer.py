"""The pointer of a QEMU machine: positions, and holders of buttons and fingers."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kju.emulators.input.pace import Gauge, Pace, TimedGauge
from kju.emulators.qemu.input.events import Event
from kju.emulators.qemu.input.pointer import STEPS, QemuPointer, steps_of
from kju.errors import GeometryError, QemuError, UsageError
from kju.protocol.values import Action, Button, By, Finger, To, TurnWheel
from kju.surface import Mark


class Guest:
    def __init__(self, *, absolute: bool = True, touched: bool = False) -> None:
        self.reports: list[list[Event]] = []
        self.refuse = self.slow = False
        self.fail_at = -1
        #: The number of reports at each claim of the buttons.
        self.claims: list[int] = []
        self.is_absolute, self.is_touched = absolute, touched
        self.logged: list[Action] = []
        self.pointer = QemuPointer(
            self.send, Pace(self.find), lambda: (800, 600), self.absolute, self.touched,
            self.claim_buttons, self.logged.append,
        )  # fmt: skip

    async def send(self, report: Sequence[Event]) -> Mark:
        if self.refuse or len(self.reports) == self.fail_at:
            self.fail_at = -1
            raise QemuError("no")
        self.reports.append(list(report))
        if self.slow:
            self.slow = False
            await asyncio.Event().wait()  # until the test cancels it
        return Mark(1, 1, len(self.reports))

    async def find(self) -> Gauge:
        return TimedGauge()

    async def absolute(self) -> bool:
        return self.is_absolute

    async def touched(self) -> bool:
        return self.is_touched

    async def claim_buttons(self) -> None:
        self.claims.append(len(self.reports))

    def act(self, *actions: Action, client: str = "a") -> Mark | None:
        return asyncio.run(self.pointer.act(client, actions))

    @property
    def buttons(self) -> list[tuple[str, bool]]:
        data = [event["data"] for report in self.reports for event in report]
        return [(d["button"], d["down"]) for d in data if "button" in d]


@given(st.integers(1, 16384), st.data())
def test_every_pixel_is_hit_however_a_guest_rounds(size: int, data: st.DataObject) -> None:
    pixel = data.draw(st.integers(0, size - 1))
    value = steps_of(pixel, size)
    assert 0 <= value < STEPS
    assert value * size // STEPS == pixel, "as libinput does"
    if size > 1:
        assert round(value * (size - 1) / (STEPS - 1)) == pixel, "from first to last"


@pytest.mark.parametrize("pixel", [-1, 800])
def test_position_outside_the_screen_is_rejected(pixel: int) -> None:
    with pytest.raises(GeometryError):
        steps_of(pixel, 800)


def test_nothing_is_sent_if_one_of_several_positions_is_outside() -> None:
    guest = Guest()
    with pytest.raises(GeometryError, match="800x600"):
        guest.act(To(1, 1), To(800, 1))
    assert guest.reports == []


def test_each_request_claims_the_buttons_first() -> None:
    guest = Guest()
    guest.act(To(0, 0), Button(0, True), Button(0, False))
    guest.act(Button(1, True))
    assert guest.claims == [0, 3]


def test_each_action_is_one_report() -> None:
    guest = Guest()
    mark = guest.act(To(0, 0), Button(0, True), To(799, 599), Button(0, False), TurnWheel(-2, 1))
    kinds = [[event["type"] for event in report] for report in guest.reports]
    assert kinds[:4] == [["abs", "abs"], ["btn"], ["abs", "abs"], ["btn"]]
    assert guest.buttons[2:] == [
        ("wheel-up", True), ("wheel-up", False), ("wheel-up", True), ("wheel-up", False),
        ("wheel-right", True), ("wheel-right", False),
    ]  # fmt: skip
    assert mark == Mark(1, 1, len(guest.reports) - 1), "before the press of the last notch"


def test_buttons_are_shared_like_keys() -> None:
    guest = Guest()
    guest.act(Button(2, True))
    guest.act(Button(2, True), client="b")
    guest.act(Button(2, False))
    assert guest.buttons == [("right", True)]
    assert guest.pointer.held == ["right"]
    asyncio.run(guest.pointer.leave("b"))
    assert guest.buttons == [("right", True), ("right", False)]
    assert guest.pointer.held == []


def test_wrong_kind_of_pointer_is_an_error_with_a_hint() -> None:
    with pytest.raises(UsageError, match="give a distance"):
        Guest(absolute=False).act(To(1, 1))
    with pytest.raises(UsageError, match="give a position"):
        Guest().act(By(1, 1))
    Guest(absolute=False).act(By(1, 1))


def test_finger_needs_a_touch_screen() -> None:
    with pytest.raises(UsageError, match="virtio-multitouch"):
        Guest().act(Finger(0, "begin", 1, 1))
    guest = Guest(touched=True)
    guest.act(Finger(1, "begin", 0, 0), Finger(1, "move", 9, 9), Finger(1, "end", 9, 9))
    kinds = [[event["data"]["type"] for event in report] for report in guest.reports]
    assert kinds == [["begin", "data", "data"], ["update", "data", "data"], ["end"]]


async def test_failed_button_release_of_a_disconnected_client_is_repeated() -> None:
    guest = Guest(touched=True)
    await guest.pointer.act("a", [Button(0, True), Finger(2, "begin", 1, 1)])
    guest.refuse = True
    await guest.pointer.leave("a")
    assert guest.pointer.held == ["left"]
    guest.refuse = False
    await guest.pointer.settle()
    assert guest.pointer.held == []
    assert guest.buttons == [("left", True), ("left", False)]
    assert [event["data"]["type"] for event in guest.reports[-1]] == ["end"]


async def test_request_that_fails_half_way_holds_nothing() -> None:
    guest = Guest(touched=True)
    for begin, end in (
        (Button(0, True), Button(0, False)),
        (Finger(0, "begin", 1, 1), Finger(0, "end", 1, 1)),
    ):
        guest.fail_at = len(guest.reports) + 1
        with pytest.raises(QemuError):
            await guest.pointer.act("a", [begin, To(5, 5), end])
    assert guest.buttons == [("left", True), ("left", False)]
    assert [event["data"]["type"] for event in guest.reports[-1]] == ["end"]
    # Without the releases in the log, a replay would leave them down.
    assert guest.logged == [
        Button(0, True), Button(0, False), Finger(0, "begin", 1, 1), Finger(0, "end"),
    ]  # fmt: skip
    await guest.pointer.leave("a")
    assert len(guest.reports) == 4


async def test_cancelled_click_is_released() -> None:
    guest = Guest()
    guest.slow = True
    task = asyncio.create_task(guest.pointer.act("a", [Button(0, True), Button(0, False)]))
    while not guest.reports:
        await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert guest.buttons[-1] == ("left", False)
    assert guest.pointer.held == []


@pytest.mark.parametrize(
    ("actions", "report"),
    [
        ([Button(0, True)], 1),
        ([Button(0, True), Button(1, True)], 1),
        ([Button(0, True), Button(0, False)], 1),
        ([To(1, 1), Button(0, True), Button(0, False)], 2),
        ([Button(0, True), Button(0, False)] * 2, 3),
        ([To(1, 1), Button(0, True), To(9, 9), To(20, 20), Button(0, False)], 2),
        ([To(1, 1), To(2, 2)], 2),
        ([TurnWheel(3, 0)], 5),
        ([TurnWheel(3, 1)], 7),
        ([Finger(0, "begin", 1, 1), Finger(0, "move", 2, 2), Finger(0, "end", 2, 2)], 1),
    ],
)
def test_mark_is_from_before_the_last_gesture(actions: list[Action], report: int) -> None:
    assert Guest(touched=True).act(*actions) == Mark(1, 1, report)
