"""SHELL: the loop of `kju watch` on a terminal."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

from ...keys import NUMBERS
from ..contract import ViewCommand
from ..geometry import Scaling
from ..input.grab import RELEASE
from ..targets import ViewerTarget
from ..viewer import Viewer
from .backend import TerminalBackend
from .paint import Ability, ability
from .parser import (
    ChordTyped,
    Event,
    FocusChanged,
    InputParser,
    KeyChange,
    KittySupported,
    MouseButton,
    MouseMoved,
    TextTyped,
    WheelTurned,
)
from .tty import TakenOver, Tty, own_terminal

#: Closes the view, as in `kju serial`. Ctrl+Alt+W does so too, as in `kju view`; but not every
#: terminal sends Alt.
LEAVE = "ctrl-bracket_right"
_LEAVE_CHORD = (NUMBERS["ctrl"], NUMBERS["bracket_right"])
# Keys that end a view without input as well.
_QUIT = b"qQ\x03\x04"
# Time between two refreshes of the status line.
_STATUS_SECONDS = 0.25
# Time after which an escape character is the Esc key: the rest of a sequence comes at once.
_ESCAPE_SECONDS = 0.05


class TerminalView:
    """A viewer on a terminal, and the loop between the two.

    Args:
        terminal: The terminal, which the caller takes over and restores.
        can: Its colours and characters.
        target: The machine's console, or surface.
        scaling: Size of the picture.
        release: The chord that grabs and releases the keyboard.
        follow: Wait for the next machine or producer when one ends.
        leave_hint: The effect of the leave key, for the status line.
    """

    def __init__(
        self,
        terminal: Tty,
        can: Ability,
        target: ViewerTarget,
        *,
        scaling: Scaling = Scaling.SHRINK,
        release: str = RELEASE,
        follow: bool = False,
        leave_hint: str = "leaves",
    ) -> None:
        self._terminal = terminal
        self.backend = TerminalBackend(terminal, can, leave_hint)
        self.viewer = Viewer(
            self.backend, target, scaling=scaling, release=release, leave=LEAVE, follow=follow
        )
        self._parser = InputParser()
        self.closed: bool = False

    def run(self, seconds: float = 0) -> None:
        """Show the target until the user leaves, the target ends, or *seconds* are over (0: never).

        Raises:
            KjuError: The target ended; `Viewer.error`.
        """
        deadline = time.monotonic() + seconds if seconds else float("inf")
        self.viewer.visible(True)
        try:
            while not self.closed and (left := deadline - time.monotonic()) > 0:
                self.step(min(_STATUS_SECONDS, left))
        finally:
            self.viewer.closed()
        if self.viewer.error is not None:
            raise self.viewer.error

    def step(self, seconds: float) -> None:
        """Wait for input and updates, at most *seconds*; handle them and paint."""
        if self._parser.waits:
            seconds = min(seconds, _ESCAPE_SECONDS)
        typed = self.backend.wait(seconds)
        if self.viewer.view_only:
            self.closed = self.closed or any(byte in _QUIT for byte in typed)
        events = self._parser.feed(typed) if typed else self._parser.flush()
        for event in events:
            self._handle(event)
        while self.backend.commands:
            self._execute(self.backend.commands.popleft())
        if self._terminal.resized:
            self._terminal.resized = False
            self.backend.adopt_size()
            self.viewer.resized()
        self.backend.paint(self.viewer.version)

    def _handle(self, event: Event) -> None:
        keyboard = self.viewer.input
        match event:
            case KeyChange(number, down, repeat):
                keyboard.key(number, down, repeat)
            case ChordTyped(numbers):
                self._press(numbers)
            case TextTyped(text):
                keyboard.text(text)
            case MouseMoved(column, row):
                # The middle of a cell lies between its two dots.
                self.viewer.moved(column, 2 * row + 1)
            case MouseButton(name, down):
                keyboard.button(name, down)
            case WheelTurned(vertical, horizontal):
                keyboard.wheel(vertical, horizontal)
            case FocusChanged(has_focus):
                self.viewer.focused(has_focus)
            case KittySupported():
                self._terminal.use_kitty()
                self._parser.kitty = True

    def _press(self, numbers: tuple[int, ...]) -> None:
        """Press and release keys of which the terminal reports no releases."""
        keyboard = self.viewer.input
        if numbers == _LEAVE_CHORD and not keyboard.grabbed:
            # Not key by key: the guest would see Ctrl alone, which some programs react to.
            self.backend.command(ViewCommand.CLOSE)
            return
        for number in numbers:
            keyboard.key(number, True)
        for number in reversed(numbers):
            keyboard.key(number, False)

    def _execute(self, command: ViewCommand) -> None:
        match command:
            case ViewCommand.CLOSE:
                self.closed = True
            case ViewCommand.SCREENSHOT:
                name = Path(self.viewer.name).name
                self.viewer.save(Path.cwd() / time.strftime(f"{name}-%Y%m%d-%H%M%S.png"))
            case ViewCommand.FULL_SCREEN:
                self.backend.notify("a terminal view has no full screen")


def terminal_ability() -> Ability:
    """Return the colours and characters of the terminal on standard output."""
    return ability(os.environ, sys.stdout.encoding or "")


def show(
    target: ViewerTarget,
    *,
    release: str = RELEASE,
    follow: bool = False,
    leave_hint: str = "leaves",
    seconds: float = 0,
) -> None:
    """Show a target on this process's terminal; send the terminal's input to it.

    Args:
        target: The machine's console, or surface.
        release: The chord that grabs and releases the keyboard.
        follow: Wait for the next machine or producer when one ends.
        leave_hint: The effect of the leave key, for the status line.
        seconds: Time after which to end; 0 is never.

    Raises:
        ProducerGoneError: The machine or producer has ended.
        MemoryLostError: The file below was cut.
        KeyboardInterrupt: Ctrl+C in a view without input; the terminal has been restored.
    """
    terminal = own_terminal(raw=target.controls)
    view = TerminalView(
        terminal, terminal_ability(), target,
        release=release, follow=follow, leave_hint=leave_hint,
    )  # fmt: skip
    with TakenOver(terminal):
        view.run(seconds)
