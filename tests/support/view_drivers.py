"""Users of each viewer back end, behind the same calls: a stub, a Qt window and a terminal."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import struct
import termios
import threading

import numpy as np

from kju.keys import from_x11
from kju.viewers.geometry import Scaling
from kju.viewers.input.grab import RELEASE
from kju.viewers.targets import MachineTarget
from kju.viewers.terminal.paint import Ability, Colours
from kju.viewers.terminal.tty import Tty
from kju.viewers.terminal.view import TerminalView
from kju.viewers.viewer import Viewer
from support.stub_view import StubView
from support.vt import Terminal
from support.wait import until

SIZE = (64, 48)
CTRL, ALT, A, F = 37, 64, 38, 41  # X11's codes; the guest's are 8 less
# Kitty's protocol, and SGR mouse reports.
KITTY = {CTRL: 57442, ALT: 57443, A: 97, F: 102}
MOUSE_BUTTONS = {"left": 0, "middle": 1, "right": 2, "side": 128}


class StubDriver:
    """Drives the stub back end."""

    resizes = True  # the view takes the size that the viewer chooses

    def __init__(self, name, view_only=False, scaling=Scaling.FIT, size=SIZE):
        self.backend = StubView(*size)
        self.backend.largest = (400, 300)
        self.viewer = Viewer(
            self.backend, MachineTarget(name, view_only=view_only), scaling=scaling
        )
        self.notes = self.backend.notes
        self.commands = self.backend.commands

    def run(self):
        self.backend.run()

    @property
    def pixels(self):
        return self.backend.canvas[..., :3]

    @property
    def status(self):
        return self.backend.status

    def show(self, visible=True):
        self.viewer.visible(visible)

    def resize(self, width, height):
        self.backend.resize(width, height)
        self.viewer.resized()

    def key(self, code, down, repeat=False):
        self.viewer.input.key(from_x11(code), down, repeat)

    def move(self, x, y):
        self.viewer.moved(x, y)

    def click(self, name):
        self.viewer.input.button(name, True)
        self.viewer.input.button(name, False)

    def turn(self, vertical, horizontal):
        self.viewer.input.wheel(vertical, horizontal)

    def blur(self):
        self.viewer.focused(False)

    def close(self):
        self.viewer.closed()


class QtDriver:
    """Drives a Qt window with Qt's events, and reads the pixels of its window."""

    resizes = True

    def __init__(self, name, view_only=False, scaling=Scaling.FIT, size=SIZE):
        from PySide6.QtWidgets import QApplication

        from kju.viewers.qt.widget import ScreenView

        self.app = QApplication.instance() or QApplication(["kju"])
        self.view = ScreenView()
        self.notes, self.commands, self.statuses, self.time = [], [], [], 0
        self.view.noted.connect(self.notes.append)
        self.view.commanded.connect(self.commands.append)
        self.view.status_changed.connect(self.statuses.append)
        self.view.size_wanted.connect(self.view.resize)
        self.view.show_machine(name, view_only=view_only, scaling=scaling, release=RELEASE)
        self.view.resize(*size)
        self.viewer = self.view.viewer

    def run(self):
        self.app.processEvents()

    @property
    def pixels(self):
        from PySide6.QtGui import QImage

        handle = self.view.windowHandle()
        image = handle.screen().grabWindow(handle.winId()).toImage()
        image = image.convertToFormat(QImage.Format.Format_RGB32)
        # Copied: the memory belongs to the image, and the array does not keep it alive.
        rows = np.array(image.constBits()).reshape(image.height(), image.bytesPerLine() // 4, 4)
        across, down = self.view.device_size()
        return rows[:down, :across, :3]

    @property
    def status(self):
        return self.statuses[-1]

    def show(self, visible=True):
        self.view.setVisible(visible)

    def resize(self, width, height):
        self.view.resize(width, height)

    def key(self, code, down, repeat=False):
        from PySide6.QtCore import QEvent, Qt
        from PySide6.QtGui import QKeyEvent

        kind = QEvent.Type.KeyPress if down else QEvent.Type.KeyRelease
        none = Qt.KeyboardModifier.NoModifier
        event = QKeyEvent(kind, 0, none, code, 0, 0, "", repeat)
        self.time += 1
        event.setTimestamp(self.time)
        self.app.sendEvent(self.view, event)

    def _mouse(self, kind, button):
        from PySide6.QtCore import QPointF, Qt
        from PySide6.QtGui import QMouseEvent

        at, none = QPointF(*self.at), Qt.KeyboardModifier.NoModifier
        event = QMouseEvent(kind, at, at, button, button, none)
        self.app.sendEvent(self.view.viewport(), event)

    def move(self, x, y):
        from PySide6.QtCore import QEvent, Qt

        self.at = x, y
        self._mouse(QEvent.Type.MouseMove, Qt.MouseButton.NoButton)

    def click(self, name):
        from PySide6.QtCore import QEvent, Qt

        button = getattr(Qt.MouseButton, {"side": "Back"}.get(name, name.capitalize()) + "Button")
        self._mouse(QEvent.Type.MouseButtonPress, button)
        self._mouse(QEvent.Type.MouseButtonRelease, button)

    def turn(self, vertical, horizontal):
        from PySide6.QtCore import QPoint, QPointF, Qt
        from PySide6.QtGui import QWheelEvent

        at, angle = QPointF(*self.at), QPoint(round(-120 * horizontal), round(-120 * vertical))
        buttons, none = Qt.MouseButton.NoButton, Qt.KeyboardModifier.NoModifier
        phase = Qt.ScrollPhase.NoScrollPhase
        event = QWheelEvent(at, at, QPoint(), angle, buttons, none, phase, False)
        self.app.sendEvent(self.view.viewport(), event)

    def blur(self):
        from PySide6.QtCore import QEvent
        from PySide6.QtGui import QFocusEvent

        self.app.sendEvent(self.view, QFocusEvent(QEvent.Type.FocusOut))

    def close(self):
        self.view.hide()
        self.viewer.closed()
        self.view.deleteLater()
        self.app.processEvents()


class TerminalDriver:
    """Drives a terminal with bytes through a pty, and reads its dots from pyte."""

    resizes = False

    def __init__(self, name, view_only=False, scaling=Scaling.FIT, size=SIZE):
        self.master, self.slave = pty.openpty()
        self.reading = threading.Thread(target=self._read)
        self.lock = threading.Lock()
        self.screen = None
        self._set_size(*size)
        self.reading.start()
        self.terminal = Tty(self.slave, self.slave, raw=True)
        target = MachineTarget(name, view_only=view_only)
        can = Ability(Colours.TRUE)
        self.terminal.take_over()
        self.view = TerminalView(self.terminal, can, target, scaling=scaling, follow=True)
        self.viewer = self.view.viewer
        self.notes, self.commands = [], []
        backend = self.view.backend
        notify, command = backend.notify, backend.command
        backend.notify = lambda message: (self.notes.append(message), notify(message))
        backend.command = lambda what: (self.commands.append(what), command(what))
        until(lambda: (self.run(), self.screen.keyboard)[1], what="Kitty's protocol")

    def _read(self):
        while True:
            try:
                data = os.read(self.master, 1 << 16)
            except OSError:  # the other end is closed
                return
            with self.lock:
                self.screen.feed(data)
                answers, self.screen.answers = self.screen.answers, []
            for answer in answers:
                os.write(self.master, answer)

    def _set_size(self, width, height):
        rows = -(-height // 2) + 1
        with self.lock:
            keyboard = self.screen.keyboard if self.screen else []
            self.screen = Terminal(width, rows, kitty=True)
            self.screen.keyboard = keyboard
            self.size = width, height
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("4H", rows, width, 0, 0))

    def run(self):
        self.view.step(0)

    @property
    def pixels(self):
        width, height = self.view.backend.view_size()
        with self.lock:
            if (self.screen.columns, 2 * self.screen.rows - 2) != (width, height):
                return np.zeros((0, 0, 3), np.uint8)
            dots = self.screen.dots(height // 2)
        colours = [[dot or (0, 0, 0) for dot in cell] for row in dots for cell in row]
        cells = np.array(colours, np.uint8).reshape(height // 2, width, 2, 3)
        return cells.transpose(0, 2, 1, 3).reshape(height, width, 3)[..., ::-1]

    @property
    def status(self):
        return self.view.backend._status

    def show(self, visible=True):
        self.viewer.visible(visible)

    def resize(self, width, height):
        self._set_size(width, height)
        self.terminal.resized = True
        self.run()

    def _type(self, sequence):
        os.write(self.master, f"\x1b[{sequence}".encode())
        # Wait until the loop has read it: the next input must not overtake it.
        select.select([self.slave], [], [], 10)
        self.run()

    def key(self, code, down, repeat=False):
        self._type(f"{KITTY[code]};1:{2 if repeat and down else 1 if down else 3}u")

    def _mouse(self, code, down=True):
        x, y = self.at
        self._type(f"<{code};{x + 1};{y // 2 + 1}{'M' if down else 'm'}")

    def move(self, x, y):
        self.at = x, y
        self._mouse(35)

    def click(self, name):
        self._mouse(MOUSE_BUTTONS[name])
        self._mouse(MOUSE_BUTTONS[name], down=False)

    def turn(self, vertical, horizontal):
        for turned, codes in ((vertical, (64, 65)), (horizontal, (66, 67))):
            for _ in range(abs(turned)):
                self._mouse(codes[turned > 0])

    def blur(self):
        self._type("O")

    def close(self):
        self.viewer.closed()
        self.terminal.restore()
        os.close(self.slave)
        self.reading.join()
        os.close(self.master)
