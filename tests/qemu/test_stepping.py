"""Lockstep: a paused guest that runs for a time; and single pictures without a viewer."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from support import guests
from support.monitor import Monitor
from support.wait import HANG, until

import kju
from kju.acting import Click, KeyDown, KeyUp, Pause
from kju.errors import RoleError, UsageError
from kju.protocol.stepping import StepGuest

pytestmark = [pytest.mark.qemu, pytest.mark.usefixtures("shared_runtime_folder")]

STEP = 0.05


@pytest.fixture(scope="module")
def game(
    shared_runtime_folder: None, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[kju.Machine, Monitor]]:
    """Start grub-invaders, which moves by itself, and show its first picture."""
    monitor = Monitor(tmp_path_factory.mktemp("m"))
    with (
        kju.launch(args=[*guests.invaders(), *monitor.arguments], name="stepped") as machine,
        monitor,
    ):
        machine.screen.wait_for(lambda frame: ship(frame) >= 0, timeout=HANG)
        machine.screen.set_rate(0)
        yield machine, monitor


def ship(frame: np.ndarray) -> int:
    """Return the ship's column, or -1."""
    red, green, blue = (np.asarray(frame)[..., channel] > 100 for channel in range(3))
    columns = np.flatnonzero((blue & red & ~green).any(axis=0))
    return int(columns.mean()) if columns.size else -1


def source(machine: kju.Machine) -> object:
    return machine.info()["consoles"][0]["source"]


def test_step_leaves_the_guest_paused_and_publishes_its_screen(
    game: tuple[kju.Machine, Monitor],
) -> None:
    machine, monitor = game
    seen = set()
    for _ in range(5):
        machine.screen.step(STEP)
        assert machine.info()["state"] == "paused"
        frame = machine.screen.frame()
        np.testing.assert_array_equal(frame, monitor.screendump())
        seen.add(frame.tobytes())
    until(lambda: machine.screen.step(STEP) and machine.screen.frame().tobytes() not in seen)


def test_step_shows_the_paused_guest_to_a_listener(game: tuple[kju.Machine, Monitor]) -> None:
    machine, monitor = game
    machine.resume()
    machine.screen.set_rate(None)
    until(lambda: str(source(machine)).startswith("display1"))
    try:
        for _ in range(5):
            machine.screen.step(STEP)
            np.testing.assert_array_equal(machine.screen.frame(), monitor.screendump())
    finally:
        machine.screen.set_rate(0)


def test_keys_of_a_step_are_held_in_the_next_steps(game: tuple[kju.Machine, Monitor]) -> None:
    machine, _ = game
    screen = machine.screen
    for key, further in (("right", np.greater), ("left", np.less)):
        screen.step(STEP)
        begin = ship(screen.frame())
        screen.step(STEP, KeyDown(key))
        until(lambda: screen.step(STEP) and further(ship(screen.frame()), begin), key)  # noqa: B023
        screen.step(STEP, KeyUp(key))
        assert machine.info()["consoles"][0]["keys_held"] == []


def test_client_that_disconnects_during_a_step_leaves_a_paused_guest_without_keys(
    game: tuple[kju.Machine, Monitor],
) -> None:
    machine, _ = game
    machine.resume()
    other = kju.attach(machine.name, rate=0)
    _, data = other._link._side.request(StepGuest(microseconds=500_000, keys=[(57, True)]))
    other._link._send(data, None)
    until(lambda: machine.info()["consoles"][0]["keys_held"], "the key is down")
    other.close()
    until(lambda: machine.info()["state"] == "paused")
    machine.resume()
    until(lambda: not machine.info()["consoles"][0]["keys_held"], "the key is up")


def test_invalid_steps_send_nothing(game: tuple[kju.Machine, Monitor]) -> None:
    machine, _ = game
    machine.resume()
    with pytest.raises(UsageError, match=r"0\.001 to 10 seconds"):
        machine.screen.step(0)
    with pytest.raises(UsageError, match="use several steps"):
        machine.screen.step(STEP, Pause(1))
    with pytest.raises(UsageError, match="keys, then the pointer, then keys"):
        machine.screen.step(STEP, Click(1, 1, keys=("ctrl",)), Click(2, 2))
    with kju.attach(machine.name, "view") as viewer, pytest.raises(RoleError):
        viewer.screen.step(STEP)
    assert machine.info()["state"] == "running"


def test_picture_without_a_viewer_is_new_and_ends_its_source() -> None:
    with kju.launch(args=guests.invaders(), name="unviewed") as machine:
        screen = machine.screen

        def stopped() -> int:
            return machine.log.read_text().count("stopping its source")

        screen.set_rate(0)
        until(stopped, "nobody views it")
        until(lambda: ship(screen.frame(sync=True)) >= 0, "the game has begun")
        for _ in range(3):
            version, times = screen.version, stopped()
            until(lambda: screen.refresh() > version, "the game moves by itself")  # noqa: B023
            until(lambda: stopped() > times, "the source has ended")  # noqa: B023
