"""Contents of a report: plain data, collected by a `Record` and laid out by `page`. I/O-free."""

from __future__ import annotations

from typing import NamedTuple

from ..surface.geometry import Rect
from .film import Picture


class Event(NamedTuple):
    """An input, a wait or a note.

    Attributes:
        time: Its begin, seconds since the record's.
        ended: Its end.
        kind: ``text``, ``keys`` or ``pointer`` for input; ``found``, ``missed`` or ``broken`` for
            a wait; ``note``.
        words: Its description.
        answer: The result of a wait.
        places: Pixels at which a button or finger was pressed and released.
        rect: The match of a wait, on the screen.
        times: Number of repetitions.
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
    """The error that a report begins with.

    Attributes:
        words: The error's text, with its line ends.
        png: A picture of it, such as `kju.vision.ScreenTimeoutError` draws; or empty.
    """

    words: str
    png: bytes = b""


class Story(NamedTuple):
    """One console of a machine, from the beginning of a record to its end.

    Attributes:
        name: The machine's.
        began: Seconds since the epoch.
        seconds: Its duration.
        facts: Facts about the machine: names and values.
        pictures: Pictures of the screen, oldest first.
        events: Events, oldest first.
        forgotten: A note about dropped events; empty without any.
    """

    name: str
    began: float
    seconds: float
    facts: tuple[tuple[str, str], ...]
    pictures: tuple[Picture, ...]
    events: tuple[Event, ...]
    forgotten: str = ""
