"""Bases and overlays without a QEMU, for tests of `kju.store.forks`."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from kju.store.forks import places
from kju.store.forks.bases import Base, BaseFiles
from kju.store.forks.description import BaseFacts, MemoryRange
from kju.store.forks.overlays import ForkDisks


def use_folder(monkeypatch: pytest.MonkeyPatch, folder: Path) -> Path:
    """Put bases and overlays below a folder, a part of which counts as memory; return it."""
    shared = folder / "shm"
    shared.mkdir(exist_ok=True)
    monkeypatch.setattr(places, "SHARED_MEMORY", shared)
    monkeypatch.setattr(places, "is_in_memory", lambda path: path == shared)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(folder))
    monkeypatch.setenv("XDG_DATA_HOME", str(folder / "data"))
    return folder


#: Bytes of guest memory, and of what QEMU writes before it.
MEMORY, HEADER = 1 << 20, 4096
BUILD = "QEMU 10"


def facts(machine: str = "web", tag: str = "ready", build: str = BUILD) -> BaseFacts:
    """Return the facts of a machine with `MEMORY` bytes of memory."""
    ram = MemoryRange("pc.ram", HEADER, MEMORY)
    return BaseFacts(machine, tag, build, "pc-i440fx-10.0", "tcg", MEMORY, {"disks": []}, ram)


def freeze(
    tag: str = "ready",
    disks: ForkDisks | None = None,
    machine: str = "web",
    contents: bytes = bytes(HEADER + MEMORY),
) -> Base:
    """Freeze a machine; the caller releases the base."""
    disks = disks or ForkDisks.own(machine, [])
    disks.extend()
    files = BaseFiles.reserve(MEMORY)
    files.state.write_bytes(contents)
    return files.freeze(facts(machine, tag), disks)


def folders(root: Path) -> list[str]:
    """Return the folders of bases and overlays below a test's folder."""
    found = [*root.glob("shm/*/*-*"), *root.glob("data/kju/forks/*-*"), *root.glob("kju/.forks/*")]
    return sorted(str(path.relative_to(root)) for path in found)


def qemu_img(*words: str | Path) -> str:
    """Run qemu-img, and return what it prints."""
    done = subprocess.run(
        ["qemu-img", *map(str, words)], check=True, capture_output=True, text=True
    )
    return done.stdout


def qemu_io(disk: Path, *commands: str, kind: str = "qcow2") -> str:
    """Run commands of qemu-io on a disk, and return what they print."""
    words = [word for command in commands for word in ("-c", command)]
    done = subprocess.run(
        ["qemu-io", "-f", kind, *words, str(disk)], check=True, capture_output=True, text=True
    )
    assert "failed" not in done.stdout.lower(), done.stdout
    return done.stdout


def make_disk(path: Path, kind: str = "qcow2", size: str = "8M") -> Path:
    """Make a disk whose first 64 KiB are 0x11."""
    subprocess.run(["qemu-img", "create", "-q", "-f", kind, str(path), size], check=True)
    qemu_io(path, "write -q -P 0x11 0 64k", kind=kind)
    return path
