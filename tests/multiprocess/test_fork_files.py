"""Bases and overlays: a fault or SIGKILL at each step, other processes, and a full file system."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import random
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from support.faults import MODULES, Faults, kills
from support.forks import HEADER, MEMORY, facts, folders, make_disk, qemu_io
from support.wait import until

from kju.errors import KjuError, LimitError
from kju.store.forks import listing, places, unmerged
from kju.store.forks.bases import Base, BaseFiles, open_base, sweep_forks
from kju.store.forks.held_folder import is_held
from kju.store.forks.overlays import ForkDisks

pytestmark = pytest.mark.skipif(not shutil.which("qemu-img"), reason="qemu-img is not installed")


@pytest.fixture(autouse=True)
def roots(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Put bases below the test's folder."""
    monkeypatch.setattr(places, "SHARED_MEMORY", tmp_path / "shm")
    (tmp_path / "shm").mkdir()
    monkeypatch.setattr(places, "is_in_memory", lambda path: path == tmp_path / "shm")
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    return tmp_path


def whole_life(disk: Path) -> None:
    """Freeze a machine with a disk, fork it, and end both."""
    disks = ForkDisks.own("web", [(str(disk), "qcow2")])
    fork = base = files = None
    try:
        disks.extend()
        files = BaseFiles.reserve(MEMORY)
        files.state.write_bytes(bytes(HEADER + MEMORY))
        base = files.freeze(facts(), disks)
        fork = ForkDisks.over("fork", base.disks)
    finally:
        for each in (fork, base, files, disks):
            if each is not None:
                each.release()


def test_no_fault_leaves_a_base(roots: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    disk = make_disk(roots / "disk.qcow2")
    places.disk_root()
    failed = []
    for at in range(1, 1000):
        if not (call := fails_at(at, lambda: whole_life(disk), monkeypatch)):
            break
        failed.append(call)
        # As the next start of the disk, and the next command, do it.
        unmerged.settle_for([str(disk)])
        sweep_forks()
        assert folders(roots) == [], f"call {at}, {call}"
        qemu_io(disk, "read -P 0x11 0 64k")
    assert {"open", "write", "rename", "mkdir", "unlink", "rmdir", "fchmod"} <= set(failed)


def fails_at(at: int, run: Callable[[], None], patch: pytest.MonkeyPatch) -> str:
    """Let the n-th system call of an operation fail; return the call."""
    faults = Faults(at, errno.ENOSPC)
    with patch.context() as patched:
        for module in MODULES:
            patched.setattr(module, "os", faults)
        with contextlib.suppress(KjuError):
            run()
    return faults.fired


def test_no_kill_leaves_a_base(roots: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    disk = make_disk(roots / "disk.qcow2")
    places.disk_root()
    calls = 0
    for calls, call in enumerate(kills(lambda: dying(disk), monkeypatch), 1):
        unmerged.settle_for([str(disk)])
        sweep_forks()
        assert folders(roots) == [], f"killed before call {calls}, {call}"
        qemu_io(disk, "read -P 0x11 0 64k")
    assert calls > 50


def dying(disk: Path) -> None:
    """Live, and lose all locks at the end, however it ends."""
    before = set(os.listdir("/proc/self/fd"))
    try:
        whole_life(disk)
    finally:
        for name in set(os.listdir("/proc/self/fd")) - before:
            try:
                target = os.readlink(f"/proc/self/fd/{name}")
            except OSError:
                continue
            if target.endswith("/lock"):
                os.close(int(name))


#: A process that freezes, forks, writes and ends machines until it is killed.
LIFE = """
import sys
from pathlib import Path
from kju.store.forks import places
from support.forks import freeze, qemu_io
from kju.store.forks.held_folder import is_held
from kju.store.forks.overlays import ForkDisks
shm = Path(sys.argv[1])
places.SHARED_MEMORY = shm
places.is_in_memory = lambda path: path == shm
print("ready", flush=True)
while True:
    disks = ForkDisks.own("web", [(sys.argv[2], "qcow2")])
    base = freeze(disks=disks)
    forks = [ForkDisks.over(f"fork-{n}", base.disks) for n in range(3)]
    again = freeze("again", disks=forks[0], machine="fork-0")
    forks[1].renew(again.disks)
    for each in (*forks, again, base, disks):
        each.release()
"""


def test_sigkill_at_any_moment_leaves_nothing(roots: Path) -> None:
    disk = make_disk(roots / "disk.qcow2")
    chance = random.Random(14)
    for _ in range(12):
        with life(roots, disk) as child:
            # Anywhere in its life, which takes some 100 ms.
            child_ended = threading.Event()
            child_ended.wait(chance.random() * 0.3)
            child.send_signal(signal.SIGKILL)
        # A qemu-img that it started may still write to the disk.
        until(lambda: not any(is_held(folder) for folder, _ in unmerged.pending()))
        unmerged.settle_for([str(disk)])
        sweep_forks()
        assert folders(roots) == []
        qemu_io(disk, "read -P 0x11 0 64k")


def test_processes_that_freeze_one_machine_do_not_disturb_each_other(roots: Path) -> None:
    script = LIFE.replace("while True:", "for _ in range(5):").replace(
        '[(sys.argv[2], "qcow2")]', "[]"
    )
    children = [start(script, roots, roots / "none") for _ in range(4)]
    for child in children:
        with child:
            while child.poll() is None:
                sweep_forks()
            assert child.stderr and child.stderr.read() == ""
            assert child.returncode == 0
    assert folders(roots) == [] and listing.bases() == []


@contextlib.contextmanager
def life(roots: Path, disk: Path) -> Iterator[subprocess.Popen[str]]:
    with start(LIFE, roots, disk) as child:
        assert child.stdout and child.stdout.readline() == "ready\n"
        yield child


def start(script: str, roots: Path, disk: Path) -> subprocess.Popen[str]:
    tests = str(Path(__file__).resolve().parents[1])
    path = os.pathsep.join([tests, *filter(None, [os.environ.get("PYTHONPATH", "")])])
    return subprocess.Popen(
        [sys.executable, "-c", script, str(roots / "shm"), str(disk)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env=os.environ | {"PYTHONPATH": path},
    )  # fmt: skip


def test_threads_that_open_and_release_one_base_leave_nothing(roots: Path) -> None:
    from support.forks import freeze

    first = freeze()
    failed: list[BaseException] = []

    def use() -> None:
        try:
            for _ in range(20):
                with open_base(first.id) as base:
                    base.check(base.facts.build)
        except BaseException as error:
            failed.append(error)

    users = [threading.Thread(target=use) for _ in range(4)]
    for user in users:
        user.start()
    for user in users:
        user.join()
    assert failed == []
    first.release()
    assert folders(roots) == []


libc = ctypes.CDLL(None, use_errno=True)


@pytest.fixture
def small(roots: Path) -> Iterator[Path]:
    """Mount a file system of 80 MiB where bases lie."""
    place = roots / "shm"
    if libc.mount(b"tmpfs", bytes(place), b"tmpfs", 0, b"size=80m,mode=1777"):
        pytest.skip(f"no file system can be mounted here: {os.strerror(ctypes.get_errno())}")
    yield place
    libc.umount2(bytes(place), 2)


def test_a_tmpfs_holds_as_many_bases_as_it_has_space_for(small: Path, roots: Path) -> None:
    held = BaseFiles.reserve(MEMORY)
    with pytest.raises(LimitError, match="of which other bases may still use 65 MiB"):
        BaseFiles.reserve(MEMORY)
    held.release()
    (small / "other").write_bytes(bytes(20 << 20))
    with pytest.raises(LimitError, match=r"needs 65 MiB in .* where 60 MiB are free"):
        BaseFiles.reserve(MEMORY)
    (small / "other").unlink()
    BaseFiles.reserve(MEMORY).release()
    assert folders(roots) == []


def test_a_freeze_that_fills_the_tmpfs_leaves_nothing(small: Path, roots: Path) -> None:
    disks = ForkDisks.own("web", [])
    disks.extend()
    files = BaseFiles.reserve(MEMORY)
    files.state.write_bytes(bytes(HEADER + MEMORY))
    with contextlib.suppress(OSError):
        (small / "other").write_bytes(bytes(90 << 20))
    assert os.statvfs(small).f_bavail == 0
    base: Base | None = None
    with contextlib.suppress(KjuError):  # a description of one page needs a free page
        base = files.freeze(facts(), disks)
    for each in (base, files, disks):
        if each is not None:
            each.release()
    assert folders(roots) == []
