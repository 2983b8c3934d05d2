"""A machine's life as a stream of events, and who is told.

| event | data |
|---|---|
| ``started`` | ``consoles`` |
| ``paused``, ``resumed`` | |
| ``reset`` | ``guest`` (whether it did so itself), ``reason`` |
| ``powerdown`` | the power button has been pressed |
| ``shutdown`` | ``guest``, ``reason`` |
| ``panicked`` | ``action``, and ``info`` where the guest told |
| ``disk-error`` | ``device``, ``operation``, ``reason``, ``full``, ``action`` |
| ``mode`` | ``console``, ``width``, ``height``, ``epoch`` |
| ``client-came``, ``client-went`` | ``client`` (a number), ``pid``, ``name``, ``role`` |
| ``snapshot-saved``, ``snapshot-loaded``, ``snapshot-removed`` | ``tag`` |
| ``link`` | ``up``, ``reason``: of a mirror |
| ``ending`` | ``reason``, ``asked``, ``status`` |
| ``remote-`` and a name above | in a mirror: its sender's event, with the same data |

Rules:

- Events are numbered from 1, without a gap: whoever sees one has missed something, and how much.
- The last `KEPT` can be had again. Nothing waits for a subscriber: one that does not read is
  hung up on, as any client.
- A guest that nobody looks at changes its mode unseen.
- A sender's events are marked by their names, so that nobody takes them for events of this machine.
  Only the names and keys above are passed on.
"""

from __future__ import annotations

import json
import logging
import math
import time
from collections import deque
from collections.abc import Callable
from typing import Any, Protocol

from ..protocol.messages import Happened, Message

log = logging.getLogger(__name__)

#: A start of Linux, a snapshot saved and loaded, a reset and the end, with three clients, are 18.
KEPT = 256
#: Characters of a text that QEMU or a guest has had a hand in.
LONGEST = 400

#: Takes an event's name and its data.
Tell = Callable[[str, dict[str, Any]], None]


class Subscriber(Protocol):
    """A client, as far as it is told something."""

    def send(self, message: Message) -> None:
        """Send one message; never waits."""


class Events:
    """What has happened in one machine, and who wants to know."""

    def __init__(self) -> None:
        self.number = 0
        self._kept: deque[Happened] = deque(maxlen=KEPT)
        self._untold: deque[Happened] = deque()
        self._subscribers: list[Subscriber] = []

    def happen(self, event: str, data: dict[str, Any] | None = None) -> None:
        """Note an event, and tell everybody who has subscribed."""
        self.number += 1
        short = {key: _short(value) for key, value in (data or {}).items()}
        happened = Happened(sequence=self.number, time=time.time(), event=event, data=short)
        self._kept.append(happened)
        self._untold.append(happened)
        if len(self._untold) == 1:
            self._tell()

    def _tell(self) -> None:
        # To tell one may be to find that it has gone, which is an event: that waits for its turn.
        while self._untold:
            try:
                for subscriber in list(self._subscribers):
                    _send(subscriber, self._untold[0])
            finally:
                self._untold.popleft()

    def subscribe(self, subscriber: Subscriber, since: int) -> None:
        """Tell *subscriber* what happens from now on, and first what came after *since*.

        Args:
            subscriber: A second time is fine; it is told once.
            since: An event's number, or -1 for none of the past.
        """
        if subscriber not in self._subscribers:
            self._subscribers.append(subscriber)
        # To tell it may be to find that it has gone: then it leaves, which is an event too.
        for happened in list(self._kept) if since >= 0 else ():
            if happened.sequence > since and subscriber in self._subscribers:
                _send(subscriber, happened)

    def leave(self, subscriber: Subscriber) -> None:
        """Tell this one no more."""
        if subscriber in self._subscribers:
            self._subscribers.remove(subscriber)


def _send(subscriber: Subscriber, happened: Happened) -> None:
    """Tell one subscriber; an error of one must not keep an event from the others."""
    try:
        subscriber.send(happened)
    except Exception:
        log.exception("event %d (%s) was not sent", happened.sequence, happened.event)


def _short(value: object) -> object:
    """Return a value that every client can be sent: short, and what msgpack and JSON have."""
    if value is None or (isinstance(value, int | float) and _is_plain(value)):
        return value
    return str(value)[:LONGEST].encode(errors="replace").decode()


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
    "client-came": ("client", "pid", "name", "role"),
    "client-went": ("client", "pid", "name", "role"),
    "snapshot-saved": ("tag",),
    "snapshot-loaded": ("tag",),
    "snapshot-removed": ("tag",),
    "link": ("up", "reason"),
    "ending": ("reason", "asked", "status"),
}
_MARK = "remote-"


def from_remote(name: str, data: bytes) -> tuple[str, dict[str, Any]] | None:
    """Return a sender's event as an event of the mirror; None for an unknown or a malformed one.

    Args:
        name: Its name there; of a mirror that is served again, marked already.
        data: JSON; keys that the event does not have, and values that are not a text, a finite
            number or a truth value, are left out; so are texts that UTF-8 does not have.
    """
    keys = _REMOTE.get(name.removeprefix(_MARK))
    try:
        found = json.loads(data)
    except (ValueError, RecursionError):
        return None
    if keys is None or not isinstance(found, dict):
        return None
    kept = {key: found[key] for key in keys if key in found and _is_plain(found[key])}
    return _MARK + name.removeprefix(_MARK), kept


def _is_plain(value: object) -> bool:
    """Return whether a value can be passed on.

    msgpack has whole numbers of 64 bits and texts in UTF-8; JSON has finite numbers.
    """
    if isinstance(value, int):
        return -(1 << 63) <= value < 1 << 63
    if isinstance(value, float):
        return math.isfinite(value)
    if isinstance(value, str):
        return not any("\ud800" <= character <= "\udfff" for character in value)
    return value is None


def from_qmp(name: str, data: dict[str, Any]) -> tuple[str, dict[str, Any]] | None:
    """QEMU's event as one of ours; None for those that are none.

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
            said = {"action": data.get("action", "")}
            return "panicked", said | ({"info": data["info"]} if "info" in data else {})
        case "BLOCK_IO_ERROR":
            keys = ("device", "operation", "reason", "action")
            said = {key: data.get(key, "") for key in keys}
            said["device"] = said["device"] or data.get("node-name", "")
            return "disk-error", {**said, "full": bool(data.get("nospace"))}
    return None
