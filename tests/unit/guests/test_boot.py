"""Parts that a guest boots from: the archive of an initramfs, and the loading order of modules."""

from __future__ import annotations

import io
from pathlib import Path

from kju.guests import boot


def entries(archive: bytes) -> list[tuple[str, int, bytes]]:
    """Read name, mode and content of each entry, as the kernel does."""
    stream, found = io.BytesIO(archive), []
    while header := stream.read(110):
        assert header[:6] == b"070701"
        fields = [int(header[at : at + 8], 16) for at in range(6, 110, 8)]
        mode, size, length = fields[1], fields[6], fields[11]
        name = stream.read(length).rstrip(b"\0").decode()
        stream.seek(-stream.tell() % 4, io.SEEK_CUR)
        content = stream.read(size)
        stream.seek(-stream.tell() % 4, io.SEEK_CUR)
        found.append((name, mode, content))
    return found


def test_archive_holds_its_entries_in_order() -> None:
    archive = boot.CpioArchive()
    archive.add("bin", boot.FOLDER)
    for length in range(5):
        archive.add(f"bin/{'x' * length}", boot.PROGRAM, bytes(range(length)))
    archive.add("bin/sh", boot.LINK, b"x")
    made = archive.finish()
    assert len(made) % 4 == 0
    assert entries(made) == [
        ("bin", boot.FOLDER, b""),
        *((f"bin/{'x' * length}", boot.PROGRAM, bytes(range(length))) for length in range(5)),
        ("bin/sh", boot.LINK, b"x"),
        ("TRAILER!!!", 0, b""),
    ]


def test_needed_modules_are_loaded_first(tmp_path: Path) -> None:
    (tmp_path / "depends").write_text("bochs drm ttm\ndrm\nttm drm\nevdev\n")
    assert boot.module_order(tmp_path) == ["drm", "ttm", "bochs", "evdev"]
