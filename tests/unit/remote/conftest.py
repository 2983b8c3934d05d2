"""A folder of trust for these tests."""

from __future__ import annotations

from pathlib import Path

import pytest

from kju.remote.trust import Trust


@pytest.fixture
def lab(tmp_path: Path) -> Trust:
    """A sender's folder: its authority, its own certificate, and two users."""
    pytest.importorskip("cryptography")
    made = Trust(tmp_path / "lab")
    made.make_authority("the lab")
    made.make_host("host1", ["127.0.0.1", "localhost"])
    for user in ("ann", "vic"):
        made.make_user(user)
    made.set_role("ann", "control")
    made.set_role("vic", "view")
    return made
