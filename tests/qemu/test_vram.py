"""The guest's video memory, watched: what is published equals QEMU's screendump, whatever it does.

The random rounds are short here; KJU_HOSTILE_SECONDS=60 has each last a minute.
"""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import guests
import numpy as np
import pytest
from monitor import Monitor
from wait import until

import kju
from kju.errors import (
    GeometryError,
    KjuError,
    ProducerGoneError,
    RoleError,
    UnavailableError,
    WaitTimeoutError,
)
from kju.host.video_console import LISTEN_AFTER

pytestmark = pytest.mark.qemu

MIB = 1 << 20
HOSTILE = float(os.environ.get("KJU_HOSTILE_SECONDS", "5"))
#: The mode is read ten times a second; a computer that others use too gets some more.
SEEN = 3.0
MODE = (800, 600)


class Guest:
    """One machine with a paint guest that is driven by hand, and those who look at it.

    The launcher itself does not look: with `looker` and `viewer` gone nobody does.
    """

    def __init__(self, machine: kju.Machine, monitor: Monitor, serial: guests.Serial) -> None:
        self.machine = machine
        self.monitor = monitor
        self.serial = serial
        self.look()

    def look(self) -> None:
        self.looker = kju.attach(self.machine.name)
        self.viewer = kju.attach(self.machine.name, "view")
        self.screen, self.seen = self.looker.screen, self.viewer.screen

    def leave(self) -> None:
        self.looker.close()
        self.viewer.close()

    def tell(self, line: str, timeout: float = 60) -> str:
        """Give it one command; its answer begins with the same word, or that and an ending."""
        verb = line.split()[0]
        return self.serial.ask(line, rf"^kju: {verb}\w*( .*)?$", timeout)[0]

    def console(self, index: int = 0) -> dict[str, object]:
        return self.machine.info()["consoles"][index]

    @property
    def source(self) -> object:
        return self.console()["source"]

    def show(self, width: int, height: int, *rest: int, bits: int = 32) -> None:
        """Set a mode and fill the memory with what no two rows of have in common."""
        numbers = " ".join(str(n) for n in (width, height, bits, *rest))
        self.tell(f"set {numbers}")
        self.tell(f"fill {width + height} 0 {16 * MIB}")

    def equals(self, **which: object) -> np.ndarray:
        """The live picture and the published one equal what QEMU shows; returns that."""
        with self.monitor.paused():
            return self.equals_paused(**which)

    def equals_paused(self, **which: object) -> np.ndarray:
        dump = self.monitor.screendump(**which)
        index = self.screen.console

        def live() -> bool:
            return np.array_equal(self.screen.snapshot(sync=True, format="rgb"), dump)

        def published() -> bool:
            self.seen.refresh()
            with contextlib.suppress(GeometryError):
                return np.array_equal(self.seen.snapshot(format="rgb"), dump)
            return False

        first = live()
        if self.console(index)["source"] == "vram":
            assert first or live(), "no older than the call"
        until(live, SEEN, f"the live picture is QEMU's: {self.console(index)}")
        until(published, SEEN, f"the published picture is QEMU's: {self.console(index)}")
        return dump

    def becomes(self, source: str, what: str = "") -> None:
        until(lambda: str(self.source).startswith(source), SEEN, f"{what} {self.console()}")


class Recorder:
    """A viewer that keeps a picture of its own by what it is told changed, and what it was told."""

    def __init__(self, name: str) -> None:
        self.machine = kju.attach(name, "view")
        self.modes: list[tuple[int, int]] = []
        self.black: list[kju.Change] = []
        self.picture = np.zeros((0, 0, 4), np.uint8)
        self.mark = kju.Mark(0, 0, 0)
        self.ends = threading.Event()
        self.thread = threading.Thread(target=self._run)
        self.thread.start()

    def _run(self) -> None:
        screen = self.machine.screen
        while not self.ends.is_set():
            with contextlib.suppress(WaitTimeoutError, GeometryError):
                change = screen.wait(self.mark, timeout=0.1)
                if change.everything:
                    frame = screen.snapshot()
                    if frame.mode.epoch != change.mode.epoch:
                        continue
                    self.picture = np.array(frame)
                    self.modes.append((change.mode.width, change.mode.height))
                    if not frame[..., :3].any():
                        self.black.append(change)
                for rect in () if change.everything else change.rects:
                    x, y, width, height = rect
                    self.picture[y : y + height, x : x + width] = screen.snapshot(rect)
                self.mark = change.mark

    def equals(self, dump: np.ndarray) -> bool:
        return np.array_equal(self.picture[..., 2::-1], dump)

    def __enter__(self) -> Recorder:
        return self

    def __exit__(self, *_: object) -> None:
        self.ends.set()
        self.thread.join()
        self.machine.close()


@pytest.fixture(scope="module", autouse=True)
def runtime_folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("run")
        patch.setenv("XDG_RUNTIME_DIR", str(folder))
        patch.setenv("XDG_STATE_HOME", str(folder / "state"))
        yield folder
        assert kju.machines() == []


@contextlib.contextmanager
def booted(folder: Path, device: str, *more: str, via: str = "vram") -> Iterator[Guest]:
    paint, monitor = guests.paint(folder, "still", device=device, via=via), Monitor(folder)
    args = [*paint.arguments, *more, *monitor.arguments]
    args.remove("-no-reboot")
    with (
        kju.launch(args=args, name=folder.name[:20]) as machine,
        monitor,
        guests.Serial(paint) as serial,
    ):
        serial.wait("^kju: ready", 90)
        guest = Guest(machine, monitor, serial)
        try:
            yield guest
        finally:
            guest.leave()


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guest]:
    with booted(tmp_path_factory.mktemp("vga"), "VGA,id=card") as guest:
        yield guest


@pytest.fixture
def guest(shared: Guest) -> Guest:
    """The machine of most tests, in a mode that is watched."""
    shared.tell("order 0x1e1e1e1e")
    shared.show(*MODE)
    until(lambda: shared.seen.mode[:2] == MODE, SEEN, "the mode")
    shared.becomes("vram")
    return shared


def cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


# ---- Modes


def test_it_is_the_source_and_nobody_listens(guest: Guest) -> None:
    console = guest.console()
    assert (console["source"], console["reason"], console["no_vram"]) == ("vram", "", "")
    guest.equals()
    view = guest.screen.view(live=True)
    assert view.shape == (600, 800, 4)
    guest.tell("block 10 20 5 5 0x123456")
    assert (view[20:25, 10:15, :3] == (0x56, 0x34, 0x12)).all(), "without a copy"


@pytest.mark.parametrize(
    ("numbers", "size"),
    [
        ((800, 600, 0, 0, 500), (800, 600)),
        ((1024, 768, 1400, 333, 77), (1024, 768)),
        ((1277, 600), (1272, 600)),
        ((2048, 2048), (2048, 2048)),
        ((2560, 1600), (2560, 1600)),
        ((640, 400, 4096, 3456, 624), (640, 400)),
        ((8, 8), (8, 8)),
        ((16000, 200), (16000, 200)),
    ],
)
def test_modes(guest: Guest, numbers: tuple[int, ...], size: tuple[int, int]) -> None:
    guest.show(*numbers)
    assert guest.equals().shape[1::-1] == size
    guest.becomes("vram")
    assert guest.screen.mode[:2] == size


def test_panning_and_flips(guest: Guest) -> None:
    epoch = guest.screen.mode.epoch
    for index, value in ((8, 600), (9, 600), (9, 0), (8, 0), (9, 17), (8, 24), (9, 1200)):
        guest.tell(f"reg {index} {value}")
        guest.equals()
    for line in ("flips 400 16000", "pans 400 10000", "flips 300 500"):
        guest.tell(line)
        guest.equals()
    assert guest.screen.mode.epoch == epoch
    guest.becomes("vram")


def test_pages_that_are_flipped_all_the_time_are_no_blank_screen(guest: Guest) -> None:
    """Each comparison with a screendump meets flips: none says that QEMU shows another thing."""
    log = guest.machine.log
    before = len(log.read_text())
    guest.tell("flips 3500 3000")
    assert "QEMU shows something else" not in log.read_text()[before:]
    assert guest.source == "vram"
    guest.equals()


def test_what_changes_at_another_place_is_followed(guest: Guest) -> None:
    guest.show(800, 600, 1024, 100, 50)
    guest.equals()
    guest.tell(f"block 100 50 800 600 0xabcdef {1024 * 4}")
    assert (guest.equals() == (0xAB, 0xCD, 0xEF)).all()


# ---- What the memory does not show


def test_capabilities_are_no_mode(guest: Guest) -> None:
    epoch = guest.seen.mode.epoch
    dump = guest.equals()
    guest.tell("reg 4 0xc3")
    assert guest.tell("reg 1") == "kju: reg 1 16000"
    guest.becomes("screendump", "after the doubt")
    assert np.array_equal(guest.equals(), dump)
    assert guest.seen.mode[:2] == MODE
    guest.tell("reg 4 0xc1")
    guest.becomes("vram", "back")
    guest.equals()
    assert guest.seen.mode.epoch <= epoch + 2


def test_capabilities_for_a_moment_change_nothing(guest: Guest) -> None:
    epoch = guest.seen.mode.epoch
    for _ in range(3):
        guest.tell("reg 4 0xc3")
        guest.screen.refresh()
        guest.tell("reg 4 0xc1")
        guest.screen.refresh()
        assert guest.source == "vram"
    assert guest.seen.mode.epoch == epoch


@pytest.mark.parametrize("index", [0x00, 0x01])
def test_a_blanked_screen_is_black(guest: Guest, index: int) -> None:
    """0 does not tell, and QEMU is asked for its picture; others do."""
    guest.tell("port 0x3da")
    guest.tell(f"port 0x3c0 {index}")
    until(lambda: not guest.seen.snapshot()[..., :3].any(), 6, "it is black")
    assert "blanked" in str(guest.console()["reason"])
    guest.equals()
    guest.tell("block 5 5 50 50 0xffffff")
    assert not guest.equals().any(), "drawn upon, it stays black"
    guest.tell("port 0x3da")
    guest.tell("port 0x3c0 0x20")
    until(lambda: guest.source == "vram", 6, "it is watched again")
    assert guest.equals().any()


def test_a_black_screen_that_is_blanked_does_not_flap(guest: Guest) -> None:
    guest.tell("block 0 0 800 600 0")
    guest.equals()
    guest.tell("port 0x3da")
    guest.tell("port 0x3c0 1")
    log = guest.machine.log
    before = len(log.read_text())
    end = time.monotonic() + 3.0  # the wait is the point: how often it changes its mind
    while time.monotonic() < end:
        assert not guest.seen.snapshot()[..., :3].any()
        time.sleep(0.05)
    assert log.read_text()[before:].count("vram running") <= 2
    guest.tell("port 0x3da")
    guest.tell("port 0x3c0 0x20")


def test_registers_of_old_change_nothing(guest: Guest) -> None:
    """Lines shown twice, text in place of graphics: QEMU holds these while a linear mode is on."""
    for port, index, value in ((0x3D4, 9, 0xC1), (0x3CE, 6, 0), (0x3CE, 5, 0x20), (0x3C4, 4, 0)):
        guest.tell(f"port {port} {index}")
        guest.tell(f"port {port + 1} {value}")
        guest.equals()
    assert guest.source == "vram"


def test_another_byte_order_is_the_listeners(guest: Guest) -> None:
    guest.tell("set 640 400 32")
    guest.tell("order 0xbebebebe")
    guest.tell("set 1024 768 32")
    guest.becomes("screendump")
    guest.equals()
    guest.tell("order 0x1e1e1e1e")
    guest.show(*MODE)
    guest.becomes("vram")
    guest.equals()


def test_other_modes_and_back_show_no_placeholder(guest: Guest) -> None:
    """Every way between the sources: nobody is woken for what was never on the screen."""
    with Recorder(guest.machine.name) as recorder:
        for bits, size in ((16, (1024, 768)), (32, MODE), (8, (1280, 800)), (32, MODE), (24, MODE)):
            guest.show(*size, bits=bits)
            guest.becomes("vram" if bits == 32 else "screendump")
            dump = guest.equals()
            assert dump.shape[1::-1] == size
            until(lambda dump=dump: recorder.equals(dump), SEEN, f"what is kept, at {bits} bits")
        assert set(recorder.modes) <= {MODE, (1024, 768), (1280, 800)}, recorder.modes
        assert len(recorder.modes) <= 9
        if recorder.black:
            # The memory is cleared by nobody here, but eight bits have a palette of their own.
            assert {c.mode[:2] for c in recorder.black} <= {(1280, 800)}


def test_text_and_back(shared: Guest, guest: Guest) -> None:
    guest.tell("save")
    with Recorder(guest.machine.name) as recorder:
        guest.tell("restore")
        guest.becomes("screendump")
        guest.equals()
        guest.show(1024, 768)
        guest.becomes("vram")
        dump = guest.equals()
        until(lambda: recorder.equals(dump), SEEN, "what is kept")


# ---- A guest that means harm


@pytest.mark.parametrize("how", ["storm", "random"])
def test_a_storm_of_modes(guest: Guest, how: str) -> None:
    host = guest.machine.host_pid
    milliseconds = int(HOSTILE * 1000)
    line = f"storm {milliseconds} 1000" if how == "storm" else f"random {milliseconds} 7 1000"
    surface, epoch = guest.seen.incarnation, guest.seen.mode.epoch
    qemu = guest.machine.info()["qemu"]["pid"]
    listeners = sockets(qemu)
    began, cpu = time.monotonic(), cpu_seconds(host)
    turns = int(guest.tell(line, HOSTILE + 60).split()[-1])
    took, cpu = time.monotonic() - began, cpu_seconds(host) - cpu
    epochs = guest.seen.mode.epoch - epoch
    assert turns > 100 * HOSTILE
    if guest.seen.incarnation != surface:  # an 8-bit mode is larger as a picture
        epochs = guest.seen.mode.epoch
    assert epochs <= 30 * took
    assert cpu <= 0.35 * took, f"{cpu / took:.0%} of a core, {epochs} epochs, {turns} changes"
    # One that lasted for ten seconds, each time, at most: QEMU 10.0.2 keeps them all.
    assert sockets(qemu) - listeners <= took / LISTEN_AFTER
    # It may have stopped at capabilities, and then the last mode holds for half a second.
    with guest.monitor.paused():
        dump = guest.monitor.screendump()
        shown = lambda: np.array_equal(guest.screen.snapshot(sync=True, format="rgb"), dump)  # noqa: E731
        until(shown, SEEN, "the true mode")
        guest.equals_paused()
    guest.show(1024, 768)
    until(lambda: guest.seen.mode[:2] == (1024, 768), SEEN, "the true mode")
    guest.becomes("vram")
    guest.equals()


# ---- Who may, and who looks


def test_a_view_client_gets_no_descriptor(guest: Guest) -> None:
    with pytest.raises(RoleError):
        guest.seen.view(live=True)
    before = set(os.listdir("/proc/self/fd"))
    frame = guest.seen.snapshot()
    assert frame.shape == (600, 800, 4)
    assert len(set(os.listdir("/proc/self/fd")) - before) <= 1
    from kju.client.machine import live_descriptor

    with pytest.raises(RoleError):
        live_descriptor(guest.viewer._link, 0)


def video_memory(pid: int, name: str = "vga.vram") -> Path:
    for path in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):
            if f"/{name}" in os.readlink(path):
                return path
    raise AssertionError(f"process {pid} has no {name}")


def test_the_memory_is_closed_to_others(guest: Guest) -> None:
    path = video_memory(guest.machine.info()["qemu"]["pid"])
    assert path.stat().st_mode & 0o777 == 0o400
    if os.getuid():
        with pytest.raises(PermissionError):
            os.open(path, os.O_RDWR)
        return
    program = (
        "import os\n"
        "for number, flags in ((@, os.O_RDWR), (@, os.O_RDONLY), (os.memfd_create('m'), 2)):\n"
        "    try: os.open(f'/proc/self/fd/{number}', flags); print('opened')\n"
        "    except PermissionError: print('refused')\n"
    )
    number = os.open(path, os.O_RDONLY)
    try:
        done = subprocess.run(
            ["/usr/bin/env", "python3", "-c", program.replace("@", str(number))],
            pass_fds=[number],
            user=65534,
            group=65534,
            extra_groups=[],
            capture_output=True,
            text=True,
            check=True,
            cwd="/",
            env={"PATH": "/usr/local/bin:/usr/bin:/bin"},
        )
    finally:
        os.close(number)
    assert done.stdout.split() == ["refused", "refused", "opened"], done.stderr


def sockets(pid: int) -> int:
    found = 0
    for path in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):
            found += os.readlink(path).startswith("socket:")
    return found


def traffic(pid: int) -> int:
    """System calls of the host that read or wrote: a QMP command is several."""
    counts = dict(line.split(": ") for line in Path(f"/proc/{pid}/io").read_text().splitlines())
    return int(counts["syscr"]) + int(counts["syscw"])


@pytest.mark.parametrize("bits", [32, 16])
def test_nobody_looks(guest: Guest, bits: int) -> None:
    qemu, host = guest.machine.info()["qemu"]["pid"], guest.machine.host_pid
    guest.show(*MODE, bits=bits)
    guest.becomes("vram" if bits == 32 else "screendump")
    looking = sockets(qemu)
    log = guest.machine.log
    before = len(log.read_text())
    guest.leave()
    try:
        until(lambda: "nobody looks: it" in log.read_text()[before:], 10, "it rests")
        cpu, calls = cpu_seconds(host), traffic(host)
        time.sleep(1.0)  # the time is what is measured
        assert cpu_seconds(host) - cpu <= 0.03
        assert traffic(host) - calls <= 10
        guest.show(1024, 768, bits=bits)
        guest.monitor.execute("stop")
        dump = guest.monitor.screendump()
        began = time.monotonic()
    finally:
        guest.look()
    first = guest.seen.snapshot(format="rgb")
    took = time.monotonic() - began
    if bits == 32:
        assert np.array_equal(first, dump), "the first picture is a fresh one"
    assert took < 0.5
    guest.equals_paused()
    guest.monitor.execute("cont")
    guest.equals()
    # QEMU 10.0.2 keeps every listener that has gone: there was none.
    assert sockets(qemu) == looking


def test_what_lasts_is_listened_to(guest: Guest) -> None:
    """A listener comes late, stays while nobody looks, and goes with the mode."""
    qemu, log = guest.machine.info()["qemu"]["pid"], guest.machine.log
    before = sockets(qemu)
    guest.show(*MODE, bits=16)
    guest.becomes("screendump")
    assert sockets(qemu) == before
    until(lambda: guest.source == "display1-map", LISTEN_AFTER + SEEN, "the listener")
    looking = sockets(qemu)
    guest.equals()
    read = len(log.read_text())
    guest.leave()
    try:
        until(lambda: "its listener waits" in log.read_text()[read:], 10, "it rests")
    finally:
        guest.look()
    guest.becomes("display1")
    guest.equals()
    assert sockets(qemu) == looking
    read = len(log.read_text())
    guest.leave()
    try:
        until(lambda: "its listener waits" in log.read_text()[read:], 10, "it rests")
        # On to a linear mode while nobody looks.
        guest.show(1024, 768)
        until(lambda: "it rests" in log.read_text()[read:], 5, "the listener has gone")
    finally:
        guest.look()
    guest.becomes("vram")
    guest.equals()


# ---- The machine's own changes; these end what is shared


def test_a_reset_by_qmp(shared: Guest, guest: Guest) -> None:
    """BAR 2 has no address until the firmware gives it one; the boot's modes are followed."""
    with Recorder(guest.machine.name) as recorder:
        guest.monitor.execute("system_reset")
        until(lambda: guest.seen.mode[:2] == (720, 400), 20, "text, of the BIOS")
        guest.becomes("screendump")
        guest.serial.wait("^kju: ready", 90)
        until(lambda: guest.seen.mode[:2] == (1280, 800), SEEN, "the guest's mode")
        guest.becomes("vram")
        dump = guest.equals()
        until(lambda: recorder.equals(dump), SEEN, "what is kept")
    sizes = {(640, 480), (720, 400), (1280, 800), MODE}
    assert set(recorder.modes) <= sizes


# ---- Machines of their own


def test_linux_blanks_its_own_way(tmp_path: Path) -> None:
    """Its bochs driver leaves the attribute controller waiting for data: the index reads as 0."""
    with booted(tmp_path, "VGA", via="drm") as guest:
        guest.becomes("vram")
        guest.equals()
        for _ in range(2):
            guest.serial.ask("dark", "^kju: still")
            until(lambda: not guest.seen.snapshot()[..., :3].any(), 6, "it is black")
            guest.equals()
            guest.serial.ask("lit", "^kju: still")
            guest.serial.ask("still", "^kju: still")  # the driver has cleared the memory
            until(lambda: guest.source == "vram", 6, "it is watched again")
            assert guest.equals().any()


def test_each_display_has_its_own_memory(tmp_path: Path) -> None:
    more = ["-device", "secondary-vga,id=second", "-device", "bochs-display,id=third"]
    with booted(tmp_path, "VGA,id=first", *more) as guest:
        names = ("first", "second", "third")
        assert len(guest.machine.screens) == 3
        for index, size in enumerate(((800, 600), (640, 400), (1030, 500))):
            guest.tell(f"card {index}")
            guest.tell(f"set {size[0]} {size[1]} 32")
            guest.tell(f"fill {index * 1000} 0 {16 * MIB}")
        pictures = []
        for index, name in enumerate(names):
            guest.screen, guest.seen = guest.looker.screens[index], guest.viewer.screens[index]
            # All of them: which source is asked for looks at it.
            until(lambda i=index: guest.console(i)["source"] == "vram", SEEN, name)
            pictures.append(guest.equals(device=name))
        assert [p.shape[1::-1] for p in pictures] == [(800, 600), (640, 400), (1030, 500)]
        guest.tell("card 2")
        guest.tell("block 0 0 1030 500 0x00ff00")
        assert (guest.equals(device="third") == (0, 255, 0)).all()
        guest.screen, guest.seen = guest.looker.screens[1], guest.viewer.screens[1]
        guest.tell("card 1")
        guest.tell("set 800 600 16")
        until(lambda: guest.console(1)["source"] == "screendump", SEEN, "16 bits")
        guest.equals(device="second")
        guest.tell("set 640 400 32")
        until(lambda: guest.console(1)["source"] == "vram", SEEN, "32 bits again")
        assert np.array_equal(guest.equals(device="second"), pictures[1])


def test_bochs_display_alone(tmp_path: Path) -> None:
    with booted(tmp_path, "bochs-display") as guest:
        guest.becomes("vram")
        guest.equals()
        for numbers in ((1277, 601), (800, 600, 1000, 50, 70), (2048, 2048), (64, 64)):
            guest.show(*numbers)
            guest.equals()
            guest.becomes("vram", str(numbers))
        guest.tell("reg 6 0")  # rows as wide as the picture
        guest.equals()
        guest.becomes("vram")


@contextlib.contextmanager
def graphics(disk: Path) -> Iterator[tuple[kju.Machine, Monitor]]:
    """A machine whose boot sector has set 800x600 at 32 bits: there in two seconds."""
    monitor = Monitor(disk.parent)
    args = [*guests.TCG, *monitor.arguments]
    with kju.launch(disk, name="m", memory="32", args=args) as machine, monitor:
        screen = machine.screen

        def ready() -> bool:
            picture = screen.snapshot(format="grey")
            # Not yet the BIOS's first line, and but for a cursor.
            rest = picture[32:].any() or picture[:12, 9:].any()
            return bool(picture[:16, :9].any() and not rest)

        until(lambda: screen.mode[:2] == guests.MODES[0] and ready(), 20, "the program")
        for size in guests.MODES[1:]:
            machine.keyboard.chord("a")
            until(lambda size=size: screen.mode[:2] == size, 5, f"mode {size}")
        yield machine, monitor


def console_of(machine: kju.Machine) -> dict[str, object]:
    return machine.info()["consoles"][0]


def test_a_snapshot_of_the_machine_is_loaded(tmp_path: Path) -> None:
    disk = tmp_path / "modes.qcow2"
    convert = ["qemu-img", "convert", "-O", "qcow2", str(guests.modes(tmp_path)), str(disk)]
    subprocess.run(convert, check=True, timeout=30)
    with graphics(disk) as (machine, monitor):
        hmp: Callable[[str], object] = lambda line: monitor.execute(  # noqa: E731
            "human-monitor-command", **{"command-line": line}
        )
        until(lambda: console_of(machine)["source"] == "vram", SEEN)
        assert hmp("savevm one") == ""
        machine.keyboard.chord("a")
        until(lambda: machine.screen.mode[:2] == guests.MODES[0], SEEN, "text")
        assert hmp("loadvm one") == ""
        until(lambda: machine.screen.mode[:2] == guests.MODES[2], SEEN, "the mode of before")
        with monitor.paused():
            monitor.equals(machine.screen)
        until(lambda: console_of(machine)["source"] == "vram", SEEN)


@pytest.mark.parametrize("how", ["killed", "cut"])
def test_everybody_hears_of_qemus_end(tmp_path: Path, how: str) -> None:
    """Killed while it is looked at; and with its memory cut by a client that may: no other dies."""
    with graphics(guests.modes(tmp_path)) as (machine, monitor):
        until(lambda: console_of(machine)["source"] == "vram", SEEN)
        viewer = kju.attach(machine.name, "view")
        qemu = machine.info()["qemu"]["pid"]
        heard: list[Exception] = []

        def watch(screen: kju.Screen, snapshots: bool) -> None:
            try:
                while True:
                    if snapshots:
                        screen.snapshot()
                    else:
                        screen.wait(timeout=10)
            except (KjuError, OSError) as error:
                heard.append(error)

        live = machine.screen.view(live=True)
        watchers = [
            threading.Thread(target=watch, args=(viewer.screen, False)),
            threading.Thread(target=watch, args=(machine.screen, True)),
        ]
        for watcher in watchers:
            watcher.start()
        if how == "killed":
            os.kill(qemu, signal.SIGKILL)
        else:
            path = video_memory(qemu)
            path.chmod(0o600)
            number = os.open(path, os.O_RDWR)
            os.ftruncate(number, 4096)
            os.close(number)
            until(lambda: machine.screen.state[0] != kju.State.LIVE, 5, "it is said")
            with contextlib.suppress(OSError, ValueError, AssertionError):
                monitor.execute("screendump", filename=str(tmp_path / "last"))
        assert machine.wait_gone(10)
        assert viewer.wait_gone(10)
        assert re.search("SIGKILL|signal 9" if how == "killed" else "SIGBUS|signal 7", machine.gone)
        with pytest.raises(ProducerGoneError):
            while True:
                viewer.screen.wait(timeout=5)
        live.sum()  # what was the guest's memory is a picture still, or zeros
        if how == "killed":
            # The last picture stays; nobody but who waits is told.
            machine.screen.snapshot()
            machine.screen._consumer  # noqa: B018
            stop_snapshots(machine)
        for watcher in watchers:
            watcher.join(10)
            assert not watcher.is_alive()
        viewer.close()
        assert heard


def stop_snapshots(machine: kju.Machine) -> None:
    machine.screen.close()


@pytest.mark.parametrize(
    ("more", "old", "says"),
    [
        (("-machine", "aux-ram-share=off"), False, "aux-ram-share"),
        (("-vga", "cirrus"), False, "only std VGA"),
        ((), True, "aux-ram-share"),
    ],
)
def test_without_its_memory_qemu_is_listened_to(
    tmp_path: Path, more: tuple[str, ...], old: bool, says: str
) -> None:
    how = {"qemu": str(guests.qemu72())} if old else {}
    guests.invaders()
    args = [*guests.TCG, *more]
    with kju.launch(guests.INVADERS, memory="64", args=args, name="deaf", **how) as machine:
        machine.screen.wait(kju.Mark(0, 0, 0), timeout=20)
        console = console_of(machine)
        assert str(console["source"]).startswith("display1")
        assert says in str(console["no_vram"])
        with pytest.raises(UnavailableError):
            machine.screen.view(live=True)
        assert machine.screen.snapshot(sync=True).size


def test_qemu_as_another_user(tmp_path: Path) -> None:
    """Its memory may be closed to its host then; which it is, it says, and the screen is there."""
    if os.getuid():
        pytest.skip("only root may have QEMU change its user")
    guests.invaders()
    args = [*guests.TCG, "-run-with", "user=nobody"]
    with kju.launch(guests.INVADERS, memory="64", args=args, name="other") as machine:
        machine.screen.wait(kju.Mark(0, 0, 0), timeout=20)
        until(lambda: machine.screen.mode[:2] == (720, 400), 20)
        reason = str(console_of(machine)["no_vram"])
        assert not reason or "another user" in reason
