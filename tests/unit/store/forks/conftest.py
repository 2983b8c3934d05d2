"""Fixtures of bases and overlays: places of the test's own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from kju.store.forks import places
from kju.store.forks.bases import Base, BaseFiles
from kju.store.forks.description import BaseFacts, RamBlock
from kju.store.forks.overlays import ForkDisks

MEMORY = 1 << 20
#: A base of the machine ``web``, made by ``Freeze``: tag and disks.
Freeze = Callable[..., Base]


@pytest.fixture(autouse=True)
def roots(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Put bases below the test's folder, which counts as memory."""
    shared = tmp_path / "shm"
    shared.mkdir()
    monkeypatch.setattr(places, "SHARED_MEMORY", shared)
    monkeypatch.setattr(places, "is_in_memory", lambda path: path == shared)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    return tmp_path


@pytest.fixture
def freeze() -> Iterator[Freeze]:
    """Freeze a machine without a QEMU; the bases are released at the end."""
    made: list[Base] = []

    def run(tag: str = "ready", disks: ForkDisks | None = None, machine: str = "web") -> Base:
        own = disks or ForkDisks.own(machine, [])
        files = BaseFiles.reserve(MEMORY)
        files.state.write_bytes(bytes(MEMORY + 4096))
        own.extend()
        made.append(files.freeze(facts(machine, tag), own))
        return made[-1]

    yield run
    for base in made:
        base.release()


def facts(machine: str = "web", tag: str = "ready", build: str = "QEMU 10") -> BaseFacts:
    """Return the facts of a machine with 1 MiB of memory."""
    ram = RamBlock("pc.ram", 4096, MEMORY)
    return BaseFacts(machine, tag, build, "pc-i440fx-10.0", "tcg", MEMORY, {"disks": []}, ram)


def files_in(root: Path) -> list[str]:
    """Return the folders of bases and overlays below a test's folder."""
    found = [*root.glob("shm/*/*-*"), *root.glob("data/kju/forks/*-*"), *root.glob("kju/.forks/*")]
    return sorted(str(path.relative_to(root)) for path in found)
