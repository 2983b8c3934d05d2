"""The sample guest: what is checked before it is downloaded and built."""

from __future__ import annotations

from pathlib import Path

import pytest

from kju.errors import FileError
from kju.guests import debian, sample


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("taken", "taken cannot be written: File exists.*choose another name"),
        ("link", "link cannot be written: File exists.*choose another name"),
        ("missing/new", "missing/new cannot be written: No such file or directory"),
    ],
)
def test_a_copy_looks_at_its_target_before_anything_is_downloaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, why: str
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv(debian.ARCHIVE, "http://127.0.0.1:9/debian")  # nothing listens there
    (tmp_path / "taken").write_text("keep")
    (tmp_path / "link").symlink_to("none")
    steps: list[str] = []
    with pytest.raises(FileError, match=why):
        sample.copy(tmp_path / name, steps.append)
    assert not steps
    assert not (tmp_path / "cache").exists()
    assert (tmp_path / "taken").read_text() == "keep"
