"""The times at which a view may draw: a budget of pictures per second. I/O-free.

Rules:

- Over time a view draws at most as many pictures as its display. A picture after a pause is drawn
  at once, and a second one directly after it: a budget counts pictures, it makes no pauses.
- A picture that follows the view's own input is drawn at once as well. It takes a loan on the
  budget, which is paid back over the next frames, so that an animation slows down a little and
  never stops.
- Nothing happens at rest: the budget is computed from the time when it is needed.
"""

from __future__ import annotations

#: Pictures that may be drawn without a pause after a rest of as many frames.
BURST = 2.0
#: Pictures that may be drawn in advance just after an input.
LOAN = 4.0
#: Frames of the display in which a loan is paid back. It is less than the display's rate in them.
LOAN_FRAMES = 10.0


class Pacing:
    """The budget of one view. Times are seconds of one clock.

    The view's thread calls `drew` and `note_input`; any thread may call `due`.
    """

    def __init__(self) -> None:
        self._rate = 60.0
        # Together in one object: another thread reads both.
        self._credit: tuple[float, float] = (BURST, 0.0)  # pictures, at this time
        self._input: float | None = None

    def note_input(self, now: float) -> None:
        """Note that the guest was sent an input."""
        self._input = now

    def drew(self, now: float, frame_seconds: float) -> None:
        """Note that a picture was drawn.

        Args:
            now: The time.
            frame_seconds: Time between two pictures of the display.
        """
        pictures, at = self._credit
        self._credit = min(BURST, pictures + (now - at) * self._rate) - 1, now
        self._rate = 1 / frame_seconds

    @property
    def due(self) -> float:
        """The time from which the next picture may be drawn; it may be in the past."""
        pictures, at = self._credit
        due = at + (1 - pictures) / self._rate
        sent = self._input
        if sent is None:
            return due
        # The budget grows by `rate`, and the loan shrinks by `slope`: the time when their sum
        # is one picture.
        slope = self._rate * LOAN / LOAN_FRAMES
        lent = (1 - LOAN - pictures + self._rate * at - slope * sent) / (self._rate - slope)
        return min(due, lent)
