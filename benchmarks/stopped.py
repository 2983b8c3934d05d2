"""A stopped viewer (SIGSTOP): the sender's memory, the effect on other viewers, the recovery."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator

from kju.cli.demo.link import End, Shape, SimulatedLink
from kju.wire import messages

from . import guests, programs, rig
from .far import PORT, pressed, served
from .far_viewer import PATIENCE
from .measure import Figure, amount, own_memory, progress
from .programs import MEMORY, MIB, PUBLICATIONS, RATES, START, Program
from .wire import Session

LINK = Shape(20e6, 0.010)
#: Presses of one turn. The sender drops a stopped viewer after its lease of four seconds; a
#: turn of 20 takes ten, so that it covers the time before and after.
TURN = 20


# ---- beside a stopped one ----


@contextlib.contextmanager
def asleep(end: End, address: str, place: str) -> Iterator[None]:
    """Stop a viewer at this end that has a picture."""
    words = ("far_viewer", "idle", address, place, "0")
    with contextlib.ExitStack() as stack:
        viewer = Program(stack, *words, before=end.before)
        viewer.line(START)
        with viewer.stopped():
            yield


def beside(folder: str) -> Iterator[Figure]:
    """Measure a viewer's key to pixel, alone and with a stopped viewer, alternately."""
    count = int(amount("PRESSES", 200))
    arguments = guests.measured("VGA", via="vram", mode="still", size="1280x800")
    taken: tuple[list[float], list[float]] = ([], [])
    with (
        SimulatedLink(LINK) as link,
        rig.of_kju(folder, arguments, "kju-bench-stopped") as ours,
        served(ours.name, link.one) as (address, place),
    ):
        ours.line.tell("still")
        rounds = max(1, round(count / TURN))
        for number in range(2 * rounds):
            progress("beside a viewer that is stopped", number, 2 * rounds)
            with asleep(link.other, address, place) if number % 2 else contextlib.nullcontext():
                words = ("kju", address, place, str(-(-count // rounds)))
                for each in pressed(link.other, *words):
                    taken[number % 2].append(each if each >= 0 else 1000 * PATIENCE)
    yield from programs.report_beside("stopped", f"viewer, p95, {LINK.words}", *taken)


# ---- a million publications ----


def publications(count: int, rate: float) -> Iterator[Figure]:
    """Measure a viewer that is stopped during publications."""
    with SimulatedLink(LINK) as link, contextlib.ExitStack() as stack:
        place = f"tcp/{link.one.address}:{PORT + 2}"
        sender = Program(stack, "far_ticker", "serve", place, before=link.one.before)
        sender.line(START)
        viewer = Program(stack, "far_ticker", "view", place, before=link.other.before)
        taken = programs.publications(sender, viewer, count, rate)
    yield from programs.report("stopped", "viewer", count, taken)


def unheard(count: int) -> Iterator[Figure]:
    """Measure a viewer that is never dropped: the wire alone, without a reader."""
    session = Session()
    session.settle()
    pixels, now, sent = session.screen.pixels, 100.0, 0
    pid, before, most = os.getpid(), 0, 0
    for number in range(count):
        x, y = 16 * (number % 80), 16 * (number // 80 % 50)
        session.screen.begin()
        pixels[y : y + 16, x : x + 16, :3] = (number & 255, number >> 8 & 255, 128)
        session.screen.publish([(x, y, 16, 16)])
        now += 1 / 33
        while message := session._sender.next_message(now):
            sent += len(messages.encode(message))
            if isinstance(message, messages.Ping):
                break
        if number % 10_000 == 0:
            progress("a viewer that is never forgotten", number, count)
            before = before or (own_memory(pid) if number else 0)
            most = max(most, own_memory(pid) if number else 0)
    yield Figure("stopped", f"the same of one that is never forgotten, {count:,} publications",
                 (most - before) / MIB, "MiB more", MEMORY, "",
                 f"the wire alone; {sent / 1000:.0f} kB said in {count / 33 / 3600:.1f} hours of"
                 " its clock")  # fmt: skip


def figures(folder: str) -> Iterator[Figure]:
    count = int(amount("PUBLICATIONS", PUBLICATIONS))
    for number, rate in enumerate(RATES):
        progress(f"stopped: {count:,} publications, {rate:g} a second at most", number, 2)
        yield from publications(count, rate)
    yield from unheard(count)
    yield from beside(folder)
