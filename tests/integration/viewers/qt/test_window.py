"""A console window on Qt's offscreen platform: badge, menu, strip, names, screenshots."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from support.fake_host import FakeHost, fake_host
from support.hostile_text import HOSTILE

pytest.importorskip("PySide6", reason="PySide6 is missing: tools/setup desktop")

from PySide6.QtCore import QPoint, QRect, Qt
from PySide6.QtGui import QAction, QColor, QGuiApplication, QImage, QPalette
from PySide6.QtWidgets import QAbstractButton, QApplication, QMenu, QWidget
from support.qt_wait import until

from kju.client.surface import Screen
from kju.surface import State
from kju.surface.geometry import Rect
from kju.viewers.contract import Status, ViewCommand, ViewState
from kju.viewers.input.grab import RELEASE, GrabPolicy
from kju.viewers.preferences import Preferences, shared_preferences
from kju.viewers.qt import icons
from kju.viewers.qt.palette import PlainLabel
from kju.viewers.qt.widget import ScreenView
from kju.viewers.qt.window import MachineWindow

SIZE = (400, 300)


@pytest.fixture
def app(monkeypatch: pytest.MonkeyPatch) -> Iterator[QApplication]:
    monkeypatch.setenv("QT_QPA_PLATFORM", "offscreen")
    app = QApplication.instance() or QApplication(["kju"])
    palette, font = app.palette(), app.font()
    yield app
    app.setPalette(palette)
    app.setFont(font)


class Tablet:
    """The part of a machine's pointer that a view asks for; a host without QEMU has no pointer."""

    def is_absolute(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def pointer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Screen, "pointer", property(lambda self: Tablet()))


@pytest.fixture
def host(runtime_folder: Path) -> Iterator[FakeHost]:
    with fake_host() as host:
        host.machine.info["kind"] = "qemu"
        yield host


class Shown:
    """A window that shows the fake machine."""

    eventually = staticmethod(until)

    def __init__(self, app: QApplication, host: FakeHost) -> None:
        shared_preferences.cache_clear()
        self.app, self.host = app, host
        host.machine.producer.set_mode(*SIZE)
        random = np.random.default_rng(3)
        pixels = random.integers(0, 256, (SIZE[1], SIZE[0], 4), np.uint8)
        host.machine.producer.draw(Rect(0, 0, *SIZE), pixels.tobytes(), stride=SIZE[0] * 4)
        view = ScreenView()
        view.show_machine("fake", release=RELEASE)
        self.window = MachineWindow(view)
        self.window.resize(640, 480)
        self.window.show()
        self.eventually(lambda: self.status.size == SIZE and self.status.kind == "qemu")

    @property
    def status(self) -> Status:
        return self.window._status

    @property
    def badge(self) -> QWidget:
        return self.window._badge

    def becomes(self, state: ViewState, badge_text: str) -> None:
        self.eventually(lambda: self.status.state is state and self.badge.isVisible())
        assert badge_text in self.badge._text.whole

    def pixels(self) -> np.ndarray:
        return array(self.window.view.viewport().grab().toImage())

    def actions(self) -> dict[str, QAction]:
        return {text(one): one for one in all_actions(self.window._menu.root)}

    def close(self) -> None:
        self.window.close()
        shared_preferences().flush()
        self.window.deleteLater()
        self.app.processEvents()


def text(action: QAction) -> str:
    return (
        action.text().partition("\t")[0].replace("&&", "&").removesuffix("\N{HORIZONTAL ELLIPSIS}")
    )


def all_actions(menu: QMenu) -> Iterator[QAction]:
    """Every item, those of menus below included, unless they cannot be opened."""
    for action in menu.actions():
        if action.isSeparator():
            continue
        yield action
        if isinstance(below := action.menu(), QMenu) and action.isEnabled():
            below.aboutToShow.emit()
            yield from all_actions(below)


def array(image: QImage) -> np.ndarray:
    image = image.convertToFormat(QImage.Format.Format_RGB32)
    rows = np.array(image.constBits()).reshape(image.height(), image.bytesPerLine() // 4, 4)
    return rows[:, : image.width(), :3]


@pytest.fixture
def shown(app: QApplication, host: FakeHost) -> Iterator[Shown]:
    one = Shown(app, host)
    yield one
    one.close()


# ---- The badge


def test_paused_picture_stays_readable_around_a_small_badge(shown: Shown):
    before = shown.pixels()
    shown.host.machine.producer.set_state(State.PAUSED)
    shown.becomes(ViewState.PAUSED, "paused")
    after, badge = shown.pixels(), shown.badge.geometry()
    covered = badge.width() * badge.height() / (before.shape[0] * before.shape[1])
    assert covered < 0.06
    before[badge.top() : badge.bottom() + 1, badge.left() : badge.right() + 1] = 0
    after[badge.top() : badge.bottom() + 1, badge.left() : badge.right() + 1] = 0
    assert np.array_equal(before, after)
    assert shown.badge._button.isVisible()
    assert shown.badge._button.text() == "Resume"
    shown.host.machine.producer.set_state(State.LIVE)
    shown.eventually(lambda: not shown.badge.isVisible())


def test_resume_in_the_badge_resumes_the_machine(shown: Shown):
    asked: list[str] = []
    handle = shown.host.machine.handle

    async def note(client, request):
        if type(request).__name__ == "Power":
            asked.append(request.how)
        return await handle(client, request)

    shown.host.machine.handle = note
    shown.host.machine.producer.set_state(State.PAUSED)
    shown.becomes(ViewState.PAUSED, "paused")
    shown.badge._button.click()
    shown.eventually(lambda: asked == ["resume"])


def test_long_reason_is_cut_and_whole_in_tooltip_and_description(shown: Shown):
    reason = "<b>the guest</b> & its driver " * 20
    shown.host.machine.producer.set_state(State.UNAVAILABLE, reason.strip()[:300])
    shown.becomes(ViewState.NO_PICTURE, "<b>the guest</b> & its driver")
    assert shown.badge.width() <= shown.window.view.width()
    assert shown.badge._text.text().endswith("\N{HORIZONTAL ELLIPSIS}")
    assert "&lt;b&gt;the guest&lt;/b&gt; &amp; its" in shown.badge.toolTip()
    assert shown.badge.accessibleDescription().startswith("no picture: <b>the guest</b> & its")


def test_ended_machine_with_a_definition_has_start_in_the_middle(app, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    folder = tmp_path / "data" / "kju" / "machines" / "fake"
    folder.mkdir(parents=True)
    (folder / "machine.toml").write_text("image = '/nowhere/missing.qcow2'\n")
    with fake_host() as host:
        host.machine.info["kind"] = "qemu"
        shown = Shown(app, host)
        before = shown.pixels()
    try:
        shown.eventually(lambda: shown.badge.isVisible() and shown.badge._button.isVisible())
        assert shown.badge._button.text() == "Start"
        middle = shown.window.view.rect().center() - shown.badge.geometry().center()
        assert middle.manhattanLength() <= 2
        after, badge = shown.pixels(), shown.badge.geometry()
        for one in (before, after):
            one[badge.top() : badge.bottom() + 1, badge.left() : badge.right() + 1] = 0
        assert np.array_equal(before, after), "the last picture stays"
        # This definition cannot be started: the reason is said.
        shown.badge._button.click()
        shown.eventually(lambda: "missing.qcow2" in shown.window._note.text)
        assert shown.window._note.text.startswith("cannot start fake: ")
    finally:
        shown.close()


# ---- The menu


def test_every_item_that_cannot_be_used_says_why(shown: Shown):
    disabled: Counter[ViewState] = Counter()
    states = (ViewState.LIVE, ViewState.PAUSED, ViewState.ENDED, ViewState.CONNECTING)
    for state in states:
        for view_only in (False, True):
            status = shown.status._replace(state=state, view_only=view_only)
            shown.window.view.status_changed.emit(status)
            for action in all_actions(shown.window._menu.root):
                if not action.isEnabled() and action.isVisible():
                    disabled[state] += 1
                    assert action.toolTip().strip("<span>/"), (text(action), state)
                    assert action.toolTip() != action.text()
    assert set(disabled) == set(states)


def test_items_follow_the_machines_state(shown: Shown):
    actions = shown.actions()
    assert actions["Pause"].isVisible()
    assert not actions["Resume"].isVisible()
    assert not actions["Start"].isVisible()
    shown.host.machine.producer.set_state(State.PAUSED)
    shown.becomes(ViewState.PAUSED, "paused")
    assert actions["Resume"].isVisible()
    assert not actions["Pause"].isVisible()
    assert actions["End now"].isEnabled()
    assert actions["Send keys"].toolTip() == "<span>fake is paused; it takes no keys</span>"


def test_every_command_with_a_letter_has_an_action_that_shows_it(shown: Shown):
    menu = shown.window._menu
    assert menu.shortcuts >= {
        ViewCommand.FULL_SCREEN, ViewCommand.SCREENSHOT, ViewCommand.CLOSE, ViewCommand.MENU,
    }  # fmt: skip
    labels = {text(one): one.text().partition("\t")[2] for one in all_actions(menu.root)}
    assert labels["Full screen"] == "Ctrl+Alt+F"
    assert labels["Save a screenshot"] == "Ctrl+Alt+S"


def test_command_that_cannot_be_used_is_refused_in_words(shown: Shown):
    menu = shown.window._menu
    menu.set_refusal(shown.actions()["Save a screenshot"], "there is no picture yet")
    shown.window.command(ViewCommand.SCREENSHOT)
    assert shown.window._note.text == "Save a screenshot: there is no picture yet"


def test_view_only_can_be_switched(shown: Shown):
    shown.actions()["View only: send no input"].trigger()
    shown.eventually(lambda: shown.status.view_only and shown.status.state is ViewState.LIVE)
    assert not shown.actions()["Send keys"].isEnabled()
    assert "view only" in shown.window._strip._left.whole
    shown.actions()["View only: send no input"].trigger()
    shown.eventually(lambda: not shown.status.view_only)
    assert shown.actions()["Send keys"].isEnabled()


def test_sent_keys_reach_the_guest_and_own_ones_are_remembered(shown: Shown):
    shown.actions()["Ctrl+Alt+F2"].trigger()
    steps = [(29, True), (56, True), (60, True), (60, False), (56, False), (29, False)]
    shown.eventually(lambda: shown.host.machine.steps == steps)
    shown.window._keys._send_own("ctrl-shift-x")
    shown.eventually(lambda: len(shown.host.machine.steps) == 12)
    assert "Ctrl+Shift+X" in shown.actions()
    assert shared_preferences().now.chords == ("ctrl-shift-x",)
    forget = [one for one in all_actions(shown.window._menu.root) if text(one) == "Ctrl+Shift+X"]
    assert len(forget) == 2, "to send it, and to forget it"
    forget[-1].trigger()
    shown.eventually(lambda: "Ctrl+Shift+X" not in shown.actions())


def test_grab_policy_and_desktop_chords_are_chosen_and_shown(shown: Shown):
    actions = shown.actions()
    actions["Always in full screen"].trigger()
    actions["Alt+Tab"].setChecked(True)  # the last one: of the desktop's chords
    shown.window._keys._desktop[("meta_l",)].setChecked(True)
    keyboard = shown.window.view.viewer.input
    assert not keyboard.grabbed
    keyboard.full_screen(True)
    assert keyboard.grabbed
    keyboard.full_screen(False)
    assert "meta_l" in shared_preferences().now.desktop_chords
    shared_preferences().change(Preferences(GrabPolicy.NEVER, ("alt-f4",)))
    shown.eventually(lambda: actions["Never"].isChecked())
    assert not shown.window._keys._desktop[("meta_l",)].isChecked()
    assert shown.window._keys._desktop[("alt-f4",)].isChecked(), "one of the user's own"


def test_grab_is_shown_in_title_strip_and_menu(shown: Shown):
    viewer = shown.window.view.viewer
    viewer.input.grab(True)
    assert "Ctrl+Alt releases the keyboard" in shown.window.windowTitle()
    assert "Ctrl+Alt releases the keyboard" in shown.window._strip._left.whole
    assert shown.window._strip._lock.isVisible()
    assert "Release the keyboard" in shown.actions()
    viewer.input.grab(False)
    assert not shown.window._strip._lock.isVisible()
    assert "Grab the keyboard" in shown.actions()


# ---- Screenshots


def test_screenshot_is_copied_with_the_guests_pixels(shown: Shown):
    shown.actions()["Copy the screenshot"].trigger()
    copied = array(QGuiApplication.clipboard().image())
    assert np.array_equal(copied, np.array(shown.host.machine.producer.pixels)[..., :3])


def test_screenshot_that_cannot_be_written_says_why(shown: Shown, tmp_path: Path):
    (tmp_path / "file").write_text("")
    shown.window._capture._save(tmp_path / "file" / "a.png")
    shown.eventually(lambda: "cannot save" in shown.window._note.text)
    shown.window._capture._save(tmp_path / "new" / "a.png")
    shown.eventually(lambda: "saved" in shown.window._note.text)
    saved = array(QImage(str(tmp_path / "new" / "a.png")))
    assert np.array_equal(saved, np.array(shown.host.machine.producer.pixels)[..., :3])


# ---- Look and names


@pytest.mark.parametrize("name", [*HOSTILE.values(), "x" * 255, "<img src=x> & </b>", "a&b"])
def test_hostile_names_are_drawn_as_text(shown: Shown, name: str):
    message = f"no picture: {name}"
    status = shown.status._replace(name=name, message=message, state=ViewState.NO_PICTURE)
    shown.window.view.status_changed.emit(status)
    texts = [shown.window.windowTitle(), shown.badge.accessibleDescription()]
    for label in shown.window.findChildren(PlainLabel):
        assert label.textFormat() is Qt.TextFormat.PlainText
        texts += [label.text(), label.whole, label.accessibleName()]
    assert all(one.isprintable() for one in texts)
    assert shown.window.minimumSizeHint().width() <= 320


@pytest.mark.parametrize("points", [1, 1.5, 2])
def test_window_of_320_by_240_shows_picture_state_and_menu(shown: Shown, points: float):
    font = shown.app.font()
    font.setPointSizeF(font.pointSizeF() * points)
    shown.app.setFont(font)
    shown.window.resize(320, 240)
    shown.host.machine.producer.set_state(State.PAUSED)
    shown.becomes(ViewState.PAUSED, "paused")
    shown.app.processEvents()
    assert (shown.window.width(), shown.window.height()) == (320, 240)
    assert shown.window.view.height() > 140
    inside = QRect(QPoint(0, 0), shown.window.size())
    for button in shown.window.findChildren(QAbstractButton):
        if button.isVisible():
            place = QRect(button.mapTo(shown.window, QPoint(0, 0)), button.size())
            assert inside.contains(place), button.accessibleName()
            assert button.height() >= button.sizeHint().height() or button.icon().isNull()
    assert shown.window.view.rect().contains(shown.badge.geometry())


def test_colours_follow_the_palette_at_once(shown: Shown):
    strip = shown.window._strip
    for shade, ink in ((QColor(20, 60, 20), QColor(240, 240, 200)), (QColor(250, 250, 250),) * 2):
        palette = QPalette(shown.app.palette())
        palette.setColor(QPalette.ColorRole.Window, shade)
        palette.setColor(QPalette.ColorRole.WindowText, ink)
        shown.app.setPalette(palette)
        shown.app.processEvents()
        assert strip.grab().toImage().pixelColor(strip.width() // 2, 1) == shade


def test_icons_are_drawn_in_the_palettes_colour(shown: Shown):
    if not icons.has_icons():
        pytest.skip("qtawesome is missing: tools/setup desktop")
    for colour in (QColor(255, 0, 0), QColor(0, 0, 255)):
        palette = QPalette(shown.app.palette())
        palette.setColor(QPalette.ColorRole.ButtonText, colour)
        shown.app.setPalette(palette)
        picture = icons.icon("power").pixmap(32, 32).toImage()
        drawn = [picture.pixelColor(x, y) for x in range(32) for y in range(32)]
        assert any(one.rgb() == colour.rgb() and one.alpha() == 255 for one in drawn)


def test_every_icon_has_a_glyph(app: QApplication):
    if not icons.has_icons():
        pytest.skip("qtawesome is missing: tools/setup desktop")
    for name in icons.NAMES:
        picture = icons.icon(name).pixmap(32, 32).toImage()
        assert any(picture.pixelColor(x, y).alpha() for x in range(32) for y in range(32)), name


def test_window_without_qtawesome_has_words(app, host, monkeypatch):
    monkeypatch.setattr(icons, "has_icons", lambda: False)
    shown = Shown(app, host)
    try:
        button = shown.window._strip.menu_button
        assert button.text() == "Menu"
        assert button.toolButtonStyle() is Qt.ToolButtonStyle.ToolButtonTextOnly
        assert all(action.text() for action in all_actions(shown.window._menu.root))
    finally:
        shown.close()


def test_every_control_has_a_name_and_is_reached_by_tab_when_the_guest_takes_no_keys(shown: Shown):
    for button in shown.window.findChildren(QAbstractButton):
        assert button.accessibleName() or button.text(), button
    assert shown.window.view.accessibleName() == "Screen of fake"
    assert not shown.window.view.focusNextPrevChild(True), "Tab is the guest's"
    shown.host.machine.producer.set_state(State.PAUSED)
    shown.becomes(ViewState.PAUSED, "paused")
    assert shown.window.view.focusNextPrevChild(True)


def test_every_window_of_the_program_has_an_icon():
    program = """
from kju.viewers.qt import application
from PySide6.QtWidgets import QWidget
app = application()
picture = QWidget().windowIcon().pixmap(64, 64).toImage()
print(len({picture.pixel(x, y) for x in range(64) for y in range(64)}))
"""
    environment = os.environ | {"QT_QPA_PLATFORM": "offscreen"}
    done = subprocess.run(
        [sys.executable, "-c", program],
        env=environment, capture_output=True, text=True, check=True, timeout=180,
    )  # fmt: skip
    assert int(done.stdout) > 2, "colours of the icon"
