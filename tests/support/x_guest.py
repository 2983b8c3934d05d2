"""A machine whose guest is an X server with programs, to be clicked and typed into.

kju itself sends no input to X servers. Here xdotool does, so that a test can use a window quickly
that would take a guest under emulation a minute to show.
"""

from __future__ import annotations

import contextlib
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from kju.emulators.input.devices import InputLog
from kju.host.control import Client, Result
from kju.keys import to_evdev
from kju.memory import SurfaceProducer
from kju.protocol import messages
from kju.protocol.messages import AnyRequest
from kju.protocol.values import Button, To, TurnWheel
from kju.surface.geometry import Rect

from . import form_program, xservers
from .fake_host import FakeHost, FakeMachine
from .wait import until

#: X's numbers of buttons, in the order of `kju.protocol.values.BUTTONS`.
BUTTONS = (1, 2, 3, 8, 9)


class XMachine(FakeMachine):
    """Sends its input to a display, and logs it as the host of a machine does."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.producer.close()
        self.size = form_program.WIDTH, form_program.HEIGHT
        self.producer = SurfaceProducer.create("memfd:x", capacity=4 * self.size[0] * self.size[1])
        self.producer.set_mode(*self.size)
        self.info["started"] = time.time()
        self.log = InputLog(self.claim.paths.input_log)
        self.display = ""

    async def handle(self, client: Client, request: AnyRequest) -> Result:
        mode = self.producer.mode
        mark = messages.Done(
            version=self.producer.version, epoch=mode.epoch,
            incarnation=self.producer.incarnation,
        )  # fmt: skip
        match request:
            case messages.Keys(console=console, steps=steps):
                self.log.keys(console, steps)
                for key, down in steps:
                    self._do("keydown" if down else "keyup", str((to_evdev(key) or 0) + 8))
                return Result(mark)
            case messages.Point(console=console, actions=actions):
                for action in actions:
                    self.log.pointer(console, action)
                    self._point(action)
                return Result(mark)
            case messages.Refresh():
                return Result(mark)
        return await super().handle(client, request)

    def _point(self, action: object) -> None:
        match action:
            case To(x=x, y=y):
                self._do("mousemove", str(x), str(y))
            case Button(button=number, down=down):
                self._do("mousedown" if down else "mouseup", str(BUTTONS[number]))
            case TurnWheel(vertical=notches):
                self._do("click", "--repeat", str(abs(notches)), "5" if notches > 0 else "4")

    def _do(self, *words: str) -> None:
        xservers.do(self.display, "xdotool", *words)

    def show(self) -> None:
        """Publish the display's picture."""
        picture = xservers.picture(self.display)
        pixels = np.dstack((picture, np.zeros(picture.shape[:2], np.uint8)))
        self.producer.draw(Rect(0, 0, *self.size), pixels)


class Form:
    """The form of `form_program` on a machine.

    Attributes:
        machine: The machine.
        display: Its X display.
    """

    def __init__(self, machine: XMachine, file: Path) -> None:
        self.machine = machine
        self.display = machine.display
        self._file = file

    def said(self) -> list[str]:
        """Return what the program has reported."""
        return self._file.read_text().splitlines()

    def is_drawn(self) -> bool:
        """Check for the form's last part, the board, and for its blue button."""
        picture = xservers.picture(self.display)
        drawn = picture[166, 155].tolist() == [0xD0, 0x6F, 0x1A]
        return drawn and picture[500, 700].tolist() == [0xDD, 0xE6, 0xDD]

    def until_said(self, line: str) -> None:
        until(lambda: line in self.said(), f"the form reports {line!r}: {self.said()}")


@contextlib.contextmanager
def form(folder: Path, *words: str, name: str = "form") -> Iterator[Form]:
    """Show a fresh form on a machine of this name."""
    file = folder / "said"
    file.write_text("")
    width, height = form_program.WIDTH, form_program.HEIGHT
    host: Any = FakeHost(name, XMachine)
    ending = threading.Event()
    try:
        with (
            xservers.server("-screen", "0", f"{width}x{height}x24") as (_, display),
            _program(display, file, *words),
        ):
            machine: XMachine = host.machine
            machine.display = display
            made = Form(machine, file)
            made.until_said("ready")
            until(made.is_drawn, "the form is drawn")
            machine.show()  # whoever attaches finds the form
            thread = threading.Thread(target=_show, args=(machine, ending))
            thread.start()
            try:
                yield made
            finally:
                ending.set()
                thread.join()
    finally:
        host.end()


@contextlib.contextmanager
def _program(display: str, file: Path, *words: str) -> Iterator[subprocess.Popen[bytes]]:
    code = Path(form_program.__file__)
    with xservers.program(display, sys.executable, str(code), str(file), *words) as child:
        yield child


def _show(machine: XMachine, ending: threading.Event) -> None:
    while not ending.wait(0.05):
        with contextlib.suppress(subprocess.CalledProcessError):
            machine.show()
