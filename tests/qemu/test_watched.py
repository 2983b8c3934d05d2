"""Two guests, each followed by three processes of different kinds: all end equal."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from support import guests
from support.monitor import Monitor
from support.wait import until

import kju

pytestmark = [pytest.mark.qemu, pytest.mark.usefixtures("runtime_folder")]

# Every follower keeps a picture of its own and copies only the changed rectangles into it.
# A line on its standard input names the version at which to end.
KEEP = """
import hashlib, json, sys, threading
import numpy as np
import kju, kju.aio
from kju.errors import GeometryError, WaitTimeoutError

name, role = sys.argv[1:]
last = []
threading.Thread(target=lambda: last.append(int(sys.stdin.readline())), daemon=True).start()

class Kept:
    mark, picture, taken = kju.Mark(0, 0, 0), None, 0

    def take(self, screen, change):
        try:
            for rect in self.areas(change):
                self.put(rect, screen.frame(rect, pixels="bgrx"))
        except GeometryError:
            pass  # another mode by now: the next change is everything
        self.note(change)

    async def take_async(self, screen, change):
        try:
            for rect in self.areas(change):
                self.put(rect, await screen.frame(rect, pixels="bgrx"))
        except GeometryError:
            pass
        self.note(change)

    def areas(self, change):
        return [None] if change.everything else change.rects

    def put(self, rect, pixels):
        if rect is None:
            self.picture = np.array(pixels)
        else:
            x, y, width, height = rect
            self.picture[y : y + height, x : x + width] = pixels

    def note(self, change):
        self.mark, self.taken = change.mark, self.taken + 1
        if self.taken == 1:
            print("looking", flush=True)

    @property
    def done(self):
        return last and self.mark.version >= last[0]

    def report(self):
        pixels = np.ascontiguousarray(self.picture[..., :3])
        print(json.dumps([hashlib.sha256(pixels).hexdigest(), self.taken]), flush=True)

kept = Kept()
"""

THREADS = (
    KEEP
    + """
with kju.attach(name, role) as machine:
    while not kept.done:
        try:
            kept.take(machine.screen, machine.screen.wait(kept.mark, timeout=0.1))
        except WaitTimeoutError:
            pass
    kept.report()
"""
)

ASYNCIO = (
    KEEP
    + """
import asyncio

async def main():
    async with await kju.aio.attach(name, role) as machine:
        while not kept.done:
            try:
                change = await machine.screen.wait(kept.mark, timeout=0.1)
                await kept.take_async(machine.screen, change)
            except WaitTimeoutError:
                pass
        kept.report()

asyncio.run(main())
"""
)

WATCHERS = ((THREADS, "control"), (ASYNCIO, "control"), (THREADS, "view"))


@contextlib.contextmanager
def watcher(program: str, name: str, role: str) -> Iterator[subprocess.Popen[str]]:
    child = subprocess.Popen(
        [sys.executable, "-c", program, name, role],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(p for p in sys.path if p)},
    )
    with child:
        try:
            yield child
        finally:
            child.kill()


def line(child: subprocess.Popen[str]) -> str:
    assert child.stdout
    return child.stdout.readline()


def end_at(child: subprocess.Popen[str], version: int) -> None:
    assert child.stdin
    child.stdin.write(f"{version}\n")
    child.stdin.flush()


@pytest.mark.soak
def test_every_follower_ends_with_the_published_picture(tmp_path: Path) -> None:
    folders = [tmp_path / "i", tmp_path / "p"]
    for folder in folders:
        folder.mkdir()
    paint = guests.paint(folders[1], "animate", device="virtio-vga", rate=20)
    arguments = {"invaders": guests.invaders(), "paint": paint.arguments}
    with contextlib.ExitStack() as stack:
        machines, monitors = [], []
        for (name, args), folder in zip(arguments.items(), folders, strict=True):
            monitor = Monitor(folder)
            machine = kju.launch(name=name, args=[*args, *monitor.arguments])
            machines.append(stack.enter_context(machine))
            monitors.append(stack.enter_context(monitor))
        watchers = {
            machine.name: [
                stack.enter_context(watcher(program, machine.name, role))
                for program, role in WATCHERS
            ]
            for machine in machines
        }
        # They follow from the boot on, through mode changes.
        assert {line(child) for some in watchers.values() for child in some} == {"looking\n"}
        screens = [machine.screen for machine in machines]
        until(lambda: screens[0].mode[:2] == (720, 400), "the game")
        until(lambda: screens[1].mode[:2] == (1280, 800), "the graphical mode")
        marks = [screen.version for screen in screens]
        until(
            lambda: all(s.version > v + 30 for s, v in zip(screens, marks, strict=True)),
            "movement on both",
        )
        assert [len(machine.info()["clients"]) for machine in machines] == [4, 4]
        for machine, monitor in zip(machines, monitors, strict=True):
            monitor.execute("stop")
            monitor.equals(machine.screen)
        for machine in machines:
            published = np.ascontiguousarray(machine.screen.frame(pixels="bgrx")[..., :3])
            expected = hashlib.sha256(published).hexdigest()
            for child in watchers[machine.name]:
                end_at(child, machine.screen.version)
                found, taken = json.loads(line(child))
                assert found == expected
                assert taken > 5
