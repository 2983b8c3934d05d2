"""New overlays of a machine that is frozen: QEMU uses all of them, or their files are removed."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from kju.emulators.qemu.forks.machine_forks import QemuForks
from kju.errors import QemuError


class OneDisk:
    """A machine's disk, and the overlay over it."""

    def __init__(self, folder: Path) -> None:
        self.disk, self.overlay = folder / "disk.qcow2", folder / "0-1.qcow2"
        self.disk.touch()
        self.paths = [self.disk]

    def extend(self) -> list[Path]:
        self.overlay.touch()
        self.paths = [self.overlay]
        return self.paths

    def retract(self) -> None:
        self.overlay.unlink()
        self.paths = [self.disk]


class FailingQmp:
    """Fails to answer the transaction; the disk is *after* it, or QEMU answers nothing more."""

    def __init__(self, before: Path, after: Path | None) -> None:
        self.now: Path | None = before
        self.after = after

    async def execute(self, command: str, arguments: Any = None, timeout: float = 0) -> Any:
        if command == "transaction":
            self.now = self.after
            raise QemuError("QEMU did not answer transaction")
        if self.now is None:
            raise QemuError("QEMU has disconnected")
        inserted = {"node-name": "n", "drv": "qcow2", "file": str(self.now)}
        return [{"device": "d", "inserted": inserted}]


@pytest.fixture
def disk(tmp_path: Path) -> OneDisk:
    return OneDisk(tmp_path)


async def extend(disk: OneDisk, after: Path | None) -> None:
    original: Any = SimpleNamespace()
    forks = QemuForks("web", original, original)
    with pytest.raises(QemuError):
        await forks._extend(FailingQmp(disk.disk, after), disk)  # type: ignore[arg-type]


async def test_overlay_that_qemu_refused_is_removed(disk: OneDisk) -> None:
    await extend(disk, disk.disk)
    assert disk.paths == [disk.disk] and not disk.overlay.exists()


async def test_overlay_that_qemu_uses_stays_although_its_answer_was_late(disk: OneDisk) -> None:
    await extend(disk, disk.overlay)
    assert disk.paths == [disk.overlay] and disk.overlay.exists()


async def test_overlay_stays_if_it_is_unknown_whether_qemu_uses_it(disk: OneDisk) -> None:
    await extend(disk, None)
    assert disk.overlay.exists()
