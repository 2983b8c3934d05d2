"""Keyboard and pointer events of a view, translated into input for the guest. I/O-free.

An absolute pointer (a tablet) puts the guest's pointer where the view's is. Where the guest has
only a relative one, a click grabs the pointer: movements are then sent as distances, and the
view's pointer is moved back to the middle before it leaves the view.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable

from ...keys import Step
from ..contract import Backend, ViewCommand
from ..geometry import Placement, device_pixel
from ..picture import Pointing
from .grab import RELEASE, Grab, GrabPolicy, ViewKeys
from .sender import (
    AskAbsolute,
    Input,
    InsertText,
    MoveDistance,
    MoveTo,
    Repeat,
    SetButton,
    SetKey,
    Turn,
)

_Point = tuple[int, int]


class GuestInput:
    """The input of one view.

    Args:
        backend: Grabs, and executes commands.
        send: Sends an input; drops it while nothing is attached.
        on_change: Called after a change of the grab or the pointer.
        controls: Input is sent; else only commands count.
        release: The chord that grabs and releases the keyboard.
        leave: A chord that closes the view; none by default.

    Raises:
        UsageError: A chord names no key.
    """

    def __init__(
        self,
        backend: Backend,
        send: Callable[[Input], None],
        on_change: Callable[[], None],
        *,
        controls: bool,
        release: str = RELEASE,
        leave: str = "",
    ) -> None:
        self._backend, self._send, self._on_change = backend, send, on_change
        self._controls = controls
        self._keys = ViewKeys(release, leave, backend.shortcuts)
        self._popup_keys = ViewKeys(release, shortcuts=frozenset())
        self._grab = Grab()
        self._applied = (False, False)
        self._popup = False
        self._relative, self._wheel = Relative(), NotchCounter()
        self._buttons: dict[str, None] = {}
        self.absolute: bool = True
        self._inside = False
        self._grab_at_click = False

    @property
    def grabbed(self) -> bool:
        """True while the guest has the whole keyboard."""
        return self._keys.grabbed

    @property
    def release_key(self) -> str:
        """The keys that grab and release the keyboard, as a user reads them."""
        return self._keys.release_key

    @property
    def pointing(self) -> Pointing:
        """State that decides which pointers are shown."""
        return Pointing(self._controls, self.absolute, self.grabbed, self._inside)

    # ---- Keys

    def key(self, number: int, down: bool, repeat: bool = False) -> None:
        """Take the press, release or repeat of a key."""
        if repeat:
            if down and self._keys.repeats(number):
                self._send(Repeat(number))
            return
        for act in self._keys.press(number) if down else self._keys.release(number):
            if not isinstance(act, ViewCommand):
                self._send_step(act)
            elif act is ViewCommand.UNGRAB or (
                act is ViewCommand.GRAB and self._grab.policy is not GrabPolicy.NEVER
            ):
                self.grab(act is ViewCommand.GRAB)
            elif act is not ViewCommand.GRAB:
                self._backend.command(act)
        self._apply()

    def popup_key(self, number: int, down: bool) -> bool:
        """Take a key that a menu of the view received; True: it is not for the menu.

        The menu has the keys while it is open, and the grab is lifted. The release key ends the
        grab there, too; its keys would close a menu.
        """
        keys = self._popup_keys
        acts = keys.press(number) if down else keys.release(number)
        if ViewCommand.GRAB in acts:
            self.grab(False)
        return keys.is_of_release_key(number)

    def text(self, text: str) -> None:
        """Take characters, from a terminal or the clipboard."""
        self._send(InsertText(text))

    def press_chord(self, numbers: tuple[int, ...]) -> None:
        """Press keys together in the guest; not a shortcut of the view."""
        for step in [(n, True) for n in numbers] + [(n, False) for n in reversed(numbers)]:
            self._send_step(step)

    def _send_step(self, step: Step) -> None:
        self._send(SetKey(*step))

    # ---- The pointer

    def moved(self, x: float, y: float, placement: Placement | None) -> None:
        """Take the pointer's position in toolkit pixels of the view."""
        at = device_pixel(x, y, self._backend.ratio())
        if not self._inside:
            self._inside = True
            self._send(AskAbsolute())
            self._follow(self._grab.pointer_inside(True))
            self._on_change()
        if placement is None:
            return
        if self.absolute:
            self._send(MoveTo(*placement.guest_pixel(*at)))
        elif self.grabbed:
            distance = self._relative.moved(at, placement.scale)
            if any(distance):
                self._send(MoveDistance(*distance))
            if self._backend.can_warp:
                middle = self._relative.recentre(self._backend.view_size())
                if middle is not None:
                    self._backend.warp(*middle)

    def left(self) -> None:
        """Take that the pointer has left the view."""
        self._inside = False
        self._follow(self._grab.pointer_inside(False))
        self._on_change()

    def button(self, name: str, down: bool) -> None:
        """Take the press or release of a button at the pointer's position."""
        self._keys.pointer_used()
        if not down:
            if name in self._buttons:
                del self._buttons[name]
                self._send(SetButton(name, False))
        elif not self.absolute and not self.grabbed:
            # This click grabs the pointer, unless the guest takes positions by now.
            self._grab_at_click = True
            self._send(AskAbsolute())
        else:
            self._follow(self._grab.clicked())
            self._buttons[name] = None
            self._send(SetButton(name, True))

    def wheel(self, vertical: float, horizontal: float) -> None:
        """Take a turn of the wheel by notches; positive is down and right."""
        self._keys.pointer_used()
        turned = self._wheel.turned(vertical, horizontal)
        if any(turned) and (self.absolute or self.grabbed):
            self._send(Turn(*turned))

    def set_absolute(self, absolute: bool) -> None:
        """Take the host's answer to `AskAbsolute`."""
        if absolute != self.absolute:
            self.absolute = absolute
            self._relative.begin()
            self._apply()
            self._on_change()
        if self._grab_at_click:
            self._grab_at_click = False
            self.grab(not absolute)

    # ---- The grab

    def set_grab_policy(self, policy: GrabPolicy, desktop_chords: Iterable[str] = ()) -> None:
        """Set the policy, and the chords that stay with the desktop.

        Raises:
            UsageError: A chord names no key.
        """
        self._keys.set_desktop_chords(desktop_chords)
        if policy is not self._grab.policy:
            self._follow(self._grab.set_policy(policy))

    def set_controls(self, controls: bool) -> None:
        """Send input from now on, or send none."""
        if not controls:
            self.release_all()
        self._controls = controls
        self._on_change()

    def set_shortcuts(self, commands: frozenset[ViewCommand]) -> None:
        """Set the commands whose shortcuts are the view's."""
        self._keys.shortcuts = commands

    def focused(self, has_focus: bool) -> None:
        """Take a change of the keyboard focus; without it nothing is held or grabbed."""
        if not has_focus:
            self._release_held()
        self._follow(self._grab.focus(has_focus))

    def full_screen(self, on: bool) -> None:
        """Take that the view fills the display, or no longer does."""
        self._follow(self._grab.full_screen(on))

    def popup(self, is_open: bool) -> None:
        """Take that a menu of the view has opened or closed. It lifts the grab meanwhile."""
        if is_open:
            self._release_held()
            self._popup_keys.release_all()
        self._popup = is_open
        self._apply()

    def grab(self, on: bool) -> None:
        """Grab the whole keyboard, and a relative pointer, for the guest; or release them."""
        self._follow(self._grab.set(on))

    def _follow(self, on: bool) -> None:
        """Carry out the policy's decision."""
        if not self._controls:
            on = self._grab.set(False)
        if on == self.grabbed:
            return
        self._keys.grabbed = on
        self._relative.begin()
        self._apply()
        if on and self._grab.policy is not GrabPolicy.HOVER:
            self._backend.notify(f"{self.release_key} releases the keyboard")
        self._on_change()

    def _apply(self) -> None:
        """Grab the keyboard and the pointer as the guest needs them now."""
        on = self.grabbed and not self._popup
        keyboard = on and self._grab.policy is not GrabPolicy.NEVER and not self._keys.lifted
        wanted = keyboard, on and not self.absolute
        if wanted != self._applied:
            self._applied = wanted
            self._backend.grab(*wanted)

    def _release_held(self) -> None:
        for step in self._keys.release_all():
            self._send_step(step)
        for name in self._buttons:
            self._send(SetButton(name, False))
        self._buttons.clear()

    def release_all(self) -> None:
        """Release every key and button in the guest, and the grab."""
        self._release_held()
        self.forget()

    def forget(self) -> None:
        """Release the grab and forget the keys and buttons: the machine they were held in ended."""
        self._keys.release_all()
        self._buttons.clear()
        self._grab_at_click = False
        self.grab(False)


class Relative:
    """Distances from the positions of a pointer that is moved back to the middle.

    Positions reported between the request to move the pointer and the move itself are still
    relative to the old place. The first position that is nearer to the new place than to the last
    position is taken as the first one from there. That is right as long as a single movement is
    below a thirtieth of the view and at most three positions are late.
    """

    def __init__(self) -> None:
        self._last: _Point | None = None
        self._awaited: _Point | None = None
        self._rest = (0.0, 0.0)

    def begin(self) -> None:
        """Forget the position."""
        self._last = self._awaited = None
        self._rest = (0.0, 0.0)

    def moved(self, at: _Point, scale: float) -> tuple[int, int]:
        """Return the whole guest pixels since the last position; keep the fraction."""
        before = self._last
        if self._awaited and before and math.dist(at, self._awaited) < math.dist(at, before):
            before, self._awaited = self._awaited, None
        self._last = at
        if before is None:
            return 0, 0
        x = (at[0] - before[0]) / scale + self._rest[0]
        y = (at[1] - before[1]) / scale + self._rest[1]
        self._rest = math.modf(x)[0], math.modf(y)[0]
        return int(x), int(y)

    def recentre(self, view: _Point) -> _Point | None:
        """Return the middle where the pointer has to be moved there: near the view's edge."""
        if self._last is None or self._awaited is not None:
            return None
        middle = view[0] // 2, view[1] // 2
        if all(abs(a - m) * 2 <= m for a, m in zip(self._last, middle, strict=True)):
            return None
        self._awaited = middle
        return middle


class NotchCounter:
    """Whole notches from fractions."""

    def __init__(self) -> None:
        self._rest = [0.0, 0.0]

    def turned(self, vertical: float, horizontal: float) -> tuple[int, int]:
        """Return the notches to send now; positive is down and right."""
        whole = [0, 0]
        for axis, turn in enumerate((vertical, horizontal)):
            # A turn in the other direction drops the fraction of the first.
            kept = self._rest[axis] if self._rest[axis] * turn > 0 else 0.0
            self._rest[axis], notches = math.modf(kept + turn)
            whole[axis] = int(notches)
        return whole[0], whole[1]
