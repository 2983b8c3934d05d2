"""The video mode of a guest, as read from its registers. I/O-free: time is an argument.

Rules:

- Registers that tell nothing leave the last mode valid for `DOUBT`. After that the mode counts as
  unknown, and a listener shows what QEMU shows.
- A mode of the same size at another place is a page flip, not a new mode.
- A mode counts as hidden while QEMU shows another picture than the video memory (a blanked screen).
"""

from __future__ import annotations

from ...surface.geometry import Place
from .bochs import OtherMode

#: Seconds for which registers without a valid mode are taken for a transition.
DOUBT = 0.5
#: Seconds after which a mode that is not in the video memory counts as lasting. Until then it is
#: shown by screenshots: a firmware's text is over by then, and a listener costs QEMU less only for
#: a mode that lasts.
LISTEN_AFTER = 10.0

HIDDEN = "QEMU shows another picture than the video memory: most likely a blanked screen"


class GuestMode:
    """The guest's video mode.

    Attributes:
        place: The picture's place in the video memory; None in every other mode.
        hidden: Whether QEMU shows another picture. Set by the comparison with a screenshot.
        flips: Whether the last change was a page flip.
        changed_at: When the place changed last.
    """

    def __init__(self) -> None:
        self.place: Place | None = None
        self.hidden = False
        self.flips = False
        self.changed_at = 0.0
        self._reason = ""
        self._doubt_since: float | None = None
        self._absent_since: float | None = None

    @property
    def visible_place(self) -> Place | None:
        """The place of the picture that QEMU shows; None if it is not in the video memory."""
        return None if self.hidden else self.place

    @property
    def reason(self) -> str:
        """Why there is no visible place; empty if there is."""
        return HIDDEN if self.hidden else self._reason

    def update(self, found: Place | OtherMode, now: float) -> bool:
        """Take over the mode that was just read; returns whether it is new, and no page flip."""
        if not self._is_certain(found, now):
            return False
        place = found if isinstance(found, Place) else None
        self._reason = found.reason if isinstance(found, OtherMode) else ""
        is_new = False
        if place != self.place:
            before, self.place, self.changed_at = self.place, place, now
            self.flips = place is not None and before is not None and place[:2] == before[:2]
            is_new = not self.flips
            if is_new:
                self.hidden = False
        return is_new

    def _is_certain(self, found: Place | OtherMode, now: float) -> bool:
        if not isinstance(found, OtherMode) or not found.unknown or self.place is None:
            self._doubt_since = None
            return True
        if self._doubt_since is None:
            self._doubt_since = now
        return now - self._doubt_since >= DOUBT

    def note_visibility(self, now: float) -> None:
        """Note the time since which the picture is not in the video memory. After each change."""
        if self.visible_place is not None:
            self._absent_since = None
        elif self._absent_since is None:
            self._absent_since = now

    def lasts(self, now: float) -> bool:
        """Return whether the picture is outside of the video memory for long.

        A blanked screen does not count: it will be in the memory again, and shows little meanwhile.
        """
        since = self._absent_since
        return since is not None and now - since > LISTEN_AFTER and not self.hidden
