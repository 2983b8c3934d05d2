"""Forks of a booted Linux guest: the time to the first picture, memory, and what is left.

The guest is the sample guest with 1 GiB of memory, of which 400 MB are in use, on a qcow2 disk,
logged in on its serial port. Loading a snapshot of the same guest is measured in the same run.
"""

from __future__ import annotations

import os
import re
import select
import shutil
import socket
import statistics
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

import kju
from kju.guests import sample
from kju.store.forks.listing import bases

from .measure import Figure, amount, percentile, progress
from .start import installed

#: A file in the guest's memory; the system itself takes 70 MB.
_MEGABYTES = 300
_ROUNDS = 5
_ECHOES = 40
_LIMIT = 300.0


class _Shell:
    """A root shell on the guest's serial port."""

    def __init__(self, machine: kju.Machine) -> None:
        self._sock: socket.socket = machine.serial()
        self._read = b""

    def until(self, pattern: bytes, seconds: float = _LIMIT) -> None:
        """Read until the output matches."""
        end = time.monotonic() + seconds
        while not (found := re.search(pattern, self._read)):
            left = end - time.monotonic()
            if left < 0 or not select.select([self._sock], [], [], left)[0]:
                raise TimeoutError(f"the guest has not printed {pattern!r}: {self._read[-200:]!r}")
            self._read += self._sock.recv(1 << 16)
        self._read = self._read[found.end() :]

    def send(self, line: str) -> None:
        self._sock.sendall(line.encode() + b"\n")

    def run(self, line: str, seconds: float = _LIMIT) -> None:
        """Run a command, and wait for its end."""
        self.send(f"{line}; echo do''ne")
        self.until(b"\ndone", seconds)

    def forget(self) -> None:
        """Drop the output so far, which a new view of the port begins with."""
        while select.select([self._sock], [], [], 0.05)[0]:
            self._sock.recv(1 << 16)
        self._read = b""

    def close(self) -> None:
        self._sock.close()


def _booted(folder: str) -> kju.Machine:
    disk = Path(folder) / "linux.qcow2"
    shutil.copy(sample.build(), disk)
    machine = kju.launch(disk, name="kju-bench", memory="1G", args=["-accel", "tcg"])
    shell = _Shell(machine)
    shell.until(rb"login: ")
    shell.send("root")
    shell.until(rb"# ")
    shell.run("head -c 1000000 /dev/zero | tr '\\0' x > /part")
    shell.run(f"for i in $(seq {_MEGABYTES}); do cat /part; done > /big")
    shell.close()
    machine.screen.wait_stable(2, timeout=_LIMIT)
    return machine


def _picture(machine: kju.Machine) -> np.ndarray:
    return machine.screen.frame(pixels="bgrx").copy()


def _fork(base: kju.ForkBase[kju.Machine], expected: np.ndarray) -> float:
    """Return the seconds until a new fork shows the frozen picture."""
    began = time.perf_counter()
    fork = base.fork()
    seen = _picture(fork)
    seconds = time.perf_counter() - began
    if not np.array_equal(seen, expected):
        raise AssertionError("the first picture of the fork is not the frozen one")
    fork.stop()
    fork.close()
    return seconds


def _load(machine: kju.Machine, expected: np.ndarray) -> float:
    began = time.perf_counter()
    machine.snapshots.load("bench", timeout=_LIMIT)
    seen = _picture(machine)
    seconds = time.perf_counter() - began
    if not np.array_equal(seen, expected):
        raise AssertionError("the loaded picture is not the saved one")
    return seconds


def _first_pictures(machine: kju.Machine) -> Iterator[Figure]:
    machine.pause()  # the text cursor blinks
    expected = _picture(machine)
    with (
        machine.freeze("cold", spares=0, timeout=_LIMIT) as cold,
        kju.open_base("kju-bench", "cold", spares=1) as pooled,
    ):
        yield Figure("forks", "freeze: the guest's pause", cold.paused * 1e3, "ms", None, "",
                     f"a base of {cold.size >> 20} MiB")  # fmt: skip
        machine.snapshots.save("bench", timeout=_LIMIT)  # into the overlay of the freeze
        ways = {"load": [], "without": [], "with": []}  # type: dict[str, list[float]]
        _fork(cold, expected)  # compiles the modules of a fork's host
        for at in range(_ROUNDS):
            progress("forks: first pictures", at, _ROUNDS)
            time.sleep(1.5)  # the spare fork starts meanwhile
            ways["with"].append(_fork(pooled, expected))
            time.sleep(1.5)
            ways["without"].append(_fork(cold, expected))
            ways["load"].append(_load(machine, expected))
        machine.snapshots.remove("bench")
    machine.resume()
    load = statistics.median(ways["load"])
    for way, limit in (("with", 60), ("without", 400)):
        ours = statistics.median(ways[way])
        yield Figure("forks", f"a fork to its first exact picture, {way} a spare", ours * 1e3,
                     "ms", limit, "", f"slowest {max(ways[way]) * 1e3:.0f} ms")  # fmt: skip
        yield Figure("forks", f"snapshot load, compared with a fork {way} a spare", load / ours,
                     "x", None, "snapshot load", f"load {load * 1e3:.0f} ms",
                     least=10 if way == "with" else None)  # fmt: skip


def _rollup(pid: int, *fields: str) -> int:
    """Return the sum of fields of a process's memory, in bytes."""
    text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    return sum(int(found) << 10 for field in fields
               for found in re.findall(rf"^{field}: +(\d+) kB", text, re.MULTILINE))  # fmt: skip


_PRIVATE = ("Private_Clean", "Private_Dirty")


def _memory(base: kju.ForkBase[kju.Machine], machine: kju.Machine) -> Iterator[Figure]:
    for count, name in ((16, "16 forks"), (int(amount("FORKS_AT_ONCE", 50)), "forks at once")):
        progress(f"forks: {count} at once", 0, 1)
        began = time.perf_counter()
        forks = base.fork(count)
        seconds = time.perf_counter() - began
        qemus = [int(fork.info()["qemu"]["pid"]) for fork in forks]
        private = [_rollup(pid, *_PRIVATE) for pid in qemus]
        hosts = [_rollup(fork.host_pid, *_PRIVATE) for fork in forks]
        host = f"a host {statistics.median(hosts) / (1 << 20):.0f} MiB"
        if count == 16:
            yield Figure("forks", f"private memory of a QEMU, {name}",
                         statistics.median(private) / (1 << 20), "MiB", 40, "", host)  # fmt: skip
        else:
            own = _rollup(int(machine.info()["qemu"]["pid"]), "Pss")
            total = sum(private) + base.size
            yield Figure("forks", f"{count} {name}: QEMUs and base", total / 1e9, "GB",
                         2.2 if count == 50 else None, "",
                         f"hosts {sum(hosts) / 1e9:.2f} GB; the frozen machine {own / 1e9:.2f} GB;"
                         f" all started in {seconds:.1f} s")  # fmt: skip
        for fork in forks:
            fork.close()


def _echoes(base: kju.ForkBase[kju.Machine], machine: kju.Machine) -> Iterator[Figure]:
    def echo(target: kju.Machine) -> float:
        shell = _Shell(target)
        shell.forget()
        began = time.perf_counter()
        shell.send("echo $((40+2))")
        shell.until(rb"\n42")
        seconds = time.perf_counter() - began
        shell.close()
        return seconds

    rounds = int(amount("FORKS_ECHOES", _ECHOES))
    forked, alone = [], []
    for at in range(rounds):
        progress("forks: the first command", at, rounds)
        alone.append(echo(machine))
        with base.fork() as fork:
            forked.append(echo(fork))
    more = (percentile(forked, 0.95) - percentile(alone, 0.95)) * 1e3
    yield Figure("forks", "the first command's output on the serial port, p95, more than without",
                 more, "ms", 60, "", f"{percentile(forked, 0.95) * 1e3:.0f} ms against "
                 f"{percentile(alone, 0.95) * 1e3:.0f} ms")  # fmt: skip


def _one_after_the_other(base: kju.ForkBase[kju.Machine]) -> Iterator[Figure]:
    count = int(amount("FORKS", 50))
    began = time.perf_counter()
    for at in range(count):
        progress("forks: one after the other", at, count)
        base.fork().close()
    seconds = time.perf_counter() - began
    left = [each.name for each in kju.machines() if each.name != "kju-bench"]
    yield Figure("forks", f"machines left by {count} forks", len(left), "", 0, "",
                 f"{seconds / count * 1e3:.0f} ms for each, its end included")  # fmt: skip


def figures(folder: str) -> Iterator[Figure]:
    # Hosts that start with compiled modules, as those of an installed package.
    os.environ["PYTHONPYCACHEPREFIX"] = installed()["PYTHONPYCACHEPREFIX"]
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    with _booted(folder) as machine:
        yield from _first_pictures(machine)
        with machine.freeze("bench", spares=0, timeout=_LIMIT) as base:
            yield from _memory(base, machine)
            yield from _echoes(base, machine)
            yield from _one_after_the_other(base)
    left = len(bases())
    yield Figure("forks", "bases left", left, "", 0, "")
