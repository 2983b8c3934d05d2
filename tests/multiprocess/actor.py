"""A process of a test: ``python actor.py ROLE ARGUMENTS``. It prints lines of JSON.

A role prints ``{"ready": ...}`` once it is ready, and its result at the end. Lines on standard
input make it continue; the end of standard input ends it.
"""

import asyncio
import hashlib
import json
import os
import signal
import sys
import time

import numpy as np

from kju import memory
from kju.client.aio.surface import Surface as AsyncSurface
from kju.client.surface import Surface
from kju.errors import KjuError, ProducerGoneError
from kju.memory import SurfaceProducer, sysv
from kju.surface import NOTHING_TAKEN
from kju.surface.geometry import Rect

CAPACITY = 320 * 240 * 4


def say(**what):
    print(json.dumps(what), flush=True)


def where(producer):
    if producer.address:
        return producer.address
    return f"memfd:{os.getpid()}:{producer.memory.fileno()}"


def look(address, form=Surface):
    """Open an address, or another process's memfd as `where` names it."""
    if address.startswith("memfd:"):
        _, pid, number = address.split(":")
        return form.from_fd(os.open(f"/proc/{pid}/fd/{number}", os.O_RDONLY | os.O_CLOEXEC))
    return form(address)


def digest(pixels, mode):
    return [mode.width, mode.height, hashlib.sha256(pixels.tobytes()).hexdigest()]


def produce(address, seed, publications):
    """Publish modes and pictures in every way, then close."""
    random = np.random.default_rng(int(seed))
    producer = SurfaceProducer.create(address, capacity=CAPACITY, tile=16)
    producer.set_mode(64, 64)
    say(ready=where(producer))
    sys.stdin.readline()
    for step in range(int(publications)):
        width, height = producer.mode.width, producer.mode.height
        what = random.integers(0, 60)
        if what == 0:
            width, height = int(random.integers(1, 321)), int(random.integers(1, 241))
            picture = random.integers(0, 256, (height, width, 4), np.uint8)
            producer.set_mode(width, height, source=picture)
        elif what < 20:
            frame = producer.pixels.copy()
            y = int(random.integers(0, height))
            frame[y : y + 7] = random.integers(0, 256, 4, np.uint8)
            producer.compare(frame)
        elif what < 50:
            x, y = int(random.integers(0, width)), int(random.integers(0, height))
            rect = Rect(x, y, min(13, width - x), min(9, height - y))
            pixels = random.integers(0, 256, (rect.height, rect.width, 4), np.uint8)
            producer.draw(rect, pixels)
        else:
            start = int(random.integers(0, width * height * 4))
            producer.begin()
            producer.pixels.reshape(-1)[start : start + 100] = step % 256
            producer.publish_range(start, min(100, width * height * 4 - start))
    result = digest(producer.pixels, producer.mode)
    producer.close()
    say(result=result, version=producer.version)


class Mirror:
    """A copy that is kept equal by changes alone."""

    def __init__(self, surface):
        self.surface = surface
        self.mark = NOTHING_TAKEN
        self.pixels = np.zeros((0, 0, 4), np.uint8)
        self.mode = None
        self.looks = 0

    def take(self, change):
        if change.everything:
            self.pixels = np.zeros((change.mode.height, change.mode.width, 4), np.uint8)
        for r in change.rects:
            try:
                part = self.surface._copy_frame(r)  # as `frame`, of both forms
            except ValueError:  # the mode changed to a smaller one during the copy
                return
            if part.mode.epoch != change.mode.epoch:
                return  # the copy is of another mode: the next change is everything
            self.pixels[r.y : r.bottom, r.x : r.right] = part
        self.mark, self.mode = change.mark, change.mode
        self.looks += 1


def mirror(address, form):
    """Keep a copy until the producer ends; print its contents and the error."""
    if form == "async":
        asyncio.run(mirror_async(address))
        return
    with look(address) as surface:
        say(ready=True)
        copy = Mirror(surface)
        try:
            while True:
                copy.take(surface.wait(copy.mark))
        except KjuError as error:
            ended(copy, error)


async def mirror_async(address):
    async with look(address, AsyncSurface) as surface:
        say(ready=True)
        copy = Mirror(surface)
        try:
            while True:
                copy.take(await surface.wait(copy.mark))
        except KjuError as error:
            ended(copy, error)


def ended(copy, error):
    held = digest(copy.pixels, copy.mode) if copy.mode else None
    say(result=held, error=type(error).__name__, text=str(error), looks=copy.looks)


def exact(address, seconds_of_frames):
    """Take exact copies of a producer whose every version has one value everywhere."""
    with look(address) as surface:
        say(ready=True)
        copies = wrong = 0
        seen = set()
        while True:
            frame = surface.frame(consistent=True, pixels="bgrx")
            copies += 1
            seen.add(frame.version)
            wrong += int(frame.min() != frame.max())
            if surface.state[0] != 1 and copies >= int(seconds_of_frames):
                break
        say(copies=copies, wrong=wrong, versions=len(seen))


def full_frames(address, count):
    """Publish full frames at 1920x1080, sixty a second, each of one value."""
    producer = SurfaceProducer.create(address, capacity=1920 * 1080 * 4)
    frame = np.zeros((1080, 1920, 4), np.uint8)
    producer.set_mode(1920, 1080, source=frame)
    say(ready=where(producer))
    sys.stdin.readline()
    due = time.monotonic()
    for step in range(int(count)):
        frame[:] = step % 251 + 1
        producer.compare(frame)
        due += 1 / 60
        time.sleep(max(0.0, due - time.monotonic()))
    producer.close()
    say(version=producer.version)


def hold(address):
    """Open an address, read all of it, and stay until killed or the next line."""
    with look(address) as surface:
        surface.frame()
        view = surface.view()
        say(ready=True)
        sys.stdin.readline()
        say(value=int(view[0, 0, 0]))


def wait_for_the_end(address, count):
    """Wait in *count* threads; print how each wait ended."""
    import threading

    surface = look(address)
    mark = surface.mark
    ends = []

    def wait():
        try:
            surface.wait(mark)
        except ProducerGoneError as error:
            ends.append(type(error).__name__)

    threads = [threading.Thread(target=wait) for _ in range(int(count))]
    for thread in threads:
        thread.start()
    say(ready=True)
    for thread in threads:
        thread.join()
    say(ends=ends)


def publish_and_stay(address, value):
    producer = SurfaceProducer.create(address, capacity=CAPACITY)
    producer.set_mode(320, 240, source=np.full((240, 320, 4), int(value), np.uint8))
    say(ready=where(producer))
    sys.stdin.readline()
    producer.close()


def draw_for_ever(address):
    """Make surface after surface, so that kills hit every step of their life."""
    pixels = np.zeros((240, 320, 4), np.uint8)
    while True:
        with SurfaceProducer.create(address, capacity=CAPACITY) as producer:
            for value in range(20):
                pixels[:] = value
                producer.set_mode(320 - value, 240)
                producer.draw(Rect(0, 0, 300, 240), pixels, stride=1280)
                producer.set_cursor(bytes(64), 4, 4, 0, 0)


def kill_producers(address, count, seed):
    """Fork producers, kill each at a random point, read its surface, then sweep."""
    random = np.random.default_rng(int(seed))
    looked = gone = 0
    left = []
    named = address not in ("sysv:", "memfd:")
    for turn in range(20 * int(count)):
        # On a busy computer few producers get as far as a picture.
        if turn >= int(count) and (looked > 10 or not named):
            break
        pid = os.fork()
        if pid == 0:
            draw_for_ever(address)
        deadline = time.monotonic() + float(random.exponential(0.006))
        while time.monotonic() < deadline:
            pass
        surface = mark = None
        try:
            if named:
                surface = Surface(address)
                surface.frame()
                mark = surface.mark
        except (KjuError, OSError):
            pass  # no surface exists at this moment
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        if mark is not None:
            looked += 1
            try:
                while True:
                    mark = surface.wait(mark, timeout=30).mark
            except ProducerGoneError:
                gone += 1
        if surface is not None:
            surface.close()
        memory.sweep()
        left += [row for row in sysv._table() if row[4] == pid]
        if address.startswith("posix:"):
            name = address.removeprefix("posix:/")
            left += [name] if name in os.listdir("/dev/shm") else []
    say(looked=looked, gone=gone, left=[str(one) for one in left], descriptors=open_descriptors())


def open_descriptors():
    """Return the open descriptors besides standard input and output."""
    numbers = [int(n) for n in os.listdir("/proc/self/fd") if int(n) > 2]
    return [
        os.readlink(f"/proc/self/fd/{n}") for n in numbers if os.path.exists(f"/proc/self/fd/{n}")
    ]


if __name__ == "__main__":
    roles = {
        "kill_producers": kill_producers,
        "produce": produce,
        "mirror": mirror,
        "exact": exact,
        "full_frames": full_frames,
        "hold": hold,
        "wait_for_the_end": wait_for_the_end,
        "publish_and_stay": publish_and_stay,
    }
    roles[sys.argv[1]](*sys.argv[2:])
