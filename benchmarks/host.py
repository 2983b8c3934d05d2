"""The cost of a host: CPU at rest and in motion, and its own memory.

Memory is measured for two minutes by default (`KJU_BENCH_MINUTES`). The figure has the duration,
and the growth in its second half.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator

import kju
from kju.errors import WaitTimeoutError

from . import guests
from .measure import Figure, cpu_share, own_memory
from .start import until_size

MIB = 1 << 20


def _quiet(machine: kju.Machine) -> None:
    """Wait until nothing has changed for two seconds."""
    try:
        for _ in machine.screen.changes(timeout=2):
            pass
    except WaitTimeoutError:
        return


def resting() -> Iterator[Figure]:
    with kju.launch(name="kju-bench", args=guests.paint("still", "virtio-vga")) as machine:
        until_size(machine, (1280, 800))
        _quiet(machine)
        pid = machine.info()["host"]["pid"]
        yield Figure("host", "host at rest, guest still", cpu_share(pid, 20), "% of a core", 1, "")


def moving() -> Iterator[Figure]:
    minutes = float(os.environ.get("KJU_BENCH_MINUTES", "2"))
    arguments = guests.paint("animate", "virtio-vga")
    with kju.launch(name="kju-bench", args=arguments) as machine:
        until_size(machine, (1280, 800))
        info = machine.info()
        host, qemu = info["host"]["pid"], info["qemu"]["pid"]
        start, version = time.monotonic(), machine.screen.version
        host_cpu = cpu_share(host, 20)
        rate = (machine.screen.version - version) / (time.monotonic() - start)
        qemu_cpu = cpu_share(qemu, 5)
        yield Figure("host", "full-screen animation, virtio-vga 1280x800", host_cpu,
                     "% of a core", 10, "", f"{rate:.0f} publications/s, QEMU {qemu_cpu:.0f} %, "
                     f"source {machine.info()['consoles'][0]['source']}")  # fmt: skip
        memory = []
        for _ in range(20):
            time.sleep(minutes * 3)
            memory.append(own_memory(host))
        grown = (max(memory[10:]) - max(memory[:10])) / MIB
        # Pages of the surface that no other process has accessed count as the host's own.
        yield Figure("host", "host's own memory (USS), moving guest", max(memory) / MIB, "MiB", 40,
                     "", f"over {minutes:g} minutes; second half {grown:+.2f} MiB")  # fmt: skip


def figures(folder: str) -> Iterator[Figure]:
    yield from resting()
    yield from moving()
