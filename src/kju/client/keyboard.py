"""A machine's keyboard, for programs with threads."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

from ..errors import KjuError
from ..protocol.messages import Done, GetLamps, LampsState
from ..surface import NOTHING_TAKEN, Mark
from . import requests
from .link import Link

if TYPE_CHECKING:
    from ..keys import Chord, Lamps


class Keyboard:
    """One console's keyboard. Needs the control role.

    Keys are named as QEMU names them (``ret``, ``f2``, ``kp_7``), with the usual aliases
    (``enter``, ``esc``), or given as QEMU key numbers. What is still held down when this
    program ends is released.

    A single key may be sent before QEMU has confirmed it. If QEMU refuses the key afterwards, the
    next call on this keyboard raises `QemuError`; of that call only the releases are sent.
    """

    def __init__(self, link: Link, console: int) -> None:
        self._link = link
        self._console = console

    def lamps(self) -> Lamps | None:
        """Return the locks that are on, as far as the guest lights its keyboard's lamps.

        None if that is unknown: in a mirror, and with a QEMU that does not announce lamps.
        """
        return requests.lamps_of(self._lamps())

    def press(self, *keys: str | int) -> Mark:
        """Press keys, in this order, and hold them.

        Returns:
            The screen's mark before the first of them: the guest's answer is after that.

        Raises:
            UsageError: There is no such key; nothing has been sent.
            InputError: Nothing in the guest reads its keyboard.
            QemuError: QEMU refused this key, or the one of the previous call.
            RoleError: This client only views.
            MachineGoneError: The machine has ended.
        """
        return self._send(requests.key_steps(keys, True), None)

    def release(self, *keys: str | int) -> Mark:
        """Release keys, in this order. Returns and raises as `press`."""
        return self._send(requests.key_steps(keys, False), None)

    @contextlib.contextmanager
    def hold(self, *keys: str | int) -> Iterator[None]:
        """Hold keys while a ``with`` block runs; they come up however it is left.

        Raises:
            As `press`.
        """
        self.press(*keys)
        try:
            yield
        finally:
            self.release(*reversed(keys))

    def chord(self, *chords: str | Chord, interval: int = requests.INTERVAL) -> Mark:
        """Press keys together, such as ``"ctrl-alt-f2"``, one chord after the other.

        Args:
            chords: Written, or as key numbers.
            interval: Milliseconds between two steps.

        Returns:
            The screen's mark before the first key of the last chord went down. The guest's answer
            is after that, whether the guest answers the press or the release.

        Raises:
            UsageError: A chord names no key; nothing has been sent.
            RoleError: This client only views.
            MachineGoneError: The machine has ended.
        """
        return self._send(requests.chord_steps(chords), interval)

    def type(self, text: str, *, layout: str = "us", interval: int | None = None) -> Mark:
        r"""Type a text; returns when the last key is up. ``"\n"`` is the enter key.

        It goes as fast as the guest takes it and no faster: the next keys are sent when the
        guest's keyboard has room for them.

        Args:
            text: What to type.
            layout: The keyboard layout that the guest is set to, such as ``"de"``. Caps lock
                does not matter in a guest that lights its keyboard's lamp (see `lamps`).
            interval: Milliseconds between two steps, for a program in the guest that is slower
                than its keyboard. A character takes two, more with dead keys; shift and AltGr
                take two for as long as they stay down.

        Returns:
            The screen's mark before the last character's first key went down, or earlier where
            several characters were sent together.

        Raises:
            UsageError: The layout lacks characters, all of which are named; nothing has
                been sent.
            InputError: Nothing in the guest reads its keyboard any more; what had been sent
                may have been typed.
            RoleError: This client only views.
            MachineGoneError: The machine has ended.
        """
        lit = self._lamps().lit if requests.caps_lock_matters(text, layout) else None
        return self._ask(requests.text_requests(self._console, text, layout, interval, lit))

    def boot_command(self, command: str, *, layout: str = "us") -> Mark:
        """Type a boot command as Packer writes it, such as ``"<wait5><esc>auto<enter>"``.

        `kju.keys.boot_command` lists what may stand in angle brackets. Returns when the last key
        is up; keys that are still held then are released, also after an error.

        Args:
            command: What to type, press, hold and wait.
            layout: As for `type`.

        Returns:
            The screen's mark before the last step that types or presses anything, as `type` and
            `press` return it. Steps that only release keys do not count.

        Raises:
            UsageError: The command names no key, or the layout lacks characters; nothing has
                been sent.
            InputError: Nothing in the guest reads its keyboard any more.
            RoleError: This client only views.
            MachineGoneError: The machine has ended.
        """
        mark = NOTHING_TAKEN
        steps = requests.boot_steps(command, layout)
        try:
            for step in steps:
                if step.wait:
                    time.sleep(step.wait)
                if step.text:
                    mark = self.type(step.text, layout=layout)
                if step.keys:
                    sent = self._send([step.keys], None)
                    mark = requests.boot_mark(mark, sent, step.keys)
        except BaseException:
            with contextlib.suppress(KjuError):
                self._send([requests.releases(steps)], None)
            raise
        return mark

    def _lamps(self) -> LampsState:
        return self._link.ask(GetLamps(console=self._console), LampsState)

    def _send(self, groups: list[requests.Steps], interval: int | None) -> Mark:
        return self._ask(requests.key_requests(self._console, groups, interval))

    def _ask(self, asked: list[requests.KeyRequest]) -> Mark:
        mark = NOTHING_TAKEN
        for keys, marks in asked:
            done = self._link.ask(keys, Done, requests.duration(keys))
            if marks:
                mark = requests.mark_of(done)
        return mark
