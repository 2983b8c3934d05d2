"""Typing into several machines at the same time. No toolkit.

Every key that the user presses is sent to each machine by its number, so each guest reads it with
its own layout. Each machine has a connection and a thread of its own: a slow guest delays no other.
A machine that fails is named and left out; its connection is closed, so its host releases its keys.
Esc ends the typing, and no key is left down. Texts are typed by `kju.viewers.tools.paste_run`, over
connections of their own.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from enum import Enum
from typing import NamedTuple, Protocol

from ..client.machine import Machine
from ..errors import KjuError
from ..escaping import one_line
from ..keys import NUMBERS
from ..viewers.input.sender import KeyTarget, PointerTarget, Repeat, Sender, SetKey
from .actions import ActionRunner, control, listed_names
from .machines.entry import MachineEntry, MachineKey

#: Machines at the same time; each has a thread.
MAX_TARGETS = 64
END_KEY = NUMBERS["esc"]
_MAX_REASON = 200


class TypingPhase(Enum):
    """Phase of the typing."""

    OFF = "off"
    CONNECTING = "connecting"
    ON = "on"


class TypingState(NamedTuple):
    """State of the typing.

    Attributes:
        phase: Its phase.
        machines: The machines that take part.
        failed: Machines that were left out, and why.
    """

    phase: TypingPhase = TypingPhase.OFF
    machines: tuple[MachineKey, ...] = ()
    failed: tuple[tuple[MachineKey, str], ...] = ()

    @property
    def words(self) -> str:
        """The state in one line, safe to show."""
        names = listed_names([key.name for key in self.machines])
        count = len(self.machines)
        where = f"{count} machines ({names})" if count > 1 else names
        head = {
            TypingPhase.OFF: "",
            TypingPhase.CONNECTING: f"Connecting to {where}\N{HORIZONTAL ELLIPSIS}",
            TypingPhase.ON: f"Keys go to {where}. Esc ends this.",
        }[self.phase]
        if self.phase is TypingPhase.ON and not self.machines:
            head = "No machine is left. Esc ends this."
        failed = [f"{one_line(key.name, 64)} is left out: {why}" for key, why in self.failed[:4]]
        if (more := len(self.failed) - 4) > 0:
            failed.append(f"{more} more are left out")
        return " ".join([head, "; ".join(failed)]).strip()


class KeyboardLink(Protocol):
    """A connection to one machine's keyboard."""

    @property
    def keyboard(self) -> KeyTarget:
        """Its keyboard."""

    @property
    def pointer(self) -> PointerTarget:
        """Its pointer, which is not used."""

    def close(self) -> None:
        """End the connection; the host releases its keys."""


#: Connects to a machine; it may wait, and raises a `KjuError`.
Connect = Callable[[str], KeyboardLink]


class TypeToAll:
    """Sends the keys of one user to several machines. Used on the toolkit's thread.

    Args:
        runner: Connects and disconnects.
        post: Calls a function on the toolkit's thread, from any thread.
        changed: Called after each change of `state`.
        connect: Connects to a machine.
    """

    def __init__(
        self,
        runner: ActionRunner,
        post: Callable[[Callable[[], None]], None],
        changed: Callable[[], None],
        connect: Connect | None = None,
    ) -> None:
        self.state = TypingState()
        self._runner, self._post, self._changed = runner, post, changed
        self._connect = connect or _connect
        self._targets: dict[MachineKey, _Target] = {}
        self._held: dict[int, None] = {}
        # Of the typing that is on: answers of an earlier one do not count.
        self._number = 0

    @property
    def is_on(self) -> bool:
        """True while keys are meant for the machines."""
        return self.state.phase is not TypingPhase.OFF

    def start(self, entries: Sequence[MachineEntry]) -> None:
        """Connect to the machines that run; keys count as soon as all have connected or failed."""
        self.stop()
        chosen = [entry.key for entry in entries if entry.state.runs and entry.is_local]
        failed = [
            (entry.key, "it does not run here") for entry in entries if entry.key not in chosen
        ]
        failed += [(key, f"at most {MAX_TARGETS} at once") for key in chosen[MAX_TARGETS:]]
        del chosen[MAX_TARGETS:]
        self._number += 1
        phase = TypingPhase.CONNECTING if chosen else TypingPhase.ON
        self.state = TypingState(phase, tuple(chosen), tuple(failed))
        for key in chosen:
            if not self._runner.submit(("typing", key), self._connecting(key, self._number)):
                self._leave_out(key, "too many actions of this machine are waiting")
        self._changed()

    def _connecting(self, key: MachineKey, number: int) -> Callable[[], None]:
        def call() -> None:
            try:
                link = self._connect(key.name)
            except (KjuError, OSError) as error:
                why = one_line(str(error), _MAX_REASON)
                self._post(lambda: self._failed(key, number, why))
                return
            self._post(lambda: self._connected(key, number, link))

        return call

    def _connected(self, key: MachineKey, number: int, link: KeyboardLink) -> None:
        if number != self._number or key not in self.state.machines:
            self._runner.submit(("typing", key), link.close)
            return

        def fail(reason: str) -> None:
            why = one_line(reason, _MAX_REASON)
            self._post(lambda: self._failed(key, number, why))

        self._targets[key] = _Target(link, fail)
        self._check_connected()

    def _failed(self, key: MachineKey, number: int, why: str) -> None:
        if number == self._number and key in self.state.machines:
            self._leave_out(key, why)
            self._check_connected()

    def leave_out(self, name: str, reason: str) -> None:
        """Leave out a machine of this computer, whose typing has failed otherwise."""
        key = MachineKey("", name)
        if key in self.state.machines:
            self._leave_out(key, one_line(reason, _MAX_REASON))

    def _leave_out(self, key: MachineKey, why: str) -> None:
        machines = tuple(each for each in self.state.machines if each != key)
        self.state = self.state._replace(machines=machines, failed=(*self.state.failed, (key, why)))
        if (target := self._targets.pop(key, None)) is not None:
            self._runner.submit(("typing", key), target.close)
        self._changed()

    def _check_connected(self) -> None:
        if self.state.phase is TypingPhase.CONNECTING and set(self._targets) >= set(
            self.state.machines
        ):
            self.state = self.state._replace(phase=TypingPhase.ON)
            self._changed()

    # ---- Keys

    def key(self, number: int, down: bool, repeat: bool = False) -> None:
        """Take the press, release or repeat of a key; Esc ends the typing."""
        if not self.is_on:
            return
        if number == END_KEY:
            if down and not repeat:
                self.stop()
            return
        if self.state.phase is not TypingPhase.ON:
            return
        if repeat:
            if number in self._held:
                self._send(Repeat(number))
        elif down and number not in self._held:
            self._held[number] = None
            self._send(SetKey(number, True))
        elif not down and number in self._held:
            del self._held[number]
            self._send(SetKey(number, False))

    def _send(self, item: SetKey | Repeat) -> None:
        for target in self._targets.values():
            target.send(item)

    def release_all(self) -> None:
        """Release every key in every guest: the window has lost the focus."""
        for number in reversed(list(self._held)):
            self._send(SetKey(number, False))
        self._held.clear()

    def stop(self) -> None:
        """Release every key, and disconnect."""
        if not self.is_on:
            return
        self.release_all()
        self._number += 1
        targets, self._targets = self._targets, {}
        for key, target in targets.items():
            self._runner.submit(("typing", key), target.close)
        self.state = TypingState()
        self._changed()


class _Target:
    """One machine that takes part."""

    def __init__(self, link: KeyboardLink, on_error: Callable[[str], None]) -> None:
        self._link = link
        self._lock = threading.Lock()
        self._failed = False
        self._on_error = on_error
        self._sender = Sender(link.keyboard, link.pointer, lambda absolute: None, self._fail)

    def _fail(self, reason: str) -> None:
        with self._lock:
            first, self._failed = not self._failed, True
        if first:
            self._on_error(reason)

    def send(self, item: SetKey | Repeat) -> None:
        self._sender.send(item)

    def close(self) -> None:
        """Send the queued keys, and disconnect; it may wait a second."""
        self._sender.close()
        self._link.close()


class _MachineLink:
    """The first keyboard of a machine."""

    def __init__(self, machine: Machine) -> None:
        self._machine = machine
        self.keyboard: KeyTarget = machine.keyboard
        self.pointer: PointerTarget = machine.pointer

    def close(self) -> None:
        self._machine.close()


def _connect(name: str) -> KeyboardLink:
    return _MachineLink(control(name))
