"""The model of the app: the entries of all machines, and their observers. No toolkit.

Everything here but `_Collector` is used on the toolkit's thread.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable

from ...client.requests import Event
from .entry import MachineEntry, MachineKey
from .local_machines import LocalMachines

#: Events that wait for the toolkit's thread; older ones are dropped.
_MAX_EVENTS = 4096

ChangeObserver = Callable[[set[MachineKey]], None]
EventObserver = Callable[[MachineKey, Event], None]


class Machines:
    """The entries of all machines.

    Args:
        post: Calls a function on the toolkit's thread, from any thread.

    Attributes:
        entries: The newest entry of each machine.
        scanned: The machines of this computer have been looked for.
    """

    def __init__(self, post: Callable[[Callable[[], None]], None]) -> None:
        self.entries: dict[MachineKey, MachineEntry] = {}
        self.scanned = False
        self._observers: list[ChangeObserver] = []
        self._event_observers: list[EventObserver] = []
        self._collector = _Collector(post, self._take)
        self._local = LocalMachines(self._collector)
        self._closed = False

    def open(self) -> None:
        """Begin to follow the machines of this computer."""
        self._local.open()

    def close(self) -> None:
        """End the following; the machines keep running."""
        self._closed = True
        self._local.close()

    def subscribe(self, observer: ChangeObserver) -> None:
        """Call *observer* with the keys of changed, new and removed entries after each change."""
        self._observers.append(observer)

    def subscribe_events(self, observer: EventObserver) -> None:
        """Call *observer* with each event of a running machine of this computer.

        The host's last events are repeated when the app finds a machine.
        """
        self._event_observers.append(observer)

    def update(self, entry: MachineEntry) -> None:
        """Add or replace one entry: for machines of other computers."""
        if self.entries.get(entry.key) != entry:
            self.entries[entry.key] = entry
            self._tell({entry.key})

    def discard(self, key: MachineKey) -> None:
        """Remove one entry: for machines of other computers."""
        if self.entries.pop(key, None) is not None:
            self._tell({key})

    def forget(self, key: MachineKey) -> None:
        """Drop the entry of a local machine that has ended and is not defined."""
        if not key.host:
            self._local.forget(key.name)

    def set_visible(self, visible: bool) -> None:
        """Take whether a view shows the entries."""
        self._local.set_visible(visible)

    def _take(
        self, changes: dict[MachineKey, MachineEntry | None], events: list[tuple[MachineKey, Event]]
    ) -> None:
        if self._closed:
            return
        changed = set()
        for key, entry in changes.items():
            if self.entries.get(key) != entry:
                changed.add(key)
            if entry is None:
                self.entries.pop(key, None)
            else:
                self.entries[key] = entry
        first, self.scanned = not self.scanned, True
        if changed or first:
            self._tell(changed)
        for key, event in events:
            for observer in list(self._event_observers):
                observer(key, event)

    def _tell(self, changed: set[MachineKey]) -> None:
        for observer in list(self._observers):
            observer(changed)


class _Collector:
    """Hands the newest entry of each machine to the toolkit's thread, one call at a time.

    A machine that changes faster than the toolkit draws costs one call for each drawing. The first
    call has all that the first look found.
    """

    def __init__(
        self,
        post: Callable[[Callable[[], None]], None],
        take: Callable[
            [dict[MachineKey, MachineEntry | None], list[tuple[MachineKey, Event]]], None
        ],
    ) -> None:
        self._post = post
        self._take = take
        self._lock = threading.Lock()
        self._changes: dict[MachineKey, MachineEntry | None] = {}
        self._events: deque[tuple[MachineKey, Event]] = deque(maxlen=_MAX_EVENTS)
        self._posted = False
        self._scanned = False

    def entry_is(self, entry: MachineEntry) -> None:
        self._add(entry.key, entry)

    def entry_gone(self, key: MachineKey) -> None:
        self._add(key, None)

    def scanned(self) -> None:
        if not self._scanned:
            self._scanned = True
            self._deliver_soon()

    def event_happened(self, key: MachineKey, event: Event) -> None:
        with self._lock:
            self._events.append((key, event))
        self._deliver_soon()

    def _add(self, key: MachineKey, entry: MachineEntry | None) -> None:
        with self._lock:
            self._changes[key] = entry
        self._deliver_soon()

    def _deliver_soon(self) -> None:
        with self._lock:
            first = self._scanned and not self._posted
            self._posted = self._posted or first
        if first:
            self._post(self._deliver)

    def _deliver(self) -> None:
        with self._lock:
            changes, self._changes = self._changes, {}
            events = list(self._events)
            self._events.clear()
            self._posted = False
        self._take(changes, events)
