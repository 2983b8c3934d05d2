"""Everything that is done with machines in the main window: real widgets, real machines."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from support.wait import until

import kju
from kju.client import launching
from kju.desktop.actions import Action
from kju.desktop.machines.entry import MachineKey, MachineState
from kju.desktop.pages.panel import PanelPage
from kju.desktop.type_to_all import TypingPhase
from kju.keys import NUMBERS
from kju.viewers import settings

pytest.importorskip("PySide6", reason="PySide6 is missing: tools/setup desktop")

from PySide6.QtCore import QEvent, Qt
from PySide6.QtGui import QGuiApplication, QKeyEvent
from PySide6.QtWidgets import QDialog
from support.desktop_app import DesktopApp

from kju.desktop.qt.managing import Managing
from kju.desktop.qt.wall.tile_pictures import TilePictures
from kju.desktop.settings import DesktopSettings

#: X11's code of a key.
A, ESC = 38, 9


class App(DesktopApp):
    """The main window with everything that manages machines, in this process."""

    def __init__(self) -> None:
        super().__init__(DesktopSettings(panel_shown=True, told_running=True))
        self.pictures = TilePictures(self.machines, self.post)
        self.managing = Managing(self.window, self.machines, self.post, self.pictures)
        self.said: list[str] = []
        self.managing.actions.summarized.connect(lambda text, failed: self.said.append(text))
        self.window.show()
        self.window.activateWindow()
        self.machines.open()

    def select(self, name: str) -> None:
        self.window.wall.select(MachineKey("", name))

    def dialog(self) -> Any:
        found = [w for w in self.qt.topLevelWidgets() if isinstance(w, QDialog) and w.isVisible()]
        return found[0] if found else None

    def answer(self, **texts: str) -> Any:
        """Accept the dialog that is open or opens now; return it."""
        self.until(self.dialog, "a dialog")
        dialog = self.dialog()
        for edit, text in zip(getattr(dialog, "edits", ()), texts.values(), strict=False):
            edit.setText(text)
        dialog.accept()
        return dialog

    def key(self, code: int, down: bool) -> None:
        kind = QEvent.Type.KeyPress if down else QEvent.Type.KeyRelease
        key = Qt.Key.Key_Escape if code == ESC else 0
        event = QKeyEvent(kind, key, Qt.KeyboardModifier.NoModifier, code, 0, 0)
        self.qt.sendEvent(self.managing.typing, event)

    def close(self) -> None:
        self.managing.close()
        self.pictures.close()
        super().close()


def threads() -> set[threading.Thread]:
    """Return kju's threads, without that of the windows' preferences: it is the program's."""
    found = threading.enumerate()
    return {one for one in found if one.name.startswith("kju-") and one.name != "kju-prefs"}


@pytest.fixture
def app(runtime_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[App]:
    monkeypatch.setenv("QT_QPA_PLATFORM", "offscreen")
    before = threads()
    made = App()
    yield made
    made.close()
    until(lambda: threads() <= before, what="the app's threads have ended")


@pytest.fixture
def started(app: App) -> Iterator[Callable[[str], kju.Machine]]:
    """Start defined machines with a disk that can hold snapshots; end what runs."""

    made: list[kju.Machine] = []

    def start(name: str) -> kju.Machine:
        launching.define(name, disk="64M", memory="16M")
        made.append(launching.start(name, detach=True))
        app.until_state(name, MachineState.RUNNING)
        return made[-1]

    yield start
    for machine in made:
        machine.close()
    for entry in kju.machines():
        if entry.is_alive:
            with kju.attach(entry.name) as machine:
                machine.stop()


def test_a_stopped_host_delays_no_click_and_no_other_machine(
    app: App, started: Callable[[str], kju.Machine]
) -> None:
    stuck, other = started("stuck"), started("other")
    os.kill(stuck.host_pid, signal.SIGSTOP)
    try:
        both = [app.entry("stuck"), app.entry("other")]
        clicks = []
        for _ in range(5):
            began = time.monotonic()
            app.managing.actions.trigger(Action.PAUSE, both)
            app.select("stuck")
            clicks.append(time.monotonic() - began)
            app.qt.processEvents()
        app.until_state("other", MachineState.PAUSED)
        app.until(lambda: any("1 of 2 paused; stuck: " in text for text in app.said))
        assert "is stopped; continue it with kill -CONT" in " ".join(app.said)
        assert min(clicks) < 0.05
    finally:
        os.kill(stuck.host_pid, signal.SIGCONT)

    def resumed() -> bool:
        # A pause of a later click may come after this.
        if app.is_state("other", MachineState.PAUSED):
            other.resume()
        return app.is_state("other", MachineState.RUNNING)

    app.until(resumed, "other runs again")


def test_snapshots_are_saved_loaded_branched_and_removed(
    app: App, started: Callable[[str], kju.Machine]
) -> None:
    machine = started("web")
    app.select("web")
    app.managing.open_tree(app.entry("web"))
    page = app.window.tabs.currentWidget()
    assert "No snapshot yet" in page.message.text()
    page.buttons["Save"].click()
    app.answer(tag="base")
    app.until(lambda: "base" in page.model.state.forest.by_tag, "the first snapshot")
    assert page.tree.tag == "base"
    page.buttons["Load"].click()
    app.answer(tag="before")
    app.until(lambda: page.model.state.message == "before is saved; base is loaded")
    forest = page.model.state.forest
    assert [(node.snapshot.tag, node.depth) for node in forest.nodes()] == [
        ("base", 0), ("before", 1),
    ]  # fmt: skip
    assert forest.here.tag == "base"
    # Another program's snapshot, which hangs on the loaded one.
    machine.snapshots.save("outside")
    app.until(lambda: len(page.model.state.forest.by_tag) == 3, "the other program's snapshot")
    assert not page.buttons["Branch"].isEnabled()
    machine.stop()
    app.until_state("web", MachineState.OFF)
    app.until(lambda: not page.buttons["Save"].isEnabled() and page.buttons["Branch"].isEnabled())
    # The tree of a machine that is off, from its disks and its folder.
    forest = page.model.state.forest
    depths = {node.snapshot.tag: node.depth for node in forest.nodes()}
    assert depths == {"base": 0, "before": 1, "outside": 1}
    assert forest.here.tag == "outside"
    page.buttons["Branch"].click()
    app.answer(name="copy")
    app.until(lambda: page.model.state.message == "copy runs from base", "the clone")
    app.until_state("copy", MachineState.RUNNING)
    page.buttons["Load"].click()
    app.answer()
    app.until_state("web", MachineState.RUNNING)
    app.until(lambda: page.model.state.message == "base is loaded")
    page.buttons["Remove"].click()
    dialog = app.dialog()
    dialog.box.setChecked(True)
    assert "base and 2 below it" in dialog.label.text()
    assert "before, outside" in dialog.label.text()
    dialog.accept()
    app.until(lambda: not page.model.state.forest.by_tag and not page.model.state.busy)


def test_a_panel_that_is_hidden_gives_its_focus_to_the_wall(app: App) -> None:
    panel, window = app.managing.panel, app.window
    launching.define("web", memory="16M")
    app.until_state("web", MachineState.OFF)
    for leave in (panel._hide.click, lambda: panel.set_collapsed(True)):
        panel.set_collapsed(False)
        panel._hide.setFocus()
        app.until(lambda: window.focusWidget() is panel._hide, "the focus is in the panel")
        leave()
        app.until(lambda: window.focusWidget() is window.wall, "the focus is on the wall")
    panel.set_collapsed(False)
    window.page.search.setFocus()
    panel.set_collapsed(True)
    assert window.focusWidget() is window.page.search


def test_the_panel_follows_the_selected_machine(
    app: App, started: Callable[[str], kju.Machine]
) -> None:
    panel = app.managing.panel
    assert "Select a machine" in panel.details.note.text()
    machine = started("web")
    app.select("web")

    def rows() -> dict[str, str]:
        return {row.name: row.value for part in panel.model.state.sections for row in part.rows}

    app.until(lambda: rows().get("Guest") == "16M", "the details")
    assert panel.title.whole == "web"
    panel.tabs.setCurrentIndex(list(PanelPage).index(PanelPage.EVENTS))
    machine.pause()
    app.until(lambda: "paused" in panel._event_text.toPlainText())
    panel.tabs.setCurrentIndex(list(PanelPage).index(PanelPage.LOG))
    app.until(lambda: "running: process" in panel.log.view.toPlainText(), "the log")
    machine.resume()
    kju.attach("web", role="view").close()
    app.until(lambda: panel.log.view.toPlainText().count("attached with role view") >= 1)
    width = app.window.wall.width()
    panel.set_collapsed(True)
    app.until(lambda: app.window.wall.width() > width)
    assert not app.window.settings.panel_shown
    assert app.window.settings.panel_width >= 200
    assert not panel.isVisible()
    assert app.window.wall.width() >= app.window.page.width() - 2, "no strip is left"
    panel.set_collapsed(False)
    app.until(lambda: abs(app.window.wall.width() - width) <= 2)


def test_keys_and_texts_go_to_all_selected_machines(
    app: App, started: Callable[[str], kju.Machine]
) -> None:
    machines = [started("one"), started("two")]
    bar = app.managing.typing
    app.window.wall.selectAll()
    app.managing._type.trigger()
    app.until(lambda: bar.typing.state.phase is TypingPhase.ON)
    assert bar._border.isVisible()
    app.key(A, True)

    def downs(machine: kju.Machine) -> list[Any]:
        return list(machine.input_log())

    app.until(lambda: all(downs(machine) for machine in machines), "the key")
    assert all(machine.info()["consoles"][0]["keys_held"] for machine in machines)
    app.key(ESC, True)
    app.until(lambda: not bar.isVisible())
    assert not bar._border.isVisible()
    app.until(lambda: not any(m.info()["consoles"][0]["keys_held"] for m in machines))


def test_a_paste_into_all_is_that_of_a_console(
    app: App, started: Callable[[str], kju.Machine]
) -> None:
    """Layouts are asked and remembered; Esc cancels the paste first; a second one ends all."""
    machines = [started("one"), started("two")]
    settings.update("two", lambda known: setattr(known, "layout", "de"))
    bar = app.managing.typing
    app.window.wall.selectAll()
    app.managing._type.trigger()
    app.until(lambda: bar.typing.state.phase is TypingPhase.ON)
    QGuiApplication.clipboard().setText("zy\N{SNOWMAN}" * 30_000)
    bar.paste.click()
    app.until(lambda: bar.pasting._dialog)
    dialog = bar.pasting._dialog
    assert dialog._layouts.itemText(0).startswith("Each machine's own (")
    assert "U+2603) in line 1, column 3, 30000 times (in one)" in dialog._warning.text()
    assert "(in two)" in dialog._warning.text()
    assert not dialog._type.isEnabled()
    assert bar.typing.is_on, "the question is no end of the typing"
    dialog._omit.setChecked(True)
    dialog._type.click()
    app.window.activateWindow()  # as a window manager does
    app.until(lambda: bar.pasting.has_focus)

    def typed(machine: kju.Machine) -> list[int]:
        return [key for entry in machine.input_log() for key, down in entry.keys if down]

    app.until(lambda: all(len(typed(machine)) > 4 for machine in machines), "the text")
    assert [typed(machine)[:2] for machine in machines] == [
        [NUMBERS["z"], NUMBERS["y"]], [NUMBERS["y"], NUMBERS["z"]],
    ]  # fmt: skip
    app.key(ESC, True)
    app.until(lambda: not bar.pasting.is_busy, "the cancelled paste")
    assert bar.typing.is_on
    assert "typing cancelled after" in bar.label.text()
    assert not any(m.info()["consoles"][0]["keys_held"] for m in machines)
    app.until(lambda: settings.load("one").layout)
    assert settings.load("two").layout == "de"
    app.until(lambda: bar.hasFocus())
    app.key(ESC, True)
    app.until(lambda: not bar.isVisible())


def test_a_dropped_iso_changes_the_cd(app: App, tmp_path: Path) -> None:
    images = []
    for name in ("first", "second"):
        data = bytearray(0x9000)
        data[0x8001:0x8006] = b"CD001"
        images.append(tmp_path / f"{name}.iso")
        images[-1].write_bytes(data)
    with kju.launch(images[0], name="reader", memory="16M") as machine:
        app.until_state("reader", MachineState.RUNNING)
        said: list[str] = []
        app.window.statusBar().messageChanged.connect(said.append)
        app.window.wall.files_dropped.emit([images[1]], app.entry("reader"))
        app.answer()
        app.until(lambda: "reader: second.iso is in the CD drive" in said)
        (drive,) = (block for block in machine.qmp("query-block") if block["removable"])
        assert drive["inserted"]["file"] == str(images[1])


def test_a_removal_names_everything_and_is_cancelled_by_enter(app: App) -> None:
    file = launching.define("old", disk="16M")
    app.until_state("old", MachineState.OFF)
    app.select("old")
    app.managing.actions.actions[Action.REMOVE].trigger()
    app.until(app.dialog, "the question")
    dialog = app.dialog()
    assert str(file.parent) in dialog.label.text()
    assert "disk.qcow2" in dialog.label.text()
    assert not dialog.accepted_button.isDefault()
    dialog.reject()
    assert file.exists()
    app.managing.actions.trigger(Action.REMOVE, [app.entry("old")])
    app.answer()
    app.until(lambda: app.entry("old") is None)
    assert not file.parent.exists()


def test_actions_of_a_selection_follow_its_states(app: App) -> None:
    launching.define("off", memory="16M")
    app.until_state("off", MachineState.OFF)
    app.select("off")
    enabled = {each for each, item in app.managing.actions.actions.items() if item.isEnabled()}
    assert enabled == {Action.START, Action.CLONE, Action.REMOVE}
    words = [each.word for each in app.managing._tile_actions(app.entry("off"))]
    assert words == ["Start"]
    app.managing.actions.actions[Action.CLONE].trigger()
    dialog = app.dialog()
    dialog.edits[0].setText("off")
    assert "exists already" in dialog.faults[0].text()
    dialog.edits[0].setText("bad/name")
    assert not dialog._ok.isEnabled()
    app.answer(name="copy")
    app.until_state("copy", MachineState.OFF)


def test_other_computers_are_added_tried_and_removed(app: App, tmp_path: Path) -> None:
    pytest.importorskip("zenoh")
    where = f"unix:{tmp_path}/nobody"
    app.managing._show_remotes()
    dialog = app.dialog()
    dialog.address.setText("host1")
    assert "HOST:PORT" in dialog.fault.text()
    assert not dialog.add.isEnabled()
    dialog.address.setText(where)
    dialog.add.click()
    assert dialog.list.count() == 1
    key = MachineKey(where, where)
    app.until(lambda: key in app.machines.entries, "the unreachable computer")
    app.until(lambda: "unreachable: " in dialog.list.item(0).text())
    assert "next attempt in" in dialog.list.item(0).text()
    dialog.list.setCurrentRow(0)
    assert dialog.retry.isEnabled()
    dialog.retry.click()
    app.managing._open_remote(app.machines.entries[key], False)
    dialog.remove.click()
    assert dialog.list.count() == 0
    assert key not in app.machines.entries
    dialog.reject()


def test_events_of_a_machine_that_was_removed_from_the_wall_are_forgotten(app: App) -> None:
    key = MachineKey("", "brief")
    events = app.managing.panel.events
    with kju.launch(args=["-m", "16"], name="brief") as machine:
        app.until_state("brief", MachineState.RUNNING)
        machine.pause()
        app.until(lambda: bool(events.last(key)), "the event")
    app.until_state("brief", MachineState.ENDED)
    assert events.last(key)
    app.machines.forget(key)
    app.until(lambda: not events.last(key), "the events are forgotten")
