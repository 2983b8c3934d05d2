"""The tools of a console window, in Qt, on a host with a real control socket and memory."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from support.fake_host import FakeHost, fake_host

from kju.keys import NUMBERS
from kju.surface.geometry import Rect
from kju.viewers import settings
from kju.viewers.tools.picking import Purpose
from kju.viewers.tools.playback import VideoReader
from kju.vision.needle import Needle

pytest.importorskip("PySide6", reason="PySide6 is missing: tools/setup desktop")
pytest.importorskip("av", reason="PyAV is missing: tools/setup desktop")

from support.qt_wait import until

SIZE = (320, 200)


@pytest.fixture
def host(runtime_folder: None) -> Iterator[FakeHost]:
    with fake_host() as host:
        host.machine.info = {
            "name": "fake", "started": time.time(), "consoles": [{"keys_held": [], "source": ""}],
        }  # fmt: skip
        host.machine.producer.set_mode(*SIZE)
        yield host


class Window:
    """A console window without a display."""

    until = staticmethod(until)

    def __init__(self, *, view_only: bool = False) -> None:
        from PySide6.QtWidgets import QApplication

        from kju.viewers.input.grab import RELEASE
        from kju.viewers.qt.widget import ScreenView
        from kju.viewers.qt.window import MachineWindow

        self.app = QApplication.instance() or QApplication(["kju"])
        self.view = ScreenView()
        self.view.show_machine("fake", view_only=view_only, release=RELEASE)
        self.window = MachineWindow(self.view)
        self.notes: list[str] = []
        self.view.noted.connect(self.notes.append)
        self.shown = self._record_notes()
        self.tools = self.window.tools
        self.window.resize(800, 600)
        self.window.show()
        self.window.activateWindow()

    def picture(self) -> None:
        self.until(
            lambda: self.view.frame is not None and self.view.placement is not None, "a picture"
        )

    @property
    def dialog(self):
        """Return the dialog that is open, or None."""
        from PySide6.QtWidgets import QDialog

        shown = [each for each in self.window.findChildren(QDialog) if each.isVisible()]
        return next(iter(shown), None)

    def _record_notes(self) -> list[str]:
        """Return the list of the notes so far, which grows: one may soon replace another."""
        label, shown = self.window._note._text, list[str]()
        show = label.setText

        def record(text: str) -> None:
            shown.append(text)
            show(text)

        label.setText = record
        return shown

    def note(self) -> str:
        from PySide6.QtWidgets import QLabel

        # The text of a narrow label is cut; its accessible name is whole.
        labels = [label.accessibleName() for label in self.window.findChildren(QLabel)]
        return " / ".join([*self.shown, *labels])

    def key(self, name: str, modifier: str = "") -> None:
        from PySide6.QtCore import Qt
        from PySide6.QtTest import QTest

        if self.app.focusWidget() is None:
            self.window.activateWindow()
            self.until(self.app.focusWidget, "a focus")
        held = getattr(Qt.KeyboardModifier, f"{modifier}Modifier" if modifier else "NoModifier")
        QTest.keyClick(self.app.focusWidget(), getattr(Qt.Key, f"Key_{name}"), held)

    def drag(self, begin: tuple[int, int], end: tuple[int, int]) -> None:
        """Drag over the layer, from one pixel of the guest to another."""
        from PySide6.QtCore import QPoint, Qt
        from PySide6.QtTest import QTest

        placement, layer = self.view.placement, self.tools.overlay
        at = [
            QPoint(
                int(placement.target.x + (x + 0.5) * placement.scale),
                int(placement.target.y + (y + 0.5) * placement.scale),
            )
            for x, y in (begin, end)
        ]
        QTest.mousePress(layer, Qt.MouseButton.LeftButton, pos=at[0])
        QTest.mouseMove(layer, at[1])
        QTest.mouseRelease(layer, Qt.MouseButton.LeftButton, pos=at[1])

    def close(self) -> None:
        self.window.close()
        self.app.processEvents()
        self.window.deleteLater()
        self.app.processEvents()


@pytest.fixture
def window(host: FakeHost, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Window]:
    monkeypatch.setenv("QT_QPA_PLATFORM", "offscreen")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    monkeypatch.setenv("LC_ALL", "en_US.UTF-8")
    paint(host)
    one = Window()
    one.picture()
    yield one
    one.close()


def paint(host: FakeHost) -> np.ndarray:
    """Publish a picture in which every pixel has another colour; B G R X."""
    width, height = SIZE
    pixels = np.zeros((height, width, 4), np.uint8)
    pixels[..., 0] = np.arange(width) % 256
    pixels[..., 1] = np.arange(height)[:, None]
    pixels[..., 2] = 0x40
    host.machine.producer.draw(Rect(0, 0, *SIZE), pixels.tobytes(), stride=width * 4)
    return pixels


def typed(host: FakeHost) -> list[int]:
    return [key for key, down in host.machine.steps if down]


# ---- Paste


def test_first_paste_asks_for_the_layout_and_remembers_it(window: Window, host: FakeHost):
    window.app.clipboard().setText("ab")
    window.tools.paste.paste()
    window.until(lambda: window.dialog, "the question")
    window.dialog._layouts.setCurrentIndex(window.dialog._layouts.findData("de"))
    window.dialog.accept()
    keys = [NUMBERS["a"], NUMBERS["b"]]
    window.until(lambda: typed(host) == keys, "the text")
    window.until(lambda: settings.load("fake").layout == "de", "the layout is remembered")
    window.until(lambda: window.tools.paste.pasting._bar is None)
    # Next time a short line is typed at once, on that layout: z and y are exchanged.
    window.app.clipboard().setText("z")
    window.tools.paste.paste()
    window.until(lambda: typed(host) == [*keys, NUMBERS["y"]], "the second text")
    assert window.dialog is None


def test_missing_characters_are_named_before_anything_is_sent(window: Window, host: FakeHost):
    window.tools.paste.type_text("a\u0416b")
    window.until(lambda: window.dialog, "the question")
    dialog = window.dialog
    assert "U+0416" in dialog._warning.text()
    assert not dialog._type.isEnabled()
    dialog._omit.setChecked(True)
    assert dialog._type.isEnabled()
    assert not host.machine.steps
    dialog.accept()
    window.until(lambda: typed(host) == [NUMBERS["a"], NUMBERS["b"]])


def test_escape_cancels_the_question(window: Window, host: FakeHost):
    window.tools.paste.type_text("x\ny\n")
    window.until(lambda: window.dialog, "the question")
    assert "Enter is pressed 2 times" in window.dialog._summary.text()
    window.dialog.reject()
    window.app.processEvents()
    assert not host.machine.steps
    assert window.tools.paste.pasting._dialog is None


def test_escape_cancels_the_typing(window: Window, host: FakeHost):
    settings.update("fake", lambda machine: setattr(machine, "layout", "en-us"))
    window.tools.paste.type_text("x" * 100_000)
    window.until(lambda: window.dialog, "the question")
    window.dialog.accept()
    window.until(lambda: len(host.machine.steps) > 100, "typing")
    window.until(lambda: window.app.focusWidget() is not window.view)
    window.key("Escape")
    window.until(lambda: window.tools.paste.pasting._bar is None, "the end")
    count = len(host.machine.steps)
    assert count < 200_000
    down = [key for key, pressed in host.machine.steps if pressed]
    assert len(down) * 2 == count
    assert any("cancelled" in note for note in [window.note()])


def test_hostile_text_is_shown_escaped(window: Window):
    window.tools.paste.type_text("\u202eevil\x1b<b>bold</b>\n")
    window.until(lambda: window.dialog, "the question")
    shown = window.dialog._preview.toPlainText()
    assert "\\u202e" in shown and "\\x1b" in shown and "<b>bold</b>" in shown
    window.dialog.reject()


def test_dropped_text_is_typed(window: Window, host: FakeHost):
    from PySide6.QtCore import QMimeData, QUrl
    from support.qt_drops import drop

    settings.update("fake", lambda machine: setattr(machine, "layout", "en-us"))

    text, file = QMimeData(), QMimeData()
    text.setText("q")
    file.setText("file:///x.iso")
    file.setUrls([QUrl("file:///x.iso")])
    assert drop(window.view.viewport(), text)
    window.until(lambda: typed(host) == [NUMBERS["q"]])
    assert not drop(window.view.viewport(), file)


def test_empty_clipboard_says_so(window: Window, host: FakeHost):
    window.app.clipboard().setText("")
    window.tools.paste.paste()
    assert "the clipboard has no text" in window.note()


def test_view_only_window_types_nothing(
    host: FakeHost, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    monkeypatch.setenv("QT_QPA_PLATFORM", "offscreen")
    paint(host)
    one = Window(view_only=True)
    one.tools.paste.type_text("x")
    one.app.processEvents()
    assert one.dialog is None and not host.machine.steps
    assert not one.tools.paste._actions[0].isEnabled()
    one.close()


# ---- Loupe, needles, text


def test_loupe_follows_the_pointer_and_sends_nothing(window: Window, host: FakeHost):
    from PySide6.QtCore import QPoint
    from PySide6.QtTest import QTest

    window.tools.pick(Purpose.LOUPE)
    layer, placement = window.tools.overlay, window.view.placement
    at = QPoint(
        int(placement.target.x + 100.5 * placement.scale),
        int(placement.target.y + 50.5 * placement.scale),
    )
    QTest.mouseMove(layer, at)
    window.until(lambda: layer.at == (100, 50))
    assert layer._content().colour == "#403264"
    for name in ("Left", "Up", "A", "Return"):
        window.key(name)
    assert layer.at == (99, 49)
    window.key("Right", "Shift")
    assert layer.at == (109, 49)
    window.key("C", "Control")
    assert window.app.clipboard().text() == "#40316d"
    window.key("Escape")
    assert window.tools.overlay is None
    assert window.app.focusWidget() is window.view
    window.app.processEvents()
    assert not host.machine.steps


def test_hint_of_the_loupe_leaves_room_for_a_message(window: Window):
    window.tools.pick(Purpose.LOUPE)
    layer, note = window.tools.overlay, window.window._note

    note.hide()  # the window's own message may still be shown
    usual = layer._hint.geometry()
    note.show_text("saved /home/ann/Pictures/web.png")
    assert not layer._hint.geometry().intersects(note.geometry())
    assert layer.rect().contains(layer._hint.geometry())
    note.hide()
    # At once: the pointer's place is reported later, and the loupe there may move the hint.
    assert layer._hint.geometry() == usual


def test_chord_opens_the_loupe(window: Window, host: FakeHost):
    from PySide6.QtCore import QEvent, Qt
    from PySide6.QtGui import QKeyEvent

    ctrl, alt, letter = 37, 64, 46  # X11's codes
    for code in (ctrl, alt, letter):
        none = Qt.KeyboardModifier.NoModifier
        event = QKeyEvent(QEvent.Type.KeyPress, 0, none, code, 0, 0)
        window.app.sendEvent(window.view, event)
    window.until(lambda: window.tools.overlay, "the loupe")
    # The focus has left the picture, so the keys of the chord are up in the guest.
    window.until(lambda: len(host.machine.steps) == 4)
    assert sorted(down for _, down in host.machine.steps) == [False, False, True, True]


def test_loupe_again_closes_it(window: Window):
    window.tools.pick(Purpose.LOUPE)
    window.tools.pick(Purpose.LOUPE)
    assert window.tools.overlay is None


def test_needle_is_cut_from_the_chosen_rectangle(window: Window, host: FakeHost, tmp_path: Path):
    window.tools.pick(Purpose.NEEDLE)
    window.drag((40, 30), (59, 44))
    window.until(lambda: window.dialog, "the dialog")
    dialog = window.dialog
    assert not dialog.form.command or dialog.form.problem
    dialog._folder.setText(str(tmp_path))
    dialog._name.setText("menu")
    assert dialog._command.text().startswith(f"kju wait fake --image {tmp_path}/menu.png --region ")
    dialog._save()
    window.until(lambda: (tmp_path / "menu.png").exists())
    window.until(lambda: window.dialog is None)
    needle = Needle.load(tmp_path / "menu.png")
    assert needle.cut_from == Rect(40, 30, 20, 15)
    assert np.array_equal(needle.pixels, paint(host)[30:45, 40:60, :3])


def test_needle_that_cannot_be_written_is_said(window: Window, tmp_path: Path):
    window.tools.pick(Purpose.NEEDLE)
    window.drag((40, 30), (59, 44))
    window.until(lambda: window.dialog, "the dialog")
    dialog = window.dialog
    dialog._folder.setText(str(tmp_path / "nowhere"))
    dialog._name.setText("menu")
    dialog._save()
    window.until(lambda: "nowhere" in dialog._problem.text())
    dialog.reject()


def test_rectangle_can_be_chosen_by_keys(window: Window):
    window.tools.pick(Purpose.NEEDLE)
    layer = window.tools.overlay
    begin = layer.at
    window.key("Return")
    for _ in range(3):
        window.key("Right", "Shift")
    window.key("Down")
    window.key("Return")
    window.until(lambda: window.dialog, "the dialog")
    assert window.dialog.form.rect == Rect(*begin, 31, 2)
    window.dialog.reject()


def test_escape_ends_the_choice(window: Window):
    window.tools.pick(Purpose.TEXT)
    window.key("Return")
    window.key("Escape")
    assert window.tools.overlay is not None  # it has dropped the corner
    window.key("Escape")
    assert window.tools.overlay is None


def test_rectangle_without_text_says_so(window: Window, host: FakeHost):
    pytest.importorskip("tesserocr")
    host.machine.producer.draw(Rect(0, 0, *SIZE), bytes(4 * SIZE[0] * SIZE[1]), stride=4 * SIZE[0])
    window.tools.pick(Purpose.TEXT)
    window.drag((4, 4), (60, 20))
    window.until(lambda: "no text was found in this rectangle" in window.note())


# ---- Recording


def test_recording_shows_its_time_and_can_be_played(window: Window, host: FakeHost, tmp_path: Path):
    from kju.viewers.qt.tools.player import PlayerWindow

    record = window.tools.record
    path = tmp_path / "v.mp4"
    record.record(path)
    window.until(lambda: record._recorder.seconds > 0, "the first frame")
    assert record._indicator.isVisibleTo(window.window)
    assert record._indicator.text().startswith("REC 00:0")
    paint(host)
    window.until(lambda: record._recorder._file.frames > 1, "a change")
    record._indicator.click()
    window.until(lambda: not record.recording, "the end")
    assert not record._indicator.isVisibleTo(window.window)
    assert str(path) in window.note()
    player = PlayerWindow(path)
    player.show()
    window.until(lambda: player._picture._pixels is not None, "the first frame")
    assert player.frame == 0
    window.app.sendEvent(player, key_event("Right"))
    assert player.frame == 1
    window.app.sendEvent(player, key_event("End"))
    window.until(lambda: player.frame == len(player.timeline.times) - 1)
    window.app.sendEvent(player, key_event("Space"))
    assert player.playing
    window.until(lambda: not player.playing, "the end of the recording")
    player.close()
    with VideoReader(path) as reader:
        assert reader.picture(0).shape == (200, 320, 4)


def key_event(name: str):
    from PySide6.QtCore import QEvent, Qt
    from PySide6.QtGui import QKeyEvent

    return QKeyEvent(
        QEvent.Type.KeyPress, getattr(Qt.Key, f"Key_{name}"), Qt.KeyboardModifier.NoModifier
    )


def test_closed_window_finishes_its_recording(window: Window, tmp_path: Path):
    record = window.tools.record
    record.record(tmp_path / "v.mp4")
    window.until(lambda: record._recorder.seconds > 0, "the first frame")
    recorder = record._recorder
    window.window.close()
    assert recorder.wait(60)
    with VideoReader(tmp_path / "v.mp4") as reader:
        assert reader.timeline.times


def test_recording_into_an_existing_file_says_so(window: Window, tmp_path: Path):
    (tmp_path / "v.mp4").write_bytes(b"mine")
    window.tools.record.record(tmp_path / "v.mp4")
    window.until(lambda: "choose another name" in window.note())
    assert not window.tools.record.recording


def test_player_shows_the_input_of_the_moment(window: Window, host: FakeHost, tmp_path: Path):
    from kju.protocol.input_log import Input, encode
    from kju.viewers.qt.tools.player import PlayerWindow
    from kju.viewers.tools.recording import input_path
    from kju.viewers.tools.video import VideoFile

    path = tmp_path / "v.webm"
    with VideoFile(path, 64, 48) as video:
        for number in range(4):
            video.add(np.full((48, 64, 4), 60 * number, np.uint8), number)
        video.close(4)
    keys = [Input(at, keys=[(NUMBERS[name], True), (NUMBERS[name], False)])
            for at, name in ((0.5, "f2"), (2.5, "f3"))]  # fmt: skip
    input_path(path).write_bytes(b"".join(map(encode, keys)))
    player = PlayerWindow(path)
    player.show()
    window.until(lambda: player._events.count() == 2, "the input")
    assert player._events.currentRow() == -1
    player.seek(1.0)
    assert player._events.currentRow() == 0
    player._jump_to(player._events.item(1))
    assert (player.frame, player._events.currentRow()) == (2, 1)
    window.until(lambda: player._picture._pixels is not None)
    player.close()


def test_player_of_another_file_says_why(window: Window, tmp_path: Path):
    from kju.viewers.qt.tools.player import PlayerWindow

    (tmp_path / "v.mp4").write_bytes(b"x")
    player = PlayerWindow(tmp_path / "v.mp4")
    player.show()
    window.until(lambda: "not a video" in player._picture._words)
    player.close()
