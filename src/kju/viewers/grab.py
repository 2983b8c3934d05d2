"""Keyboard state of a view: keys for the guest, keys for the view, the grab, repeats. I/O-free.

Rules:

- A key goes to the guest when it is pressed, and again when it repeats: a PS/2 keyboard repeats
  keys itself and QEMU's does not. USB and virtio guests repeat by themselves and ignore it.
- The release key (a chord, ctrl-alt by default) pressed and released with nothing between grabs
  the keyboard for the guest, or releases it.
- While the keyboard is not grabbed, a shortcut (the release key and a letter, or the leave key)
  is a command to the view; the guest receives neither press nor release of its last key. While
  the keyboard is grabbed the guest receives everything.
- Every key that was pressed in the guest is released there: when the user releases it, or when
  the view loses the focus.
"""

from __future__ import annotations

from typing import NamedTuple

from ..keys import NUMBERS, Step, parse_chord
from .contract import ViewCommand

#: Keys that are commands while the release key is held and nothing is grabbed.
SHORTCUTS = {
    NUMBERS["f"]: ViewCommand.FULL_SCREEN,
    NUMBERS["s"]: ViewCommand.SCREENSHOT,
    NUMBERS["n"]: ViewCommand.NUMBERS,
    NUMBERS["w"]: ViewCommand.CLOSE,
}
RELEASE = "ctrl-alt"

# Either of the two keys matches. The right alt does not match alt: together with ctrl it types
# characters in some layouts.
_EITHER = {
    NUMBERS[name]: frozenset({NUMBERS[name], NUMBERS[other]})
    for name, other in (("ctrl", "ctrl_r"), ("shift", "shift_r"), ("meta_l", "meta_r"))
}
#: Delay of a release. In 34 repeats on Xvfb, on a busy computer with two cores, the press followed
#: the release after 0.2 ms (median) and 1.6 ms (maximum).
HOLD_MS = 8
_LABELS = {"bracket_right": "]"}


class ViewKeys:
    """Keyboard state of one view.

    Args:
        release: The release key.
        leave: A chord that closes the view as well; none by default.

    Attributes:
        grabbed: True while the guest has the whole keyboard.

    Raises:
        UsageError: A chord names no key.
    """

    def __init__(self, release: str = RELEASE, leave: str = "") -> None:
        self.grabbed: bool = False
        self.release_key: str = chord_label(release)
        self._chord = _alternatives(release)
        self._leave = _alternatives(leave) if leave else []
        self._down: dict[int, None] = {}
        self._swallowed: set[int] = set()
        # True while the release key is held and no other input has followed.
        self._only_release_key = False

    @property
    def held(self) -> list[int]:
        """Keys that are down in the guest, in the order of pressing."""
        return list(self._down)

    def press(self, key: int) -> list[Step | ViewCommand]:
        """Press a key; no result for a key that is down already."""
        if key in self._down or key in self._swallowed:
            return []
        if not self.grabbed and (command := self._shortcut(key)) is not None:
            self._swallowed.add(key)
            self._only_release_key = False
            return [command]
        self._down[key] = None
        self._only_release_key = self._holds(self._chord)
        return [(key, True)]

    def repeats(self, key: int) -> bool:
        """Return True where a repeat of this key is for the guest."""
        return key in self._down

    def release(self, key: int) -> list[Step | ViewCommand]:
        """Release a key; no result for a key that is up already."""
        self._swallowed.discard(key)
        if key not in self._down:
            return []
        del self._down[key]
        acts: list[Step | ViewCommand] = [(key, False)]
        if self._only_release_key:
            self._only_release_key = False
            acts.append(ViewCommand.UNGRAB if self.grabbed else ViewCommand.GRAB)
        return acts

    def pointer_used(self) -> None:
        """Note a button or the wheel: the release key is now part of input for the guest."""
        self._only_release_key = False

    def release_all(self) -> list[Step]:
        """Release every key in the guest, last pressed first."""
        up: list[Step] = [(key, False) for key in reversed(self._down)]
        self._down.clear()
        self._swallowed.clear()
        self._only_release_key = False
        return up

    def _shortcut(self, key: int) -> ViewCommand | None:
        if key in SHORTCUTS and self._holds(self._chord):
            return SHORTCUTS[key]
        if self._leave and key in self._leave[-1] and self._holds(self._leave[:-1]):
            return ViewCommand.CLOSE
        return None

    def _holds(self, chord: list[frozenset[int]]) -> bool:
        """Return True where the keys of a chord are down, and no others."""
        down = set(self._down)
        covered = [down & part for part in chord]
        return all(covered) and down == set().union(*covered)


def chord_label(chord: str) -> str:
    """Return a chord as users read it, such as ``Ctrl+]``."""
    return "+".join(_LABELS.get(part, part.capitalize()) for part in chord.split("-"))


def _alternatives(chord: str) -> list[frozenset[int]]:
    return [_EITHER.get(key, frozenset({key})) for key in parse_chord(chord)]


class KeyEvent(NamedTuple):
    """A key, by the toolkit's code, goes down, goes up, or repeats (down again)."""

    code: int
    down: bool
    repeat: bool


class Repeats:
    """Detects X11's key repeats; delays one release at most.

    An X server repeats a key by a release and a press with the same time. Qt searches only the
    events that it has read already, which rarely include the press. So a release is delayed for as
    long as its press may follow; any other key, and the end of that time, flushes it.
    """

    def __init__(self) -> None:
        self._held: tuple[int, int] | None = None

    def press(self, code: int, time: int, repeat: bool) -> list[KeyEvent]:
        """Take a press; return it, after the release that was delayed before it.

        Args:
            code: The key.
            time: The server's time, milliseconds.
            repeat: The toolkit has recognised a repeat.
        """
        if self._held == (code, time):
            self._held = None
            return [KeyEvent(code, True, True)]
        return [*self.flush(), KeyEvent(code, True, repeat)]

    def release(self, code: int, time: int, repeat: bool) -> list[KeyEvent]:
        """Delay a release, unless it is of a repeat; return the one delayed before it."""
        before = self.flush()
        if not repeat:
            self._held = code, time
        return before

    def flush(self) -> list[KeyEvent]:
        """Return the delayed release: no press followed it."""
        held, self._held = self._held, None
        return [KeyEvent(held[0], False, False)] if held else []
