"""A console without QEMU: its surface, requests of its source, and holds."""

from __future__ import annotations

import asyncio
import contextlib
import os
import threading
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from unittest.mock import AsyncMock

import pytest
from support.stub_source import StubSource
from support.wait import until_async

import kju
from kju.emulators import supervisor as module
from kju.emulators.console import LEAST_RATE, ONE_LOOK, Console, ConsoleFacts, SourceRunner
from kju.emulators.console_surface import ConsoleSurface
from kju.emulators.input.devices import Devices
from kju.emulators.input.keyboard import KeyboardLamps, SharedKeyboard
from kju.emulators.input.pace import Pace
from kju.emulators.qemu.display import mode_monitor
from kju.emulators.qemu.display.mode_monitor import AnnouncedSize, AnnouncedSizeRunner
from kju.emulators.qemu.input.pointer import QemuPointer
from kju.emulators.supervisor import (
    TRANSITIONS,
    SingleSource,
    SourceKind,
    Supervisor,
    SupervisorEvent,
    SupervisorState,
)
from kju.errors import KjuError, QemuError
from kju.sources.base import Need, OnStatus, Phase, Source, SourceStatus
from kju.surface import State
from kju.surface.producer import Producer


def devices() -> Devices:
    async def nobody(*_: object) -> Any:
        raise AssertionError("no test drives these devices")

    keyboard = SharedKeyboard(nobody, Pace(nobody))
    pointer = QemuPointer(nobody, Pace(nobody), lambda: (0, 0), nobody, nobody, nobody)
    return Devices(keyboard, pointer, KeyboardLamps())


class StubKind(SourceKind):
    """Starts stub sources, or fails."""

    def __init__(self) -> None:
        self.sources: list[StubSource] = []
        self.refuse = False
        self.is_lost = False

    async def start(self, producer: Producer, on_status: OnStatus, paused: bool) -> Source:
        if self.refuse:
            raise QemuError("no listener today")
        source = StubSource(producer, on_status)
        source.start(paused=paused)
        self.sources.append(source)
        return source

    def is_replaceable(self) -> bool:
        return not self.is_lost


class Scene:
    """A console, and every source that was started for it."""

    def __init__(self, address: str = "memfd:console", kind: StubKind | None = None) -> None:
        self.kind = kind or StubKind()
        self.sources = self.kind.sources
        self.modes: list[tuple[int, int]] = []
        surface = ConsoleSurface(0, address, self.note_mode)
        self.supervisor = Supervisor(surface, SingleSource(self.kind))
        self.runner = AnnouncedSizeRunner(self.supervisor, always=True)
        self.surface = surface
        self.console = Console(ConsoleFacts("vga"), surface, self.runner, devices())

    def note_mode(self, console: int, producer: Producer) -> None:
        asyncio.get_running_loop()  # in the loop, whichever thread has set the mode
        self.modes.append((console, producer.mode.width))


@pytest.fixture
async def made() -> AsyncIterator[Scene]:
    async with opened("memfd:console") as scene:
        yield scene


@pytest.fixture
async def named(tmp_path: Path) -> AsyncIterator[Scene]:
    """A console whose surface has a path."""
    async with opened(str(tmp_path / "screen")) as scene:
        yield scene


@contextlib.asynccontextmanager
async def opened(address: str) -> AsyncIterator[Scene]:
    scene = Scene(address)
    await scene.console.open()
    try:
        yield scene
    finally:
        scene.console.stop(State.CLOSED, "over")


async def test_modes_that_a_thread_sets_are_reported_in_the_loop(made: Scene) -> None:
    await until_async(lambda: made.modes == [(0, 640)])
    await asyncio.to_thread(made.console.producer.set_mode, 320, 200)
    await until_async(lambda: made.modes == [(0, 640), (0, 320)])


async def test_larger_surface_replaces_the_old(made: Scene) -> None:
    old = made.console.producer
    handed = made.console.surface.descriptor()
    with kju.Surface.from_fd(os.dup(handed)) as before:
        need = SourceStatus(Phase.RUNNING, "stub", "too large", Need.LARGER, 100 << 20)
        await asyncio.to_thread(made.sources[0]._set_status, need)
        await until_async(lambda: made.console.producer is not old)
        await until_async(lambda: before.state[0] == State.SUPERSEDED)
    assert made.console.producer.capacity >= 100 << 20
    assert made.sources[0].producer is made.console.producer
    with kju.Surface.from_fd(os.dup(made.console.surface.descriptor())) as after:
        assert after.mode.width == 640
    info = made.console.info()
    assert (info["source"], info["reason"]) == ("stub", "too large")


async def test_named_surface_is_replaced_under_its_name(named: Scene) -> None:
    old = named.console.producer
    with kju.Surface(named.console.producer.address, follow=True) as surface:
        need = SourceStatus(Phase.RUNNING, "stub", "", Need.LARGER, 100 << 20)
        named.sources[0]._set_status(need)
        await until_async(lambda: named.console.producer is not old)
        change = await asyncio.to_thread(surface.wait, surface.mark, timeout=60)
        assert change.everything
        assert surface.incarnation == named.console.producer.incarnation


async def test_source_that_ends_is_replaced(made: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "RETRY", 0.001)
    made.sources[0]._set_status(SourceStatus(Phase.ENDED, "stub", "QEMU has hung up"))
    await until_async(lambda: len(made.sources) == 2)
    made.sources[1]._set_status(SourceStatus(Phase.RUNNING, "stub", "fell back", Need.REGISTER))
    await until_async(lambda: len(made.sources) == 3)


async def test_surface_is_unavailable_while_no_source_can_be_started(
    made: Scene,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "RETRY", 0.001)
    with kju.Surface.from_fd(os.dup(made.console.surface.descriptor())) as surface:
        made.kind.refuse = True
        made.sources[0]._set_status(SourceStatus(Phase.ENDED, "stub"))
        await until_async(lambda: surface.state[0] == State.UNAVAILABLE)
        assert "no listener today" in surface.state[1]
        made.kind.refuse = False
        await until_async(lambda: surface.state[0] == State.LIVE)
        assert len(made.sources) == 2


async def test_need_that_a_source_reports_while_it_starts_is_met() -> None:
    class Greedy(StubKind):
        async def start(self, producer: Producer, on_status: OnStatus, paused: bool) -> Source:
            source = await super().start(producer, on_status, paused)
            self.sources[-1]._set_status(
                SourceStatus(Phase.RUNNING, "stub", "", Need.LARGER, 100 << 20)
            )
            await asyncio.sleep(0)
            return source

    made = Scene(kind=Greedy())
    await made.console.open()
    await until_async(lambda: made.console.producer.capacity >= 100 << 20)
    made.console.stop(State.CLOSED, "over")


async def test_listener_that_missed_an_announced_size_is_replaced(
    made: Scene,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(mode_monitor, "LISTENER_DELAY", 0.001)
    checked: list[tuple[int, int]] = []

    def check(size: tuple[int, int]) -> None:
        made.runner.check_size(size)
        checked.append(size)

    size = AnnouncedSize(640, 480, check)
    size.update({"Width": 640, "Height": 480})
    await until_async(lambda: checked)
    assert len(made.sources) == 1, "the source has received it"
    # QEMU names only the properties that have changed.
    size.update({"Height": 400})
    await until_async(lambda: len(made.sources) == 2)
    size.update({"Width": "wide"})
    assert size.size == (640, 400)
    # Ten changes of the mode within ten seconds do not delay the next one.
    for number in range(3, 13):
        size.update({"Height": 400 + number})
        await until_async(lambda number=number: len(made.sources) == number)
    assert made.supervisor._backoff.seconds == module.RETRY
    size.cancel()


async def test_many_requests_start_one_source_and_an_old_source_is_ignored(
    made: Scene,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "RETRY", 0.001)
    old = made.sources[0]
    for reason in ("one", "two", "three"):
        old._set_status(SourceStatus(Phase.RUNNING, "stub", reason, Need.REGISTER))
    await until_async(lambda: len(made.sources) == 2)
    old._set_status(SourceStatus(Phase.RUNNING, "stub", "late", Need.REGISTER))
    await until_async(lambda: made.supervisor.state is SupervisorState.RUNNING)
    assert len(made.sources) == 2
    assert made.console.info()["reason"] == ""


async def test_hold_delays_publications_until_its_client_ends_it(made: Scene) -> None:
    console = made.console
    version = await console.surface.hold("me", 60)
    publisher = threading.Thread(target=console.producer.publish, args=([(0, 0, 8, 8)],))
    publisher.start()
    with pytest.raises(KjuError, match="another client"):
        await console.surface.hold("you", 60)
    console.surface.unhold("you")
    assert console.producer.version == version
    console.surface.unhold("me")
    await until_async(lambda: console.producer.version == version + 1)
    publisher.join()
    assert await console.refresh(sync=True) == version + 1


async def test_hold_ends_with_its_surface(made: Scene) -> None:
    console = made.console
    old = console.producer
    await console.surface.hold("me", 60)
    publisher = threading.Thread(target=old.publish, args=([(0, 0, 8, 8)],), daemon=True)
    publisher.start()
    need = SourceStatus(Phase.RUNNING, "stub", "too large", Need.LARGER, 100 << 20)
    made.sources[0]._set_status(need)
    await until_async(lambda: console.producer is not old)
    await until_async(lambda: not publisher.is_alive())
    # A client does not end the hold of another.
    await console.surface.hold("you", 60)
    console.surface.unhold("me")
    with pytest.raises(KjuError, match="another client"):
        await console.surface.hold("me", 60)
    console.surface.unhold("you")


async def test_hold_ends_after_its_time(made: Scene) -> None:
    await made.console.surface.hold("me", 0.001)
    await until_async(lambda: not made.surface.is_held)
    made.console.producer.publish([(0, 0, 8, 8)])


async def test_next_source_is_paused_too(made: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "RETRY", 0.001)
    states: list[State] = []
    set_state = made.console.producer.set_state

    def note(state: State, reason: str = "") -> None:
        states.append(state)
        set_state(state, reason)

    made.console.producer.set_state = note  # type: ignore[method-assign]
    made.console.set_paused(True)
    made.sources[0]._set_status(SourceStatus(Phase.RUNNING, "stub", "fell back", Need.REGISTER))
    await until_async(lambda: len(made.sources) == 2)
    assert set(states) == {State.PAUSED}
    made.console.set_paused(False)
    assert states[-1] == State.LIVE


async def test_surface_without_a_source_changes_between_live_and_paused_only() -> None:
    console = Scene().console
    with kju.Surface.from_fd(os.dup(console.surface.descriptor())) as surface:
        console.set_paused(True)
        assert surface.state[0] == State.PAUSED
        console.set_paused(False)
        assert surface.state[0] == State.LIVE
        console.producer.set_state(State.UNAVAILABLE, "off")
        console.set_paused(True)
        console.set_paused(False)
        assert surface.state == (State.UNAVAILABLE, "off")
    console.stop(State.CLOSED, "over")


async def test_stop_publishes_the_final_state(made: Scene) -> None:
    with kju.Surface.from_fd(os.dup(made.console.surface.descriptor())) as surface:
        made.console.stop(State.GONE, "QEMU was killed")
        assert surface.state == (State.GONE, "QEMU was killed")
        assert surface.frame().shape == (480, 640, 3)


async def test_descriptor_for_clients_is_read_only(made: Scene, named: Scene) -> None:
    for scene in (made, named):
        with pytest.raises(OSError, match="Bad file descriptor"):
            os.write(scene.console.surface.descriptor(), b"x")


async def test_state_and_cursor_change_during_a_hold(made: Scene) -> None:
    await made.console.surface.hold("me", 60)
    with kju.Surface.from_fd(os.dup(made.console.surface.descriptor())) as surface:
        made.console.producer.set_state(State.PAUSED, "held")
        made.console.producer.move_cursor(3, 4, True)
        assert surface.state == (State.PAUSED, "held")
        assert (surface.cursor.x, surface.cursor.y) == (3, 4)


async def test_source_of_lost_memory_is_not_replaced(
    made: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "RETRY", 0.001)
    made.kind.is_lost = True
    made.sources[0]._set_status(SourceStatus(Phase.ENDED, "stub", "its memory was cut"))
    await until_async(lambda: made.console.info()["reason"] == "its memory was cut")
    assert made.supervisor.state is SupervisorState.RUNNING
    assert len(made.sources) == 1


async def test_rest_stops_the_source_and_keeps_its_picture(made: Scene) -> None:
    await made.supervisor.rest()
    assert made.supervisor.state is SupervisorState.IDLE
    assert made.sources[0].status.phase is Phase.ENDED
    assert made.console.producer.mode[:2] == (640, 480)
    assert made.console.info()["source"] == "none"
    await made.supervisor.start()
    assert len(made.sources) == 2


async def test_source_that_finishes_starting_after_a_rest_is_stopped() -> None:
    class Slow(StubKind):
        def __init__(self) -> None:
            super().__init__()
            self.go_on = asyncio.Event()

        async def start(self, producer: Producer, on_status: OnStatus, paused: bool) -> Source:
            source = await super().start(producer, on_status, paused)
            await self.go_on.wait()
            return source

    kind = Slow()
    made = Scene(kind=kind)
    starting = asyncio.create_task(made.supervisor.start())
    await until_async(lambda: made.supervisor.state is SupervisorState.STARTING and made.sources)
    await made.supervisor.rest()
    kind.go_on.set()
    await starting
    assert made.supervisor.source is None
    assert made.sources[0].status.phase is Phase.ENDED
    made.console.stop(State.CLOSED, "over")


async def test_client_that_attaches_starts_the_source_and_the_last_to_detach_stops_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("kju.emulators.console.GRACE", 0.001)
    made = Scene()
    runner = SourceRunner(made.supervisor)
    await runner.open()
    assert made.supervisor.state is SupervisorState.IDLE
    await runner.attach("a")
    await runner.attach("b")
    assert len(made.sources) == 1
    runner.detach("a")
    assert made.supervisor.state is SupervisorState.RUNNING
    runner.detach("b")
    await until_async(lambda: made.supervisor.state is SupervisorState.IDLE)
    await until_async(lambda: made.sources[0].status.phase is Phase.ENDED)
    runner.close()
    made.console.stop(State.CLOSED, "over")


async def test_surface_with_a_name_is_always_viewed(tmp_path: Path) -> None:
    made = Scene(str(tmp_path / "screen"))
    runner = SourceRunner(made.supervisor)
    await runner.open()
    assert made.supervisor.state is SupervisorState.RUNNING
    made.console.stop(State.CLOSED, "over")


def test_closed_is_final_and_every_other_stage_can_be_closed() -> None:
    assert not [event for stage, event in TRANSITIONS if stage is SupervisorState.CLOSED]
    for stage in set(SupervisorState) - {SupervisorState.CLOSED}:
        assert TRANSITIONS[stage, SupervisorEvent.CLOSE] is SupervisorState.CLOSED


async def test_source_takes_the_rate_of_its_fastest_client(made: Scene) -> None:
    console, source = made.console, made.sources[0]
    for client, rate, expected in (
        ("wall", 2.0, 2.0),
        ("window", None, None),
        ("wall", 4.0, None),
        ("film", 60.0, 60.0),
    ):
        await console.attach(client, rate)
        assert source.look_rate == expected
        assert console.info()["rate"] == expected
    await console.attach("wall")  # the rate stays: only a stated one changes it
    assert console.runner.viewing("wall") == {"rate": 4.0}
    console.detach("film")
    assert source.look_rate is None
    console.detach("window")
    assert source.look_rate == 4.0
    await console.set_rate("wall", None)
    assert source.look_rate is None
    assert console.runner.viewing("window") is None


@pytest.mark.parametrize("rate", [5e-324, 1e-9, LEAST_RATE])
async def test_very_low_rate_counts_as_the_lowest(made: Scene, rate: float) -> None:
    await made.console.attach("wall", rate)
    assert made.sources[0].look_rate == LEAST_RATE
    await made.console.set_rate("wall", rate)
    assert made.console.info()["rate"] == LEAST_RATE


async def test_next_source_takes_the_rate_too(made: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "RETRY", 0.001)
    await made.console.attach("wall", 2.0)
    made.sources[0]._set_status(SourceStatus(Phase.ENDED, "stub", "QEMU has hung up"))
    await until_async(lambda: len(made.sources) == 2 and made.sources[1].look_rate == 2.0)


async def test_client_with_rate_0_does_not_view(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kju.emulators.console.GRACE", 0.001)
    made = Scene()
    runner = SourceRunner(made.supervisor)
    console = Console(ConsoleFacts("vga"), made.surface, runner, devices())
    await runner.open()
    await console.attach("wall", 2.0)
    await console.set_rate("wall", 0)
    await until_async(lambda: made.supervisor.state is SupervisorState.IDLE)
    await console.set_rate("wall", 2.0)
    assert made.supervisor.state is SupervisorState.RUNNING
    assert made.sources[1].look_rate == 2.0
    made.console.stop(State.CLOSED, "over")


async def test_client_with_rate_0_stays_so_until_it_states_another(made: Scene) -> None:
    runner = SourceRunner(made.supervisor)
    console = Console(ConsoleFacts("vga"), made.surface, runner, devices())
    await console.attach("gym", 0)
    await console.attach("gym")  # for a larger surface, or the live window
    assert runner.viewing("gym") is None
    await console.attach("gym", 2.0)
    await console.set_rate("gym", 0)
    await console.attach("gym")
    assert runner.viewing("gym") is None
    await console.set_rate("gym", None)
    assert runner.viewing("gym") == {"rate": None}
    await console.set_rate("gym", 0)
    console.detach("gym")
    await console.attach("gym")  # another client: the same object only here
    assert runner.viewing("gym") == {"rate": None}
    runner.close()
    made.console.stop(State.CLOSED, "over")


async def test_refresh_without_a_viewer_runs_the_source_once() -> None:
    made = Scene()
    runner = SourceRunner(made.supervisor)
    runner.read_mode = read = AsyncMock()  # type: ignore[method-assign]
    console = Console(ConsoleFacts("vga"), made.surface, runner, devices())
    await runner.open()
    for times in (1, 2):
        assert await console.refresh(sync=True) > 0
        assert len(made.sources) == times
        assert made.sources[-1].look_rate == ONE_LOOK
        await until_async(lambda: made.supervisor.state is SupervisorState.IDLE)
    assert not read.called, "the mode is read when the source starts"
    await console.attach("viewer")
    await console.refresh(sync=True)
    assert read.called
    assert len(made.sources) == 3 and made.supervisor.state is SupervisorState.RUNNING
    runner.close()
    made.console.stop(State.CLOSED, "over")


async def test_surface_with_a_name_has_no_slow_source(named: Scene) -> None:
    await named.console.attach("wall", 2.0)
    assert named.sources[0].look_rate is None
