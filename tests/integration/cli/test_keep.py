"""Start a defined machine that a host program runs."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.fake_host import fake_host

from kju import attach
from kju.cli import keep

REASON = "\x1b]0;owned\x07 no KVM\nkju: all is well"
SHOWN = r"accelerator: tcg: \x1b]0;owned\x07 no KVM\nkju: all is well"


def test_start_escapes_the_reason_for_an_accelerator(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    # The accelerator of a running machine comes from its host program.
    monkeypatch.setattr(keep.kept, "start", lambda name, detach: attach(name))
    with fake_host() as host:
        host.machine.info["accelerator"] = {"name": "tcg", "reason": REASON}
        keep.start("fake", watch=False)
    assert SHOWN in capsys.readouterr().out.splitlines()
