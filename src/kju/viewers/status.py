"""The status of a view: state of the picture, message, facts about the machine."""

from __future__ import annotations

from ..errors import KjuError
from ..surface import State
from .connection import ScreenUpdate
from .contract import Backend, Status, ViewState
from .input.grab import chord_label
from .input.guest_input import GuestInput
from .picture import ViewPicture
from .targets import Facts, ViewerTarget

_CONNECTING = "connecting"


class ViewStatus:
    """The status of one view. `show` hands it to the back end when it has changed.

    Args:
        backend: Shows it.
        target: The machine's console, or surface.
        picture: The picture of the view.
        keyboard: The input of the view.
        leave: The chord that closes the view; empty for none.

    Attributes:
        facts: The last facts about the machine.
    """

    def __init__(
        self,
        backend: Backend,
        target: ViewerTarget,
        picture: ViewPicture,
        keyboard: GuestInput,
        leave: str,
    ) -> None:
        self._backend, self._target = backend, target
        self._picture, self._keyboard = picture, keyboard
        self._leave_key = chord_label(leave) if leave else ""
        self.facts = Facts()
        self._state = ViewState.CONNECTING
        self._message = _CONNECTING
        self._shown: Status | None = None

    def updated(self, update: ScreenUpdate) -> None:
        """Take the state of the picture from an update; `show` shows it."""
        self._state, self._message = self._state_of(update)

    def lost(self, error: KjuError | OSError, *, attached: bool) -> None:
        """Take the reason why the view has no connection; `show` shows it.

        The reason of a lost connection stays while further attempts fail.

        Args:
            error: The reason.
            attached: The view had a connection until now.
        """
        if attached or self._message == _CONNECTING:
            self._message = str(error)
            self._state = ViewState.ENDED

    def show(self) -> None:
        """Hand the status to the back end, if it has changed."""
        size, scale, placement = (0, 0), 1.0, self._picture.placement
        if placement is not None:
            size, scale = (placement.width, placement.height), placement.scale
        status = Status(
            self._target.label,
            self._message,
            size,
            scale,
            self._keyboard.grabbed,
            not self._target.controls,
            self._keyboard.release_key,
            self._leave_key,
            self.facts.locks,
            self.facts.source,
            self._state,
            self.facts.kind,
            self.facts.screens,
        )
        if status != self._shown:
            self._shown = status
            self._backend.show_status(status)

    def _state_of(self, update: ScreenUpdate) -> tuple[ViewState, str]:
        """Return the picture's state, and the reason why it is not live; empty where it is."""
        match update.state:
            case State.PAUSED:
                return ViewState.PAUSED, "paused"
            case State.UNAVAILABLE:
                reason = update.reason or "the guest shows none"
                return ViewState.NO_PICTURE, f"no picture: {reason}"
            case State.GONE | State.CLOSED:
                said = f"has ended: {update.reason}" if update.reason else "has ended"
                return ViewState.ENDED, said
        if self._picture.mode is None:
            return ViewState.NO_PICTURE, "no picture yet"
        return ViewState.LIVE, ""
