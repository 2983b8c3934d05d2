"""The tags and sizes of snapshots come from a disk, and are not trusted."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from kju.emulators.qemu.snapshot_disks import disks_of
from kju.emulators.qemu.snapshots import QemuSnapshots, SnapshotContext
from kju.errors import QemuError, UsageError


class Qmp:
    """Answers query-block for one disk."""

    def __init__(self, *tags: str) -> None:
        saved = [{"name": tag, "date-sec": 1, "vm-state-size": 9} for tag in tags]
        image = {"filename": "d.qcow2", "snapshots": saved}
        self.blocks = [{"inserted": {"node-name": "d", "drv": "qcow2", "image": image}}]

    async def execute(self, command: str) -> Any:
        assert command == "query-block"
        return self.blocks


def store(folder: Path, *tags: str) -> QemuSnapshots:
    return QemuSnapshots(Qmp(*tags), SnapshotContext([], str(folder), None, print))


async def test_a_tag_that_is_a_path_finds_no_file(tmp_path: Path) -> None:
    for place in (tmp_path / "elsewhere", tmp_path / "m" / "snapshots" / "good"):
        place.mkdir(parents=True)
        (place / "screen.png").touch()
    tags = ("good", "../../elsewhere", str(tmp_path / "elsewhere"))
    found = (await store(tmp_path / "m", *tags).listed()).snapshots
    assert {s.tag: bool(s.picture) for s in found} == dict.fromkeys(tags, False) | {"good": True}


async def test_tags_are_named_without_what_a_terminal_obeys(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no snapshot is named 'no'") as caught:
        await store(tmp_path, "\x1b]0;x\a", "a").do("load", "no")
    assert str(caught.value).endswith(r"snapshots are: '\x1b]0;x\x07', a")


def test_an_invalid_answer_of_qemu_is_an_error() -> None:
    saved = {"name": "a", "vm-state-size": 9}

    def block(**changes: object) -> list[dict[str, object]]:
        image = {"filename": "d", "snapshots": [saved | changes]}
        return [{"device": "hd", "inserted": {"node-name": "d", "drv": "qcow2", "image": image}}]

    (disk,) = disks_of(block())
    assert (disk.title, disk.saved["a"].size) == ("d (qcow2)", 9)
    for odd in (
        {"vm-state-size": 1 << 200},
        {"date-sec": float("inf")},
        {"date-nsec": -1},
        {"name": 7},
    ):
        with pytest.raises(QemuError, match="query-block"):
            disks_of(block(**odd))
    for blocks in ([1], {}, None, [{"inserted": []}], [{"inserted": {}}]):
        with pytest.raises(QemuError, match="query-block"):
            disks_of(blocks)
