"""A folder exists as long as a process holds it."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from kju.errors import ClosedError, FileError
from kju.files import Folder
from kju.store.forks.held_folder import HeldFolder, exclusive, is_held, is_own, sweep

WORLD = "0123abcd"
HOLDER = """
import sys
from pathlib import Path
from kju.store.forks.held_folder import HeldFolder
held = HeldFolder.hold(Path(sys.argv[1]))
print("held", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    place = tmp_path / "root"
    place.mkdir(mode=0o700)
    return place


def test_the_last_release_removes_the_folder(root: Path) -> None:
    first = HeldFolder.create(root, WORLD)
    second = HeldFolder.hold(first.path)
    assert first.path.name.startswith(f"{WORLD}-")
    assert first.path.stat().st_mode & 0o777 == 0o700
    first.release()
    first.release()
    assert first.path.is_dir() and is_held(first.path)
    second.release()
    assert not first.path.exists() and not is_held(first.path)
    with pytest.raises(ClosedError, match="was released"):
        second.require_held()


def test_a_removed_folder_cannot_be_held(root: Path) -> None:
    held = HeldFolder.create(root, WORLD)
    held.release()
    with pytest.raises(FileError) as error:
        HeldFolder.hold(held.path)
    assert error.value.errno == errno.ENOENT


def test_a_process_that_waited_for_a_removal_finds_the_folder_removed(root: Path) -> None:
    held = HeldFolder.create(root, WORLD)
    held.release(lambda folder: True)
    descriptor = exclusive(held.path)
    errors: list[BaseException] = []

    def hold() -> None:
        try:
            HeldFolder.hold(held.path)
        except BaseException as error:
            errors.append(error)

    waiting = threading.Thread(target=hold)
    waiting.start()
    # Whether it has opened the lock by now or not, it must fail.
    (held.path / "lock").unlink()
    held.path.rmdir()
    os.close(descriptor)
    waiting.join()
    assert [type(error) for error in errors] == [FileError]


def test_sweep_removes_the_folder_of_a_killed_process(root: Path) -> None:
    held = HeldFolder.create(root, WORLD)
    (held.path / "state").write_bytes(b"x" * 10)
    child = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(held.path)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    with child:
        assert child.stdout and child.stdout.readline() == "held\n"
        held.release()
        assert sweep(root) == []
        assert held.path.is_dir()
        child.send_signal(signal.SIGKILL)
    assert sweep(root) == [held.path]
    assert not held.path.exists()


def test_sweep_removes_a_folder_without_its_lock(root: Path) -> None:
    (root / f"{WORLD}-{'0' * 16}").mkdir(mode=0o700)
    assert [path.name for path in sweep(root)] == [f"{WORLD}-{'0' * 16}"]
    assert sweep(root / "missing") == []


def test_sweep_leaves_folders_that_are_not_its_own(root: Path) -> None:
    (root / "mine").mkdir()
    other = HeldFolder.create(root, WORLD)
    (other.path / "holiday.jpg").touch()
    other.release()
    assert sweep(root) == []
    assert (root / "mine").is_dir() and (other.path / "holiday.jpg").exists()


def test_a_folder_that_must_stay_is_kept(root: Path) -> None:
    held = HeldFolder.create(root, WORLD)
    held.release(lambda folder: folder.path == held.path)
    assert held.path.is_dir()
    assert sweep(root, lambda folder: True) == []
    assert sweep(root) == [held.path]


def test_folders_are_made_while_others_are_swept(root: Path) -> None:
    stop = threading.Event()

    def keep_sweeping() -> None:
        while not stop.is_set():
            sweep(root)

    sweeper = threading.Thread(target=keep_sweeping)
    sweeper.start()
    try:
        for _ in range(50):
            held = HeldFolder.create(root, WORLD)
            again = HeldFolder.hold(held.path)
            held.release()
            assert again.path.is_dir()
            again.release()
    finally:
        stop.set()
        sweeper.join()
    assert [name for name in os.listdir(root) if name != ".lock"] == []


def test_a_sweep_is_not_taken_for_a_user(root: Path) -> None:
    held = HeldFolder.create(root, WORLD)
    held.release(lambda folder: True)
    looks, done = threading.Event(), threading.Event()

    def looking(folder: Folder) -> bool:
        looks.set()
        done.wait()
        return True

    sweeper = threading.Thread(target=sweep, args=(root, looking))
    sweeper.start()
    looks.wait()
    found: list[bool] = []
    asker = threading.Thread(target=lambda: found.append(is_held(held.path)))
    asker.start()
    done.set()
    for thread in (sweeper, asker):
        thread.join()
    assert found == [False]


@pytest.mark.parametrize(
    ("name", "own"),
    [
        ("lock", True),
        ("state", True),
        ("base.json", True),
        ("disks.json", True),
        ("0-1.qcow2", True),
        (".kju-0123456789abcdef.new", True),
        ("0-1.qcow2.snapshots/", True),
        ("0-1.qcow2.snapshots/ready/", True),
        ("0-1.qcow2.snapshots/ready/screen.png", True),
        ("0-1.qcow2.snapshots/.tree.json", True),
        ("0-1.qcow2.snapshots/ready/holiday.jpg", False),
        ("disk.qcow2.snapshots/", False),
        ("disk.qcow2", False),
        ("sub/lock", False),
        ("lock/", False),
    ],
)
def test_only_files_of_kju_are_removed(name: str, own: bool) -> None:
    assert is_own(name) == own
