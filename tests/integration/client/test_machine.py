"""The client against a host without QEMU: one suite for threads and asyncio."""

from __future__ import annotations

import threading
import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from support.fake_host import FakeHost
from support.halves import Api
from support.wait import until

import kju
import kju.aio
from kju.client.targets import running_names
from kju.errors import (
    ClosedError,
    ConflictError,
    GeometryError,
    MachineGoneError,
    MachineNotFoundError,
    ProducerGoneError,
    RoleError,
    UsageError,
    WaitTimeoutError,
)
from kju.memory import SurfaceProducer
from kju.protocol import messages
from kju.surface import State

pytestmark = pytest.mark.usefixtures("runtime_folder")


def test_attach_reads_pixels_and_types(api: Api, host: FakeHost) -> None:
    machine = api(api.module.attach, "fake")
    assert (machine.name, machine.role, machine.owned) == ("fake", "control", False)
    assert len(machine.screens) == 1
    host.machine.producer.pixels[:] = 7
    host.machine.producer.publish([(0, 0, 64, 48)])
    assert np.all(api(machine.screen.frame, pixels="bgrx") == 7)
    assert api(machine.info) == {"name": "fake"}
    api(machine.keyboard.chord, "ctrl-c")
    api(machine.keyboard.type, "A")
    api(machine.keyboard.press, "f1", 28)
    api(machine.keyboard.release, "f1")
    assert host.machine.steps == [
        (29, True), (46, True), (46, False), (29, False),
        (42, True), (30, True), (30, False), (42, False),
        (59, True), (28, True), (59, False),
    ]  # fmt: skip
    api(machine.close)
    until(lambda: host.machine.gone)
    with pytest.raises(ClosedError):
        api(machine.info)


def test_view_role_reads_and_cannot_control(api: Api, host: FakeHost) -> None:
    machine = api(api.module.attach, "fake", "view")
    for work in (lambda: machine.keyboard.press("a"), machine.powerdown, machine.stop):
        with pytest.raises(RoleError):
            api(work)
    api(machine.screen.frame)
    api(machine.close)
    with pytest.raises(UsageError, match="role"):
        api(api.module.attach, "fake", "admin")


def test_unknown_machine_is_an_error(api: Api) -> None:
    with pytest.raises(
        MachineNotFoundError, match="start it: kju run --detach --name nobody IMAGE"
    ):
        api(api.module.attach, "nobody")
    with pytest.raises(UsageError):
        api(api.module.attach, "../etc")
    assert running_names() == []


def test_definition_keeps_paths_that_are_valid_in_any_folder(
    api: Api, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.chdir(tmp_path)
    Path("fw.bin").write_bytes(b"")
    file = api(api.module.define, "web", qemu=Path("bin/qemu"), firmware=Path("fw.bin"))
    definition = tomllib.loads(file.read_text())
    assert definition["qemu"] == f"{tmp_path}/bin/qemu"
    assert definition["firmware"] == f"{tmp_path}/fw.bin"


def test_unexpected_error_in_the_host_is_answered(api: Api, host: FakeHost) -> None:
    machine = api(api.module.attach, "fake")
    with pytest.raises(kju.KjuError, match="its log has the details"):
        api(machine._link.ask, messages.Refresh(console=15), messages.Done)
    api(machine.info)
    api(machine.close)


def test_end_of_a_machine_has_its_reason(api: Api, host: FakeHost) -> None:
    machine = api(api.module.attach, "fake")
    screen = machine.screen
    host.say(messages.Ended(reason="QEMU was killed by SIGKILL", status=-9, log=["oh", "no"]))
    host.end()
    assert api(machine.wait_ended, timeout=60)
    assert "SIGKILL" in machine.end_reason
    assert "oh | no" in machine.end_reason
    with pytest.raises(MachineGoneError, match="SIGKILL"):
        api(machine.info)
    with pytest.raises(ProducerGoneError, match="SIGKILL"):
        api(screen.wait, timeout=60)
    api(machine.stop)
    api(machine.close)


def test_loss_of_the_host_is_noticed(api: Api, host: FakeHost) -> None:
    machine = api(api.module.attach, "fake")
    screen = machine.screen
    host.loop.call_soon_threadsafe(lambda: [c.close("test") for c in host.server.clients])
    with pytest.raises(ProducerGoneError, match="closed the connection"):
        api(screen.wait, timeout=60)
    api(machine.close)


def test_larger_surface_is_followed(api: Api, host: FakeHost) -> None:
    machine = api(api.module.attach, "fake")
    screen = machine.screen
    old = host.machine.producer
    host.machine.producer = new = SurfaceProducer.create("memfd:fake", capacity=1 << 22)
    new.set_mode(640, 480)
    old.close(State.SUPERSEDED)
    assert api(screen.frame).shape == (480, 640, 3)
    change = api(screen.wait, kju.Mark(0, 0, 0), timeout=60)
    assert change.everything
    api(machine.close)


def test_invalid_request_is_not_sent(api: Api, host: FakeHost) -> None:
    machine = api(api.module.attach, "fake")
    for work in (
        lambda: machine.keyboard.chord("ctrl-c", interval=10_000),
        lambda: machine.keyboard.type("a", interval=-1),
        lambda: type(machine.keyboard)(machine._link, 99).press("a"),
    ):
        with pytest.raises(UsageError):
            api(work)
    api(machine.info)
    api(machine.close)


@pytest.mark.parametrize("area", [(4, 6, 8, 10), kju.Rect(4, 6, 8, 10), [4, 6, 8, 10]])
def test_area_may_be_a_tuple(api: Api, host: FakeHost, area: Any, tmp_path: Path) -> None:
    machine = api(api.module.attach, "fake")
    pixels = host.machine.producer.pixels
    pixels[:] = np.arange(pixels.size, dtype=np.uint64).reshape(pixels.shape) % 251
    mark = machine.screen.mark
    host.machine.producer.publish([(0, 0, 64, 48)])
    wanted = np.asarray(api(machine.screen.frame, pixels="bgrx"))[6:16, 4:12]
    assert np.array_equal(api(machine.screen.frame, area, pixels="bgrx"), wanted)
    assert np.array_equal(machine.screen.view(area), wanted)
    assert np.array_equal(api(machine.screen.frame, area, cursor=True, pixels="bgrx"), wanted)
    api(machine.screen.screenshot, tmp_path / "part.png", area)
    with Image.open(tmp_path / "part.png") as picture:
        assert picture.size == (8, 10)
    assert api(machine.screen.after, mark, region=area, timeout=60).rects
    consistent = api(machine.screen.frame, area, consistent=True, pixels="bgrx")
    assert np.array_equal(consistent, wanted)
    for wrong in ((1, 2, 3), "abcd", (0, 0, 1.5, 2)):
        for copy in (machine.screen.frame, machine.screen.view):
            with pytest.raises(GeometryError, match="x, y, width, height"):
                api(copy, wrong)
    with pytest.raises(GeometryError, match="leaves the 64x48 surface"):
        machine.screen.view((60, 0, 8, 8))
    api(machine.close)


def test_machine_has_one_default_timeout(api: Api, host: FakeHost) -> None:
    machine = api(api.module.attach, "fake")
    screen = machine.screens[0]
    assert machine.default_timeout == screen.default_timeout == 30
    machine.default_timeout = 0.05
    assert screen.default_timeout == 0.05
    for wait in (
        screen.wait,
        screen.wait_change,
        lambda: screen.after(screen.mark),
        lambda: screen.wait_colour("red"),
        machine.wait_ended,
        screen.refresh,  # the host does not answer this request
    ):
        with pytest.raises(WaitTimeoutError):
            api(wait)
    machine.default_timeout = None
    host.machine.block.set()
    assert api(screen.refresh) == host.machine.producer.version
    with pytest.raises(UsageError, match="0 or more seconds"):
        machine.default_timeout = -1
    api(machine.close)


@pytest.mark.parametrize("timeout", [None, float("inf")])
def test_wait_without_a_limit_ends_with_the_change(
    api: Api, host: FakeHost, timeout: float | None
) -> None:
    machine = api(api.module.attach, "fake")
    mark = machine.screen.mark
    producer = host.machine.producer
    timer = threading.Timer(0.05, lambda: producer.publish([(0, 0, 8, 8)]))
    timer.start()
    assert api(machine.screen.wait, mark, timeout=timeout).mark.version > mark.version
    timer.join()
    api(machine.close)


def test_negative_timeout_is_an_error(api: Api, host: FakeHost) -> None:
    machine = api(api.module.attach, "fake")
    for wait in (machine.screen.wait, machine.screen.wait_stable, machine.wait_ended):
        seconds = (1.0,) if wait == machine.screen.wait_stable else ()
        with pytest.raises(UsageError, match="timeout must be 0 or more seconds"):
            api(wait, *seconds, timeout=-1)
    api(machine.close)


def test_machine_is_alive_until_its_end(api: Api, host: FakeHost) -> None:
    machine = api(api.module.attach, "fake")
    assert machine.is_alive and machine.end_reason is None
    host.end()
    assert "its host closed the connection" in api(machine.wait_ended, timeout=60)
    assert not machine.is_alive
    assert "its host closed the connection" in machine.end_reason
    api(machine.close)


def test_screen_has_its_keyboard_and_pointer(api: Api, host: FakeHost) -> None:
    machine = api(api.module.attach, "fake")
    screen = machine.screens[0]
    api(screen.keyboard.chord, "a")
    assert [down for _, down in host.machine.steps] == [True, False]
    api(screen.pointer.click, 3, 4)
    api(machine.close)


def test_machines_lists_running_and_defined_ones(
    api: Api, host: FakeHost, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    file = api(api.module.define, "web", disk="1M", memory="64M")
    copy = api(api.module.clone, "web", "copy")
    assert api.module.machines() == [
        kju.ListedMachine("copy", False, copy),
        kju.ListedMachine("fake", True, None),
        kju.ListedMachine("web", False, file),
    ]
    assert api.module.definition("copy").base == "web"
    assert api.module.definition("web").memory == "64M"
    with pytest.raises(ConflictError, match="copy"):
        api(api.module.remove, "web")
    assert api(api.module.remove, "copy") == []
    api(api.module.remove, "web")
    assert [machine.name for machine in api.module.machines()] == ["fake"]
    with pytest.raises(MachineNotFoundError):
        api.module.definition("web")
