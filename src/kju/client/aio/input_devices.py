"""A machine's keyboard and pointer, for asyncio."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Sequence
from typing import TYPE_CHECKING

from ...errors import KjuError
from ...protocol.messages import Done, GetLamps, GetPointer, LampsState, PointerState
from ...protocol.values import Action, last_gesture
from ...surface import NOTHING_TAKEN, Mark
from .. import input_requests as requests
from .link import AsyncLink
from .waiting import sleep

if TYPE_CHECKING:
    from ...keys import Chord, Lamps


class Keyboard:
    """The keyboard of one console. Needs the control role.

    Keys have QEMU's names (``ret``, ``f2``, ``kp_7``) with the usual aliases (``enter``, ``esc``),
    or QEMU's key numbers. Keys that are still down when this program ends are released.

    A single key may be sent before QEMU has confirmed it. If QEMU refuses the key afterwards, the
    next call on this keyboard raises `QemuError`; of that call only the releases are sent.
    """

    def __init__(self, link: AsyncLink, console: int) -> None:
        self._link = link
        self._console = console

    async def lamps(self) -> Lamps | None:
        """Return the locks that are on, as far as the guest lights its keyboard's lamps.

        None if that is unknown: in a mirror, and with a QEMU that does not announce lamps.
        """
        return requests.lamps_of(await self._lamps())

    async def press(self, *keys: str | int) -> Mark:
        """Press keys, in this order, and hold them.

        Returns:
            The screen's mark before the first key; the guest reacts after it.

        Raises:
            UsageError: A key is unknown; no key has been sent.
            InputError: The guest does not read its keyboard.
            QemuError: QEMU refused this key, or the key of the previous call.
            RoleError: This client has the view role.
            MachineGoneError: The machine has ended.
        """
        return await self._send(requests.key_steps(keys, True), None)

    async def release(self, *keys: str | int) -> Mark:
        """Release keys, in this order. Returns and raises as `press`."""
        return await self._send(requests.key_steps(keys, False), None)

    @contextlib.asynccontextmanager
    async def hold(self, *keys: str | int) -> AsyncIterator[None]:
        """Hold keys during an ``async with`` block, and release them however it ends.

        Raises:
            As `press`.
        """
        await self.press(*keys)
        try:
            yield
        finally:
            await self.release(*reversed(keys))

    async def chord(self, *chords: str | Chord, interval: int = requests.INTERVAL) -> Mark:
        """Press keys together, such as ``"ctrl-alt-f2"``, one chord after the other.

        Args:
            chords: Names with dashes, or key numbers.
            interval: Milliseconds between two steps.

        Returns:
            The screen's mark before the first key of the last chord. The guest reacts after it,
            to the press or to the release.

        Raises:
            UsageError: A chord has an unknown key; no key has been sent.
            RoleError: This client has the view role.
            MachineGoneError: The machine has ended.
        """
        return await self._send(requests.chord_steps(chords), interval)

    async def type(self, text: str, *, layout: str = "us", interval: int | None = None) -> Mark:
        r"""Type a text; return when the last key is up. ``"\n"`` is the enter key.

        The next keys are sent when the guest's keyboard has room for them, so the text is typed as
        fast as the guest reads.

        Args:
            text: The text to type.
            layout: The guest's keyboard layout, such as ``"de"``. Caps lock does not matter in a
                guest that lights its keyboard's lamp (see `lamps`).
            interval: Milliseconds between two steps, for a program in the guest that is slower
                than its keyboard. A character takes two steps, more with dead keys; shift and AltGr
                take two for as long as they stay down.

        Returns:
            The screen's mark before the first key of the last character, or earlier where several
            characters were sent together.

        Raises:
            UsageError: The layout lacks characters, and the message lists them; no key has been
                sent.
            InputError: The guest no longer reads its keyboard; a part may have been typed.
            RoleError: This client has the view role.
            MachineGoneError: The machine has ended.
        """
        lit = None
        if requests.caps_lock_matters(text, layout):
            lit = (await self._lamps()).lit
        return await self._ask(requests.text_requests(self._console, text, layout, interval, lit))

    async def boot_command(self, command: str, *, layout: str = "us") -> Mark:
        """Type a boot command of Packer's form, such as ``"<wait5><esc>auto<enter>"``.

        `kju.keys.boot_command` lists the words in angle brackets. Returns when the last key is up.
        Keys that are still held then are released, also after an error.

        Args:
            command: Text, and words in angle brackets.
            layout: As for `type`.

        Returns:
            The screen's mark before the last step that types or presses a key, as `type` and
            `press` return it. Steps that only release keys do not count.

        Raises:
            UsageError: The command has an unknown key, or the layout lacks characters; no key has
                been sent.
            InputError: The guest no longer reads its keyboard.
            RoleError: This client has the view role.
            MachineGoneError: The machine has ended.
        """
        mark = NOTHING_TAKEN
        steps = requests.boot_steps(command, layout)
        try:
            for step in steps:
                if step.wait:
                    await sleep(step.wait)
                if step.text:
                    mark = await self.type(step.text, layout=layout)
                if step.keys:
                    sent = await self._send([step.keys], None)
                    mark = requests.boot_mark(mark, sent, step.keys)
        except BaseException:
            with contextlib.suppress(KjuError):
                await self._send([requests.releases(steps)], None)
            raise
        return mark

    async def _lamps(self) -> LampsState:
        return await self._link.ask(GetLamps(console=self._console), LampsState)

    async def _send(self, groups: list[requests.Steps], interval: int | None) -> Mark:
        return await self._ask(requests.key_requests(self._console, groups, interval))

    async def _ask(self, asked: list[requests.KeyRequest]) -> Mark:
        mark = NOTHING_TAKEN
        for keys, marks in asked:
            done = await self._link.ask(keys, Done, requests.duration(keys))
            if marks:
                mark = requests.mark_of(done)
        return mark


class Pointer:
    """The pointer of one console. Needs the control role.

    Positions are pixels of the screen, origin top left. Buttons are ``left``, ``middle``,
    ``right``, ``side`` and ``extra``; buttons that are still down when this program ends are
    released. Each call returns the screen's mark before its last gesture: the last click, the whole
    drag or touch, the last notch of the wheel. The guest reacts after that mark (`Screen.after`),
    to the press or to the release.

    Every method raises ``RoleError`` if this client has the view role, ``MachineGoneError`` if the
    machine has ended, and ``InputError`` if the guest does not read the pointer.
    """

    def __init__(self, link: AsyncLink, console: int) -> None:
        self._link = link
        self._console = console

    async def is_absolute(self) -> bool:
        """Return True if the guest's pointer takes positions now, False if it takes distances."""
        return (await self._link.ask(GetPointer(console=self._console), PointerState)).absolute

    async def mark(self) -> Mark:
        """Return the mark of the screen now, as the host of the guest knows it.

        It is the mark that an input would return that is sent now. On a mirror it includes what
        the other host has published and this one has not received yet.
        """
        return await self._act([])

    async def move(self, x: int, y: int) -> Mark:
        """Put the pointer on a pixel.

        Raises:
            GeometryError: No screen has such a pixel.
            UsageError: The guest's pointer takes distances only: see `move_by`.
        """
        return await self._act([requests.to(x, y)])

    async def move_by(self, dx: int, dy: int) -> Mark:
        """Move a pointer that takes distances; a guest may scale them.

        Raises:
            UsageError: The guest's pointer takes positions: see `move`.
        """
        return await self._act(requests.by(dx, dy))

    async def press(self, *buttons: str) -> Mark:
        """Press buttons, in this order, and hold them.

        Raises:
            UsageError: A button is unknown; no button has been sent.
        """
        return await self._act(requests.buttons(buttons, True))

    async def release(self, *buttons: str) -> Mark:
        """Release buttons, in this order. Raises as `press`."""
        return await self._act(requests.buttons(buttons, False))

    async def click(
        self, x: int | None = None, y: int | None = None, *, button: str = "left", count: int = 1
    ) -> Mark:
        """Press and release a button, at a pixel or at the pointer's place.

        Args:
            x: Pixels from the left; with *y*, or neither.
            y: Pixels from the top.
            button: The button's name.
            count: 2 for a double click.

        Raises:
            GeometryError: No screen has such a pixel.
            UsageError: The button is unknown, or the guest's pointer takes distances only.
        """
        return await self._act(requests.click(x, y, button, count))

    async def drag(self, *points: tuple[int, int], button: str = "left") -> Mark:
        """Press a button at the first pixel, move through the others, and release it at the last.

        Raises:
            As `click`.
        """
        return await self._act(requests.drag(points, button))

    async def wheel(self, vertical: int, horizontal: int = 0) -> Mark:
        """Turn the wheel by a number of notches: positive is down and right."""
        return await self._act([requests.wheel(vertical, horizontal)])

    async def touch(self, *points: tuple[int, int], finger: int = 0) -> Mark:
        """Put a finger on the first pixel, slide it through the others, and lift it.

        Args:
            points: One to tap, more to slide.
            finger: The finger's number, from 0 to 9.

        Raises:
            GeometryError: No screen has such a pixel.
            UsageError: The guest has no touch screen: give QEMU ``-device virtio-multitouch-pci``.
        """
        return await self._act(requests.touch(points, finger))

    async def _act(self, wanted: Sequence[Action]) -> Mark:
        mark, begin = NOTHING_TAKEN, last_gesture(wanted)
        parts = requests.divide(wanted, self._console)
        try:
            for number, request in enumerate(parts):
                done = await self._link.ask(request, Done)
                # A gesture may be longer than a request; its mark is that of its begin.
                if number * requests.ACTIONS_TOGETHER <= begin:
                    mark = requests.mark_of(done)
        except BaseException:
            # The host sends the remaining releases of a request that fails, but of no later one.
            if len(parts) > 1:
                with contextlib.suppress(KjuError):
                    await self._link.ask(requests.pointer_releases(wanted, self._console), Done)
            raise
        return mark
