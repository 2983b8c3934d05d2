"""Targets of a viewer: one console of a machine, or a surface by its address.

A target is attached as often as its machine or producer starts again. All of it may wait, and is
used on the connection's thread.
"""

from __future__ import annotations

import contextlib
import math
import os
import time
from collections.abc import Callable
from typing import Generic, NamedTuple, Protocol, TypeVar

from ..client.launching import attach
from ..client.machine import Machine
from ..client.surface import Screen, Surface
from ..client.targets import check_console, open_surface
from ..errors import KjuError, ProducerGoneError, UsageError, WaitTimeoutError
from ..files import stat_fields
from ..protocol.values import Role
from .input.sender import Sender

_T = TypeVar("_T")

# Seconds between two requests for facts. Keys switch the lamps, so they are requested more often
# for `_LAMP_AFTER` after an input.
_LAMP_SECONDS = 0.5
_LAMP_SECONDS_AT_REST = 5.0
_LAMP_AFTER = 5.0
_SOURCE_SECONDS = 2.0
_NO_RESIZE_SECONDS = 0.5
_CPU_SECONDS = 1.0


class Facts(NamedTuple):
    """State of a machine beside its screen.

    Attributes:
        locks: Names of the keyboard locks that are on.
        source: The source of the pixels, such as ``vram``; empty where unknown.
        kind: The machine's kind, such as ``qemu``; empty where unknown.
        no_resize: Why the guest cannot be asked for a size; empty where it can, or that is unknown.
        host_cpu: CPU seconds of the host so far; None where unknown.
        screens: Number of the machine's screens; 0 while unknown.
    """

    locks: tuple[str, ...] = ()
    source: str = ""
    kind: str = ""
    no_resize: str = ""
    host_cpu: float | None = None
    screens: int = 0


class InputEvents(Protocol):
    """Callbacks of a sender, on its thread."""

    def pointer_is(self, absolute: bool) -> None:
        """Take the kind of the guest's pointer."""

    def failed(self, reason: str) -> None:
        """Take the reason why an input was not sent."""


class Attachment(Protocol):
    """One connection to a target."""

    @property
    def screen(self) -> Surface:
        """The pixels."""

    @property
    def sender(self) -> Sender | None:
        """Sends input; None where the target takes no input."""

    def check(self) -> None:
        """Return while the target lives.

        Raises:
            ProducerGoneError: It has ended.
            MemoryLostError: The file below was cut.
        """

    def facts(self) -> Facts:
        """Return the newest facts."""

    def set_rate(self, rate: float | None) -> None:
        """State how often the pixels are shown, per second; None for the usual rate."""

    def save(self, path: str) -> None:
        """Write a PNG of the newest pixels."""

    def resize(self, width: int, height: int) -> None:
        """Ask the guest for a size of its screen.

        Raises:
            KjuError: The display cannot be resized, or the target does not take the size.
        """

    def close(self) -> None:
        """Detach."""


class ViewerTarget(Protocol):
    """Something a viewer shows.

    Attributes:
        name: As the user knows it.
        label: The name, and which of its screens it is.
        controls: Input is sent to it.
        with_numbers: Ask for the source and the host's CPU time as well. It may be changed at any
            time.
    """

    name: str
    label: str
    controls: bool
    with_numbers: bool

    def attach(self, events: InputEvents) -> Attachment:
        """Connect.

        Raises:
            KjuError: The target does not exist now.
        """


class MachineTarget:
    """One console of the machine of a name.

    Args:
        name: The machine's.
        console: Index of the screen.
        view_only: Attach with the view role; send no input.
        layout: The guest's keyboard layout, for texts.
        with_source: Ask for `Facts.source` as well.
    """

    def __init__(
        self,
        name: str,
        console: int = 0,
        *,
        view_only: bool = False,
        layout: str = "us",
        with_source: bool = False,
    ) -> None:
        self.name = name
        self.label = f"{name}, screen {console + 1}" if console else name
        self.console = console
        self.controls = not view_only
        self.layout = layout
        self.with_source = with_source
        self.with_numbers = False
        self._prepared: Machine | None = None

    def prepare(self) -> int:
        """Connect for the next `attach`, so that an error is raised before a view exists.

        Returns:
            How many screens the machine has.

        Raises:
            MachineNotFoundError: No machine of this name is running.
            UsageError: The machine has no such console.
        """
        self._prepared = self._connect()
        return len(self._prepared.screens)

    def attach(self, events: InputEvents) -> Attachment:
        """Implement `ViewerTarget.attach`."""
        machine, self._prepared = self._prepared, None
        if machine is not None and not machine.is_alive:
            machine.close()
            machine = None
        if machine is None:
            machine = self._connect()
        try:
            return _MachineAttachment(machine, self, events)
        except BaseException:
            machine.close()
            raise

    def _connect(self) -> Machine:
        role: Role = "control" if self.controls else "view"
        machine = attach(self.name, role)
        try:
            check_console(machine, self.console)
        except BaseException:
            machine.close()
            raise
        return machine


class _MachineAttachment:
    screen: Screen

    def __init__(self, machine: Machine, target: MachineTarget, events: InputEvents) -> None:
        self._machine, self._target = machine, target
        self.screen = machine.screens[target.console]
        self.sender: Sender | None = None
        if target.controls:
            keyboard = machine.screens[target.console].keyboard
            pointer = machine.screens[target.console].pointer
            self.sender = Sender(keyboard, pointer, events.pointer_is, events.failed, target.layout)
        # They do not refer to their questions: such a cycle would keep the screen's memory mapped
        # after `close`, until the next garbage collection.
        self._locks: _Polled[tuple[str, ...]] = _Polled(())
        self._had_numbers = False
        self._source = _Polled("")
        # Constant. Asked for after the first picture, which they would delay.
        self._kind = _Polled("", _NO_RESIZE_SECONDS)
        self._no_resize = _Polled("", _NO_RESIZE_SECONDS)
        self._host_cpu: _Polled[float | None] = _Polled(None)

    def check(self) -> None:
        if reason := self._machine.end_reason:
            raise ProducerGoneError(reason)

    def facts(self) -> Facts:
        if self._target.with_numbers != self._had_numbers:
            self._had_numbers = self._target.with_numbers
            self._source.expire()
            self._host_cpu.expire()
        return Facts(
            self._locks.newest(self._ask_locks, self._lamp_seconds()),
            self._source.newest(self._ask_source, _SOURCE_SECONDS),
            self._kind.newest(self._ask_kind, math.inf),
            self._no_resize.newest(self._ask_no_resize, math.inf),
            self._host_cpu.newest(self._read_cpu, _CPU_SECONDS),
            len(self._machine.screens),
        )

    def set_rate(self, rate: float | None) -> None:
        self.screen.set_rate(rate)

    def _lamp_seconds(self) -> float:
        sender = self.sender
        used = sender is not None and time.monotonic() - sender.sent_at < _LAMP_AFTER
        return _LAMP_SECONDS if used else _LAMP_SECONDS_AT_REST

    def _ask_locks(self) -> tuple[str, ...]:
        if not self._target.controls:
            return ()
        lamps = self._machine.screens[self._target.console].keyboard.lamps()
        return tuple(lamps.names) if lamps is not None else ()

    def _ask_source(self) -> str:
        wanted = self._target.with_source or self._target.with_numbers
        return self._console_info("source") if wanted else ""

    def _ask_kind(self) -> str:
        return str(self._machine.info().get("kind", ""))

    def _ask_no_resize(self) -> str:
        return self._console_info("no_resize") if self._target.controls else ""

    def _console_info(self, key: str) -> str:
        consoles = self._machine.info().get("consoles", [])[self._target.console :]
        return str(consoles[0].get(key, "")) if consoles else ""

    def resize(self, width: int, height: int) -> None:
        self.screen.resize(width, height)

    def _read_cpu(self) -> float | None:
        return cpu_seconds(self._machine.host_pid) if self._target.with_numbers else None

    def save(self, path: str) -> None:
        self.screen.refresh()
        self.screen.screenshot(path, cursor=True)

    def close(self) -> None:
        if self.sender is not None:
            self.sender.close()
        self._machine.close()


class SurfaceTarget:
    """A surface by its address: a path, ``posix:/NAME`` or ``sysv:ID``. It takes no input."""

    controls = False

    def __init__(self, address: str) -> None:
        self.name = self.label = address
        self.with_numbers = False

    def attach(self, events: InputEvents) -> Attachment:
        """Implement `ViewerTarget.attach`."""
        attachment = _SurfaceAttachment(open_surface(self.name))
        try:
            attachment.check()
        except BaseException:
            attachment.close()
            raise
        return attachment


class _SurfaceAttachment:
    sender: Sender | None = None

    def __init__(self, surface: Surface) -> None:
        self.screen = surface

    def check(self) -> None:
        # A wait with timeout 0 raises if the producer has died or the memory was cut.
        with contextlib.suppress(WaitTimeoutError):
            self.screen.wait(self.screen.mark, timeout=0)

    def facts(self) -> Facts:
        return Facts()

    def set_rate(self, rate: float | None) -> None:
        pass  # its producer publishes at its own rate

    def save(self, path: str) -> None:
        self.screen.screenshot(path, cursor=True)

    def resize(self, width: int, height: int) -> None:
        raise UsageError("a surface has no guest that could be asked for a size")

    def close(self) -> None:
        self.screen.close()


def cpu_seconds(pid: int) -> float:
    """Return the CPU seconds of a process and its threads so far.

    Raises:
        OSError: The process does not exist.
    """
    fields = stat_fields(f"/proc/{pid}")
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class _Polled(Generic[_T]):
    """A value that is asked for again when it is old; kept where the machine does not answer.

    Args:
        first: The value before the first question.
        begin: Seconds from now to the first question.
    """

    def __init__(self, first: _T, begin: float = 0.0) -> None:
        self._value = first
        self._first_at = time.monotonic() + begin
        self._asked_at: float | None = None

    def expire(self) -> None:
        """Ask again at the next `newest`."""
        self._first_at, self._asked_at = 0.0, None

    def newest(self, ask: Callable[[], _T], seconds: float) -> _T:
        """Return the value, which is asked for again *seconds* after the last question."""
        now, asked = time.monotonic(), self._asked_at
        if now >= (self._first_at if asked is None else asked + seconds):
            self._asked_at = now
            with contextlib.suppress(KjuError, OSError):
                self._value = ask()
        return self._value
