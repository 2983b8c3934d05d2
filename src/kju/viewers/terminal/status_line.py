"""Status of a surface, as words, as data and as the last line of a terminal. I/O-free."""

from __future__ import annotations

from typing import Any, NamedTuple

from ...escaping import one_line
from ...surface import Mode, State
from ..contract import Status

# The first part is cut to no fewer characters; in a narrower line the hint is left out.
_MIN_FIRST = 8


class SurfaceStatus(NamedTuple):
    """State of a surface at one moment, for the lines that `kju watch` prints into a pipe.

    Attributes:
        name: The surface's or machine's name.
        mode: Its mode; epoch 0 before the first.
        version: Newest published version.
        rate: Versions per second.
        source: The source of the pixels; empty where it is unknown.
        state: The producer's state.
        reason: The producer's reason for it.
        colour: Mean R G B of the picture; None without one.
    """

    name: str
    mode: Mode
    version: int
    rate: float
    source: str
    state: State
    reason: str = ""
    colour: tuple[int, int, int] | None = None

    @property
    def parts(self) -> list[str]:
        """The status as words, the most important first."""
        mode = f"{self.mode.width}x{self.mode.height}" if self.mode.epoch else "no picture yet"
        state = "" if self.state == State.LIVE else self.state.name.lower()
        colour = "" if self.colour is None else "mean #{:02x}{:02x}{:02x}".format(*self.colour)
        words = [
            _short_name(self.name), mode, state, self.reason, f"version {self.version}",
            f"{self.rate:.0f} changes/s", self.source, colour,
        ]  # fmt: skip
        return [one_line(word) for word in words if word]

    @property
    def data(self) -> dict[str, Any]:
        """The status for JSON; names and meanings are stable."""
        return {
            "name": self.name,
            "width": self.mode.width,
            "height": self.mode.height,
            "version": self.version,
            "changes_per_second": round(self.rate, 1),
            "source": self.source,
            "state": self.state.name.lower(),
            "reason": self.reason,
            "mean_rgb": self.colour,
        }


def status_parts(status: Status, version: int, rate: float, drawn: float) -> list[str]:
    """Return a viewer's status as words, the most important first.

    Args:
        status: The viewer's.
        version: Newest version that is shown.
        rate: Versions per second.
        drawn: Pictures drawn per second.
    """
    name = _short_name(status.name)
    # With the name, so that a long reason is cut and not left out.
    first = f"{name}: {status.message}" if status.message else name
    size = f"{status.size[0]}x{status.size[1]}" if all(status.size) else ""
    view_only = "view only" if status.view_only else ""
    words = [
        first, size, view_only, *status.lock_names, f"version {version}", f"{drawn:.0f} fps",
        f"{rate:.0f} changes/s", status.source,
    ]  # fmt: skip
    return [one_line(word) for word in words if word]


def _short_name(name: str) -> str:
    """Return a name without its folders: the end of a path tells two paths apart."""
    return name.rpartition("/")[2] or name


def fitted(parts: list[str], hint: str, width: int) -> str:
    """Return one line of at most *width* characters: first part, hint, and the parts that fit."""
    room = width - len(hint) - 2
    line = f" {parts[0]}" if parts else ""
    if len(line) > room >= _MIN_FIRST:
        line = f"{line[: room - 1]}\N{HORIZONTAL ELLIPSIS}"
    for part in parts[1:]:
        if len(line) + 3 + len(part) <= room:
            line = f"{line} │ {part}"
    return f"{line.ljust(room)} {hint} "[:width] if len(line) <= room else line[:width]


class Rate:
    """Events per second, in the last whole second. Times are those of one clock, in seconds."""

    def __init__(self) -> None:
        self._second = 0
        self._current = self._last = 0

    def add(self, now: float, count: int = 1) -> None:
        """Count events."""
        self.per_second(now)
        self._current += count

    def per_second(self, now: float) -> int:
        """Return the events in the whole second before *now*."""
        second = int(now)
        if second != self._second:
            self._last = self._current if second == self._second + 1 else 0
            self._current, self._second = 0, second
        return self._last
