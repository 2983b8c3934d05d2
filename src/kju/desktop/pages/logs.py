"""The last events of a machine in words, and the end of its logs, for the side panel. Bounded."""

from __future__ import annotations

import itertools
import time
from collections import OrderedDict, deque
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from ...client.requests import Event
from ...escaping import one_line
from ...protocol.values import KINDS
from ...store import log_files, running
from ...store.paths import Paths, machine_paths
from ..machines.entry import MachineKey

#: Events of one machine, as many as a host keeps; and machines with events.
MAX_EVENTS, MAX_MACHINES = 256, 512
#: Bytes read at the end of a log; characters of one of its lines, and of an event.
_TAIL_BYTES, MAX_LINE, MAX_EVENT_LINE = 48 << 10, 1000, 300


def event_line(event: Event) -> str:
    """Return an event as one line that is safe to show."""
    when = time.strftime("%H:%M:%S", time.localtime(event.time))
    words = ", ".join(f"{key} {value}" for key, value in event.data.items() if value != "")
    return one_line(
        f"{when}  {event.name.replace('-', ' ')}" + (f": {words}" if words else ""), MAX_EVENT_LINE
    )


class EventLog:
    """The last events of each machine. A repeated event is kept once.

    Args:
        own: The process number of this program, whose connections are left out.
    """

    def __init__(self, own: int = 0) -> None:
        self._own = own
        self._events: OrderedDict[MachineKey, deque[Event]] = OrderedDict()

    def add(self, key: MachineKey, event: Event) -> bool:
        """Keep an event; return whether it is new."""
        if event.name.startswith("client-") and event.data.get("pid") == self._own:
            return False
        events = self._events.get(key)
        if events is None:
            events = self._events[key] = deque(maxlen=MAX_EVENTS)
            while len(self._events) > MAX_MACHINES:
                self._events.popitem(last=False)
        if events and event.time <= events[-1].time and event in events:
            return False
        events.append(event)
        self._events.move_to_end(key)
        return True

    def last(self, key: MachineKey, most: int = MAX_EVENTS) -> Sequence[Event]:
        """Return the last events of a machine, oldest first."""
        events = self._events.get(key, deque())
        return list(itertools.islice(events, max(0, len(events) - most), None))

    def discard(self, key: MachineKey) -> None:
        """Forget a machine's events."""
        self._events.pop(key, None)


class LogText(NamedTuple):
    """The end of a machine's logs.

    Attributes:
        lines: Its lines, oldest first, safe to show.
        paths: The files, for following them; empty for those of a machine that has ended.
        note: A remark on a log that is missing or old.
    """

    lines: tuple[str, ...] = ()
    paths: tuple[str, ...] = ()
    note: str = ""


def read_logs(name: str) -> LogText:
    """Return the end of the logs of a machine's host and emulator. It may wait for the disk."""
    paths = machine_paths(name)
    if running.is_alive(paths):
        files = _existing(paths)
        return LogText(_lines(files), tuple(str(path) for path in files))
    kept = log_files.find_kept(name)
    if kept is None:
        return LogText(note="It is not running. The log of a machine that fails is kept.")
    return LogText(_lines(_existing(kept)), note="It is not running: this is its last failure.")


def _existing(paths: Paths) -> list[Path]:
    logs = [paths.host_log, *(paths.emulator_log(kind) for kind in KINDS)]
    return [path for path in logs if path.is_file()]


def _lines(files: list[Path]) -> tuple[str, ...]:
    found: list[str] = []
    for path in files:
        if len(files) > 1:
            found.append(f"== {path.name} ==")
        found += _tail(path)
    return tuple(found)


def _tail(path: Path) -> list[str]:
    try:
        with path.open("rb") as file:
            size = file.seek(0, 2)
            file.seek(max(0, size - _TAIL_BYTES))
            data = file.read(_TAIL_BYTES)
    except OSError as error:
        return [f"{one_line(path.name)} cannot be read: {error.strerror}"]
    if size > _TAIL_BYTES:
        data = data.partition(b"\n")[2]
    # A guest may have written parts of it.
    return [one_line(line, MAX_LINE) for line in data.decode("utf-8", "replace").splitlines()]
