"""Send inputs to a keyboard and a pointer, for asyncio."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

from ...acting.inputs import (
    AnyInput,
    ButtonDown,
    ButtonUp,
    Chord,
    Click,
    Drag,
    KeyDown,
    KeyUp,
    Move,
    MoveBy,
    Pause,
    Touch,
    Type,
    Wheel,
)
from ...surface import NOTHING_TAKEN, Mark
from .input_devices import Keyboard, Pointer
from .waiting import sleep


async def send(
    keyboard: Keyboard,
    pointer: Pointer,
    inputs: Sequence[AnyInput],
    on_sent: Callable[[float, float], object],
    now: Mark,
) -> Mark:
    """Send inputs, one after the other; return the mark of the screen before the first.

    A chord, a character or a gesture returns the mark before its first step. A longer text and a
    click at a pixel return the one before their last; for them it is *now*.

    Args:
        keyboard: The keyboard.
        pointer: The pointer.
        inputs: The inputs.
        on_sent: Called with the times at which the last input began and was sent.
        now: The mark of the screen now.
    """
    mark = NOTHING_TAKEN if _has_own_mark(inputs[0]) else now
    for one in inputs:
        began = time.monotonic()
        own = await send_one(keyboard, pointer, one)
        if mark == NOTHING_TAKEN:
            mark = own
    on_sent(began, time.monotonic())
    return mark


async def send_one(keyboard: Keyboard, pointer: Pointer, one: AnyInput) -> Mark:
    """Send one input; return its mark. No key or button of a failed input stays down."""
    match one:
        case Chord(seconds=0):
            return await keyboard.chord(one.numbers)
        case Chord(seconds=seconds):
            async with _held(keyboard, one.numbers) as mark:
                await sleep(seconds)
            return mark
        case Type(text, layout, interval):
            return await keyboard.type(text, layout=layout, interval=interval)
        case KeyDown(key):
            return await keyboard.press(key)
        case KeyUp(key):
            return await keyboard.release(key)
        case Click() | Move() | Drag() | Wheel():
            async with _held(keyboard, one.keys):
                return await _point(pointer, one)
        case MoveBy(dx, dy):
            return await pointer.move_by(dx, dy)
        case ButtonDown(button):
            return await pointer.press(button)
        case ButtonUp(button):
            return await pointer.release(button)
        case Touch(points, finger):
            return await pointer.touch(*points, finger=finger)
        case Pause(seconds):
            await sleep(seconds)
            return NOTHING_TAKEN


async def _point(pointer: Pointer, one: Click | Move | Drag | Wheel) -> Mark:
    match one:
        case Click(x, y, button, count):
            return await pointer.click(x, y, button=button, count=count)
        case Move(x, y):
            return await pointer.move(x, y)
        case Drag(points, button):
            return await pointer.drag(*points, button=button)
        case Wheel(vertical, horizontal):
            for x, y in one.points:
                await pointer.move(x, y)
            return await pointer.wheel(vertical, horizontal)


@asynccontextmanager
async def _held(keyboard: Keyboard, keys: Sequence[str | int]) -> AsyncIterator[Mark]:
    """Hold keys, also none; release them however the block ends.

    Yields:
        The mark of the screen before the first key.
    """
    if not keys:
        yield NOTHING_TAKEN
        return
    try:
        # One of several presses may fail; the release of a key that is up does nothing.
        yield await keyboard.press(*keys)
    finally:
        await keyboard.release(*reversed(keys))


def _has_own_mark(one: AnyInput) -> bool:
    """Check whether the mark that an input returns is that of its first step."""
    match one:
        case Type(text):
            return len(text) == 1
        case Click():
            return one.count == 1 and not one.keys and not one.points
        case Move():
            return not one.keys
        case Chord() | KeyDown() | KeyUp() | ButtonDown() | ButtonUp() | MoveBy() | Touch():
            return True
        case _:
            return False
