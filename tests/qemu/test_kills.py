"""SIGKILL of host, QEMU and app at random moments: what is left, and what the wall shows.

``KJU_KILLS=100`` kills a hundred times, and ``KJU_KILLS_SEED=N`` chooses other moments.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.app_process import AppProcess
from support.wait import until

import kju
from kju.client import launching
from kju.files.writing import is_temporary
from kju.store import running
from kju.store.paths import machine_paths

pytest.importorskip("PySide6", reason="PySide6 is missing: tools/setup desktop")
pytestmark = [pytest.mark.qemu]

KILLS = int(os.environ.get("KJU_KILLS", "3"))
SEED = int(os.environ.get("KJU_KILLS_SEED", "1"))
NAME = "victim"
VICTIMS = ("host", "qemu", "app")
#: What is under way, and the seconds after its begin within which the kill comes.
ACTIVITIES = {
    "start": 1.5,
    "typing": 0.5,
    "snapshot": 0.6,
    "recording": 1.0,
    "resize": 0.7,
    "paste": 0.7,
}
#: Files of the runtime folder that stay: locks, the tested accelerator, the app's socket.
KEPT = (".lock", ".accelerator", ".desktop-", ".network")


class Scene:
    """A defined machine that can hold snapshots, and an app that shows it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.app = AppProcess()
        launching.define(NAME, disk="64M", memory="16M", args=["-vga", "virtio"])
        self.app.until_state(NAME, "off")
        self.videos = 0

    # ---- Before the kill

    def prepare(self) -> None:
        """Have the machine run, with a snapshot and an open console."""
        if not running.is_alive(machine_paths(NAME)):
            launching.start(NAME, detach=True).close()
        self.app.until_state(NAME, "running")
        with kju.attach(NAME) as machine:
            if "base" not in [each.tag for each in machine.snapshots.list()]:
                machine.snapshots.save("base")
        self.app.ask("open", NAME)
        until(lambda: self.app.ask("console", NAME)["size"], what="the picture")

    def begin(self, activity: str, number: int) -> None:
        """Begin something in the app."""
        if activity == "start":
            with kju.attach(NAME) as machine:
                machine.stop()
            self.app.until_state(NAME, "off", "ended")
            self.app.ask("act", "START", NAME)
            until(lambda: self.pids()["host"] or self.app.entry(NAME)[0] == "running")
        elif activity == "typing":
            self.app.ask("press", NAME, 200)
        elif activity == "snapshot":
            self.app.ask("act", "SNAPSHOT", NAME, f"at-{number}")
        elif activity == "recording":
            self.app.ask("record", NAME, str(self.folder / f"{number}.mp4"))
        elif activity == "resize":
            self.app.ask("resize", NAME, 60)
        else:
            self.app.ask("paste", NAME, "the quick brown fox " * 50)

    # ---- The kill

    def pids(self) -> dict[str, int]:
        """Return the processes; 0 for one that is not known."""
        lines = ["", ""]
        try:
            lines = [*machine_paths(NAME).pid.read_text().splitlines(), "", ""]
        except OSError:
            pass
        host, qemu = (int((line.split() or ["0"])[0]) for line in lines[:2])
        return {"host": host, "qemu": qemu, "app": self.app.process.pid}

    def kill(self, victim: str) -> None:
        """Kill a process, once it exists, and wait for its end."""
        until(lambda: self.pids()[victim], what=f"{victim} exists")
        pid = self.pids()[victim]
        os.kill(pid, signal.SIGKILL)
        if victim == "app":
            self.app.process.wait()
            return
        until(lambda: not running.is_alive(machine_paths(NAME)), what="the machine ends")

    # ---- After it

    def check(self, victim: str) -> None:
        """Check the next command, the files, the processes and the wall."""
        command = [sys.executable, "-m", "kju.cli", "ls"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        if victim == "app":
            self.app.end()
            assert self.app.errors == ""
            self.app = AppProcess()
        if victim == "app" and running.is_alive(machine_paths(NAME)):
            self.app.until_state(NAME, "running")
        elif victim == "app":
            self.app.until_state(NAME, "off")  # killed before the machine was started
        else:
            self.app.until_state(NAME, "ended")
            reason = self.app.entry(NAME)[1]
            wanted = "SIGKILL" if victim == "qemu" else "host"
            assert wanted in reason, reason
        until(lambda: not self.left(), what=f"left: {self.left()}")
        assert self.app.errors == ""

    def left(self) -> list[str]:
        """Return the files and processes that nothing uses."""
        alive = running.is_alive(machine_paths(NAME))
        found = [
            path.name
            for path in (self.folder / "kju").iterdir()
            if not path.name.startswith(KEPT) and not (alive and path.name == NAME)
        ]
        found += [str(path) for path in self.folder.rglob("*") if is_temporary(path.name)]
        found += [path.name for path in Path("/dev/shm").iterdir() if NAME in path.name]
        pids = self.pids() if alive else {"app": self.app.process.pid}
        return found + [str(pid) for pid in self._processes() - set(pids.values())]

    def _processes(self) -> set[int]:
        """Return the processes with this test's runtime folder, but not this one."""
        wanted = f"XDG_RUNTIME_DIR={self.folder}\0".encode()
        found = set()
        for entry in Path("/proc").iterdir():
            if entry.name.isdecimal() and int(entry.name) != os.getpid():
                try:
                    if wanted in (entry / "environ").read_bytes():
                        found.add(int(entry.name))
                except OSError:
                    continue
        return found

    def check_disk(self) -> None:
        """Check that the machine starts again, and that its first snapshot can be loaded."""
        with launching.start(NAME, detach=True) as machine:
            tags = [each.tag for each in machine.snapshots.list()]
            assert "base" in tags
            machine.snapshots.load("base")
            for tag in tags:
                if tag != "base":
                    machine.snapshots.remove(tag)


@pytest.fixture
def scene(runtime_folder: Path, tmp_path: Path) -> Iterator[Scene]:
    made = Scene(tmp_path)
    yield made
    if running.is_alive(machine_paths(NAME)):
        with kju.attach(NAME) as machine:
            machine.stop()
    made.app.end()


@pytest.mark.timeout(600 + 60 * KILLS)
def test_nothing_is_left_after_sigkill_at_random_moments(scene: Scene) -> None:
    choice = random.Random(SEED)
    activities = list(ACTIVITIES)
    for number in range(KILLS):
        # In a long run, every victim during every activity.
        turn, which = divmod(number, len(VICTIMS))
        victim, activity = VICTIMS[which], activities[(turn + 2 * which) % len(activities)]
        delay = choice.uniform(0, ACTIVITIES[activity])
        what = f"kill {number}: {victim}, {delay:.3f} s after the begin of {activity}"
        if len(VICTIMS) < KILLS:
            print(what, flush=True)
        try:
            scene.prepare()
            scene.begin(activity, number)
            time.sleep(delay)  # the moment of the kill is what is chosen
            scene.kill(victim)
            scene.check(victim)
            if not running.is_alive(machine_paths(NAME)):
                scene.check_disk()
        except BaseException as error:
            error.add_note(what)
            raise
