"""A machine's pointer, for programs with threads."""

from __future__ import annotations

from collections.abc import Sequence

from ..protocol.messages import Done, GetPointer, PointerState
from ..protocol.values import Action, last_gesture
from ..surface import NOTHING_TAKEN, Mark
from . import actions, requests
from .link import Link


class Pointer:
    """One console's pointer. Needs the control role.

    Positions are pixels of the screen, origin top left. Buttons are ``left``, ``middle``,
    ``right``, ``side`` and ``extra``; what is still held down when this program ends is
    released. Each call returns the screen's mark from before the last thing it did: the last
    click, the whole drag or touch, the last notch of the wheel. The guest's answer is after that
    mark (`Screen.after`), whether the guest answers the press or the release.

    Every method raises ``RoleError`` where this client only views, ``MachineGoneError`` when
    the machine has ended, and ``InputError`` where nothing in the guest reads the pointer.
    """

    def __init__(self, link: Link, console: int) -> None:
        self._link = link
        self._console = console

    def is_absolute(self) -> bool:
        """Return True if the guest's pointer takes positions now, False if it takes distances."""
        return self._link.ask(GetPointer(console=self._console), PointerState).absolute

    def move(self, x: int, y: int) -> Mark:
        """Put the pointer on a pixel.

        Raises:
            GeometryError: There is no such pixel.
            UsageError: The guest's pointer takes distances only: see `move_by`.
        """
        return self._act([actions.to(x, y)])

    def move_by(self, dx: int, dy: int) -> Mark:
        """Move a pointer that takes no positions; a guest may make it faster or slower.

        Raises:
            UsageError: The guest's pointer takes positions: see `move`.
        """
        return self._act(actions.by(dx, dy))

    def press(self, *buttons: str) -> Mark:
        """Press buttons, in this order, and hold them.

        Raises:
            UsageError: There is no such button; nothing has been sent.
        """
        return self._act(actions.buttons(buttons, True))

    def release(self, *buttons: str) -> Mark:
        """Release buttons, in this order. Raises as `press`."""
        return self._act(actions.buttons(buttons, False))

    def click(
        self, x: int | None = None, y: int | None = None, *, button: str = "left", count: int = 1
    ) -> Mark:
        """Press and release a button, at a pixel or where the pointer is.

        Args:
            x: Pixels from the left; with *y*, or neither.
            y: Pixels from the top.
            button: Which one.
            count: 2 for a double click.

        Raises:
            GeometryError: There is no such pixel.
            UsageError: There is no such button, or the guest's pointer takes distances only.
        """
        return self._act(actions.click(x, y, button, count))

    def drag(self, *points: tuple[int, int], button: str = "left") -> Mark:
        """Press a button at the first of some pixels, go through the others, and release it.

        Raises:
            As `click`.
        """
        return self._act(actions.drag(points, button))

    def wheel(self, vertical: int, horizontal: int = 0) -> Mark:
        """Turn the wheel by so many notches: down and right count up, the other way down."""
        return self._act([actions.wheel(vertical, horizontal)])

    def touch(self, *points: tuple[int, int], finger: int = 0) -> Mark:
        """Put a finger on the first of some pixels, slide it through the others, and lift it.

        Args:
            points: One to tap, more to slide.
            finger: Which one, from 0 to 9.

        Raises:
            GeometryError: There is no such pixel.
            UsageError: The guest has no touch screen: give QEMU ``-device virtio-multitouch-pci``.
        """
        return self._act(actions.touch(points, finger))

    def _act(self, wanted: Sequence[Action]) -> Mark:
        mark, begin = NOTHING_TAKEN, last_gesture(wanted)
        for number, request in enumerate(actions.divide(wanted, self._console)):
            done = self._link.ask(request, Done)
            # A gesture may be longer than a request; its mark is that of its beginning.
            if number * actions.TOGETHER <= begin:
                mark = requests.mark_of(done)
        return mark
