"""Two heads of one card are two consoles, each with its own surface and keyboard."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image
from support import guests
from support.monitor import Monitor
from support.wait import HANG, until

import kju

if TYPE_CHECKING:
    from PySide6.QtGui import QAction
    from PySide6.QtWidgets import QWidget

pytestmark = [pytest.mark.qemu, pytest.mark.usefixtures("runtime_folder")]

CARD = "virtio-vga,id=card,max_outputs=2"


def command(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "kju.cli", *arguments],
        capture_output=True, text=True, timeout=HANG, check=False,
    )  # fmt: skip


def test_each_head_is_published(tmp_path: Path) -> None:
    guest = guests.paint(tmp_path, "animate", device=CARD, heads=2)
    monitor = Monitor(tmp_path)
    arguments = [*guest.arguments, *monitor.arguments]
    with kju.launch(args=arguments, name="two") as machine, monitor:
        screens = machine.screens[:]
        assert [screen.console for screen in screens] == [0, 1]
        assert screens[0].incarnation != screens[1].incarnation
        with guests.Serial(guest) as serial:
            serial.wait("^kju: ready")
        for screen in screens:
            until(lambda screen=screen: screen.mode.epoch, f"console {screen.console}")
            version = screen.version
            until(lambda s=screen, v=version: s.version > v + 5, "movement")
        with monitor.paused():
            for screen in screens:
                monitor.equals(screen, device="card", head=screen.console)
            first, second = (screen.frame() for screen in screens)
            assert not np.array_equal(first, second)
            for screen in screens:
                shot = tmp_path / f"{screen.console}.png"
                done = command("screenshot", "two", "--console", str(screen.console), str(shot))
                assert (done.returncode, done.stderr) == (0, "")
                assert np.array_equal(np.asarray(Image.open(shot)), screen.frame())
        done = command("screenshot", "two", "--console", "2", str(tmp_path / "none.png"))
        assert done.returncode == 2
        assert "consoles 0 to 1" in done.stderr
        assert len(done.stderr.splitlines()) == 1


def test_app_shows_all_heads_and_remembers_how(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("PySide6", reason="PySide6 is missing: tools/setup desktop")
    monkeypatch.setenv("QT_QPA_PLATFORM", "offscreen")
    from PySide6.QtWidgets import QApplication, QMenu, QTabWidget

    from kju.desktop.qt.consoles import Consoles
    from kju.viewers import settings
    from kju.viewers.settings import ShownScreens

    app = QApplication.instance() or QApplication(["kju"])
    tabs = QTabWidget()
    consoles = Consoles(tabs, lambda name: None)
    tabs.show()

    def wait(condition: Callable[[], object]) -> None:
        def ran() -> object:
            app.processEvents()
            return condition()

        until(ran)

    def actions(console: QWidget) -> dict[str, QAction]:
        return {a.text(): a for menu in console.findChildren(QMenu) for a in menu.actions()}

    with kju.launch(args=[*guests.TCG, "-m", "16", "-device", CARD, "-vga", "none"], name="two"):
        console = consoles.open_tab("two")
        wait(lambda: "Side by side in one window" in actions(console))
        actions(console)["A window for each screen"].trigger()
        wait(lambda: len(consoles._machines["two"].open) == 2)
        second = consoles._machines["two"].open[1]
        assert console.is_tab and not second.is_tab
        wait(lambda: second.windowTitle().startswith("two, screen 2"))
        consoles.attach(second)
        assert [tabs.tabText(at) for at in range(2)] == ["two", "two, screen 2"]
        actions(console)["Side by side in one window"].trigger()
        wait(lambda: tabs.count() == 1)
        row = consoles._machines["two"].heads.row
        wait(lambda: all(view.viewer.picture.mode for view in row.views[:1]))
        wait(lambda: settings.load("two").screens is ShownScreens.SIDE_BY_SIDE)
        consoles.close_all()
        assert not consoles._machines
        again = consoles.open_tab("two")
        wait(lambda: consoles._machines["two"].shows_row)
        assert consoles.open_tab("two") is again and tabs.count() == 1
        consoles.close_all()
    tabs.deleteLater()
    app.processEvents()
