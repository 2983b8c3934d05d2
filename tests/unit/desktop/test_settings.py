"""Settings that the app remembers."""

from __future__ import annotations

from pathlib import Path

import pytest

from kju.desktop import settings
from kju.desktop.settings import DesktopSettings


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    return tmp_path / "kju"


def test_settings_are_remembered(folder: Path):
    assert settings.load() == DesktopSettings()
    wanted = DesktopSettings(x=-5, width=800, height=600, order="STATE", told_running=True)
    assert settings.store(wanted) == ""
    assert settings.load() == wanted
    assert (folder / "desktop.json").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    "text", ["", "{", '{"width": -1}', '{"width": "wide"}', "[]", "\xff" * 100_000]
)
def test_wrong_file_counts_as_none(folder: Path, text: str):
    folder.mkdir(mode=0o700)
    (folder / "desktop.json").write_text(text, encoding="latin-1")
    assert settings.load() == DesktopSettings()


def test_settings_of_a_newer_version_are_read(folder: Path):
    folder.mkdir(mode=0o700)
    (folder / "desktop.json").write_text('{"width": 900, "colour": "red"}')
    assert settings.load().width == 900


def test_reason_is_returned_if_the_folder_cannot_be_written(folder: Path):
    folder.write_text("a file is in its place")
    reason = settings.store(DesktopSettings(width=5))
    assert reason.startswith("the settings of this window were not saved: ")
    assert str(folder) in reason
    assert settings.load() == DesktopSettings()
