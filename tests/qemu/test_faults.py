"""Everybody may be killed at any moment: nothing is left, nobody hangs.

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
from support.wait import until

import kju
from kju.client.targets import running_names
from kju.errors import KjuError, MachineExistsError, MachineGoneError, ProducerGoneError
from kju.store.paths import machine_paths

pytestmark = pytest.mark.qemu

TCG = ["-accel", "tcg"]
ROUNDS = int(os.environ.get("KJU_FAULT_ROUNDS", "9"))
#: A dead producer is to be noticed within a second; a loaded computer gets some more.
NOTICED = 3.0

SCRIPT = f"""
import sys, kju
with kju.launch({str(guests.INVADERS)!r}, name="m", memory="64", args={TCG!r}) as machine:
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
    """Processes that descend from this test, by its mark in their environment."""
    mark = f"KJU_TEST={os.environ['KJU_TEST']}".encode()
    found = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal() and int(entry.name) != os.getpid():
            with contextlib.suppress(OSError):
                if mark in (entry / "environ").read_bytes().split(b"\0"):
                    found[int(entry.name)] = (entry / "comm").read_text().strip()
    return found


def nothing_left(folder: Path) -> None:
    """After the next command: no process and no file."""
    until(lambda: not ours(), 10, "every process has ended")
    assert running_names() == []
    left = [p.name for p in folder.iterdir()] if folder.exists() else []
    assert set(left) <= {".lock", ".accelerator.json"}


@contextlib.contextmanager
def python(program: str) -> Iterator[subprocess.Popen[str]]:
    """Run a program; it is killed in the end."""
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
    """Wait for changes until there are none any more; how long after the call, and why."""
    began = time.monotonic()
    with pytest.raises(ProducerGoneError) as caught:
        for _ in screen.changes(timeout=20):
            pass
    return time.monotonic() - began, str(caught.value)


def launched() -> kju.Machine:
    return kju.launch(guests.INVADERS, name="m", memory="64", args=TCG)


def test_qemu_killed() -> None:
    with launched() as machine:
        screen = machine.screen
        screen.wait(kju.Mark(0, 0, 0), timeout=10)
        os.kill(machine.info()["qemu"]["pid"], signal.SIGKILL)
        seconds, reason = wait_for_the_end(screen)
        assert seconds < NOTICED
        assert "SIGKILL" in reason
        assert machine.wait_ended(timeout=5)
        assert "QEMU was killed by SIGKILL" in (machine.end_reason or "")
        with pytest.raises(MachineGoneError, match="SIGKILL"):
            machine.info()
        assert screen.frame().size, "the last picture can still be read"
        machine.close()
        assert machine._child
        assert machine._child.returncode == 4


def test_host_killed() -> None:
    with launched() as machine:
        screen = machine.screen
        screen.wait(kju.Mark(0, 0, 0), timeout=10)
        qemu = machine.info()["qemu"]["pid"]
        os.kill(machine.host_pid, signal.SIGKILL)
        seconds, reason = wait_for_the_end(screen)
        assert seconds < NOTICED
        assert "closed the connection without a message" in reason
        until(lambda: not Path(f"/proc/{qemu}").exists(), 5, "QEMU dies with its host")
        assert machine_paths("m").folder.exists()
        assert running_names() == []
        assert not machine_paths("m").folder.exists()


@pytest.mark.parametrize("blow", ["the host", "its whole session"])
def test_host_killed_whose_qemu_has_changed_its_user(blow: str) -> None:
    """The kernel forgets the parent-death signal then."""
    if os.getuid() != 0:
        pytest.skip("only root's QEMU can change its user")
    args = [*TCG, "-run-with", "user=nobody"]
    with kju.launch(guests.INVADERS, name="m", memory="64", args=args) as machine:
        info = machine.info()
        qemu, host = info["qemu"]["pid"], machine.host_pid
        assert Path(f"/proc/{qemu}").stat().st_uid != 0
        assert any("second process" in note for note in info["notes"])
        machine.screen.wait(kju.Mark(0, 0, 0), timeout=10)
        if blow == "the host":
            os.kill(host, signal.SIGKILL)
        else:
            os.killpg(host, signal.SIGKILL)
        until(lambda: not Path(f"/proc/{qemu}").exists(), 5, "QEMU dies with its host")
    # The folder's fixture sees that the guard has gone too.


def test_a_guard_goes_with_its_machine() -> None:
    if os.getuid() != 0:
        pytest.skip("only root's QEMU can change its user")
    args = [*TCG, "-run-with", "user=nobody"]
    with kju.launch(guests.INVADERS, name="m", memory="64", args=args) as machine:
        assert sorted(ours().values())[-1].startswith("qemu")
        assert len(ours()) == 3
        machine.screen.wait(kju.Mark(0, 0, 0), timeout=10)
    assert not ours()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_host_signalled(number: signal.Signals) -> None:
    with launched() as machine:
        os.kill(machine.host_pid, number)
        assert machine.wait_ended(timeout=10)
        assert number.name in (machine.end_reason or "")
        machine.close()
        assert machine._child
        assert machine._child.returncode == 0


def test_launcher_killed() -> None:
    with python(SCRIPT) as child:
        host, qemu = map(int, line(child).split())
        with kju.attach("m", "view") as watcher:
            screen = watcher.screen
            child.kill()
            _, reason = wait_for_the_end(screen)
            assert "has ended" in reason
        until(lambda: not Path(f"/proc/{qemu}").exists(), 10)
        until(lambda: not Path(f"/proc/{host}").exists(), 10)
    assert not machine_paths("m").folder.exists(), "its host cleaned up by itself"


def test_viewer_killed() -> None:
    with launched() as machine, python(VIEWER) as child:
        assert line(child) == "looking\n"
        assert machine.info()["consoles"][0]["keys_held"] == [0x30]
        child.kill()
        until(lambda: machine.info()["consoles"][0]["keys_held"] == [])
        until(lambda: len(machine.info()["clients"]) == 1)
        machine.screen.wait(timeout=5)


def test_qemu_hangs_and_is_stopped_all_the_same() -> None:
    with launched() as machine:
        qemu = machine.info()["qemu"]["pid"]
        os.kill(qemu, signal.SIGSTOP)
        assert machine.info()["name"] == "m", "the host still answers"
        began = time.monotonic()
        machine.stop()
        assert time.monotonic() - began < 15
        assert not Path(f"/proc/{qemu}").exists()


def test_one_of_two_launches_of_a_name_wins() -> None:
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
    won[0].screen.wait(kju.Mark(0, 0, 0), timeout=10)
    won[0].close()


def test_detached_outlives_its_terminal() -> None:
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
        machine.screen.wait(kju.Mark(0, 0, 0), timeout=10)
        machine.stop()


def test_without_a_runtime_directory_or_tmpdir(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("XDG_RUNTIME_DIR")
    monkeypatch.setenv("TMPDIR", "/no/such/folder")
    with kju.launch(guests.INVADERS, name="kju-test-no-dirs", memory="64") as machine:
        assert machine.info()["host"]["folder"].endswith("/kju-test-no-dirs")
    # The fixture's own folder is looked at afterwards; this one must be clean as well.
    assert "kju-test-no-dirs" not in running_names()
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))


@pytest.mark.parametrize(
    "seed", [0, 1, 2, *(pytest.param(n, marks=pytest.mark.soak) for n in range(3, ROUNDS))]
)
def test_anybody_killed_at_any_moment(seed: int, folder: Path) -> None:
    """The launcher, the host or QEMU, from before there is one until long after."""
    rng = random.Random(seed)
    victim = ("python", "qemu", "host")[seed % 3]
    delay = rng.uniform(0.0, 1.2)
    with python(SCRIPT) as launcher:
        try:
            # Waiting for a moment, not for a condition: the moment is what is tested.
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
            # Either the blow came before there was a victim, and it runs on, or it ends.
            with contextlib.suppress(subprocess.TimeoutExpired):
                launcher.wait(NOTICED)
    nothing_left(folder)
