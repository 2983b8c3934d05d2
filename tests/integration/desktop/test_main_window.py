"""The main window and the wall: real widgets and real hosts, drawn without a display."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from support import xservers

import kju
from kju.desktop.machines.entry import MachineEntry, MachineKey, MachineState
from kju.errors import KjuError
from kju.store.paths import definitions_folder

pytest.importorskip("PySide6", reason="PySide6 is missing: tools/setup desktop")

from PySide6.QtCore import QEvent, QPoint, QPointF, Qt
from PySide6.QtGui import QFont, QKeyEvent, QMouseEvent, QPalette, QWheelEvent
from PySide6.QtWidgets import QAbstractButton, QApplication, QMessageBox, QWidget
from support.desktop_app import DesktopApp

from kju.desktop.settings import load
from kju.viewers.qt import ENDING

S = MachineState


class App(DesktopApp):
    """The app's window on a model, in this process."""

    def __init__(self) -> None:
        super().__init__(load())
        self.window.show()
        self.machines.open()
        self.until(lambda: self.machines.scanned)

    @property
    def wall(self):
        return self.window.wall

    def names(self) -> list[str]:
        return [key.name for key in self.wall.tiles.keys]

    def until_names(self, *names: str) -> None:
        self.until(lambda: self.names() == list(names), f"{names}, not {self.names()}")

    def key(
        self, widget: QWidget, key: Qt.Key, how=Qt.KeyboardModifier.NoModifier, text=""
    ) -> None:
        for kind in (QEvent.Type.KeyPress, QEvent.Type.KeyRelease):
            self.qt.sendEvent(widget, QKeyEvent(kind, key, how, text))

    def click(self, name: str, how=Qt.KeyboardModifier.NoModifier) -> None:
        index = self.wall.tiles.index_of(MachineKey("", name))
        at = QPointF(self.wall.visualRect(index).center())
        there = QPointF(self.wall.viewport().mapToGlobal(at.toPoint()))
        button = Qt.MouseButton.LeftButton
        for kind in (QEvent.Type.MouseButtonPress, QEvent.Type.MouseButtonRelease):
            event = QMouseEvent(kind, at, there, button, button, how)
            self.qt.sendEvent(self.wall.viewport(), event)

    def selected(self) -> list[str]:
        return [entry.name for entry in self.wall.selected()]

    def close(self) -> None:
        self.qt.setProperty(ENDING, True)
        super().close()
        self.qt.setProperty(ENDING, False)


@pytest.fixture
def app(runtime_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[App]:
    monkeypatch.setenv("QT_QPA_PLATFORM", "offscreen")
    made = App()
    yield made
    made.close()
    ended = {"kju-machines", "kju-work", "kju-view"}
    assert not ended & {thread.name for thread in threading.enumerate()}


def define(*names: str, text: str = "") -> None:
    for name in names:
        folder = definitions_folder() / name
        folder.mkdir(parents=True, mode=0o700)
        (folder / "machine.toml").write_text(text)


def test_wall_shows_machines_in_the_order_of_their_names(app: App):
    define("web-10", "web-2", "build")
    app.until_names("build", "web-2", "web-10")


def test_rows_that_stay_keep_their_selection(app: App):
    define("b", "d")
    app.until_names("b", "d")
    app.click("d")
    define("a", "c", "e")
    app.until_names("a", "b", "c", "d", "e")
    assert app.selected() == ["d"]
    (definitions_folder() / "b" / "machine.toml").unlink()
    app.until_names("a", "c", "d", "e")
    assert app.selected() == ["d"]


def test_order_keeps_the_selection(app: App):
    define("a", "b")
    app.until_names("a", "b")
    app.machines.update(MachineEntry(MachineKey("", "c"), S.RUNNING, started=5.0))
    app.click("a")
    from kju.desktop.wall.search import Order

    app.window.page.set_order(Order.STATE)
    assert app.names() == ["c", "a", "b"]
    assert app.selected() == ["a"]


def test_several_machines_are_selected_by_mouse_and_keyboard(app: App):
    define(*"abcde")
    app.until_names(*"abcde")
    app.click("a")
    app.click("c", Qt.KeyboardModifier.ControlModifier)
    assert app.selected() == ["a", "c"]
    app.click("e", Qt.KeyboardModifier.ShiftModifier)
    assert app.selected() == ["c", "d", "e"]
    app.key(app.wall, Qt.Key.Key_A, Qt.KeyboardModifier.ControlModifier)
    assert app.selected() == list("abcde")


def test_search_and_filter_hide_and_show_all_brings_back(app: App):
    define("web", text='labels = ["shop"]')
    define("build")
    app.until_names("build", "web")
    app.window.page.search.setText("label:shop")
    app.until_names("web")
    app.window.page.search.setText("nothing <b>like</b> this")
    app.until_names()
    empty = app.window.page.empty
    assert empty.isVisible()
    (button,) = [b for b in empty.findChildren(QAbstractButton) if b.text().startswith("Show all")]
    button.click()
    app.until_names("build", "web")
    assert app.window.page.stack.currentWidget() is app.wall


def test_focus_stays_on_a_button_when_the_empty_state_changes(app: App):
    from kju.desktop.wall.empty import Setup

    page = app.window.page
    app.until(page.empty.isVisible)
    for setup, word in ((Setup("no QEMU", known=True), "Check"), (Setup(known=True), "New")):
        page.empty.findChildren(QAbstractButton)[-1].setFocus()
        page.set_setup(setup)
        app.until(lambda word=word: app.window.focusWidget().text().startswith(word))


@pytest.fixture
def screen(app: App) -> Iterator[kju.Machine]:
    """A machine that runs, and is selected on the wall."""
    xservers.need("Xvfb")
    with kju.launch(xvfb=True, name="screen") as machine:
        key = MachineKey("", "screen")
        app.until(lambda: key in app.machines.entries and app.machines.entries[key].state.runs)
        app.click("screen")
        yield machine
        app.window.consoles.close_all()


def test_console_opens_in_a_tab_moves_to_a_window_and_closes(app: App, screen: kju.Machine):
    app.key(app.wall, Qt.Key.Key_Return)
    console = app.window.tabs.currentWidget()
    assert app.window.tabs.count() == 2
    assert console.is_tab
    console.moved.emit()
    assert app.window.tabs.count() == 1
    assert console.isVisible()
    assert not console.is_tab
    console.moved.emit()
    assert app.window.tabs.count() == 2
    app.window.tabs.tabCloseRequested.emit(1)
    app.until(lambda: app.window.tabs.count() == 1)
    assert screen.is_alive
    assert "keeps running" in app.window.statusBar().currentMessage()


def test_console_opens_in_a_window_with_shift(app: App, screen: kju.Machine):
    app.key(app.wall, Qt.Key.Key_Return, Qt.KeyboardModifier.ShiftModifier)
    assert app.window.tabs.count() == 1
    (console,) = [w for w in app.qt.topLevelWidgets() if getattr(w, "name", "") == "screen"]
    app.window.consoles.open_tab("screen")
    assert app.window.tabs.count() == 1  # its window is raised
    console.close()
    app.until(lambda: "keeps running" in app.window.statusBar().currentMessage())


def test_full_screen_leaves_the_tab_and_returns_to_it(app: App, screen: kju.Machine):
    console = app.window.consoles.open_tab("screen")
    console.set_full_screen(True)
    assert console.isFullScreen()
    assert app.window.tabs.count() == 1
    console.set_full_screen(False)
    app.until(lambda: app.window.tabs.count() == 2)
    assert console.is_tab


def test_keys_in_a_console_are_not_shortcuts_of_the_window(app: App, screen: kju.Machine):
    console = app.window.consoles.open_tab("screen")
    event = QKeyEvent(
        QEvent.Type.ShortcutOverride, Qt.Key.Key_W, Qt.KeyboardModifier.ControlModifier, "w"
    )
    event.ignore()
    app.qt.sendEvent(console.view, event)
    assert event.isAccepted()
    console.wall_wanted.emit()
    assert app.window.tabs.currentWidget() is app.window.page


def test_window_says_once_that_machines_keep_running(app: App, screen: kju.Machine):
    app.window.close()
    assert app.window.isVisible()
    (box,) = app.window.findChildren(QMessageBox)
    assert "keep running" in box.text()
    box.button(QMessageBox.StandardButton.Cancel).click()
    assert app.window.isVisible()
    app.window.close()
    assert not app.window.isVisible()
    app.window.show()


def test_machine_that_is_off_is_not_opened(app: App):
    define("web")
    app.until_names("web")
    app.click("web")
    app.key(app.wall, Qt.Key.Key_Return)
    assert app.window.tabs.count() == 1
    assert app.window.statusBar().currentMessage() == "web is off"


def test_tile_size_follows_the_wheel_and_is_remembered(app: App):
    define("web")
    app.until_names("web")
    before = app.wall.tile_width
    at = QPointF(20, 20)
    event = QWheelEvent(
        at, at, QPoint(), QPoint(0, 240), Qt.MouseButton.NoButton,
        Qt.KeyboardModifier.ControlModifier, Qt.ScrollPhase.NoScrollPhase, False,
    )  # fmt: skip
    app.qt.sendEvent(app.wall.viewport(), event)
    assert app.wall.tile_width == before + 32
    assert app.window.current_settings().tile_width == before + 32


def test_settings_that_cannot_be_saved_are_reported_while_the_window_is_open(app: App):
    from kju.desktop.settings import state_folder

    folder = state_folder()
    app.until(lambda: load() == app.window.current_settings(), "the first ones are saved")
    shutil.rmtree(folder, ignore_errors=True)
    folder.parent.mkdir(parents=True, exist_ok=True)
    folder.write_text("a file is in its place")
    try:
        app.wall.set_tile_width(app.wall.tile_width + 16)
        app.until(lambda: "were not saved" in app.window.statusBar().currentMessage())
        assert str(folder) in app.window.statusBar().currentMessage()
    finally:
        folder.unlink()
    app.wall.set_tile_width(app.wall.tile_width + 16)
    app.until(lambda: load().tile_width == app.wall.tile_width, "they are saved without a close")


def test_sheet_of_shortcuts_has_every_action_with_keys(app: App):
    from PySide6.QtGui import QAction
    from PySide6.QtWidgets import QTableWidget

    app.window.menus.show_shortcuts()
    (sheet,) = app.window.findChildren(QTableWidget)
    shown = {sheet.item(row, 2).text() for row in range(sheet.rowCount())}
    keys = [a.shortcuts()[0].toString() for a in app.window.findChildren(QAction) if a.shortcuts()]
    assert len(keys) > 5
    assert [key for key in keys if not any(key in each for each in shown)] == []
    sheet.window().close()


def test_every_control_has_a_name_for_screen_readers(app: App):
    define("web")
    app.until_names("web")
    buttons = [each for each in app.window.findChildren(QAbstractButton) if each.isVisible()]
    assert buttons
    for widget in buttons:
        assert widget.accessibleName() or widget.text() or widget.toolTip(), widget
    index = app.wall.tiles.index(0)
    assert index.data(Qt.ItemDataRole.AccessibleTextRole) == "web, off"


def test_hostile_texts_are_plain(app: App):
    name = "<b>x</b>" + "y" * 200 + "\u202e"
    entry = MachineEntry(MachineKey("<img src=x>", name), S.UNREACHABLE, reason="<h1>\n\x1b[0m")
    app.machines.update(entry)
    app.until(lambda: app.names() == [name])
    tip = app.wall.tiles.index(0).data(Qt.ItemDataRole.ToolTipRole)
    assert "<b>" not in tip and "<img" not in tip and "\x1b" not in tip and "\u202e" not in tip
    app.wall.grab()


@pytest.mark.parametrize("scale", [1.2, 2.0])
def test_nothing_is_cut_at_1024_by_768_with_large_fonts(app: App, scale: float):
    font = QApplication.font()
    large = QFont(font)
    large.setPointSizeF(font.pointSizeF() * scale)
    QApplication.setFont(large)
    try:
        define("web")
        app.until_names("web")
        app.window.resize(1024, 768)
        app.until(lambda: app.window.size().width() == 1024)
        for widget in app.window.page.findChildren(QWidget):
            if widget.isVisible() and isinstance(widget, QAbstractButton) and widget.text():
                assert widget.width() >= widget.sizeHint().width(), widget.text()
                right = widget.mapTo(app.window, QPoint(widget.width(), widget.height()))
                assert right.x() <= app.window.width(), widget.text()
    finally:
        QApplication.setFont(font)


def test_palette_is_followed(app: App):
    define("web")
    app.until_names("web")
    dark = QPalette(Qt.GlobalColor.black)
    before = app.wall.grab().toImage().pixelColor(2, 300).lightness()
    app.qt.setPalette(dark)
    try:
        app.qt.processEvents()
        assert app.wall.grab().toImage().pixelColor(2, 300).lightness() < before
    finally:
        app.qt.setPalette(QPalette())


@pytest.fixture
def create(app: App) -> Iterator[object]:
    from kju.desktop.qt.pages.create_tabs import CreateTabs

    tabs = CreateTabs(app.window, app.machines)
    yield tabs
    tabs.close()


def test_dropped_image_opens_one_page_and_cancel_closes_it(app: App, create, tmp_path: Path):
    from kju.desktop.wall.empty import EmptyAction

    define("web")
    app.until_names("web")
    image = tmp_path / "web.img"
    image.write_bytes(bytes(1024))
    app.wall.files_dropped.emit([image], None)
    page = create.pages[""]
    assert app.window.tabs.currentWidget() is page
    assert (page.form.values["image"], page.form.name) == (str(image), "web-2")
    app.window.page.empty.pressed.emit(EmptyAction.NEW)
    assert create.pages == {"": page} and app.window.tabs.count() == 2
    assert app.window.focusWidget() is page.view.rows["name"].editor
    page.cancelled.emit()
    assert not create.pages and app.window.tabs.count() == 1


def test_page_of_a_machine_that_did_not_start_becomes_its_only_page(app: App, create):
    create.new_machine()
    page = create.pages[""]
    define("odd")
    page.form.fail(KjuError("QEMU does not start"))
    page.saved.emit("odd")
    assert create.pages == {"odd": page}
    tabs = app.window.tabs
    assert tabs.tabText(tabs.indexOf(page)) == "Edit odd"
    create.edit_machine("odd", running=False)
    assert tabs.count() == 2 and tabs.currentWidget() is page
    create.new_machine()
    assert tabs.count() == 3 and set(create.pages) == {"", "odd"}


def test_edit_is_for_one_defined_machine_and_returns_to_the_wall(app: App, create):
    define("web", "build")
    app.until_names("build", "web")
    app.wall.select(MachineKey("", "web"))
    assert create._edit.isEnabled()
    app.wall.selectAll()
    app.until(lambda: not create._edit.isEnabled())
    app.wall.select(MachineKey("", "web"))
    app.until(create._edit.isEnabled)
    create._edit.trigger()
    page = create.pages["web"]
    app.until(lambda: page.form.old is not None)
    page.form.set("memory", "64M")
    page.foot.save.click()
    app.until(lambda: not create.pages)
    assert app.window.tabs.currentWidget() is app.window.page
    assert (definitions_folder() / "web" / "machine.toml").read_text() == 'memory = "64M"\n'


def test_closed_tab_ends_its_page(app: App, create):
    create.new_machine()
    app.window.tabs.tabCloseRequested.emit(1)
    app.until(lambda: not create.pages)
    create.new_machine()
    assert app.window.tabs.count() == 2


def test_window_opens_where_it_was_and_inside_the_display(app: App):
    from kju.desktop.qt.main_window import MainWindow
    from kju.desktop.settings import DesktopSettings

    display = app.window.screen().availableGeometry()
    known = DesktopSettings(x=50, y=60, width=500, height=400)
    window = MainWindow(app.machines, app.background, known)
    assert window.geometry().getRect() == (50, 60, 500, 400)
    assert window.current_settings().x == 50
    far = DesktopSettings(x=90_000, y=90_000, width=50_000, height=400)
    window = MainWindow(app.machines, app.background, far)
    assert display.contains(window.geometry())


def test_tile_offers_open_and_the_given_actions(app: App, screen: kju.Machine):
    from PySide6.QtGui import QIcon

    from kju.desktop.qt.wall.tile_actions import TileAction

    pressed: list[str] = []
    app.wall.set_tile_actions(
        lambda entry: [TileAction("Pause", QIcon(), lambda: pressed.append(entry.name))]
    )
    app.wall.setFocus()
    app.until(app.wall.actions_bar.isVisible, "the buttons of the tile with the focus")
    buttons = {b.accessibleName(): b for b in app.wall.actions_bar.findChildren(QAbstractButton)}
    assert set(buttons) == {"Pause screen", "Open screen"}
    buttons["Pause screen"].click()
    buttons["Open screen"].click()
    assert pressed == ["screen"]
    assert app.window.tabs.count() == 2
