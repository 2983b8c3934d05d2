"""The work of each tool: one function for each, in `CALLS`."""

from __future__ import annotations

import asyncio
import codecs
import json
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import aclosing
from pathlib import Path
from typing import Any, TypeAlias

from ...acting.answer import Times
from ...acting.inputs import AnyInput, Chord, Click, Drag, Move, Pause, Type, Wheel
from ...client.aio.waiting import run_blocking
from ...client.requests import Event
from ...escaping import one_line
from ...protocol.values import BUTTONS
from ...surface import Mark
from ...surface.geometry import Rect, bounding
from ..aio.computer import Computer, Outcome
from ..dialects.arguments import ActionError, Arguments
from ..dialects.keysyms import chord_of, chords_of
from ..pictures import View
from .results import MAX_SHOWN, UNTRUSTED, Attached, ToolResult

#: The longest wait of a tool in seconds, and the default.
MAX_WAIT, DEFAULT_WAIT = 300.0, 30.0
#: The times of an answer that `act` takes.
TIMES = Times._fields
#: The most steps of `act`.
_MAX_STEPS = 100
#: The smallest scale of a screenshot.
_MIN_SCALE = 0.05
#: The longest wait for an event, and for output of the serial port, in seconds.
_MAX_LISTEN = 60.0
#: Seconds for a snapshot.
_SNAPSHOT_TIMEOUT = 300.0
#: Bytes that may follow the first of a character in UTF-8.
_CONTINUED = 3
#: Seconds in which the events that have occurred already arrive.
_HISTORY_WAIT = 0.1
#: The most events of one result: all that a machine remembers.
_MAX_EVENTS = 256

Call: TypeAlias = Callable[[Attached, Arguments], Awaitable[ToolResult]]


# ---- Input


def _click(arguments: Arguments) -> list[AnyInput]:
    count = int(arguments.number("count", 1, 3, 1))
    return [Click(*arguments.xy(), _button(arguments), count, _held(arguments))]


def _move(arguments: Arguments) -> list[AnyInput]:
    return [Move(*arguments.xy())]


def _drag(arguments: Arguments) -> list[AnyInput]:
    points = arguments.points("points", 2, 1000)
    return [Drag(tuple(points), _button(arguments), _held(arguments))]


def _scroll(arguments: Arguments) -> list[AnyInput]:
    x, y = arguments.xy()
    down, right = (round(arguments.number(key, -100, 100, 0)) for key in ("down", "right"))
    return [Wheel(down, right, x, y, _held(arguments))]


def _key(arguments: Arguments) -> list[AnyInput]:
    seconds = arguments.seconds("seconds", 0)
    return [Chord(keys, seconds) for keys in chords_of(arguments.text("keys"), arguments.name)]


def _type(arguments: Arguments) -> list[AnyInput]:
    return [Type(arguments.text(), arguments.optional_text("layout") or "us")]


def _pause(arguments: Arguments) -> list[AnyInput]:
    return [Pause(arguments.seconds("seconds"))]


#: The steps of `act`: each turns its arguments into inputs.
MAKERS: dict[str, Callable[[Arguments], list[AnyInput]]] = {
    "click": _click,
    "move": _move,
    "drag": _drag,
    "scroll": _scroll,
    "key": _key,
    "type": _type,
    "pause": _pause,
}


def _button(arguments: Arguments) -> str:
    return arguments.choice("button", BUTTONS, "left")


def _held(arguments: Arguments) -> tuple[int, ...]:
    if not arguments.has("keys"):
        return ()
    return tuple(key for name in arguments.texts("keys") for key in chord_of(name, arguments.name))


def _input(name: str) -> Call:
    async def call(attached: Attached, arguments: Arguments) -> ToolResult:
        with_picture = arguments.flag("picture", default=True)
        inputs = MAKERS[name](arguments)
        arguments.finish()
        return await _acted(attached.screen, inputs, with_picture)

    return call


async def _act(attached: Attached, arguments: Arguments) -> ToolResult:
    with_picture = arguments.flag("picture", default=True)
    steps = arguments.maps("steps", _MAX_STEPS)
    defaults = attached.screen.times
    times = Times(*(arguments.number(key, 0, MAX_WAIT, getattr(defaults, key)) for key in TIMES))
    arguments.finish()
    inputs: list[AnyInput] = []
    for number, step in enumerate(steps, 1):
        inputs += _step(number, step, attached.view)
    return await _acted(attached.screen, inputs, with_picture, times)


def _step(number: int, step: Mapping[str, Any], view: View) -> list[AnyInput]:
    """Return the inputs of one step of `act`: ``{"click": {"x": 1, "y": 2}}``."""
    name, values = next(iter(step.items()), (None, None))
    if len(step) != 1 or name not in MAKERS:
        raise ActionError(f"step {number} has one of {', '.join(MAKERS)}, not {list(step)!r:.60}")
    if name == "pause" and not isinstance(values, Mapping):
        values = {"seconds": values}
    elif isinstance(values, str) and name in ("key", "type"):
        values = {"keys" if name == "key" else "text": values}
    if not isinstance(values, Mapping):
        raise ActionError(f"{name} of step {number} is a map of its arguments, not {values!r:.60}")
    arguments = Arguments(f"{name} of step {number}", values, view)
    made = MAKERS[str(name)](arguments)
    arguments.finish()
    return made


async def _acted(
    computer: Computer, inputs: list[AnyInput], with_picture: bool, times: Times | None = None
) -> ToolResult:
    if any(getattr(one, "points", ()) for one in inputs):
        computer.check_size()
    return _result(await computer.act(*inputs, times=times), with_picture)


def _result(outcome: Outcome, with_picture: bool) -> ToolResult:
    answer, view = outcome.answer, outcome.picture.view
    facts = _facts(view)
    text = f"{outcome.text}; {_version(view)}"
    if answer is not None:
        facts |= {
            "changed": answer.changed,
            "settled": answer.settled,
            "seconds": round(answer.seconds, 3),
            "rects": [_box(view, rect) for rect in answer.rects[:50]],
        }
    return ToolResult(text, outcome.picture if with_picture else None, facts)


# ---- Pictures


async def _screenshot(attached: Attached, arguments: Arguments) -> ToolResult:
    computer = attached.screen
    region = arguments.region("region") if arguments.has("region") else None
    scale = arguments.number("scale", _MIN_SCALE, 1, 1)
    since = arguments.whole("since", 0, 2**63) if arguments.has("since") else None
    kind = arguments.choice("format", ("png", "jpeg"), "png")
    arguments.finish()
    if since is not None:
        return await _difference(computer, region, since, kind)
    picture = await computer.screenshot(region, scale=scale)
    text = f"{picture.view.size}, {_version(picture.view)}"
    return ToolResult(text, picture, _facts(picture.view), kind=kind)


async def _difference(computer: Computer, region: Rect | None, since: int, kind: str) -> ToolResult:
    """Return the part that differs since a version; points remain those of the last picture."""
    await computer.screen.refresh()
    mark = computer.screen.mark
    change = computer.screen.changes_since(Mark(mark.incarnation, mark.epoch, since))
    rects = [rect for rect in change.rects if region is None or rect.intersection(region)]
    # The pixels are copied later and may be newer. This version is older than they are, so that
    # the next call with it misses nothing.
    version = change.mark.version
    if not rects:
        nothing: dict[str, Any] = {"version": version, "changed": False}
        return ToolResult(f"nothing differs since version {since}", None, nothing)
    around = bounding(rects)
    if region is not None:
        around = around.intersection(region) or around
    picture = await computer.part(around)
    box = _box(computer.view, around)
    text = f"only {box} differs since version {since}: this part, version {version}"
    facts = {**_facts(picture.view), "version": version, "changed": True, "box": box}
    return ToolResult(text, picture, facts, kind=kind)


async def _labels(attached: Attached, arguments: Arguments) -> ToolResult:
    language = arguments.optional_text("language") or "eng"
    arguments.finish()
    labels = await attached.screen.labels(language=language)
    view = labels.picture.view
    facts = _facts(view) | {
        "labels": [
            {"number": label.number, "text": label.text, "box": _box(view, label.rect)}
            for label in labels.boxes
        ],
        "untrusted": True,
    }
    text = f"{len(labels)} labels, {_version(view)}\n{UNTRUSTED}\n{labels.words()[:MAX_SHOWN]}"
    return ToolResult(text, labels.picture, facts)


async def _click_label(attached: Attached, arguments: Arguments) -> ToolResult:
    with_picture = arguments.flag("picture", default=True)
    number = arguments.whole("number", 1, 10_000)
    version = arguments.whole("version", 0, 2**63)
    button, count = _button(arguments), int(arguments.number("count", 1, 3, 1))
    arguments.finish()
    outcome = await attached.screen.click_label(number, version=version, button=button, count=count)
    return _result(outcome, with_picture)


# ---- Waits and text


def _wait_arguments(arguments: Arguments) -> tuple[Rect | None, float]:
    region = arguments.region("region") if arguments.has("region") else None
    return region, arguments.number("timeout", 0, MAX_WAIT, DEFAULT_WAIT)


async def _wait_text(attached: Attached, arguments: Arguments) -> ToolResult:
    text = arguments.text()
    region, timeout = _wait_arguments(arguments)
    arguments.finish()
    computer = attached.screen
    found = await computer.screen.wait_text(text, region, timeout=timeout)
    return _found(computer, found.rect, found.text)


async def _wait_image(attached: Attached, arguments: Arguments) -> ToolResult:
    name = arguments.text("image")
    region, timeout = _wait_arguments(arguments)
    arguments.finish()
    computer = attached.screen
    path = await run_blocking(_image_path, attached.images, name)
    found = await computer.screen.wait_image(path, region, timeout=timeout)
    return _found(computer, found.rect, name)


def _image_path(folder: Path | None, name: str) -> Path:
    """Return the path of an image: a name of the folder, never a path out of it."""
    names = [] if folder is None else sorted(path.name for path in folder.glob("*.png"))
    if folder is None or name not in names:
        known = ", ".join(names[:50]) or "there are none"
        raise ActionError(f"no image is named {name!r:.60}: {known}")
    return folder / name


def _found(computer: Computer, rect: Rect, text: str) -> ToolResult:
    view = computer.view
    box = _box(view, rect)
    return ToolResult(
        f"{one_line(text)!r:.200} is at {box}", None, {"box": box, "version": view.mark.version}
    )


async def _wait_stable(attached: Attached, arguments: Arguments) -> ToolResult:
    seconds = arguments.number("seconds", 0, 60, 1)
    region, timeout = _wait_arguments(arguments)
    arguments.finish()
    computer = attached.screen
    frame = await computer.screen.wait_stable(seconds, region, timeout=timeout)
    return ToolResult(
        f"nothing has changed for {seconds:g} s, version {frame.version}",
        None,
        {"version": frame.version},
    )


async def _read_text(attached: Attached, arguments: Arguments) -> ToolResult:
    region = arguments.region("region") if arguments.has("region") else None
    language = arguments.optional_text("language") or "eng"
    arguments.finish()
    computer = attached.screen
    text = await computer.screen.read_text(region, language=language)
    view = computer.view
    lines = [{"text": line.text, "box": _box(view, line.rect)} for line in text.lines]
    shown = "\n".join(f"{line['box']} {one_line(str(line['text']))}" for line in lines)
    facts = {"reader": text.reader, "lines": lines, "untrusted": True}
    return ToolResult(f"{UNTRUSTED}\n{shown[:MAX_SHOWN] or '(no text)'}", None, facts)


def _version(view: View) -> str:
    return f"version {view.mark.version}"


def _facts(view: View) -> dict[str, Any]:
    return {"version": view.mark.version, "size": list(view.size), "screen": list(view.screen)}


def _box(view: View, rect: Rect) -> list[int]:
    """Return a rectangle of the screen as x0, y0, x1, y1 of a picture."""
    left, top = view.to_picture(rect.x, rect.y)
    right, bottom = view.to_picture(rect.right - 1, rect.bottom - 1)
    return [left, top, right + 1, bottom + 1]


# ---- The machine besides its screen: snapshots, events, the serial port


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
    """Return the events after a number; wait for the first one."""
    found: list[Event] = []
    ends = time.monotonic() + max(seconds, _HISTORY_WAIT)
    events = attached.machine.events(since)
    async with aclosing(events):  # type: ignore[type-var]  # an asynchronous generator
        while len(found) < _MAX_EVENTS:
            left = ends - time.monotonic()
            try:
                async with asyncio.timeout(min(left, _HISTORY_WAIT) if found else left):
                    found.append(await anext(events))
            except (TimeoutError, StopAsyncIteration):
                break
    return found


CALLS: dict[str, Call] = {
    "screenshot": _screenshot,
    **{name: _input(name) for name in MAKERS if name != "pause"},
    "act": _act,
    "wait_text": _wait_text,
    "wait_image": _wait_image,
    "wait_stable": _wait_stable,
    "read_text": _read_text,
    "labels": _labels,
    "click_label": _click_label,
    "snapshot": _snapshot,
    "events": _events,
    "serial": _serial,
}
