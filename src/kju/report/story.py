"""What a report tells: plain data, gathered by a `Record` and laid out by `page`. I/O-free."""

from __future__ import annotations

from typing import NamedTuple

from ..surface.geometry import Rect
from .film import Picture


class Event(NamedTuple):
    """Something that happened.

    Attributes:
        time: When it began, seconds since the record did.
        ended: When it was over.
        kind: ``text``, ``keys`` or ``pointer`` for input; ``found``, ``missed`` or ``broken`` for
            a wait; ``note``.
        words: What it was.
        answer: How it ended, for a wait.
        places: Where a button or finger went down and came up, pixels.
        rect: Where on the screen something was found.
        times: How often, one after the other.
    """

    time: float
    ended: float
    kind: str
    words: str
    answer: str = ""
    places: tuple[tuple[int, int], ...] = ()
    rect: Rect | None = None
    times: int = 1


class Failure(NamedTuple):
    """Why it went wrong.

    Attributes:
        words: The error, as many lines as there are.
        png: A picture of it, such as `kju.vision.ScreenTimeoutError` draws; or empty.
    """

    words: str
    png: bytes = b""


class Story(NamedTuple):
    """One console of a machine, from the beginning of a record to its end.

    Attributes:
        name: The machine's.
        began: Seconds since the epoch.
        seconds: How long.
        facts: What is known of the machine: names and values.
        pictures: What it showed, oldest first.
        events: What happened, oldest first.
        forgotten: What is not known any more, in words; or empty.
    """

    name: str
    began: float
    seconds: float
    facts: tuple[tuple[str, str], ...]
    pictures: tuple[Picture, ...]
    events: tuple[Event, ...]
    forgotten: str = ""
