"""Keyboard state of a view: keys for the guest, keys for the view, the grab, repeats. I/O-free.

Rules:

- A key goes to the guest when it is pressed, and again when it repeats: a PS/2 keyboard repeats
  keys itself and QEMU's does not. USB and virtio guests repeat by themselves and ignore it.
- The release key (a chord, ctrl-alt by default) pressed and released with nothing between grabs
  the keyboard for the guest, or releases it.
- While the keyboard is not grabbed, a shortcut (the release key and a letter, or the leave key)
  is a command to the view; the guest receives neither press nor release of its last key. While
  the keyboard is grabbed the guest receives everything but the desktop's chords.
- A chord of the desktop stays with the desktop though the keyboard is grabbed. While its keys but
  the last are held, the grab is lifted: the desktop then reacts to any of its shortcuts with these
  keys. A lone key, such as Super, is kept from the guest, with the keys pressed while it is held.
- The grab's policy (`GrabPolicy`) decides when else the keyboard is grabbed. The release key
  overrides it: the guest gets the keyboard back at the policy's next occasion (a click, the
  pointer's return, the window's return).
- Every key that was pressed in the guest is released there: when the user releases it, or when
  the view loses the focus.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum
from typing import NamedTuple

from ...keys import NUMBERS, Step, parse_chord
from ..contract import Backend, ViewCommand

#: Letters that are commands while the release key is held and nothing is grabbed.
SHORTCUT_LETTERS = {
    "f": ViewCommand.FULL_SCREEN,
    "s": ViewCommand.SCREENSHOT,
    "w": ViewCommand.CLOSE,
    "m": ViewCommand.MENU,
    "v": ViewCommand.PASTE,
    "c": ViewCommand.COPY_TEXT,
    "l": ViewCommand.LOUPE,
    "n": ViewCommand.NUMBERS,
    "r": ViewCommand.RECORD,
    "h": ViewCommand.WALL,
}
SHORTCUTS = {NUMBERS[letter]: command for letter, command in SHORTCUT_LETTERS.items()}
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


class GrabPolicy(StrEnum):
    """Occasions at which the guest gets the whole keyboard."""

    CHORD = "chord"
    """The release key, or the menu."""
    CLICK = "click"
    """And a click into the picture."""
    HOVER = "hover"
    """And while the pointer is over the picture."""
    FULL_SCREEN = "full-screen"
    """And while the picture fills the display."""
    NEVER = "never"
    """None. A guest that takes only distances gets the pointer at a click, without the keyboard."""


class Grab:
    """Gives the keyboard to the guest or to the desktop.

    Each method returns True where the guest has the keyboard from now on.

    Attributes:
        policy: Occasions at which the guest gets it.
        grabbed: The last decision.
    """

    def __init__(self, policy: GrabPolicy = GrabPolicy.CHORD) -> None:
        self.policy = policy
        self.grabbed: bool = False
        self._focused = True
        self._inside = False
        self._full_screen = False

    def set(self, on: bool) -> bool:
        """Take the user's wish: the release key, or the menu."""
        self.grabbed = on
        return on

    def set_policy(self, policy: GrabPolicy) -> bool:
        """Take another policy; it applies at once."""
        self.policy = policy
        self.grabbed = self._by_policy()
        return self.grabbed

    def clicked(self) -> bool:
        """Take a click into the picture."""
        if self.policy in (GrabPolicy.CLICK, GrabPolicy.HOVER):
            self.grabbed = True
        return self.grabbed

    def pointer_inside(self, inside: bool) -> bool:
        """Take that the pointer has entered or left the picture."""
        self._inside = inside
        if self.policy is GrabPolicy.HOVER:
            self.grabbed = self._by_policy()
        return self.grabbed

    def full_screen(self, on: bool) -> bool:
        """Take that the picture fills the display, or no longer does."""
        changed, self._full_screen = on != self._full_screen, on
        if changed and self.policy is GrabPolicy.FULL_SCREEN:
            self.grabbed = self._by_policy()
        return self.grabbed

    def focus(self, focused: bool) -> bool:
        """Take a change of the keyboard focus; without it nothing is grabbed."""
        gained, self._focused = focused and not self._focused, focused
        if not focused:
            self.grabbed = False
        elif gained:
            self.grabbed = self._by_policy()
        return self.grabbed

    def _by_policy(self) -> bool:
        if self.policy is GrabPolicy.HOVER:
            return self._focused and self._inside
        return self.policy is GrabPolicy.FULL_SCREEN and self._focused and self._full_screen


class ViewKeys:
    """Keyboard state of one view.

    Args:
        release: The release key.
        leave: A chord that closes the view as well; none by default.
        shortcuts: The commands whose shortcuts are the view's; by default those of any back end.

    Attributes:
        grabbed: True while the guest has the whole keyboard.
        shortcuts: The same.

    Raises:
        UsageError: A chord names no key.
    """

    def __init__(
        self,
        release: str = RELEASE,
        leave: str = "",
        shortcuts: frozenset[ViewCommand] = Backend.shortcuts,
    ) -> None:
        self.grabbed: bool = False
        self.shortcuts = shortcuts
        self.release_key: str = chord_label(release)
        self._chord = _alternatives(release)
        self._leave = _alternatives(leave) if leave else []
        self._desktop: list[list[frozenset[int]]] = []
        self._down: dict[int, None] = {}
        self._swallowed: set[int] = set()
        # True while the release key is held and no other input has followed.
        self._only_release_key = False

    @property
    def lifted(self) -> bool:
        """True while the keys that are held may become a chord of the desktop."""
        return self._holds_lone_key() or any(
            len(chord) > 1 and self._holds(chord[:-1]) for chord in self._desktop
        )

    def set_desktop_chords(self, chords: Iterable[str]) -> None:
        """Set the chords that stay with the desktop while the keyboard is grabbed.

        Raises:
            UsageError: A chord names no key.
        """
        self._desktop = [_alternatives(chord) for chord in chords]

    def press(self, key: int) -> list[Step | ViewCommand]:
        """Press a key; no result for a key that is down already."""
        if key in self._down or key in self._swallowed:
            return []
        if self.grabbed and self._is_desktops(key):
            self._swallowed.add(key)
            self._only_release_key = False
            return []
        if not self.grabbed and (command := self._shortcut(key)) is not None:
            self._swallowed.add(key)
            self._only_release_key = False
            return [command]
        self._down[key] = None
        self._only_release_key = self._holds(self._chord)
        return [(key, True)]

    def is_of_release_key(self, key: int) -> bool:
        """Return True where a key belongs to the release key."""
        return any(key in part for part in self._chord)

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
        command = SHORTCUTS.get(key)
        if command in self.shortcuts and self._holds(self._chord):
            return command
        if self._leave and key in self._leave[-1] and self._holds(self._leave[:-1]):
            return ViewCommand.CLOSE
        return None

    def _is_desktops(self, key: int) -> bool:
        return self._holds_lone_key() or any(
            key in chord[-1] and (len(chord) == 1 or self._holds(chord[:-1]))
            for chord in self._desktop
        )

    def _holds_lone_key(self) -> bool:
        return any(
            len(chord) == 1 and not self._swallowed.isdisjoint(chord[0]) for chord in self._desktop
        )

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
