"""Keyboard of a machine: texts, layouts, caps lock, boot commands."""

from __future__ import annotations

import asyncio
import time

import pytest
from support.fake_host import FakeHost
from support.halves import Api

import kju
import kju.aio
from kju.errors import (
    UsageError,
)

pytestmark = pytest.mark.usefixtures("runtime_folder")


def test_invalid_typing_sends_no_key(api: Api, host: FakeHost) -> None:
    machine = api(api.module.attach, "fake")
    for work in (
        lambda: machine.keyboard.type("abc→"),
        lambda: machine.keyboard.chord("ctrl-c", "nokey"),
        lambda: machine.keyboard.press("a", "nokey"),
        lambda: machine.keyboard.press("a", 300),
    ):
        with pytest.raises(UsageError):
            api(work)
    api(machine.info)
    assert host.machine.steps == []
    api(machine.close)


def test_long_text_is_typed_whole_and_in_order(api: Api, host: FakeHost) -> None:
    machine = api(api.module.attach, "fake")
    text = "kju " * 500
    api(machine.keyboard.type, text, interval=0)
    downs = [key for key, down in host.machine.steps if down]
    assert len(downs) == len(text)
    assert downs[:4] == [37, 36, 22, 57]
    api(machine.close)


def test_long_text_is_split_between_chords(api: Api, host: FakeHost) -> None:
    machine = api(api.module.attach, "fake")
    api(machine.keyboard.type, "aB" * 100, interval=10)
    assert all(steps * interval <= 250 for steps, interval in host.machine.requests)
    assert sum(steps for steps, _ in host.machine.requests) == 600
    assert {steps % 6 for steps, _ in host.machine.requests} <= {0, 2, 4}
    host.machine.requests.clear()
    api(machine.keyboard.chord, "ctrl-alt-f2", "a", interval=100)
    assert host.machine.requests == [(6, 100), (2, 100)]
    api(machine.close)


@pytest.mark.parametrize("interval", [0, 1, 10, 100])
def test_shift_is_held_only_within_a_request(api: Api, host: FakeHost, interval: int) -> None:
    machine = api(api.module.attach, "fake")
    api(machine.keyboard.type, "HELLO " * 20, interval=interval)
    assert sum(steps for steps, _ in host.machine.requests) == len(host.machine.steps)
    at, down = 0, set()
    for steps, _ in host.machine.requests:
        for key, pressed in host.machine.steps[at : at + steps]:
            (down.add if pressed else down.remove)(key)
        assert down == set()
        at += steps
    presses = [key for key, pressed in host.machine.steps if pressed]
    letters = [35, 18, 38, 38, 24, 57]
    assert [key for key in presses if key != 42] == letters * 20
    assert presses.count(42) == 100 if interval == 100 else presses.count(42) < 50
    api(machine.close)


def test_layout_is_chosen_by_name(api: Api, host: FakeHost) -> None:
    machine = api(api.module.attach, "fake")
    api(machine.keyboard.type, "z\u00e9@", layout="de")
    assert [key for key, down in host.machine.steps if down] == [21, 13, 18, 184, 16]
    with pytest.raises(UsageError, match="klingon"):
        api(machine.keyboard.type, "a", layout="klingon")
    api(machine.close)


def test_boot_command_types_holds_and_waits(api: Api, host: FakeHost) -> None:
    machine = api(api.module.attach, "fake")
    began = time.monotonic()
    api(machine.keyboard.boot_command, "<esc><wait50ms>aB<leftCtrlOn>c<leftAltOn><f1>")
    assert time.monotonic() - began >= 0.05
    assert host.machine.steps == [
        (1, True), (1, False),
        (30, True), (30, False), (42, True), (48, True), (48, False), (42, False),
        (29, True), (46, True), (46, False), (56, True), (59, True), (59, False),
        (56, False), (29, False),  # keys held at the end
    ]  # fmt: skip
    host.machine.steps.clear()
    for wrong in ("a<entr>", "a→"):
        with pytest.raises(UsageError):
            api(machine.keyboard.boot_command, wrong)
    api(machine.info)
    assert host.machine.steps == []
    api(machine.close)


async def test_cancelled_boot_command_releases_its_keys(host: FakeHost) -> None:
    async with await kju.aio.attach("fake") as machine:
        work = asyncio.create_task(machine.keyboard.boot_command("<leftShiftOn><wait1h>"))
        while not host.machine.steps:
            await asyncio.sleep(0.001)
        work.cancel()
        with pytest.raises(asyncio.CancelledError):
            await work
    assert host.machine.steps == [(42, True), (42, False)]


def test_caps_lock_inverts_shift_for_letters(api: Api, host: FakeHost) -> None:
    machine = api(api.module.attach, "fake")
    host.machine.lit = ["num", "caps"]
    lamps = api(machine.keyboard.lamps)
    assert lamps == (False, True, True)
    api(machine.keyboard.type, "aB1!")
    assert host.machine.steps == [
        (42, True), (30, True), (30, False), (42, False),  # "a" with shift
        (48, True), (48, False), (2, True), (2, False),  # "B" and "1" without
        (42, True), (2, True), (2, False), (42, False),  # "!" as usual
    ]  # fmt: skip
    host.machine.steps.clear()
    api(machine.keyboard.type, "\u00e9", layout="fr")
    lock = [(58, True), (58, False)]
    assert host.machine.steps == [*lock, (3, True), (3, False), *lock]
    host.machine.lit = None
    host.machine.steps.clear()
    api(machine.keyboard.type, "a")
    assert host.machine.steps == [(30, True), (30, False)]
    api(machine.close)


@pytest.mark.parametrize(
    ("text", "interval"), [("é\n", 10), ("é\n", None), ("é\n", 60), ("é" * 31 + "\n", None)]
)
def test_mark_is_from_before_the_last_character_when_caps_lock_is_toggled(
    api: Api, host: FakeHost, text: str, interval: int | None
) -> None:
    """In X11 a French keyboard cannot type é while caps lock is on."""
    enter, caps_lock = 0x1C, 0x3A
    machine = api(api.module.attach, "fake")
    host.machine.lit = ["caps"]
    mark = api(machine.keyboard.type, text, layout="fr", interval=interval)
    assert mark.version == host.machine.steps.index((enter, True))
    toggle = [(caps_lock, True), (caps_lock, False)]
    assert host.machine.steps[:2] == host.machine.steps[-2:] == toggle
    api(machine.close)


def test_caps_lock_inverts_shift_for_digits_of_some_layouts(api: Api, host: FakeHost) -> None:
    machine = api(api.module.attach, "fake")
    host.machine.lit = ["caps"]
    api(machine.keyboard.type, "1", layout="bepo")
    assert host.machine.steps == [(2, True), (2, False)], "shift is inverted"
    api(machine.close)


@pytest.mark.parametrize(
    ("command", "before"),
    [
        ("<leftCtrlOn>c<leftCtrlOff>", 1),
        ("<leftCtrlOn>c", 1),
        ("x<leftCtrlOn><enter>", 3),
        ("<leftCtrlOn><leftAltOn><leftAltOff><leftCtrlOff>", 1),
        ("a<leftCtrlOn><leftCtrlOff>b<wait10ms>", 4),
        ("<leftCtrlOff>", 0),
    ],
)
def test_releases_do_not_move_the_mark_of_a_boot_command(
    api: Api, host: FakeHost, command: str, before: int
) -> None:
    machine = api(api.module.attach, "fake")
    mark = api(machine.keyboard.boot_command, command)
    assert (mark.version, mark.incarnation) == (before, 1)
    api(machine.close)
