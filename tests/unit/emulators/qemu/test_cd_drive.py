"""The CD drive: which device it is, and a guest that has locked it."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from kju.emulators.qemu import cd_drive
from kju.emulators.qemu.cd_drive import QemuCdDrive
from kju.errors import QemuError, UsageError

LOCKED = "Device 'cd0' is locked and force was not specified, wait for tray to open and try again"


class Drive:
    """QEMU's answers for one CD drive behind a floppy drive, locked for some commands."""

    def __init__(self, locked: int = 0, *, opens_when_forced: bool = True) -> None:
        self.locked, self.opens_when_forced = locked, opens_when_forced
        self.kinds = {"fd0": "floppy", "cd0": "ide-cd"}
        self.commands: list[tuple[str, dict[str, object]]] = []
        self.events: list[tuple[str, dict[str, Any]]] = []

    async def execute(self, command: str, arguments: dict[str, object] | None = None) -> Any:
        arguments = arguments or {}
        if command == "query-block":
            fixed = {"device": "hd0", "qdev": "hd0", "removable": False}
            return [fixed, {"qdev": "fd0", "removable": True}, {"qdev": "cd0", "removable": True}]
        if command == "qom-get":
            return self.kinds[str(arguments["path"])]
        self.commands.append((command, arguments))
        if arguments.get("force"):
            self.locked = 0 if self.opens_when_forced else self.locked
        if self.locked:
            self.locked -= 1
            raise QemuError(LOCKED)
        return {}

    def report(self, name: str, data: dict[str, Any]) -> None:
        self.events.append((name, data))


@pytest.fixture(autouse=True)
def no_time_between_tries(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cd_drive, "UNLOCK_SECONDS", 0)


def change(drive: Drive, path: str) -> None:
    asyncio.run(QemuCdDrive(drive, "web", drive.report).change(path))


def iso(folder: Path) -> str:
    path = folder / "a.iso"
    path.write_bytes(b"x" * 4096)
    return str(path)


def test_a_medium_is_put_into_the_cd_drive(tmp_path: Path) -> None:
    drive, path = Drive(), iso(tmp_path)
    change(drive, path)
    wanted = {"id": "cd0", "filename": path, "format": "raw"}
    assert drive.commands == [("blockdev-change-medium", wanted)]
    assert drive.events == [("cd-changed", {"file": path})]


def test_a_guest_that_opens_its_tray_when_asked_is_waited_for(tmp_path: Path) -> None:
    drive = Drive(locked=2)
    change(drive, iso(tmp_path))
    assert [command for command, _ in drive.commands] == ["blockdev-change-medium"] * 3


def test_a_guest_that_keeps_its_tray_shut_is_overruled(tmp_path: Path) -> None:
    drive = Drive(locked=99)
    change(drive, iso(tmp_path))
    assert drive.commands[-2] == ("blockdev-open-tray", {"id": "cd0", "force": True})
    assert drive.commands[-1][0] == "blockdev-change-medium"


def test_an_empty_path_ejects() -> None:
    drive = Drive(locked=99)
    change(drive, "")
    assert drive.commands[0] == ("eject", {"id": "cd0", "force": False})
    assert drive.commands[-1] == ("eject", {"id": "cd0", "force": True})
    assert drive.events == [("cd-changed", {"file": ""})]


def test_a_failure_names_the_medium_and_the_machine(tmp_path: Path) -> None:
    drive, path = Drive(locked=99, opens_when_forced=False), iso(tmp_path)
    with pytest.raises(QemuError, match=r"could not put .*a\.iso into the CD drive of web"):
        change(drive, path)
    assert not drive.events


def test_a_machine_without_a_cd_drive_is_told() -> None:
    drive = Drive()
    drive.kinds["cd0"] = "floppy"
    with pytest.raises(UsageError, match="web has no CD drive"):
        change(drive, "")


def test_a_nonsense_answer_is_an_error_of_qemu() -> None:
    class Nonsense(Drive):
        async def execute(self, command: str, arguments: object = None) -> Any:
            return {"not": "a list"}

    with pytest.raises(QemuError, match="query-block"):
        change(Nonsense(), "")
