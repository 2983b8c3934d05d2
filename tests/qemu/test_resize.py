"""A client asks the guest for a size: real guests that follow, and displays that cannot."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest
from support import guests
from support.wait import HANG, until

import kju
from kju.client.launching import attach
from kju.errors import RoleError, UsageError

pytestmark = [pytest.mark.qemu]

#: A bound for a guest under TCG on a busy computer to set a mode.
FOLLOWS = 30.0


def size_of(screen: kju.Screen) -> tuple[int, int]:
    screen.refresh()
    return screen.mode[:2]


@pytest.fixture(scope="module", params=["installed", "7.2"])
def followed(
    request: pytest.FixtureRequest,
    shared_runtime_folder: None,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[tuple[kju.Machine, guests.Serial]]:
    """A guest with two screens that takes the sizes that its display prefers."""
    folder = tmp_path_factory.mktemp("size")
    card = "virtio-vga,id=card,max_outputs=2,xres=1000,yres=700"
    paint = guests.paint(folder, "still", device=card, heads=2, follow=1)
    qemu = str(guests.qemu72() if request.param == "7.2" else guests.qemu())
    name = f"sized-{request.param}"
    with (
        kju.launch(args=paint.arguments, name=name, qemu=qemu) as machine,
        guests.Serial(paint) as serial,
    ):
        # The size of the command line: asking QEMU whether it takes another changes nothing.
        serial.wait("^kju: mode 1000x700", 90)
        serial.wait("^kju: ready", 90)
        yield machine, serial


def test_guest_takes_the_size_and_the_mark_is_before_it(followed) -> None:
    machine, _ = followed
    for size in [(1234, 777), (800, 600), (1920, 1080)]:
        mark = machine.screen.resize(*size)
        machine.screen.after(mark, timeout=FOLLOWS)
        until(lambda size=size: size_of(machine.screen) == size, f"{size}")
    assert machine.info()["consoles"][0]["no_resize"] == ""


def test_each_screen_has_its_own_size(followed) -> None:
    machine, _ = followed
    first, second = machine.screens[:]
    first.resize(1024, 768)
    second.resize(720, 540)
    until(lambda: size_of(first) == (1024, 768))
    until(lambda: size_of(second) == (720, 540))


def test_last_of_many_sizes_is_taken_and_few_are_passed_on(followed) -> None:
    machine, serial = followed
    before = len(serial.said())

    async def drag() -> float:
        async with await kju.aio.attach(machine.name) as other:
            began = time.monotonic()
            sizes = [(700 + n, 500 + n // 2) for n in range(200)]
            await asyncio.gather(*(other.screen.resize(*size) for size in sizes))
            await other.screen.resize(900, 650)
            return time.monotonic() - began

    seconds = asyncio.run(drag())
    until(lambda: size_of(machine.screen) == (900, 650))
    taken = serial.said()[before:].count("kju: head 0 ")
    assert taken <= 2 + 4 * seconds


def test_command_asks_the_guest(followed) -> None:
    machine, _ = followed

    def resize(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "kju.cli", "resize", machine.name, *words],
            capture_output=True, text=True, timeout=HANG, check=False,
        )  # fmt: skip

    assert resize("1111x666").returncode == 0
    until(lambda: size_of(machine.screen) == (1111, 666))
    assert resize("640x512", "--console", "1").returncode == 0
    until(lambda: size_of(machine.screens[1]) == (640, 512))
    for words, why in [("big", "such as 1280x800"), ("8x8", "each side has 32 to 65535 pixels")]:
        done = resize(words)
        assert done.returncode == 2
        assert why in done.stderr


def test_viewer_and_size_out_of_range_are_refused(followed) -> None:
    machine, _ = followed
    with attach(machine.name, "view") as viewer, pytest.raises(RoleError, match="resize"):
        viewer.screen.resize(800, 600)
    with pytest.raises(UsageError, match="a screen cannot be 0x600"):
        machine.screen.resize(0, 600)


def test_mirror_passes_the_size_on(followed) -> None:
    pytest.importorskip("zenoh")
    machine, _ = followed
    command = [sys.executable, "-m", "kju.cli", "serve", machine.name, "--prefix", "lab"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout is not None
            assert "serving" in server.stdout.readline()
            with kju.attach(f"zenoh:lab/{machine.name}") as mirror:
                mirror.screen.resize(944, 711)
                until(lambda: size_of(mirror.screen) == (944, 711))
        finally:
            server.terminate()


def test_other_display_refuses_with_the_reason(runtime_folder: None) -> None:
    with kju.launch(args=[*guests.TCG, "-vga", "std", "-S"], memory="64M") as machine:
        before = machine.screen.mode
        with pytest.raises(UsageError, match="this display cannot be resized: QEMU passes no size"):
            machine.screen.resize(800, 600)
        assert "virtio-vga" in machine.info()["consoles"][0]["no_resize"]
        assert machine.screen.mode == before
