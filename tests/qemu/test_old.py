"""QEMU 7.2, as in Debian 12, and every way in which it changes modes without a word."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import guests
import pytest
from monitor import Monitor
from wait import until

import kju

pytestmark = pytest.mark.qemu


@pytest.fixture(autouse=True)
def runtime_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    yield
    assert kju.machines() == []


@pytest.mark.parametrize("old", [True, False], ids=["7.2", "installed"])
def test_a_smaller_text_mode_is_seen(tmp_path: Path, old: bool) -> None:
    disk, monitor = guests.modes(tmp_path), Monitor(tmp_path)
    qemu = str(guests.qemu72() if old else guests.qemu())
    arguments = [*guests.TCG, *monitor.arguments]
    with kju.launch(disk, memory="64", args=arguments, qemu=qemu) as machine, monitor:
        screen = machine.screen
        shown = lambda size: lambda: screen.mode[:2] == size  # noqa: E731
        until(shown(guests.MODES[0]), 20, "the BIOS")

        def ready() -> bool:
            """The BIOS has gone, its text with it: one letter at the top."""
            picture = screen.snapshot(format="grey")
            return bool(picture[:16, :9].any() and not picture[32:].any())

        until(ready, 20, "the program")
        for number in range(1, 7):
            machine.keyboard.chord("a")
            until(shown(guests.MODES[number % 3]), 5, f"mode {guests.MODES[number % 3]}")
            with monitor.paused():
                monitor.equals(screen)
