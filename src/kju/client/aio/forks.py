"""Bases of a machine, and their forks, for asyncio."""

from __future__ import annotations

import contextlib
from typing import Generic, Self, overload

from ...errors import ClosedError, KjuError
from ...protocol.launch_options import Launch
from ...store import sweeping
from ...store.forks.bases import Base
from ...store.forks.listing import used_bytes
from ..requests import check_spares, client_name, fork_names
from .starting import MachineT, MakeMachine, StartedMachine, Starting
from .waiting import run_blocking


class ForkBase(Generic[MachineT]):
    """A machine at one instant, from which forks go on. Use it as a context manager, or `close` it.

    The base exists as long as the machine that was frozen, one of its forks or an object like this
    one. Closing it does not end the forks.

    Attributes:
        id: Its ID, unique among all computers.
        machine: The name of the machine that was frozen.
        tag: The name of the base.
        size: Bytes that the base takes: the memory that the guest used, and its devices' state.
        paused: Seconds for which the guest was paused by the freeze; 0 if unknown.
    """

    def __init__(
        self, base: Base, make: MakeMachine[MachineT], *, spares: int = 0, paused: float = 0.0
    ) -> None:
        """Use `Machine.freeze`, or `open_base`."""
        self.size: int = used_bytes(base.state)
        self.paused: float = paused
        self.id: str = base.id
        self.machine: str = base.facts.machine
        self.tag: str = base.facts.tag
        self._spares = check_spares(spares)
        self._base = base
        self._make = make
        self._closed = False
        self._ready: list[Starting] = []
        self._add_spares()

    def __repr__(self) -> str:
        return f"<ForkBase {self.machine!r} {self.tag!r}>"

    @property
    def spares(self) -> int:
        """The number of spare forks: started, loaded and paused, so that `fork` takes milliseconds.

        Each takes the memory of a fork, and ends with this object. A smaller number ends no spare
        fork; a larger one has an effect after the next fork.
        """
        return self._spares

    @spares.setter
    def spares(self, spares: int) -> None:
        self._spares = check_spares(spares)

    @overload
    async def fork(
        self, count: None = None, *, name: str | None = None, detach: bool = False
    ) -> MachineT: ...
    @overload
    async def fork(
        self, count: int, *, name: str | None = None, detach: bool = False
    ) -> list[MachineT]: ...
    async def fork(
        self, count: int | None = None, *, name: str | None = None, detach: bool = False
    ) -> MachineT | list[MachineT]:
        """Start forks: machines that go on from the instant at which the machine was frozen.

        A fork shares the memory that it has not written with the base, and writes to disks of its
        own. It has a user network of its own, without forwarded ports. Its MAC addresses and its
        clock are those of the frozen machine. Its first screen is that of the frozen machine.

        Args:
            count: Return a list of this many forks, which start at the same time.
            name: The name of the fork; of several, the beginning of their names. By default it is
                made from the names of the machine and the base.
            detach: The forks continue after the end of this program.

        Raises:
            ForkError: The base is damaged, or QEMU was updated after the freeze.
            MachineExistsError: The name is taken.
            QemuError: QEMU could not load the base; no fork is left.
            ClosedError: This object is closed.
        """
        if self._closed:
            raise ClosedError(f"the base {self.tag} of {self.machine} has been closed here")
        names = fork_names(count, name)
        sweeping.sweep()
        starting: list[Starting] = []
        machines: list[MachineT] = []
        try:
            for each_name in names:
                starting.append(self._take(each_name, detach=detach))  # noqa: PERF401  one may fail
            while starting:
                machines.append(await self._finish(starting.pop(0)))
        except BaseException:
            for each in starting:
                await each.close()
            for machine in machines:
                await _end(machine)
            raise
        self._add_spares()
        return machines[0] if count is None else machines

    async def close(self) -> None:
        """Release the base, and end its spare forks. A second call does nothing."""
        ready, self._ready = self._ready, []
        self._closed = True
        try:
            for each in ready:
                await each.close()
        finally:
            await run_blocking(self._base.release)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def _finish(self, starting: Starting) -> MachineT:
        """Return the fork; a new one in the place of a spare that has failed."""
        try:
            return await starting.finish(self._make)
        except KjuError:
            if not starting.request.spare:
                raise
        return await Starting(self._launch("", detach=False, spare=False)).finish(self._make)

    def _take(self, name: str, *, detach: bool) -> Starting:
        """Return a spare fork; or a new one, if it needs a name or is detached."""
        if self._ready and not name and not detach:
            return self._ready.pop(0)
        return Starting(self._launch(name, detach=detach, spare=False))

    def _add_spares(self) -> None:
        # An error would lose the forks that have started. Without spares `fork` is only slower, and
        # reports the same fault itself if it cannot start a fork.
        with contextlib.suppress(KjuError, OSError):
            while not self._closed and len(self._ready) < self._spares:
                self._ready.append(Starting(self._launch("", detach=False, spare=True)))

    def _launch(self, name: str, *, detach: bool, spare: bool) -> Launch:
        return Launch(
            machine=name, base=self._base.id, detach=detach, spare=spare, client=client_name()
        )


async def _end(machine: StartedMachine) -> None:
    """End a machine, and release it even if it does not end."""
    try:
        with contextlib.suppress(KjuError):
            await machine.stop()
    finally:
        await machine.close()
