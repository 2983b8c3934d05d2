"""A machine's keyboard, for programs with threads."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..host.messages import Done
from . import requests
from .link import Link

if TYPE_CHECKING:
    from ..keys import Chord


class Keyboard:
    """One console's keyboard. Needs the control role.

    Keys are named as QEMU names them (``ret``, ``f2``, ``kp_7``), with the usual aliases
    (``enter``, ``esc``), or given as QEMU key numbers. What is still held down when this
    program ends is released.
    """

    def __init__(self, link: Link, console: int) -> None:
        self._link = link
        self._console = console

    def press(self, *keys: str | int) -> None:
        """Press keys, in this order, and hold them.

        Raises:
            UsageError: There is no such key; nothing has been sent.
            RoleError: This client only views.
            MachineGoneError: The machine has ended.
        """
        self._send(requests.key_steps(keys, True))

    def release(self, *keys: str | int) -> None:
        """Release keys, in this order. Errors as `press`."""
        self._send(requests.key_steps(keys, False))

    def chord(self, *chords: str | Chord, interval: int = requests.INTERVAL) -> None:
        """Press keys together, such as ``"ctrl-alt-f2"``, one chord after the other.

        Args:
            chords: Written, or as key numbers.
            interval: Milliseconds between two steps.

        Raises:
            UsageError: A chord names no key; nothing has been sent.
            RoleError: This client only views.
            MachineGoneError: The machine has ended.
        """
        self._send(requests.chord_steps(chords), interval)

    def type(self, text: str, *, layout: str = "us", interval: int = requests.INTERVAL) -> None:
        r"""Type a text; returns when the last key is up. ``"\n"`` is the enter key.

        Args:
            text: What to type.
            layout: The keyboard layout that the guest is set to, such as ``"de"``; caps lock
                is off.
            interval: Milliseconds between two steps. A character takes two, more with dead
                keys; shift and AltGr take two for as long as they stay down.

        Raises:
            UsageError: The layout lacks characters, all of which are named; nothing has
                been sent.
            RoleError: This client only views.
            MachineGoneError: The machine has ended.
        """
        self._send(requests.typed(text, layout, interval), interval)

    def _send(self, groups: list[requests.Steps], interval: int = requests.INTERVAL) -> None:
        for request in requests.key_requests(self._console, groups, interval):
            self._link.ask(request, Done, requests.duration(request))
