"""The tools on a machine besides its screen: snapshots, events, the serial port."""

from __future__ import annotations

import asyncio
import codecs
import json
import time
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from typing import TypeAlias

from ...client.requests import Event
from ...escaping import one_line
from ..dialects.arguments import ActionError, Arguments
from .results import MAX_SHOWN, UNTRUSTED, Attached, ToolResult

#: The longest wait for an event, and for output of the serial port, in seconds.
_MAX_LISTEN = 60.0
#: Seconds for a snapshot.
_SNAPSHOT_TIMEOUT = 300.0
#: Bytes that may follow the first of a character in UTF-8.
_CONTINUED = 3
#: Seconds in which the events that have occurred already arrive.
_HISTORY_WAIT = 0.1
#: The most events of one result: all that a machine remembers.
MAX_EVENTS = 256

Call: TypeAlias = Callable[[Attached, Arguments], Awaitable[ToolResult]]


async def _snapshot(attached: Attached, arguments: Arguments) -> ToolResult:
    action = arguments.choice("action", ("save", "load", "list"))
    name = arguments.optional_text("name")
    arguments.finish()
    snapshots = attached.machine.snapshots
    if action == "list":
        tags = [snapshot.tag for snapshot in await snapshots.list()]
        return ToolResult("\n".join(tags) or "no snapshots", None, {"names": tags})
    if name is None:
        raise ActionError(f"snapshot needs name to {action}")
    act = snapshots.save if action == "save" else snapshots.load
    await act(name, timeout=_SNAPSHOT_TIMEOUT)
    done = "saved" if action == "save" else "loaded"
    return ToolResult(f"{done} {name}", None, {"name": name})


async def _serial(attached: Attached, arguments: Arguments) -> ToolResult:
    seconds = arguments.number("seconds", 0, _MAX_LISTEN, 0.2)
    arguments.finish()
    reader, writer = await attached.machine.serial()
    ends, data = time.monotonic() + seconds, b""
    try:
        while (left := ends - time.monotonic()) > 0:
            try:
                async with asyncio.timeout(left):
                    part = await reader.read(65536)
            except TimeoutError:
                break
            if not part:
                break
            data = (data + part)[-MAX_SHOWN:]
    finally:
        writer.close()
    lines = _characters(data).splitlines()
    shown = "\n".join(one_line(line) for line in lines)
    head = UNTRUSTED.replace("screen", "serial port")
    return ToolResult(f"{head}\n{shown}", None, {"text": shown, "untrusted": True})


def _characters(data: bytes) -> str:
    """Return a part of a stream as text, without the rest of a character that was cut."""
    at = 0
    while at < min(_CONTINUED, len(data)) and data[at] & 0xC0 == 0x80:
        at += 1
    # The next call reads the rest of the last character: the port sends its last output again.
    return codecs.getincrementaldecoder("utf-8")("replace").decode(data[at:])


async def _events(attached: Attached, arguments: Arguments) -> ToolResult:
    since = arguments.whole("since", 0, 2**63) if arguments.has("since") else 0
    seconds = arguments.number("seconds", 0, _MAX_LISTEN, 0)
    arguments.finish()
    events = await _events_after(attached, since, seconds)
    facts = [{"number": e.sequence, "name": e.name, "data": e.data} for e in events]
    last = events[-1].sequence if events else since
    lines = [one_line(f"{e.sequence} {e.name} {json.dumps(e.data)}") for e in events]
    head = UNTRUSTED.replace("the guest's screen", "the machine and its guest")
    text = "\n".join([head, *lines])[:MAX_SHOWN] if lines else f"no event after {since}"
    return ToolResult(text, None, {"events": facts, "last": last, "untrusted": True})


async def _events_after(attached: Attached, since: int, seconds: float) -> list[Event]:
    """Return the events after a number; if there is none, wait for one."""
    found: list[Event] = []
    ends = time.monotonic() + max(seconds, _HISTORY_WAIT)
    events = attached.machine.events(since)
    async with aclosing(events):  # type: ignore[type-var]  # an asynchronous generator
        while len(found) < MAX_EVENTS:
            left = ends - time.monotonic()
            try:
                async with asyncio.timeout(min(left, _HISTORY_WAIT) if found else left):
                    found.append(await anext(events))
            except (TimeoutError, StopAsyncIteration):
                break
    return found


CALLS: dict[str, Call] = {"snapshot": _snapshot, "events": _events, "serial": _serial}
