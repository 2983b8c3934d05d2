"""The next command removes what killed processes left."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from support.forks import folders, freeze

from kju.store import sweeping
from kju.store.forks import places
from kju.store.paths import runtime_folder


@pytest.fixture(autouse=True)
def roots(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    monkeypatch.setattr(places, "SHARED_MEMORY", tmp_path / "shm")
    (tmp_path / "shm").mkdir()
    monkeypatch.setattr(places, "is_in_memory", lambda path: path == tmp_path / "shm")
    return tmp_path


def test_machines_and_bases_of_killed_processes_are_removed(roots: Path) -> None:
    (runtime_folder() / "dead").mkdir()
    kept, lost = freeze("kept"), freeze("lost")
    os.close(lost._held._fd)
    lost._held._fd = -1
    assert sweeping.sweep() == ["dead"]
    assert [name.rpartition("/")[2] for name in folders(roots)] == [kept.id]
    kept.release()
    assert sweeping.sweep() == []
    assert folders(roots) == []


def test_without_folders_nothing_is_made(roots: Path) -> None:
    assert sweeping.sweep() == []
    assert not (roots / "kju").exists() and not (roots / "data").exists()
