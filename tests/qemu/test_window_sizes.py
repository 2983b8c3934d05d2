"""The window and a real guest's size: sticky, at every ratio; and where its pointer is then."""

from __future__ import annotations

import math
import os
import re
import subprocess
import sys
from collections.abc import Iterator

import numpy as np
import pytest
from support import guests, xservers
from support.wait import HANG, until

import kju
from kju.viewers import settings
from kju.viewers.geometry import Placement, Scaling, device_size, place, usual_multiple
from kju.viewers.settings import WindowSettings

pytest.importorskip("PySide6", reason="PySide6 is missing: tools/setup desktop")
pytestmark = [pytest.mark.qemu]

#: A bound for the start of a Qt process, or a guest's mode, on a busy computer.
SOON = 30.0
#: Clicks at each scale; all scales together are hundreds, and each is reported by the guest.
CLICKS = int(os.environ.get("KJU_CLICKS", "20"))


@pytest.fixture(scope="module")
def display() -> Iterator[str]:
    xservers.need("Xvfb", "xdotool", "xwd")
    with xservers.server("-screen", "0", "2600x1900x24") as (_, display):
        yield display


@pytest.fixture(scope="module")
def followed(
    shared_runtime_folder: None, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[kju.Machine, guests.Serial]]:
    """A guest that takes the sizes that its display prefers, and reports its tablet."""
    folder = tmp_path_factory.mktemp("sized")
    paint = guests.paint(folder, "still", follow=1, size="800x600")
    with (
        kju.launch(args=paint.arguments, name="sized") as machine,
        guests.Serial(paint) as serial,
    ):
        serial.wait("^kju: ready", 90)
        until(lambda: "USB Tablet" in serial.said(), "the guest reads its tablet")
        until(machine.pointer.is_absolute)
        yield machine, serial


class View:
    """A `kju view` of the machine, and xdotool."""

    def __init__(self, display: str, *options: str, ratio: float = 1) -> None:
        self.display, self.ratio = display, ratio
        environment = xservers.environment(display) | {"QT_SCALE_FACTOR": str(ratio)}
        environment |= {"QT_QPA_PLATFORM": "xcb"}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "kju.cli", "view", "sized", *options], env=environment
        )
        self.id = ""
        until(self._found, "the window")

    def _found(self) -> bool:
        assert self.process.poll() is None
        found = self.run("search", "--onlyvisible", "--name", "^sized ")
        self.id = found.split()[-1] if found else ""
        return bool(self.id)

    def run(self, *words: str) -> str:
        return subprocess.run(
            ["xdotool", *words], env=xservers.environment(self.display),
            capture_output=True, text=True, timeout=HANG, check=False,
        ).stdout  # fmt: skip

    @property
    def size(self) -> tuple[int, int]:
        said = self.run("getwindowgeometry", "--shell", self.id)
        numbers = dict(line.split("=") for line in said.split())
        return int(numbers.get("WIDTH", 0)), int(numbers.get("HEIGHT", 0))

    def shows(self, picture: np.ndarray) -> bool:
        try:
            shown = xservers.picture(self.display, self.id)[..., ::-1]
        except subprocess.CalledProcessError:
            return False  # it is not mapped yet
        height, width = picture.shape[:2]
        return np.array_equal(shown[:height, :width], picture)

    def __enter__(self) -> View:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.terminate()
        self.process.wait(30)


def remember(window: WindowSettings) -> None:
    settings.update("sized", lambda known: known.windows.update({0: window}))


def size_of(machine: kju.Machine) -> tuple[int, int]:
    machine.screen.refresh()
    return machine.screen.mode[:2]


def has_place(view: View, where: Placement) -> bool:
    """Return whether the picture ends there, and below the view is one colour: the strip's."""
    shown = xservers.picture(view.display, view.id)
    if shown.shape[0] <= where.view.height + 4:
        return False
    left = where.target.x + 4
    inside = shown[where.target.bottom - 2, left : where.target.right // 2]
    below = shown[where.view.height + 3, left : left + 4]
    return bool(np.ptp(inside) > 60 and not np.ptp(below.reshape(-1, 3), axis=0).any())


def test_sticky_guest_takes_every_size_of_the_window(followed, display: str) -> None:
    machine, serial = followed
    machine.screen.resize(800, 600)
    until(lambda: size_of(machine) == (800, 600))
    remember(WindowSettings(size=(900, 700), sticky=True))
    with View(display) as view:
        until(lambda: size_of(machine)[0] == 900, "as it was remembered")
        strip = 700 - size_of(machine)[1]
        for width, height in [(1000, 740), (713, 555), (1300, 900)]:
            view.run("windowsize", view.id, str(width), str(height))
            wanted = (width, height - strip)
            until(lambda wanted=wanted: size_of(machine) == wanted, f"{wanted}")
            until(lambda: view.shows(np.asarray(machine.screen.frame(sync=True))))
            assert view.size == (width, height), "the window does not follow the guest"
        before = len(serial.said())
        for step in range(60):
            view.run("windowsize", view.id, str(700 + 5 * step), "640")
        until(lambda: size_of(machine) == (995, 640 - strip), "the last of many sizes")
        taken = re.findall("head 0 ", serial.said()[before:])
        assert len(taken) < 60


def magnified(machine: kju.Machine, times: int) -> np.ndarray:
    """Return the guest's picture now, which may follow a new size and the pointer late."""
    return np.asarray(machine.screen.frame(sync=True)).repeat(times, 0).repeat(times, 1)


@pytest.mark.parametrize(("ratio", "times"), [(1, 1), (1.25, 1), (1.5, 1), (1.75, 2), (2, 2)])
def test_new_window_shows_sharp_pixels_at_every_ratio(
    followed, display: str, ratio: float, times: int
) -> None:
    machine, _ = followed
    machine.screen.resize(800, 600)
    until(lambda: size_of(machine) == (800, 600))
    remember(WindowSettings())
    machine.pointer.move(5, 5)
    with View(display, ratio=ratio) as view:
        until(
            lambda: view.shows(magnified(machine, times)), f"{100 * times} % at a ratio of {ratio}"
        )


@pytest.mark.parametrize(
    ("ratio", "factor"),
    [(1, 0.5), (1, 1), (1.25, 0.73), (1.5, 1.37), (1.75, 2), (2, 2.5), (1, 3)],
)
def test_random_clicks_hit_the_guests_pixel(
    followed, display: str, ratio: float, factor: float
) -> None:
    """Each click is reported by the guest, in 32768 steps of each axis."""
    machine, serial = followed
    machine.screen.resize(800, 600)
    until(lambda: size_of(machine) == (800, 600))
    times = usual_multiple(Scaling.FIT, ratio)
    remember(WindowSettings())
    machine.pointer.move(5, 5)
    with View(display, ratio=ratio) as view:
        until(lambda: view.shows(magnified(machine, times)), "the picture")
        # Qt counts whole logical pixels.
        strip = round(view.size[1] / ratio) - math.ceil(600 * times / ratio)
        size = round(800 * factor), round(600 * factor + strip * ratio)
        view.run("windowsize", view.id, *map(str, size))
        until(lambda: view.size == size)
        logical = round(size[0] / ratio), round(size[1] / ratio) - strip
        where = place((800, 600), device_size(*logical, ratio), Scaling.FIT, (0, 0))
        until(lambda: has_place(view, where), f"the picture at {where.target}")
        random = np.random.default_rng(11)
        points = random.integers(
            (where.target.x, where.target.y), (where.target.right, where.target.bottom), (CLICKS, 2)
        )
        for x, y in points.tolist():
            view.run("mousemove", "--window", view.id, str(x), str(y), "click", "1")
            said = serial.wait(r"^kju: button 272 up at (\d+) (\d+)$", SOON)
            got = tuple(int(said[n]) * side // 32768 for n, side in ((1, 800), (2, 600)))
            assert got == where.guest_pixel(x, y), f"{x},{y} at {factor} of a ratio of {ratio}"
