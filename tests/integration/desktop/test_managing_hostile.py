"""Hostile names on the app's pages and dialogs: drawn as text, in one line."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.hostile_text import HOSTILE

pytest.importorskip("PySide6", reason="PySide6 is missing: tools/setup desktop")

from PySide6.QtWidgets import QApplication, QDialog
from support.widget_texts import shown_texts

from kju.client.requests import Event, Snapshot
from kju.desktop.actions import ActionRunner
from kju.desktop.machines.entry import MachineEntry, MachineKey, MachineState
from kju.desktop.pages.details import details
from kju.desktop.pages.logs import LogText
from kju.desktop.pages.panel import PanelPage, PanelState
from kju.desktop.pages.snapshot_tree import SnapshotForest

NAMES = {**HOSTILE, "long": "x" * 255, "HTML": "<img src=x onerror=alert(1)> & </b>", "amp": "a&b"}
hostile = pytest.mark.parametrize("text", NAMES.values(), ids=NAMES)
LOCAL = MachineKey("", "web")


@pytest.fixture
def qt(runtime_folder: Path, monkeypatch: pytest.MonkeyPatch) -> QApplication:
    monkeypatch.setenv("QT_QPA_PLATFORM", "offscreen")
    return QApplication.instance() or QApplication(["kju"])


@pytest.fixture
def runner() -> Iterator[ActionRunner]:
    made = ActionRunner(lambda call: call())
    yield made
    made.close()


def entry_of(text: str, key: MachineKey = LOCAL) -> MachineEntry:
    return MachineEntry(
        key, MachineState.SILENT, reason=text, viewers=(text,), controllers=(text,),
        labels=(text,), warnings=(text,), defined=True,
    )  # fmt: skip


def check(widget: Any, wanted: str = "") -> list[str]:
    """Check that every text is one printable line; return them."""
    texts = shown_texts(widget)
    wrong = [text for text in texts if not text.isprintable()]
    assert not wrong
    assert not wanted or any(wanted in text for text in texts), (wanted, texts)
    return texts


def dialogs() -> list[QDialog]:
    found = QApplication.topLevelWidgets()
    return [each for each in found if isinstance(each, QDialog) and each.isVisible()]


@hostile
def test_texts_on_the_side_panel(qt: QApplication, runner: ActionRunner, text: str) -> None:
    from kju.desktop.qt.pages.side_panel import SidePanel

    panel = SidePanel(runner)
    panel.show()
    panel.tabs.setCurrentIndex(list(PanelPage).index(PanelPage.EVENTS))
    entry = entry_of(text)
    panel.show_machine(entry)
    panel.take_event(LOCAL, Event(1, 1000.0, text, {text: text, "reason": text}))
    info = {"kind": text, "name": text, "qemu": {"version": text, "arguments": [text]}}
    sections = details(entry, info)
    panel.model.state = PanelState(entry, sections, text, LogText(note=text))
    panel._show_state()
    check(panel)
    panel.close()
    panel.deleteLater()


# Messages are UTF-8, in which there are no surrogates.
@pytest.mark.parametrize("text", [text for key, text in NAMES.items() if key != "surrogate"])
def test_tags_on_the_snapshot_page_and_in_its_questions(
    qt: QApplication, runner: ActionRunner, text: str
) -> None:
    from kju.desktop.qt.pages.snapshot_page import SnapshotPage

    page = SnapshotPage(runner, list)
    page.resize(600, 400)
    page.show()
    page.show_machine(entry_of(text)._replace(state=MachineState.RUNNING))
    first = Snapshot(text, 1000.0, 5, lacking=(text,), note=text)
    other = Snapshot(f"{text}2", 1001.0, 5, parent=text, current=True, picture=text)
    page.model.state = page.model.state._replace(forest=SnapshotForest([first, other]))
    page._show_state()
    check(page)
    assert page.minimumSizeHint().width() <= 700
    page.tree.setCurrentItem(page.tree.topLevelItem(0))
    for ask in (page._ask_branch, page._ask_remove, page._ask_save):
        ask()
        (dialog,) = dialogs()
        check(dialog)
        dialog.reject()
        qt.processEvents()
    page.close()


@hostile
def test_other_computers_and_their_machines(qt: QApplication, text: str) -> None:
    from kju.desktop.machines.remote_addresses import RemoteAddress
    from kju.desktop.qt.computers_dialog import ComputersDialog

    key = MachineKey(text, text)

    class Remotes:
        fault = text
        addresses = (RemoteAddress(text, text, False),)

        def entries_of(self, connect: str) -> list[MachineEntry]:
            return [entry_of(text, key)._replace(state=MachineState.UNREACHABLE, next_try=1.0)]

    dialog = ComputersDialog(None, Remotes())  # type: ignore[arg-type]
    dialog.show()
    check(dialog, "unreachable")
    dialog.reject()


@hostile
def test_remote_tiles_and_messages_of_the_main_window(qt: QApplication, text: str) -> None:
    from support.desktop_app import DesktopApp

    from kju.desktop.settings import DesktopSettings

    app = DesktopApp(DesktopSettings(told_running=True))
    try:
        app.window.show()
        for state in (MachineState.RUNNING, MachineState.UNREACHABLE):
            key = MachineKey(text, f"{text}{state.value}")
            app.machines.update(entry_of(text, key)._replace(state=state, round_trip=0.1))
        app.until(lambda: app.window.wall.tiles.rowCount() == 2)
        app.window.wall.selectAll()
        app.window.say(text)
        assert app.window.statusBar().currentMessage().isprintable()
        check(app.window)
        app.window.grab()  # draws the tiles
    finally:
        app.close()


@hostile
def test_names_on_the_create_page(qt: QApplication, tmp_path: Path, text: str) -> None:
    from kju.desktop.qt.pages.create_page import CreatePage

    page = CreatePage(lambda: {text})
    page.resize(800, 700)
    page.show()
    try:
        page.take_file(str(tmp_path / text))
        for key in ("name", "memory", "disk"):
            page._edited(key, text)
        assert page.form.errors
        check(page)
    finally:
        page.close()
        qt.processEvents()
