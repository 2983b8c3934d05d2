"""Places of the test's own for bases and overlays."""

from __future__ import annotations

from pathlib import Path

import pytest

from kju.store.forks import places


@pytest.fixture(autouse=True)
def roots(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Put bases below the test's folder, a part of which counts as memory."""
    shared = tmp_path / "shm"
    shared.mkdir()
    monkeypatch.setattr(places, "SHARED_MEMORY", shared)
    monkeypatch.setattr(places, "is_in_memory", lambda path: path == shared)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    return tmp_path
