"""A full-screen program of an X server: a key changes its square, and a box moves on request.

    DISPLAY=:5 python -m benchmarks.x_program WIDTH HEIGHT

The lines `box` and `still` on standard input start and stop the box, 30 steps a second. The line
`flip` changes the square. Each is confirmed by the time before it was carried out, seconds since
1970. The program uses Xlib itself, so that its share of a measured time is small.
"""

from __future__ import annotations

import ctypes
import select
import sys
import time
from typing import Any

#: Middle and side of the key's square, which is white or black.
KEY, KEY_SIDE = (96, 32), 64
#: Side, row, first column, and steps a second of the box.
BOX, BOX_Y, BOX_X, RATE = 32, 400, 200, 30
#: A white area at rest: it shows that a page has a picture.
LIT, LIT_SIDE = (1184, 704), 64
_KEY_PRESS, _EXPOSE = 2, 12
_KEY_PRESS_MASK, _EXPOSURE_MASK = 1, 1 << 15
_WHITE, _BLACK, _GREY = 0xFFFFFF, 0x000000, 0x203040
_REVERT_TO_PARENT, _CURRENT_TIME = 2, 0


class Window:
    """The program's window, as large as the screen."""

    def __init__(self, width: int, height: int) -> None:
        self._xlib: Any = ctypes.CDLL("libX11.so.6")
        for name in ("XOpenDisplay", "XCreateGC"):
            getattr(self._xlib, name).restype = ctypes.c_void_p
        for name in ("XDefaultRootWindow", "XCreateSimpleWindow"):
            getattr(self._xlib, name).restype = ctypes.c_ulong
        if not (display := self._xlib.XOpenDisplay(None)):
            raise SystemExit("no X server at DISPLAY")
        self._display = ctypes.c_void_p(display)
        root = ctypes.c_ulong(self._xlib.XDefaultRootWindow(self._display))
        window = self._xlib.XCreateSimpleWindow(
            self._display, root, 0, 0, width, height, 0, _GREY, _GREY
        )
        self._window = ctypes.c_ulong(window)
        self._gc = ctypes.c_void_p(self._xlib.XCreateGC(self._display, self._window, 0, None))
        self._xlib.XSelectInput(
            self._display, self._window, ctypes.c_long(_KEY_PRESS_MASK | _EXPOSURE_MASK)
        )
        self._xlib.XMapWindow(self._display, self._window)
        self._event = ctypes.create_string_buffer(192)
        self._until_exposed()
        self._xlib.XSetInputFocus(
            self._display, self._window, _REVERT_TO_PARENT, ctypes.c_ulong(_CURRENT_TIME)
        )
        self._is_white, self._step = False, 0
        self.draw()

    def fileno(self) -> int:
        return int(self._xlib.XConnectionNumber(self._display))

    def draw(self) -> None:
        """Draw everything."""
        x, y = (place - KEY_SIDE // 2 for place in KEY)
        self._fill(_WHITE if self._is_white else _BLACK, x, y, KEY_SIDE)
        x, y = (place - LIT_SIDE // 2 for place in LIT)
        self._fill(_WHITE, x, y, LIT_SIDE)
        self._xlib.XFlush(self._display)

    def flip(self) -> None:
        """Change the key's square."""
        self._is_white = not self._is_white
        self.draw()

    def move(self) -> None:
        """Move the box by a step."""
        self._fill(_GREY, BOX_X + 4 * (self._step % 200), BOX_Y, BOX)
        self._step += 1
        self._fill(_WHITE, BOX_X + 4 * (self._step % 200), BOX_Y, BOX)
        self._xlib.XFlush(self._display)

    def take_events(self) -> None:
        """Answer the events that have arrived."""
        while self._xlib.XPending(self._display):
            self._xlib.XNextEvent(self._display, self._event)
            kind = int.from_bytes(self._event.raw[:4], sys.byteorder)
            if kind == _KEY_PRESS:
                self.flip()
            elif kind == _EXPOSE:
                self.draw()

    def _until_exposed(self) -> None:
        while True:
            self._xlib.XNextEvent(self._display, self._event)
            if int.from_bytes(self._event.raw[:4], sys.byteorder) == _EXPOSE:
                return

    def _fill(self, colour: int, x: int, y: int, side: int) -> None:
        self._xlib.XSetForeground(self._display, self._gc, ctypes.c_ulong(colour))
        self._xlib.XFillRectangle(self._display, self._window, self._gc, x, y, side, side)


def main(width: int, height: int) -> None:
    window = Window(width, height)
    print("ready", flush=True)
    is_moving, due = False, 0.0
    while True:
        window.take_events()
        if is_moving and time.monotonic() >= due:
            window.move()
            due = max(due + 1 / RATE, time.monotonic())
        wait = max(0.0, due - time.monotonic()) if is_moving else None
        readable = select.select([window, sys.stdin], [], [], wait)[0]
        if sys.stdin in readable:
            if not (line := sys.stdin.readline()):
                return
            begun, due = time.time(), time.monotonic()
            if line.strip() == "flip":
                window.flip()
            else:
                is_moving = line.strip() == "box"
            print(begun, flush=True)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
