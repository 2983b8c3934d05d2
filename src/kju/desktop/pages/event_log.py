"""The last events of each machine, in words, for the side panel."""

from __future__ import annotations

import itertools
import time
from collections import OrderedDict, deque
from collections.abc import Sequence

from ...client.requests import Event
from ...escaping import one_line
from ..machines.entry import MachineKey

#: Events of one machine, as many as a host keeps; and machines with events.
MAX_EVENTS, MAX_MACHINES = 256, 512
MAX_LINE = 300


def event_line(event: Event) -> str:
    """Return an event as one line that is safe to show."""
    when = time.strftime("%H:%M:%S", time.localtime(event.time))
    words = ", ".join(f"{key} {value}" for key, value in event.data.items() if value != "")
    return one_line(
        f"{when}  {event.name.replace('-', ' ')}" + (f": {words}" if words else ""), MAX_LINE
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
