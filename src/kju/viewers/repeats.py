"""X11's key repeats, told from keys that go up and down. I/O-free.

An X server repeats a key by a release and a press of the same moment. Qt looks for the press
in what it has read already, where it mostly is not yet. So a release is held back for as long
as its press may still come; any other key, and the end of that time, lets it go.
"""

from __future__ import annotations

from typing import NamedTuple

#: How long a release is held back. The press of a repeat came 0.2 ms after its release in the
#: middle, 1.6 ms at most, of 34 on Xvfb on a busy computer with two cores.
HOLD_MS = 8


class KeyEvent(NamedTuple):
    """A key by the toolkit's code: it goes down, goes up, or repeats (down again)."""

    code: int
    down: bool
    repeat: bool


class Repeats:
    """Holds back one release at most."""

    def __init__(self) -> None:
        self._held: tuple[int, int] | None = None

    def press(self, code: int, time: int, repeat: bool) -> list[KeyEvent]:
        """What a press means, with what was held back before it.

        Args:
            code: The key.
            time: The server's, in milliseconds.
            repeat: The toolkit knows it for a repeat.
        """
        if self._held == (code, time):
            self._held = None
            return [KeyEvent(code, True, True)]
        return [*self.let_go(), KeyEvent(code, True, repeat)]

    def release(self, code: int, time: int, repeat: bool) -> list[KeyEvent]:
        """What was held back before this release, which is from now on, unless it repeats."""
        before = self.let_go()
        if not repeat:
            self._held = code, time
        return before

    def let_go(self) -> list[KeyEvent]:
        """The release that was held back: it was one."""
        held, self._held = self._held, None
        return [KeyEvent(held[0], False, False)] if held else []
