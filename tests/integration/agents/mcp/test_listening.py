"""The file of the token of `kju mcp`."""

from __future__ import annotations

from pathlib import Path

import pytest

from kju.agents.mcp import listening
from kju.errors import FileError, UsageError


def test_a_missing_file_is_made_for_this_user_only(tmp_path: Path) -> None:
    file = tmp_path / "new" / "token"
    first = listening.read_token(file)
    assert len(first) >= 43 and file.stat().st_mode & 0o777 == 0o600
    assert listening.read_token(file) == first
    assert listening.read_token(tmp_path / "other" / "token") != first


def test_a_file_that_others_can_read_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "token"
    listening.read_token(file)
    file.chmod(0o644)
    with pytest.raises(FileError, match="chmod 600"):
        listening.read_token(file)


@pytest.mark.parametrize("text", ["", "short", "a b" * 20, "\u00e9" * 40])
def test_a_file_without_a_token_is_refused(tmp_path: Path, text: str) -> None:
    file = tmp_path / "token"
    file.write_text(text)
    file.chmod(0o600)
    with pytest.raises(UsageError, match="remove it"):
        listening.read_token(file)


def test_the_default_file_is_in_the_configuration(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    assert listening.token_file() == tmp_path / "kju" / "mcp-token"
