"""SHELL: the input devices of one console, and the log of their input.

`Devices` groups a console's keyboard (`kju.emulators.input.keyboard`), its lamps and its pointer.
`SharedPointer` is the part of a pointer that every kind of emulator shares.

The log is in the machine's folder, which other users cannot read, and is removed with it: the input
may be a password.
"""

from __future__ import annotations

import abc
import asyncio
import time
from collections.abc import Hashable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from ...acting.holders import Holders
from ...keys import Step
from ...protocol.input_log import Input, encode
from ...protocol.values import BUTTONS, Action
from ...store import log_files
from ...store.log_files import BoundedLog
from ...surface import Mark
from .keyboard import KeyboardLamps, SharedKeyboard
from .pace import Pace


class SharedPointer(abc.ABC):
    """One console's pointer.

    Args:
        pace: The pace of the machine's pointer.
    """

    def __init__(self, pace: Pace) -> None:
        self.pace = pace
        self._buttons = Holders(self._put_buttons, "buttons")
        self._fingers = Holders(self._put_fingers, "fingers")

    @property
    def held(self) -> list[str]:
        """The buttons that are down."""
        return [BUTTONS[number] for number in self._buttons.held]

    @abc.abstractmethod
    async def absolute(self) -> bool:
        """Return whether the guest's pointer takes positions now; otherwise it takes distances."""

    @abc.abstractmethod
    async def act(self, client: Hashable, actions: Sequence[Action]) -> Mark | None:
        """Do these actions for one client, in order.

        Returns:
            The screen's mark before the first action of the last gesture (`marks.last_gesture`)
            was sent; None if nothing had to be sent.

        Raises:
            GeometryError: A position is outside the screen; nothing was sent.
            UsageError: The pointer does not take these actions; nothing was sent.
            InputError: The guest takes nothing; the remaining releases were sent.
            KjuError: The emulator did not take an action; the remaining releases were sent.
        """

    @abc.abstractmethod
    async def _put_buttons(self, numbers: Sequence[int], down: bool) -> object:
        """Press or release buttons in the guest."""

    @abc.abstractmethod
    async def _put_fingers(self, fingers: Sequence[int], down: bool) -> object:
        """Lift fingers in the guest; none is put down again: its position is unknown."""

    async def put_all(self, *, down: bool) -> None:
        """Release everything held in the guest, or press its buttons again; the turn is held."""
        await self._buttons.put_all(down)
        await self._fingers.put_all(down)
        await self.pace.settle()

    def forget(self) -> None:
        """Note that the guest has restarted: nothing is down in it."""
        self._buttons.forget()
        self._fingers.forget()
        self.pace.reset()

    async def leave(self, client: Hashable) -> None:
        """Release everything that a client holds."""
        async with self.pace.turn:
            await self._buttons.leave(client)
            await self._fingers.leave(client)

    async def settle(self) -> None:
        """Release what disconnected clients could not release before."""
        async with self.pace.turn:
            await self._settle()

    async def _settle(self) -> None:
        await self._buttons.settle()
        await self._fingers.settle()


class Devices(NamedTuple):
    """The keyboard, its lamps and the pointer of one console."""

    keyboard: SharedKeyboard
    pointer: SharedPointer
    lamps: KeyboardLamps

    @property
    def turns(self) -> tuple[asyncio.Lock, asyncio.Lock]:
        """The locks that are held while input is sent; all consoles of a machine share them."""
        return self.keyboard.pace.turn, self.pointer.pace.turn

    async def put_all(self, *, down: bool) -> None:
        """Release everything held in the guest, or press it again; the turns are held.

        Raises:
            KjuError: The emulator did not take it.
        """
        await self.keyboard.put_all(down=down)
        await self.pointer.put_all(down=down)

    async def leave(self, client: Hashable) -> None:
        """Release everything that a client holds."""
        await self.keyboard.leave(client)
        await self.pointer.leave(client)

    async def settle(self) -> None:
        """Release what disconnected clients could not release before."""
        await self.keyboard.settle()
        await self.pointer.settle()

    def forget(self) -> None:
        """Record that the guest has restarted: nothing is down in it."""
        self.keyboard.forget()
        self.pointer.forget()

    def info(self) -> dict[str, Any]:
        """Return the keys and buttons that are held, and the locks that are on."""
        lamps = self.lamps.now
        return {
            "keys_held": self.keyboard.held,
            "buttons_held": self.pointer.held,
            "locks": None if lamps is None else lamps.names,
        }


class InputLog:
    """A log of input, bounded like the others.

    Args:
        path: Its current file.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._log = BoundedLog(path, note="")
        self._began = time.monotonic()

    def keys(self, console: int, steps: Sequence[Step], *, caps_lock: bool = False) -> None:
        """Log keyboard steps that were sent together, and whether Caps Lock was on."""
        entry = Input(self._now(), console, keys=list(steps), caps_lock=caps_lock)
        self._log.write(encode(entry))

    def pointer(self, console: int, action: Action) -> None:
        """Log an action of the pointer."""
        self._log.write(encode(Input(self._now(), console, pointer=[action])))

    def read(self) -> bytes:
        """Return its contents, in the format of `kju.protocol.input_log`."""
        return log_files.read(self._path)

    def replace(self, entries: Sequence[Input]) -> None:
        """Replace its contents; later times continue from the last entry's.

        Raises:
            OSError: The disk is full.
        """
        self._log.replace(b"".join(map(encode, entries)))
        self._began = time.monotonic() - max((entry.time for entry in entries), default=0.0)

    def _now(self) -> float:
        return round(time.monotonic() - self._began, 4)

    def close(self) -> None:
        """Stop writing. A second call does nothing."""
        self._log.close()
