"""Places of the test's own for bases and their copies."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.forks import use_folder


@pytest.fixture(autouse=True)
def roots(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Put bases below the test's folder, a part of which counts as memory."""
    return use_folder(monkeypatch, tmp_path)
