"""The events in a machine's life, and their subscribers.

| event | data |
|---|---|
| ``started`` | ``consoles`` |
| ``paused``, ``resumed`` | |
| ``reset`` | ``guest`` (whether the guest caused it), ``reason`` |
| ``powerdown`` | the power button has been pressed |
| ``shutdown`` | ``guest``, ``reason`` |
| ``panicked`` | ``action``, and ``info`` if the guest sent any |
| ``disk-error`` | ``device``, ``operation``, ``reason``, ``full``, ``action`` |
| ``mode`` | ``console``, ``width``, ``height``, ``epoch`` |
| ``client-connected``, ``client-disconnected`` | ``client`` (number), ``pid``, ``name``, ``role`` |
| ``snapshot-saved``, ``snapshot-loaded``, ``snapshot-removed`` | ``tag`` |
| ``frozen``, ``reverted`` | ``tag`` |
| ``cd-changed`` | ``file`` (empty: ejected) |
| ``link`` | ``up``, ``reason``: of a mirror |
| ``ending`` | ``reason``, ``asked``, ``status`` |
| ``remote-`` and a name above | in a mirror: its sender's event, with the same data |

- Events are numbered from 1, without a gap: a gap shows a subscriber how many it has missed.
- The last `HISTORY` events can be sent again. Nothing waits for a subscriber: one that does not
  read is disconnected, like any client.
- Without viewers a guest's changes of mode may go unnoticed.
- A sender's events have a prefix, so that they are not taken for events of this machine. Only the
  names and keys above are passed on.
"""

from __future__ import annotations

import json
import logging
import math
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from ..protocol.messages import Happened
from ..protocol.values import Message
from ..surface.producer import Producer

log = logging.getLogger(__name__)

#: A start of Linux, a snapshot saved and loaded, a reset and the end, with three clients, are 18.
HISTORY = 256
#: Characters of a text from QEMU or a guest.
MAX_TEXT = 400

#: Receives an event's name and its data.
ReportEvent = Callable[[str, dict[str, Any]], None]


class Subscriber(Protocol):
    """A client that receives events."""

    def send(self, message: Message) -> None:
        """Send one message; never waits."""


class MachineEvents:
    """The events of one machine, and their subscribers.

    Attributes:
        number: The number of the newest event.
    """

    def __init__(self) -> None:
        self.number = 0
        self._started = False
        # Of each console: the incarnation, width and height that were announced last.
        self._modes: dict[int, tuple[int, int, int]] = {}
        self._history: deque[Happened] = deque(maxlen=HISTORY)
        self._unsent: deque[Happened] = deque()
        self._subscribers: list[Subscriber] = []

    def happen(self, event: str, data: dict[str, Any] | None = None) -> None:
        """Record an event, and send it to all subscribers."""
        self.number += 1
        short = {key: _short(value) for key, value in (data or {}).items()}
        happened = Happened(sequence=self.number, time=time.time(), event=event, data=short)
        self._history.append(happened)
        self._unsent.append(happened)
        if len(self._unsent) == 1:
            self._send_all()

    def announce_start(self, producers: Sequence[Producer]) -> None:
        """Record that the machine has started, and the modes of its consoles.

        Args:
            producers: One for each console, in the order of their numbers.
        """
        self._started = True
        self.happen("started", {"consoles": len(producers)})
        for console, producer in enumerate(producers):
            self.note_mode(console, producer)

    def note_mode(self, console: int, producer: Producer) -> None:
        """Announce the mode of a console, if it is another one; `announce_start` is the first."""
        mode = producer.mode
        found = (producer.incarnation, mode.width, mode.height)
        if self._started and mode.epoch and self._modes.get(console) != found:
            self._modes[console] = found
            data = {"width": mode.width, "height": mode.height, "epoch": mode.epoch}
            self.happen("mode", {"console": console, **data})

    def _send_all(self) -> None:
        # Sending may find that a subscriber has disconnected, which is an event: it waits its turn.
        while self._unsent:
            try:
                for subscriber in list(self._subscribers):
                    _send(subscriber, self._unsent[0])
            finally:
                self._unsent.popleft()

    def subscribe(self, subscriber: Subscriber, since: int) -> None:
        """Send *subscriber* all events from now on, and first those after *since*.

        Args:
            subscriber: A second subscription has no further effect.
            since: An event's number, or -1 for no past events.
        """
        if subscriber not in self._subscribers:
            self._subscribers.append(subscriber)
        # Sending may find that it has disconnected: then it is removed, which is an event too.
        for happened in list(self._history) if since >= 0 else ():
            if happened.sequence > since and subscriber in self._subscribers:
                _send(subscriber, happened)

    def leave(self, subscriber: Subscriber) -> None:
        """End a subscription."""
        if subscriber in self._subscribers:
            self._subscribers.remove(subscriber)


def _send(subscriber: Subscriber, happened: Happened) -> None:
    """Send to one subscriber; an error of one must not keep an event from the others."""
    try:
        subscriber.send(happened)
    except Exception:
        log.exception("event %d (%s) was not sent", happened.sequence, happened.event)


def _short(value: object) -> object:
    """Return a value as one that is short and valid in msgpack and JSON."""
    if value is None or (isinstance(value, int | float) and _is_plain(value)):
        return value
    return str(value)[:MAX_TEXT].encode(errors="replace").decode()


#: The events that a sender may send, and their keys.
_REMOTE: dict[str, tuple[str, ...]] = {
    "started": ("consoles",),
    "paused": (),
    "resumed": (),
    "reset": ("guest", "reason"),
    "powerdown": (),
    "shutdown": ("guest", "reason"),
    "panicked": ("action", "info"),
    "disk-error": ("device", "operation", "reason", "full", "action"),
    "mode": ("console", "width", "height", "epoch"),
    "client-connected": ("client", "pid", "name", "role"),
    "client-disconnected": ("client", "pid", "name", "role"),
    "snapshot-saved": ("tag",),
    "snapshot-loaded": ("tag",),
    "snapshot-removed": ("tag",),
    "frozen": ("tag",),
    "reverted": ("tag",),
    "cd-changed": ("file",),
    "link": ("up", "reason"),
    "ending": ("reason", "asked", "status"),
}
_PREFIX = "remote-"


def from_remote(name: str, data: bytes) -> tuple[str, dict[str, Any]] | None:
    """Return a sender's event as an event of the mirror; None for an unknown or a malformed one.

    Args:
        name: Its name there; that of a mirror that is served again has the prefix already.
        data: JSON. Unknown keys are dropped, and so are values that are not a text, a finite
            number or a boolean, and texts that UTF-8 cannot encode.
    """
    keys = _REMOTE.get(name.removeprefix(_PREFIX))
    try:
        found = json.loads(data)
    except (ValueError, RecursionError):
        return None
    if keys is None or not isinstance(found, dict):
        return None
    kept = {key: found[key] for key in keys if key in found and _is_plain(found[key])}
    return _PREFIX + name.removeprefix(_PREFIX), kept


def _is_plain(value: object) -> bool:
    """Return whether a value can be passed on.

    msgpack has integers of 64 bits and texts in UTF-8; JSON has finite numbers.
    """
    if isinstance(value, int):
        return -(1 << 63) <= value < 1 << 63
    if isinstance(value, float):
        return math.isfinite(value)
    if isinstance(value, str):
        return not any("\ud800" <= character <= "\udfff" for character in value)
    return value is None


def from_qmp(name: str, data: dict[str, Any]) -> tuple[str, dict[str, Any]] | None:
    """Return QEMU's event as one of kju's; None for one without a counterpart.

    Source:
        qapi/run-state.json and qapi/block-core.json of QEMU.
    """
    match name:
        case "STOP":
            return "paused", {}
        case "RESUME":
            return "resumed", {}
        case "POWERDOWN":
            return "powerdown", {}
        case "RESET" | "SHUTDOWN":
            guest, reason = bool(data.get("guest")), data.get("reason", "")
            return name.lower(), {"guest": guest, "reason": reason}
        case "GUEST_PANICKED":
            known = {"action": data.get("action", "")}
            return "panicked", known | ({"info": data["info"]} if "info" in data else {})
        case "BLOCK_IO_ERROR":
            keys = ("device", "operation", "reason", "action")
            known = {key: data.get(key, "") for key in keys}
            known["device"] = known["device"] or data.get("node-name", "")
            return "disk-error", {**known, "full": bool(data.get("nospace"))}
    return None
