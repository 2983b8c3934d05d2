"""Which keys are down, and whether they are the guest's, the window's, or let the guest go.

Rules:

- A key goes to the guest as soon as it goes down, and again when it repeats: a PS/2 keyboard
  repeats, QEMU's does not, and no guest does it in its place. USB and virtio guests repeat by
  themselves and take no notice. `Keys.repeats` says which repeats are the guest's.
- The release key (a chord, ctrl-alt by default) pressed and let go with nothing between grabs
  the keyboard for the guest, or gives it back.
- While nothing is grabbed, the release key held and a letter pressed is a command to the
  window, and the guest sees neither that letter's press nor its release. While the keyboard is
  grabbed the guest gets everything.
- Every key that the guest was given goes up: at its release, or when the window lets go.
"""

from __future__ import annotations

from enum import Enum

from ..keys import NUMBERS, Step, parse_chord


class Command(Enum):
    """What a window is asked to do."""

    GRAB = "grab"
    UNGRAB = "ungrab"
    FULL_SCREEN = "full screen"
    SCREENSHOT = "screenshot"
    CLOSE = "close"


#: With the release key held, while nothing is grabbed.
SHORTCUTS = {
    NUMBERS["f"]: Command.FULL_SCREEN,
    NUMBERS["s"]: Command.SCREENSHOT,
    NUMBERS["w"]: Command.CLOSE,
}
RELEASE = "ctrl-alt"

# Either of the two keys will do. Not the right alt: with ctrl it types characters in some layouts.
_EITHER = {
    NUMBERS[name]: frozenset({NUMBERS[name], NUMBERS[other]})
    for name, other in (("ctrl", "ctrl_r"), ("shift", "shift_r"), ("meta_l", "meta_r"))
}


class Keys:
    """The keys of one window.

    Attributes:
        grabbed: Whether the guest has the whole keyboard.

    Raises:
        UsageError: The release key names no keys.
    """

    def __init__(self, release: str = RELEASE) -> None:
        self.grabbed: bool = False
        self.release_key: str = "+".join(part.capitalize() for part in release.split("-"))
        self._chord = [_EITHER.get(key, frozenset({key})) for key in parse_chord(release)]
        self._down: dict[int, None] = {}
        self._swallowed: set[int] = set()
        self._alone = False

    @property
    def held(self) -> list[int]:
        """What the guest holds down, in the order of pressing."""
        return list(self._down)

    def press(self, key: int) -> list[Step | Command]:
        """A key went down; nothing for one that is down already."""
        if key in self._down or key in self._swallowed:
            return []
        if not self.grabbed and key in SHORTCUTS and self._is_chord():
            self._swallowed.add(key)
            self._alone = False
            return [SHORTCUTS[key]]
        self._down[key] = None
        self._alone = self._is_chord()
        return [(key, True)]

    def repeats(self, key: int) -> bool:
        """Whether a key that repeats does so for the guest."""
        return key in self._down

    def release(self, key: int) -> list[Step | Command]:
        """A key came up; one that was not down is nothing."""
        self._swallowed.discard(key)
        if key not in self._down:
            return []
        del self._down[key]
        acts: list[Step | Command] = [(key, False)]
        if self._alone:
            self._alone = False
            acts.append(Command.UNGRAB if self.grabbed else Command.GRAB)
        return acts

    def pointer_used(self) -> None:
        """A button or the wheel: the release key is now part of something for the guest."""
        self._alone = False

    def let_go(self) -> list[Step]:
        """Everything comes up, last pressed first: the window has lost the focus, or closes."""
        up: list[Step] = [(key, False) for key in reversed(self._down)]
        self._down.clear()
        self._swallowed.clear()
        self._alone = False
        return up

    def _is_chord(self) -> bool:
        """Whether the keys of the release key are down, and no others."""
        down = set(self._down)
        covered = [down & part for part in self._chord]
        return all(covered) and down == set().union(*covered)
