"""Contents of a report, and the description of logged input. I/O-free.

A `Record` collects the contents, and `page` lays them out.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from ..acting import Chord, Click, Drag, Move, MoveBy, Touch, Type, Wheel
from ..acting.checks import at_words, with_words
from ..acting.logged import LoggedAction, LogReader, chord_words
from ..protocol.input_log import Input
from ..surface.geometry import Rect
from .film import FilmPicture

# Longest pause between two keys of one text.
_MAX_PAUSE = 1.0


class StoryEvent(NamedTuple):
    """An input, a wait, a note, an event, or output of the serial port.

    Attributes:
        time: Its begin, seconds since the record's.
        ended: Its end.
        kind: ``text``, ``keys`` or ``pointer`` for input; ``found``, ``missed`` or ``broken`` for
            a wait; ``note``; ``event`` of the machine's life; ``serial`` for output of its serial
            port.
        words: Its description. The guest's layout is unknown: a text has the characters that the
            keys type on a US keyboard, with Caps Lock as the guest's lamp showed it.
        answer: The result of a wait.
        places: Pixels at which a button or finger was pressed and released.
        rect: The match of a wait, on the screen; of one that failed, the most similar place.
        times: Number of repetitions.
        region: The rectangle that a wait searched; None is everything.
        seen: Other places: further matches, or the texts that were there instead.
    """

    time: float
    ended: float
    kind: str
    words: str
    answer: str = ""
    places: tuple[tuple[int, int], ...] = ()
    rect: Rect | None = None
    times: int = 1
    region: Rect | None = None
    seen: tuple[Rect, ...] = ()


class Failure(NamedTuple):
    """The error that a report begins with.

    Attributes:
        words: The error's text, with its line ends.
        png: A picture of it, such as `kju.vision.ScreenError` draws; or empty.
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
    pictures: tuple[FilmPicture, ...]
    events: tuple[StoryEvent, ...]
    forgotten: str = ""


def described(entries: Iterable[Input], console: int = 0) -> list[StoryEvent]:
    """Return the actions of one console's log: texts, keys, clicks and movements.

    Args:
        entries: In the order of their times.
        console: The console.
    """
    done: list[StoryEvent] = []
    for action in LogReader(console).read(entries):
        _joined(done, _event(action))
    return done


def _event(action: LoggedAction) -> StoryEvent:
    began, ended, done = action.began, action.ended, action.input
    match done:
        case Type(text=text):
            return StoryEvent(began, ended, "text", text)
        case Chord(numbers=keys):
            return StoryEvent(began, ended, "keys", chord_words(keys))
        case Click(points=points, button=button, keys=keys):
            words = f"{button} button{at_words(points)}{with_words(keys)}"
        case Drag(points=points, button=button, keys=keys):
            points = (points[0], points[-1])
            words = f"{button} button{_way(points)}{with_words(keys)}"
        case Touch(points=points, finger=finger):
            points = tuple(dict.fromkeys((points[0], points[-1])))
            words = f"finger {finger}{_way(points)}"
        case Wheel(vertical=vertical, horizontal=horizontal):
            points = ()
            words = f"wheel {vertical}, {horizontal}"
        case Move(points=points):
            words = f"moved{_way(points)}"
        case MoveBy(dx=dx, dy=dy):
            points = ()
            words = f"moved by {dx}, {dy}"
    return StoryEvent(began, ended, "pointer", words, places=tuple(points))


def _way(points: Sequence[tuple[int, int]]) -> str:
    if len(points) == 1:
        return at_words(points)
    (x, y), (to_x, to_y) = points[0], points[-1]
    return f" from {x}, {y} to {to_x}, {to_y}"


def _joined(done: list[StoryEvent], new: StoryEvent) -> None:
    """Add an event, or join it to the last one."""
    last = done[-1] if done else None
    if last is None or last.kind != new.kind or new.time - last.ended > _MAX_PAUSE:
        done.append(new)
    elif new.kind == "text":
        done[-1] = last._replace(ended=new.ended, words=last.words + new.words)
    elif (new.words, new.places) == (last.words, last.places):
        done[-1] = last._replace(ended=new.ended, times=last.times + 1)
    else:
        done.append(new)
