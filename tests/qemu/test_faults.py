"""Kill the host, QEMU, the launcher or a viewer at any moment: no process hangs, no file is left.

The random rounds are few here; KJU_FAULT_ROUNDS=300 runs many.
"""

from __future__ import annotations

import contextlib
import os
import pty
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from support import guests
from support.wait import HANG, until

import kju
from kju.client.targets import running_names
from kju.errors import KjuError, MachineExistsError, MachineGoneError, ProducerGoneError
from kju.store.paths import machine_paths

pytestmark = pytest.mark.qemu

PACED = list(guests.PACED)
ROUNDS = int(os.environ.get("KJU_FAULT_ROUNDS", "9"))
#: A dead producer is noticed within a second; the bound allows for a busy computer.
NOTICED = 3.0

SCRIPT = f"""
import sys, kju
with kju.launch({str(guests.INVADERS)!r}, name="m", memory="64M", args={PACED!r}) as machine:
    print(machine.host_pid, machine.info()["qemu"]["pid"], flush=True)
    machine.keyboard.press("a")
    for change in machine.screen.changes():
        machine.screen.frame()
"""

VIEWER = """
import sys, kju
machine = kju.attach("m")
machine.keyboard.press("b")
print("looking", flush=True)
for change in machine.screen.changes():
    machine.screen.frame()
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    guests.invaders()
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    monkeypatch.setenv("KJU_TEST", str(tmp_path))
    yield tmp_path / "kju"
    nothing_left(tmp_path / "kju")


def ours() -> dict[int, str]:
    """Return the processes that descend from this test, by the mark in their environment."""
    mark = f"KJU_TEST={os.environ['KJU_TEST']}".encode()
    found = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal() and int(entry.name) != os.getpid():
            with contextlib.suppress(OSError):
                if mark in (entry / "environ").read_bytes().split(b"\0"):
                    found[int(entry.name)] = (entry / "comm").read_text().strip()
    return found


def nothing_left(folder: Path) -> None:
    """Run a command, then check that no process and no file is left."""
    until(lambda: not ours(), "every process has ended")
    assert running_names() == []
    left = [p.name for p in folder.iterdir()] if folder.exists() else []
    assert set(left) <= {".lock", ".accelerator.json"}


@contextlib.contextmanager
def python(program: str) -> Iterator[subprocess.Popen[str]]:
    """Run a program, and kill it at the end."""
    child = subprocess.Popen(
        [sys.executable, "-c", program],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(p for p in sys.path if p)},
    )
    try:
        yield child
    finally:
        child.kill()
        child.wait(10)
        for stream in (child.stdout, child.stderr):
            assert stream
            stream.close()


def line(child: subprocess.Popen[str]) -> str:
    assert child.stdout
    return child.stdout.readline()


def wait_for_the_end(screen: kju.Screen) -> tuple[float, str]:
    """Wait for changes until the end; return its time in seconds and its reason."""
    began = time.monotonic()
    with pytest.raises(ProducerGoneError) as caught:
        for _ in screen.changes(timeout=HANG):
            pass
    return time.monotonic() - began, str(caught.value)


def launched() -> kju.Machine:
    return kju.launch(guests.INVADERS, name="m", memory="64M", args=PACED)


def test_kill_of_qemu_ends_the_machine() -> None:
    with launched() as machine:
        screen = machine.screen
        screen.wait(kju.Mark(0, 0, 0), timeout=HANG)
        os.kill(machine.info()["qemu"]["pid"], signal.SIGKILL)
        seconds, reason = wait_for_the_end(screen)
        assert seconds < NOTICED
        assert "SIGKILL" in reason
        assert machine.wait_ended(timeout=HANG)
        assert "QEMU was killed by SIGKILL" in (machine.end_reason or "")
        with pytest.raises(MachineGoneError, match="SIGKILL"):
            machine.info()
        assert screen.frame().size, "the last picture can still be read"
        machine.close()
        assert machine._child
        assert machine._child.returncode == 4


def test_kill_of_the_host_ends_qemu_and_viewers() -> None:
    with launched() as machine:
        screen = machine.screen
        screen.wait(kju.Mark(0, 0, 0), timeout=HANG)
        qemu = machine.info()["qemu"]["pid"]
        os.kill(machine.host_pid, signal.SIGKILL)
        seconds, reason = wait_for_the_end(screen)
        assert seconds < NOTICED
        assert "closed the connection without a message" in reason
        until(lambda: not Path(f"/proc/{qemu}").exists(), "QEMU dies with its host")
        assert machine_paths("m").folder.exists()
        assert running_names() == []
        assert not machine_paths("m").folder.exists()


@pytest.mark.parametrize("blow", ["the host", "its whole session"])
def test_kill_of_a_host_ends_a_qemu_that_changed_its_user(blow: str) -> None:
    """A change of user clears the parent-death signal in the kernel."""
    if os.getuid() != 0:
        pytest.skip("only root's QEMU can change its user")
    args = [*PACED, "-run-with", "user=nobody"]
    with kju.launch(guests.INVADERS, name="m", memory="64M", args=args) as machine:
        info = machine.info()
        qemu, host = info["qemu"]["pid"], machine.host_pid
        assert Path(f"/proc/{qemu}").stat().st_uid != 0
        assert any("second process" in note for note in info["notes"])
        machine.screen.wait(kju.Mark(0, 0, 0), timeout=HANG)
        if blow == "the host":
            os.kill(host, signal.SIGKILL)
        else:
            os.killpg(host, signal.SIGKILL)
        until(lambda: not Path(f"/proc/{qemu}").exists(), "QEMU dies with its host")
    # The fixture `folder` checks that the guard has ended too.


def test_guard_ends_with_its_machine() -> None:
    if os.getuid() != 0:
        pytest.skip("only root's QEMU can change its user")
    args = [*PACED, "-run-with", "user=nobody"]
    with kju.launch(guests.INVADERS, name="m", memory="64M", args=args) as machine:
        assert sorted(ours().values())[-1].startswith("qemu")
        assert len(ours()) == 3
        machine.screen.wait(kju.Mark(0, 0, 0), timeout=HANG)
    assert not ours()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_signal_to_the_host_stops_the_machine(number: signal.Signals) -> None:
    with launched() as machine:
        os.kill(machine.host_pid, number)
        assert machine.wait_ended(timeout=HANG)
        assert number.name in (machine.end_reason or "")
        machine.close()
        assert machine._child
        assert machine._child.returncode == 0


def test_kill_of_the_launcher_stops_the_machine() -> None:
    with python(SCRIPT) as child:
        host, qemu = map(int, line(child).split())
        with kju.attach("m", "view") as watcher:
            screen = watcher.screen
            child.kill()
            _, reason = wait_for_the_end(screen)
            assert "has ended" in reason
        until(lambda: not Path(f"/proc/{qemu}").exists())
        until(lambda: not Path(f"/proc/{host}").exists())
    assert not machine_paths("m").folder.exists(), "its host cleaned up by itself"


def test_kill_of_a_viewer_leaves_the_machine() -> None:
    with launched() as machine, python(VIEWER) as child:
        assert line(child) == "looking\n"
        assert machine.info()["consoles"][0]["keys_held"] == [0x30]
        child.kill()
        until(lambda: machine.info()["consoles"][0]["keys_held"] == [])
        until(lambda: len(machine.info()["clients"]) == 1)
        machine.screen.wait(timeout=HANG)


def test_stop_ends_a_qemu_that_hangs() -> None:
    with launched() as machine:
        qemu = machine.info()["qemu"]["pid"]
        os.kill(qemu, signal.SIGSTOP)
        assert machine.info()["name"] == "m", "the host still answers"
        began = time.monotonic()
        machine.stop()
        assert time.monotonic() - began < 15
        assert not Path(f"/proc/{qemu}").exists()


def test_concurrent_launches_of_a_name_start_one_machine() -> None:
    won: list[kju.Machine] = []
    lost: list[KjuError] = []

    def launch() -> None:
        try:
            won.append(launched())
        except KjuError as error:
            lost.append(error)

    threads = [threading.Thread(target=launch) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert (len(won), len(lost)) == (1, 2)
    assert all(isinstance(error, MachineExistsError) for error in lost)
    won[0].screen.wait(kju.Mark(0, 0, 0), timeout=HANG)
    won[0].close()


def test_detached_machine_outlives_its_terminal() -> None:
    program = SCRIPT.replace("with kju", "import time\nmachine = kju").replace(
        ") as machine:", ", detach=True)\nif machine:"
    )
    pid, terminal = pty.fork()
    if pid == 0:
        os.environ["PYTHONPATH"] = os.pathsep.join(p for p in sys.path if p)
        os.execv(sys.executable, [sys.executable, "-c", program])
    try:
        text = b""
        while b"\n" not in text:
            text += os.read(terminal, 1000)
    finally:
        os.close(terminal)  # the session's leader gets SIGHUP
        os.waitpid(pid, 0)
    with kju.attach("m") as machine:
        assert machine.host_pid == int(text.split()[0])
        machine.screen.wait(kju.Mark(0, 0, 0), timeout=HANG)
        machine.stop()


def test_launch_without_runtime_directory_or_tmpdir(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("XDG_RUNTIME_DIR")
    monkeypatch.setenv("TMPDIR", "/no/such/folder")
    name = f"kju-test-{os.getpid()}"  # in the folder of all runs
    with kju.launch(guests.INVADERS, name=name, memory="64M") as machine:
        assert machine.info()["host"]["folder"].endswith(f"/{name}")
    # The fixture checks its own folder afterwards; this one must be clean as well.
    assert name not in running_names()
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))


@pytest.mark.parametrize(
    "seed", [0, 1, 2, *(pytest.param(n, marks=pytest.mark.soak) for n in range(3, ROUNDS))]
)
def test_kill_at_a_random_moment_leaves_nothing(seed: int, folder: Path) -> None:
    """Kill the launcher, the host or QEMU, from before its start until long after."""
    rng = random.Random(seed)
    victim = ("python", "qemu", "host")[seed % 3]
    delay = rng.uniform(0.0, 1.2)
    with python(SCRIPT) as launcher:
        try:
            # A random moment is what is tested, so this wait has no condition.
            launcher.wait(delay)
        except subprocess.TimeoutExpired:
            pass
        for pid, name in ours().items():
            is_host = name.startswith("python") and pid != launcher.pid
            kind = "qemu" if name.startswith("qemu") else "host" if is_host else "python"
            if kind == victim:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        if victim == "python" or launcher.poll() is not None:
            launcher.kill()
        else:
            # The machine runs on if the victim had not started at that moment.
            with contextlib.suppress(subprocess.TimeoutExpired):
                launcher.wait(NOTICED)
    nothing_left(folder)
