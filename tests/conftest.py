"""For every test."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# Time says nothing about correctness on a computer that others use too.
settings.register_profile("kju", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("kju")

# A shell that runs this in the background has it ignored, and what is started here would too.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def state_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where logs of killed machines are kept, and machines: never the user's own."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    return tmp_path / "state"
