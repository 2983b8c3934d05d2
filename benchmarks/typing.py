"""Typing: characters per second, and whether the guest received the sent text."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator

from vncdotool import api

from kju import keys

from . import guests
from .measure import Figure, amount, once, progress
from .typed import Target, differences, prose, sample, target

#: Characters per second.
LEAST = {"PS/2": 300, "virtio": 300, "USB": 50}
#: Seconds for which QMP's send-key holds a key, and waits after it.
HOLD = 0.1
#: Commands and waits of send-key that QEMU queues; it drops more.
KEPT = 1024
#: Seconds for one key, if a peer's user sets the pace.
PACED = 0.02
STATES = ("idle", "busy")
#: vncdotool's names of characters.
NAMED = {"\n": "enter"}

Type = Callable[[Target, str], None]


@contextlib.contextmanager
def computer(state: str) -> Iterator[None]:
    """Keep the computer idle, or run one busy process per processor."""
    spin = [sys.executable, "-c", "while True: pass"]
    count = (os.cpu_count() or 1) if state == "busy" else 0
    processes = [subprocess.Popen(spin) for _ in range(count)]
    try:
        yield
    finally:
        for process in processes:
            process.kill()
            process.wait()


def with_kju(target: Target, text: str) -> None:
    target.keyboard.type(text)


def with_interval(target: Target, text: str) -> None:
    """Type by kju, with 10 ms between steps, independent of the guest."""
    target.keyboard.type(text, interval=10)


def with_send_key(target: Target, text: str) -> None:
    """Type by QMP's send-key without pauses: it answers at once, and QEMU types later."""
    queued = 0
    for character in text:
        (chord,) = keys.layout("us").chords[character]
        names = [{"type": "qcode", "data": keys.NAMES[key]} for key in chord]
        target.monitor.command("send-key", keys=names)
        queued += 4 * len(chord)
    time.sleep(min(queued, KEPT) / 2 * HOLD + 1)


def with_paced_send_key(target: Target, text: str) -> None:
    """Type by QMP's send-key with a short hold-time, each key after the previous one was typed."""
    milliseconds = round(PACED * 1000 / 2)
    for character in text:
        (chord,) = keys.layout("us").chords[character]
        names = [{"type": "qcode", "data": keys.NAMES[key]} for key in chord]
        target.monitor.command("send-key", keys=names, **{"hold-time": milliseconds})
        # For each key, QEMU waits for the hold-time before the release and again after it.
        time.sleep(PACED * len(chord))
    time.sleep(1)


def with_vncdotool(target: Target, text: str, pause: float = 0.0) -> None:
    """Type by vncdotool: press and release a key for each character, with shift if needed."""
    with api.connect(f"{target.folder}/vnc", timeout=120) as client:
        client.factory.force_caps = True
        for character in text:
            client.keyPress(NAMED.get(character, character))
            time.sleep(pause)


def with_paced_vncdotool(target: Target, text: str) -> None:
    """Type by vncdotool with a pause after each character, as with its --delay."""
    with_vncdotool(target, text, PACED)


PEERS: dict[str, Type] = {
    "kju, interval=10": with_interval,
    "QMP send-key": with_send_key,
    f"QMP send-key, {PACED * 1000:.0f} ms a key": with_paced_send_key,
    "vncdotool": with_vncdotool,
    f"vncdotool, {PACED * 1000:.0f} ms between keys": with_paced_vncdotool,
}


def take(target: Target, type_it: Type, text: str) -> tuple[float, dict[str, int]]:
    """Characters a second, and how what arrived differs."""
    target.begin()
    seconds = once(lambda: type_it(target, text))
    if type_it is not with_kju:
        target.mend()
    return len(text) / seconds, differences(text, target.arrived())


def report(name: str, rate: float, wrong: dict[str, int], count: int, least: float | None,
           ) -> Iterator[Figure]:  # fmt: skip
    words = ", ".join(f"{many} {what}" for what, many in wrong.items() if many) or "all arrived"
    load = f"load {os.getloadavg()[0]:.1f}"
    yield Figure("typing", name, rate, "characters/s", None, "",
                 f"{count} characters: {words}; {load}", least)  # fmt: skip
    yield Figure("typing", f"{name}: wrong", sum(wrong.values()), "characters",
                 None if least is None else 0, "", words)  # fmt: skip


def figures(folder: str) -> Iterator[Figure]:
    for keyboard in os.environ.get("KJU_BENCH_KEYBOARDS", ",".join(guests.KEYBOARDS)).split(","):
        share = 0.3 if keyboard == "USB" else 1
        text = sample(int(amount("CHARACTERS", 10_000) * share))
        short = sample(int(amount("CHARACTERS", 10_000) / 20))
        english = prose(len(text))
        for field in (False, True):
            where = f"{keyboard}, {'text field' if field else 'console'}"
            with target(folder, field, keyboard) as guest:
                for number, state in enumerate(STATES):
                    progress(f"typing: {where}, {state}", number, len(STATES))
                    with computer(state):
                        rate, wrong = take(guest, with_kju, text)
                    yield from report(
                        f"{where}, {state}: kju", rate, wrong, len(text), LEAST[keyboard]
                    )
                if keyboard == "USB":
                    rate, wrong = take(guest, with_kju, english)
                    yield from report(
                        f"{where}, English: kju", rate, wrong, len(english), LEAST[keyboard]
                    )
                for number, (name, type_it) in enumerate(PEERS.items()):
                    progress(f"typing: {where}, {name}", number, len(PEERS))
                    rate, wrong = take(guest, type_it, short)
                    yield from report(f"{where}: {name}", rate, wrong, len(short), None)
