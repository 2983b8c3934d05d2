"""The one disk of a running machine, written and read as its guest does: through its QEMU.

Another program that reads the files of a running machine may see half of an update: once QEMU has
copied the overlays of a disk into one, it rewrites the header, and a reader takes the header and
the name of the backing file in two steps.
"""

from __future__ import annotations

import subprocess
import tempfile
from pathlib import Path
from typing import Any

import kju

from .wait import until

#: Bytes of one pattern.
SIZE = 64 << 10


def inserted(machine: kju.Machine) -> dict[str, Any]:
    """Return QEMU's facts about the disk."""
    (block,) = [one for one in machine.qmp("query-block") if one.get("inserted", {}).get("file")]
    return {"device": block["device"], **block["inserted"]}


def write(machine: kju.Machine, pattern: int, at: int = 0) -> None:
    """Write `SIZE` bytes of a pattern, and flush."""
    for command in (f"write -P {pattern} {at} {SIZE}", "flush"):
        line = f'qemu-io {inserted(machine)["device"]} "{command}"'
        machine.qmp("human-monitor-command", **{"command-line": line})
    assert reads(machine, pattern, at=at)


def reads(machine: kju.Machine, *patterns: int, at: int = 0) -> bool:
    """Return whether the disk has these patterns, of `SIZE` bytes each, from an offset on."""
    # QEMU's own monitor can read a disk, but does not return what it has read.
    with tempfile.TemporaryDirectory() as folder:
        place = {"type": "unix", "data": {"path": f"{folder}/nbd"}}
        machine.qmp("nbd-server-start", addr=place)
        try:
            # By the device: while QEMU copies overlays, the node on top is not the overlay's.
            machine.qmp("nbd-server-add", device=inserted(machine)["device"], name="disk")
            return _holds(f"nbd+unix:///disk?socket={folder}/nbd", "raw", patterns, at)
        finally:
            machine.qmp("nbd-server-stop")


def holds(disk: Path, *patterns: int, at: int = 0) -> bool:
    """Return the same of a disk that no machine uses: a killed QEMU has it for a moment more."""
    until(lambda: " lock" not in _read(str(disk), "qcow2").stderr, f"{disk} is released")
    return _holds(str(disk), "qcow2", patterns, at)


def _holds(disk: str, kind: str, patterns: tuple[int, ...], at: int) -> bool:
    words = []
    for number, pattern in enumerate(patterns):
        words += ["-c", f"read -P {pattern} {at + number * SIZE} {SIZE}"]
    done = _read(disk, kind, *words)
    assert "can't open" not in done.stderr, done.stderr
    return done.returncode == 0 and "failed" not in done.stdout


def _read(disk: str, kind: str, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["qemu-io", "-r", "-f", kind, *words, disk],
        stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace", check=False,
    )  # fmt: skip
