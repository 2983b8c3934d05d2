"""A machine from launch to end, with a real QEMU and a real guest."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from support import guests
from support.monitor import Monitor
from support.wait import HANG, until

import kju
import kju.aio
from kju.client.input_devices import Keyboard
from kju.client.surface import open_screen
from kju.client.targets import running_names
from kju.emulators.qemu import program as qemu
from kju.errors import (
    ConflictError,
    KjuError,
    MachineExistsError,
    MachineNotFoundError,
    PowerButtonError,
    ProducerGoneError,
    QemuError,
    RoleError,
    UsageError,
)
from kju.memory import memfd
from kju.store import paths, running

pytestmark = pytest.mark.qemu

PACED = list(guests.PACED)


@pytest.fixture(autouse=True)
def folder(runtime_folder: Path) -> Path:
    return runtime_folder


@pytest.fixture
def machine() -> Iterator[kju.Machine]:
    guests.invaders()
    with kju.launch(guests.INVADERS, memory="64M", args=PACED) as running:
        yield running


def test_guest_is_shown_and_receives_keys(machine: kju.Machine) -> None:
    assert machine.name == "invaders"
    screen = machine.screen
    until(lambda: screen.mode[:2] == (720, 400))

    def ship() -> list[int]:
        row = np.asarray(screen.frame(pixels="bgrx"))[384:400, :, :3].max(axis=(0, 2))
        return np.flatnonzero(row).tolist()

    until(ship, "the game is on the screen")
    before = ship()
    machine.keyboard.press("right")
    until(lambda: ship() and ship()[0] > before[0], "the ship moves right")
    assert machine.info()["consoles"][0]["keys_held"] == [0xCD]
    machine.keyboard.release("right")
    assert machine.info()["consoles"][0]["keys_held"] == []


def test_info_is_json(machine: kju.Machine) -> None:
    machine.screen.wait(kju.Mark(0, 0, 0), timeout=HANG)
    info = json.loads(json.dumps(machine.info()))
    assert info["qemu"]["arguments"] == PACED
    assert all(part["reason"] for part in info["appended"])
    (console,) = info["consoles"]
    assert console["source"] == "screendump"  # text, and not for long yet
    assert console["incarnation"] == machine.screen.incarnation
    assert info["host"]["pid"] == machine.host_pid
    assert Path(f"/proc/{info['qemu']['pid']}").exists()
    (client,) = info["clients"]
    assert client == {
        "client": 1, "pid": os.getpid(), "role": "control", "name": client["name"],
        "views": [{"console": 0, "rate": None}],
    }  # fmt: skip


def test_several_viewers_share_a_screen(machine: kju.Machine) -> None:
    others = [kju.attach(machine.name, "view") for _ in range(3)]
    assert len(machine.info()["clients"]) == 4
    machine.screen.wait(kju.Mark(0, 0, 0), timeout=HANG)
    marks = {other.screen.incarnation for other in others}
    assert marks == {machine.screen.incarnation}
    for other in others:
        with pytest.raises(RoleError):
            other.keyboard.type("a")
        other.close()
    until(lambda: len(machine.info()["clients"]) == 1)


def test_surface_is_sealed(machine: kju.Machine) -> None:
    import fcntl

    number = machine.screen._memory.fileno()
    assert fcntl.fcntl(number, fcntl.F_GET_SEALS) == memfd.SEALS
    assert fcntl.fcntl(number, fcntl.F_GETFL) & os.O_ACCMODE == os.O_RDONLY
    with pytest.raises(OSError):
        os.ftruncate(number, 0)


def test_keys_are_released_on_disconnect(machine: kju.Machine) -> None:
    other = kju.attach(machine.name)
    other.keyboard.press("ctrl", "a")
    machine.keyboard.press("a")
    assert machine.info()["consoles"][0]["keys_held"] == [0x1D, 0x1E]
    other.close()
    until(lambda: machine.info()["consoles"][0]["keys_held"] == [0x1E])


def test_two_clients_type_at_once(machine: kju.Machine) -> None:
    other = kju.attach(machine.name)
    threads = [
        threading.Thread(target=m.keyboard.type, args=("hello " * 5,)) for m in (machine, other)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(HANG)
    assert not any(thread.is_alive() for thread in threads)
    assert machine.info()["consoles"][0]["keys_held"] == []
    other.close()


def test_consistent_frame_and_refresh(machine: kju.Machine) -> None:
    until(lambda: machine.screen.mode.width == 720)
    frame = machine.screen.frame(consistent=True, pixels="bgrx")
    assert frame.shape == (400, 720, 4)
    assert machine.screen.refresh() >= frame.version


def test_nothing_is_published_during_a_hold(machine: kju.Machine) -> None:
    """The game moves by itself, 30 times a second."""
    until(lambda: machine.screen.mode.width == 720)
    rounds: list[int] = []

    def is_held() -> bool:
        began = time.monotonic()
        with machine.screen._origin.hold():
            versions = {machine.screen.version}
            while time.monotonic() < began + 0.04:
                versions.add(machine.screen.version)
            if time.monotonic() < began + 0.05:  # else the hold may have timed out
                rounds.append(len(versions))
        machine.screen.wait(timeout=HANG)
        return len(rounds) == 5

    until(is_held, "five rounds within the time of a hold")
    assert rounds == [1] * 5


def test_hold_of_a_screen_times_out(machine: kju.Machine) -> None:
    until(lambda: machine.screen.mode.width == 720)
    held = machine.screen._origin.hold()
    held.__enter__()
    machine.screen.wait(timeout=HANG)
    held.__exit__(None, None, None)


def test_host_and_qemu_have_no_network_socket(machine: kju.Machine) -> None:
    def listening(pid: int) -> set[str]:
        inodes = {os.readlink(f"/proc/{pid}/fd/{fd}") for fd in os.listdir(f"/proc/{pid}/fd")}
        found = set()
        for table in ("tcp", "tcp6", "udp", "udp6", "raw", "raw6"):
            for line in Path(f"/proc/{pid}/net/{table}").read_text().splitlines()[1:]:
                if f"socket:[{line.split()[9]}]" in inodes:
                    found.add(line)
        return found

    info = machine.info()
    assert listening(info["qemu"]["pid"]) == set()
    assert listening(info["host"]["pid"]) == set()


def test_qemu_inherits_only_needed_descriptors(machine: kju.Machine) -> None:
    pid = machine.info()["qemu"]["pid"]
    links = {}
    for fd in os.listdir(f"/proc/{pid}/fd"):
        with contextlib.suppress(FileNotFoundError):  # QEMU opens and closes some all the time
            links[int(fd)] = os.readlink(f"/proc/{pid}/fd/{fd}")
    folder = str(paths.runtime_folder())
    assert [link for link in links.values() if link.startswith(folder)] == []
    assert links[0] == os.devnull
    assert links[1] == links[2]
    assert links[1].startswith("pipe:"), (
        "its output goes to a pipe, so that it cannot fill the disk"
    )
    status = Path(f"/proc/{pid}/status").read_text()
    assert re.search(r"Seccomp:\s+2", status), "the sandbox is on"
    assert os.getpgid(pid) == pid


def test_stop_tells_every_client_the_reason(machine: kju.Machine) -> None:
    other = kju.attach(machine.name, "view")
    screen = other.screen
    pid = machine.info()["qemu"]["pid"]
    machine.stop()
    assert not Path(f"/proc/{pid}").exists()
    assert other.wait_ended(timeout=HANG)
    assert "stopped it" in (other.end_reason or "")
    with pytest.raises(ProducerGoneError):
        while True:
            screen.wait(timeout=HANG)
    assert running_names() == []
    machine.stop()
    other.close()


def test_log_is_private_and_has_command_and_process(machine: kju.Machine) -> None:
    text = machine.log.read_text()
    assert "starting ['" in text
    assert "running: process" in text
    assert machine.log.stat().st_mode & 0o777 == 0o600


def test_each_output_is_a_console() -> None:
    args = [*PACED, "-device", "virtio-vga,max_outputs=2"]
    with kju.launch(guests.INVADERS, memory="64M", args=args) as machine:
        assert len(machine.screens) == 2
        first, second = machine.screens[:]
        assert first.incarnation != second.incarnation
        assert (first.console, second.console) == (0, 1)
        first.wait(kju.Mark(0, 0, 0), timeout=HANG)
        machine.screens[1].keyboard.chord("a")
        with pytest.raises(IndexError):
            machine.screens[2]
        with pytest.raises(UsageError, match="console 5 does not exist"):
            open_screen(machine._link, 5)


def test_machine_without_a_screen_is_an_error_for_its_screen() -> None:
    with kju.launch(guests.INVADERS, memory="64M", args=[*PACED, "-vga", "none"]) as machine:
        assert len(machine.screens) == 0
        with pytest.raises(UsageError, match=r"no screen: .*-vga none.*Typing works"):
            _ = machine.screen
        with pytest.raises(UsageError, match="no screen"):
            machine.pointer.click()
        with pytest.raises(UsageError, match="no screen"):
            Keyboard(machine._link, 1).press("a")
        assert machine.keyboard.lamps() is None


def test_typing_reaches_a_machine_without_a_screen(tmp_path: Path) -> None:
    """The guest reads keys from the BIOS and writes them to the serial port."""
    program = bytes.fromhex("31c0 cd16 baf803 ee ebf6")
    disk, out = tmp_path / "keys.img", tmp_path / "out"
    disk.write_bytes(program.ljust(510, b"\0") + b"\x55\xaa" + bytes(1 << 20))
    drive = f"if=ide,format=raw,file={disk}"
    args = [*PACED, "-m", "32", "-vga", "none", "-drive", drive, "-serial", f"file:{out}"]
    with kju.launch(args=args, name="blind") as machine:
        # The BIOS empties its buffer before it boots.
        until(lambda: machine.keyboard.type(".") and out.read_bytes(), "the guest reads keys")
        machine.keyboard.type("Hello 42\n")
        until(lambda: out.read_bytes().endswith(b"Hello 42\r"), "the text has arrived")
        done = subprocess.run(
            [sys.executable, "-m", "kju.cli", "type", "blind", "Again"],
            capture_output=True, text=True, timeout=HANG, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        until(lambda: out.read_bytes().endswith(b"Again"), "the command's text has arrived")
        boot = "<wait50ms>x<leftShiftOn>y<leftShiftOff><bs>1<lt>2<enter>"
        done = subprocess.run(
            [sys.executable, "-m", "kju.cli", "type", "blind", "--boot-command", boot],
            capture_output=True, text=True, timeout=HANG, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        until(lambda: out.read_bytes().endswith(b"xY\b1<2\r"), "the boot command has arrived")
        done = subprocess.run(
            [sys.executable, "-m", "kju.cli", "screenshot", "blind", "x.png"],
            capture_output=True, text=True, timeout=HANG, check=False,
        )  # fmt: skip
        assert done.returncode != 0 and "has no screen" in done.stderr


def test_named_surface_stays_after_the_end(tmp_path: Path) -> None:
    path = tmp_path / "screen"
    with kju.launch(guests.INVADERS, memory="64M", args=PACED, surface=path) as machine:
        assert machine.info()["consoles"][0]["address"] == str(path)
        with kju.Surface(path) as surface:
            surface.wait(kju.Mark(0, 0, 0), timeout=HANG)
            assert surface.incarnation == machine.screen.incarnation
        # A client's descriptor cannot write, though the host's own can.
        number = machine.screen._memory.fileno()
        with pytest.raises(OSError):
            os.write(number, b"x")
        with pytest.raises(ConflictError):
            kju.launch(guests.INVADERS, memory="64M", args=PACED, surface=path, name="second")
    with kju.Surface(path) as surface:
        assert surface.state[0] in (kju.State.CLOSED, kju.State.GONE)
        assert surface.frame().size


def test_guest_started_paused_is_never_live(tmp_path: Path) -> None:
    monitor = Monitor(tmp_path)
    args = [*PACED, "-S", *monitor.arguments]
    with kju.launch(guests.INVADERS, memory="64M", args=args) as machine, monitor:
        screen = machine.screen
        assert machine.info()["state"] == "paused"
        assert screen.state[0] == kju.State.PAUSED
        screen.wait(kju.Mark(0, 0, 0), timeout=HANG)
        assert screen.state[0] == kju.State.PAUSED
        monitor.execute("cont")
        until(lambda: screen.state[0] == kju.State.LIVE)
        until(lambda: screen.mode[:2] == (720, 400))
        monitor.execute("stop")
        until(lambda: screen.state[0] == kju.State.PAUSED)
        assert machine.info()["state"] == "paused"


@pytest.mark.parametrize(
    ("wish", "error", "says"),
    [
        ({"image": "/no/such.img"}, UsageError, "cannot be read"),
        ({"image": "/"}, UsageError, "folder"),
        ({"name": "no/name"}, UsageError, "name"),
        ({"args": ["-daemonize"]}, ConflictError, "detach"),
        ({"args": ["-display", "gtk"]}, ConflictError, "kju watch"),
        ({"args": "-m 64"}, UsageError, "list"),
        ({"args": ["-m", "1"], "memory": "1G"}, ConflictError, "-m"),
        ({"args": [*PACED, "-device", "nonsense"]}, QemuError, "status 1: .*nonsense"),
        ({"args": [*PACED, "-nosuch"]}, QemuError, "nosuch"),
        ({"args": [*PACED, "-m", "64P"]}, QemuError, "QEMU"),
        ({"qemu": "/bin/true"}, QemuError, "is not a QEMU"),
        ({"qemu": "/no/qemu"}, QemuError, "does not exist"),
        ({"surface": "/no/folder/file", "args": PACED}, UsageError, "make it first"),
    ],
)
def test_failed_start_is_a_one_line_error(
    wish: dict[str, object], error: type[KjuError], says: str, folder: Path
) -> None:
    with pytest.raises(error, match=says) as caught:
        kju.launch(**wish)  # type: ignore[arg-type]
    assert "\n" not in str(caught.value)
    left = [p.name for p in folder.iterdir()] if folder.exists() else []
    assert [name for name in left if not name.startswith(".")] == []


@pytest.mark.parametrize("module", ["kju", "kju.aio"])
def test_name_is_free_after_a_failed_start(module: str) -> None:
    wish = {"name": "m", "args": [*PACED, "-device", "nonsense"], "detach": True}
    for _ in range(3):
        with pytest.raises(QemuError, match="nonsense"):
            if module == "kju":
                kju.launch(guests.INVADERS, **wish)  # type: ignore[arg-type]
            else:
                asyncio.run(kju.aio.launch(guests.INVADERS, **wish))  # type: ignore[arg-type]
        assert running.names() == []


def test_used_name_is_rejected_and_a_default_name_gets_a_number(machine: kju.Machine) -> None:
    with pytest.raises(MachineExistsError, match="kju stop invaders"):
        kju.launch(guests.INVADERS, name="invaders", args=PACED)
    with kju.launch(guests.INVADERS, memory="64M", args=PACED) as second:
        assert second.name == "invaders-2"
        assert running_names() == ["invaders", "invaders-2"]
    with pytest.raises(MachineNotFoundError, match="running machines: invaders"):
        kju.attach("nobody")


def test_power_button_that_the_guest_cannot_receive_is_an_error() -> None:
    with kju.launch(guests.INVADERS, memory="64M", args=PACED) as machine:
        machine.screen.wait(timeout=HANG)
        with pytest.raises(PowerButtonError, match="kju stop --now invaders"):
            machine.powerdown()
        assert machine.is_alive


async def test_asyncio_drives_a_machine() -> None:
    async with await kju.aio.launch(guests.INVADERS, memory="64M", args=PACED) as machine:
        changes = 0
        async for _ in machine.screen.changes(timeout=HANG):
            changes += 1
            if changes == 5:
                break
        assert machine.screen.mode.width in (640, 720)
        await asyncio.gather(machine.keyboard.type("ab"), machine.info())
        second = await kju.aio.attach(machine.name, "view")
        await machine.stop()
        assert await second.wait_ended(timeout=HANG)
        await second.close()


def test_detached_machine_outlives_its_program_and_session(folder: Path) -> None:
    program = (
        "import kju, sys\n"
        f"m = kju.launch({str(guests.INVADERS)!r}, name='d', memory='64', args={PACED!r},"
        " detach=True)\n"
        "print(m.host_pid, flush=True)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        timeout=HANG,
        check=True,
        start_new_session=True,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(p for p in sys.path if p)},
    )
    host = int(done.stdout)
    assert running_names() == ["d"]
    with kju.attach("d") as machine:
        assert machine.host_pid == host
        machine.screen.wait(kju.Mark(0, 0, 0), timeout=HANG)
        os.kill(host, 1)  # SIGHUP, as from a terminal that closes
        assert machine.info()["detached"]
        links = {os.readlink(f"/proc/{host}/fd/{fd}") for fd in range(3)}
        assert links == {"/dev/null", str(machine.log)}
        assert os.getsid(host) != os.getsid(0)
        machine.stop()


def test_accelerator_is_tried_once(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = qemu.inspect(qemu.locate())
    first = qemu.best_accelerator(found)
    assert first.name in ("kvm", "tcg")
    assert first.reason
    monkeypatch.setattr(qemu, "_try_kvm", None)  # not called again
    assert qemu.best_accelerator(found) == first


def test_machines_are_launched_from_many_threads_and_outlive_them(folder: Path) -> None:
    together = threading.Barrier(4)

    def launch(number: int) -> kju.Machine:
        together.wait(60)
        # The name of two is taken from the same image.
        name = f"m{number}" if number % 3 else None
        return kju.launch(args=[*PACED, "-m", "16", "-S"], name=name, detach=bool(number % 2))

    before = set(os.listdir("/proc/self/fd"))
    with ThreadPoolExecutor(4) as pool:
        machines = list(pool.map(launch, range(4)))
    try:
        assert len({machine.name for machine in machines}) == 4
        # The threads that have started them have ended.
        assert all(machine.info()["kind"] == "qemu" for machine in machines)
    finally:
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(kju.Machine.stop, machines))
        for machine in machines:
            machine.close()
    assert set(os.listdir("/proc/self/fd")) == before


def test_qemu_program_can_be_chosen(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    link = tmp_path / "qemu-system-x86_64"
    link.symlink_to(qemu.locate())
    monkeypatch.setenv("KJU_QEMU", str(link))
    with kju.launch(guests.INVADERS, memory="64M", args=PACED) as machine:
        assert machine.info()["qemu"]["path"] == str(link)


def test_old_qemu_is_rejected(tmp_path: Path) -> None:
    fake = tmp_path / "qemu"
    fake.write_text("#!/bin/sh\necho QEMU emulator version 6.2.0\n")
    fake.chmod(0o755)
    with pytest.raises(QemuError, match=r"6\.2\.0.*7\.0"):
        kju.launch(qemu=str(fake))
    fake.write_text("#!/bin/sh\necho QEMU emulator version 9.0.0\n")
    with pytest.raises(QemuError, match="no dbus display"):
        kju.launch(qemu=str(fake))
