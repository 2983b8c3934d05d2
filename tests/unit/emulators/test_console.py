"""One console without QEMU: its surface, sources that want more, and holding still."""

from __future__ import annotations

import asyncio
import os
import threading
from pathlib import Path
from typing import Any

import pytest

import kju
from kju.emulators import console as module
from kju.emulators.console import Console
from kju.emulators.input.devices import Devices
from kju.emulators.input.keyboard import Keyboard
from kju.emulators.input.lamps import KeyboardLamps
from kju.emulators.input.pace import Pace
from kju.emulators.qemu.dbus import Console as Facts
from kju.emulators.qemu.input.pointer import QemuPointer
from kju.errors import KjuError, QemuError
from kju.sources.base import Need, Phase, Report, Source, Status, StubSource
from kju.surface import State
from kju.surface.producer import Producer

FACTS = Facts(0, "vga", 0, "Graphic", 640, 480, "pci/0000/02.0", ())


def devices() -> Devices:
    async def nobody(*_: object) -> Any:
        raise AssertionError("nobody drives these")

    keyboard = Keyboard(nobody, Pace(nobody))
    pointer = QemuPointer(nobody, Pace(nobody), lambda: (0, 0), nobody, nobody)
    return Devices(keyboard, pointer, KeyboardLamps())


class Scene:
    """A console, and every source that was started for it."""

    def __init__(self, address: str = "memfd:console") -> None:
        self.sources: list[StubSource] = []
        self.refuse = False
        self.console = Console(0, FACTS, address, self.make, devices())

    async def make(self, producer: Producer, report: Report, paused: bool) -> Source:
        if self.refuse:
            raise QemuError("no listener today")
        source = StubSource(producer, report)
        source.paused = paused
        source.start()
        self.sources.append(source)
        return source

    async def until(self, condition: Any) -> None:
        async with asyncio.timeout(5):
            while not condition():
                await asyncio.sleep(0.001)


def play(scene: Any, address: str = "memfd:console") -> None:
    async def run() -> None:
        made = Scene(address)
        try:
            await made.console.start()
            await scene(made)
        finally:
            made.console.stop(State.CLOSED, "over")

    asyncio.run(run())


def test_a_larger_surface_replaces_the_old() -> None:
    async def scene(made: Scene) -> None:
        old = made.console.producer
        handed = made.console.handout()
        with kju.Surface.from_fd(os.dup(handed)) as before:
            need = Status(Phase.RUNNING, "stub", "too large", Need.LARGER, 100 << 20)
            await asyncio.to_thread(made.sources[0]._tell, need)
            await made.until(lambda: made.console.producer is not old)
            await made.until(lambda: before.state[0] == State.SUPERSEDED)
        assert made.console.producer.capacity >= 100 << 20
        assert made.sources[0].producer is made.console.producer
        with kju.Surface.from_fd(os.dup(made.console.handout())) as after:
            assert after.mode.width == 640
        info = made.console.info()
        assert (info["source"], info["reason"]) == ("stub", "too large")

    play(scene)


def test_a_named_surface_is_replaced_under_its_name(tmp_path: Path) -> None:
    path = tmp_path / "screen"

    async def scene(made: Scene) -> None:
        old = made.console.producer
        with kju.Surface(path, follow=True) as surface:
            need = Status(Phase.RUNNING, "stub", "", Need.LARGER, 100 << 20)
            made.sources[0]._tell(need)
            await made.until(lambda: made.console.producer is not old)
            change = await asyncio.to_thread(surface.wait, surface.mark, timeout=5)
            assert change.everything
            assert surface.incarnation == made.console.producer.incarnation

    play(scene, str(path))


def test_a_source_that_ends_is_started_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "RETRY", 0.001)

    async def scene(made: Scene) -> None:
        made.sources[0]._tell(Status(Phase.ENDED, "stub", "QEMU has hung up"))
        await made.until(lambda: len(made.sources) == 2)
        made.sources[1]._tell(Status(Phase.RUNNING, "stub", "fell back", Need.REGISTER))
        await made.until(lambda: len(made.sources) == 3)

    play(scene)


def test_a_source_that_cannot_be_had_again_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "RETRY", 0.001)

    async def scene(made: Scene) -> None:
        with kju.Surface.from_fd(os.dup(made.console.handout())) as surface:
            made.refuse = True
            made.sources[0]._tell(Status(Phase.ENDED, "stub"))
            await made.until(lambda: surface.state[0] == State.UNAVAILABLE)
            assert "no listener today" in surface.state[1]
            made.refuse = False
            await made.until(lambda: surface.state[0] == State.LIVE)
            assert len(made.sources) == 2

    play(scene)


def test_what_a_source_wants_before_it_is_the_consoles_is_heard() -> None:
    class Greedy(Scene):
        async def make(self, producer: Producer, report: Report, paused: bool) -> Source:
            source = await super().make(producer, report, paused)
            self.sources[-1]._tell(Status(Phase.RUNNING, "stub", "", Need.LARGER, 100 << 20))
            await asyncio.sleep(0)
            return source

    async def run() -> None:
        made = Greedy()
        await made.console.start()
        await made.until(lambda: made.console.producer.capacity >= 100 << 20)
        made.console.stop(State.CLOSED, "over")

    asyncio.run(run())


def test_a_size_that_the_listener_was_not_told_asks_for_another(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "HEARD", 0.001)

    async def scene(made: Scene) -> None:
        console = made.console
        console.announced({"Width": 640, "Height": 480})
        await made.until(
            lambda: console._hearing and console._hearing.when() < console._loop.time()
        )
        await asyncio.sleep(0)
        assert len(made.sources) == 1, "the source has heard of it"
        # QEMU names only what has changed.
        console.announced({"Height": 400})
        await made.until(lambda: len(made.sources) == 2)
        console.announced({"Width": "wide"})
        assert console._size == (640, 400)
        # Ten changes of the mode within ten seconds are no reason to wait for the next.
        for number in range(3, 13):
            console.announced({"Height": 400 + number})
            await made.until(lambda number=number: len(made.sources) == number)
        assert console._retry == module.RETRY

    play(scene)


def test_many_wishes_start_one_source_and_an_old_one_is_not_heard(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "RETRY", 0.001)

    async def scene(made: Scene) -> None:
        old = made.sources[0]
        for reason in ("one", "two", "three"):
            old._tell(Status(Phase.RUNNING, "stub", reason, Need.REGISTER))
        await made.until(lambda: len(made.sources) == 2)
        old._tell(Status(Phase.RUNNING, "stub", "late", Need.REGISTER))
        await made.until(lambda: made.console._renewing and made.console._renewing.done())
        assert len(made.sources) == 2
        assert made.console.info()["reason"] == ""

    play(scene)


def test_holding_still() -> None:
    async def scene(made: Scene) -> None:
        console = made.console
        version = await console.hold("me", 60)
        publisher = threading.Thread(target=console.producer.publish, args=([(0, 0, 8, 8)],))
        publisher.start()
        with pytest.raises(KjuError, match="another client"):
            await console.hold("you", 60)
        console.unhold("you")
        assert console.producer.version == version
        console.unhold("me")
        await made.until(lambda: console.producer.version == version + 1)
        publisher.join()
        assert await console.refresh(sync=True) == version + 1

    play(scene)


def test_a_hold_does_not_outlive_its_surface() -> None:
    async def scene(made: Scene) -> None:
        console = made.console
        old = console.producer
        await console.hold("me", 60)
        publisher = threading.Thread(target=old.publish, args=([(0, 0, 8, 8)],), daemon=True)
        publisher.start()
        need = Status(Phase.RUNNING, "stub", "too large", Need.LARGER, 100 << 20)
        made.sources[0]._tell(need)
        await made.until(lambda: console.producer is not old)
        await made.until(lambda: not publisher.is_alive())
        # The next holder is not the first one's to end.
        await console.hold("you", 60)
        console.unhold("me")
        with pytest.raises(KjuError, match="another client"):
            await console.hold("me", 60)
        console.unhold("you")

    play(scene)


def test_a_hold_ends_by_itself() -> None:
    async def scene(made: Scene) -> None:
        await made.console.hold("me", 0.001)
        await made.until(lambda: made.console._held is None)
        made.console.producer.publish([(0, 0, 8, 8)])

    play(scene)


def test_a_pause_is_kept_by_the_next_source(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "RETRY", 0.001)

    async def scene(made: Scene) -> None:
        states: list[State] = []
        set_state = made.console.producer.set_state

        def note(state: State, reason: str = "") -> None:
            states.append(state)
            set_state(state, reason)

        made.console.producer.set_state = note  # type: ignore[method-assign]
        made.console.paused(True)
        made.sources[0]._tell(Status(Phase.RUNNING, "stub", "fell back", Need.REGISTER))
        await made.until(lambda: len(made.sources) == 2)
        assert set(states) == {State.PAUSED}
        made.console.paused(False)
        assert states[-1] == State.LIVE

    play(scene)


def test_without_a_source_the_host_says_paused_and_leaves_other_states_alone() -> None:
    async def run() -> None:
        console = Scene().console
        with kju.Surface.from_fd(os.dup(console.handout())) as surface:
            console.paused(True)
            assert surface.state[0] == State.PAUSED
            console.paused(False)
            assert surface.state[0] == State.LIVE
            console.producer.set_state(State.UNAVAILABLE, "off")
            console.paused(True)
            console.paused(False)
            assert surface.state == (State.UNAVAILABLE, "off")
        console.stop(State.CLOSED, "over")

    asyncio.run(run())


def test_the_last_word() -> None:
    async def scene(made: Scene) -> None:
        with kju.Surface.from_fd(os.dup(made.console.handout())) as surface:
            made.console.stop(State.GONE, "QEMU was killed")
            assert surface.state == (State.GONE, "QEMU was killed")
            assert surface.frame().shape == (480, 640, 3)

    play(scene)


def test_what_is_handed_out_cannot_write(tmp_path: Path) -> None:
    async def scene(made: Scene) -> None:
        with pytest.raises(OSError):
            os.write(made.console.handout(), b"x")

    play(scene)
    play(scene, str(tmp_path / "screen"))


def test_state_and_cursor_change_while_the_pixels_hold_still() -> None:
    async def scene(made: Scene) -> None:
        await made.console.hold("me", 60)
        with kju.Surface.from_fd(os.dup(made.console.handout())) as surface:
            made.console.producer.set_state(State.PAUSED, "held")
            made.console.producer.move_cursor(3, 4, True)
            assert surface.state == (State.PAUSED, "held")
            assert (surface.cursor.x, surface.cursor.y) == (3, 4)

    play(scene)
