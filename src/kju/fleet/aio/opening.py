"""Open a fleet, and use its machines, for asyncio."""

from __future__ import annotations

import os
import uuid
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Self, overload

from ...client.aio.forks import ForkBase
from ...client.aio.launching import attach, mirror
from ...client.aio.machine import Machine
from ...client.aio.waiting import run_blocking
from ...errors import (
    ClosedError,
    MachineGoneError,
    MachineLostError,
    MachineNotFoundError,
    UnavailableError,
    UsageError,
)
from ...protocol.values import Role
from ...remote.addresses import SCHEME
from ..bases.opening import freeze_near
from ..bases.source import FleetBase
from ..cluster import FleetLink
from ..machine_tasks import MachineTasks, tasks_done
from ..messages import Changes, FleetState, MachineSpec, MachineStatus
from ..near import check_start, lost
from ..network.joining import FleetNetwork
from ..specs import check_count, check_options, fork_specs, machine_specs


class FleetMachine:
    """One start of a machine of a fleet.

    Attributes:
        name: Its name.
        node: The node that it is on.
        generation: Which start of the machine it is.
    """

    def __init__(self, link: FleetLink, status: MachineStatus) -> None:
        """Use `Fleet.launch`."""
        self.name: str = status.name
        self.node: str = status.node
        self.generation: int = status.generation
        self._link = link

    def __repr__(self) -> str:
        return f"<FleetMachine {self.name!r} on {self.node}, start {self.generation}>"

    async def status(self) -> MachineStatus:
        """Return the state of the machine of this name, which may be a later start.

        Raises:
            UnavailableError: The fleet's controller does not answer.
        """
        status: MachineStatus = await run_blocking(self._link.ask, "status", self.name)
        return status

    async def attach(self, *, role: Role = "control") -> Machine:
        """Connect to the machine.

        On another computer this starts a mirror of it (see `kju.mirror`), which ends with this
        program, and also shows a later start of the machine on that node. Run a function beside the
        machine with `Fleet.map` instead where it needs each frame.

        Args:
            role: ``control``, or ``view`` for a connection that only looks.

        Raises:
            MachineLostError: This start of the machine has ended.
            UnavailableError: It is on another computer, and the fleet has no router, or the machine
                is not served there; or the fleet's controller does not answer.
            UsageError: The router needs a user with a certificate.
        """
        holder = f"{self._link.fleet}/{self.node}"
        try:
            machine = await attach(self.name, role=role)
        except (MachineGoneError, MachineNotFoundError) as error:
            if await self._is_running():
                return await self._mirror(holder, role)
            raise await self._lost(holder) from error
        try:
            check_start(await machine.info(), self.name, holder, self.generation)
        except BaseException as error:
            await machine.close()
            if isinstance(error, MachineLostError):
                raise await self._lost(holder) from error
            raise
        return machine

    async def _lost(self, holder: str) -> MachineLostError:
        """Return the error for this start, which has ended, with its time and reason if known."""
        try:
            known: MachineLostError = await run_blocking(
                self._link.ask, "lost", self.name, self.generation
            )
        except UnavailableError:
            return lost(self.name, holder, self.generation)
        return known

    async def _is_running(self) -> bool:
        status = await self.status()
        return (status.state, status.generation) == (FleetState.RUNNING, self.generation)

    async def _mirror(self, holder: str, role: Role) -> Machine:
        network = await run_blocking(self._link.network)
        if not network.router:
            raise UnavailableError(
                f"{self.name!r} is on {self.node}, and not on this computer; open the fleet with a"
                " router, or run a function beside the machine with Fleet.map"
            )
        machine = await mirror(
            f"{SCHEME}{holder}/{self.name}", connect=network.router, role=role,
            user=self._link.user or None, insecure=network.insecure,
        )  # fmt: skip
        try:
            # The mirror is of this start if the start runs still.
            if not await self._is_running():
                raise await self._lost(holder)
        except BaseException:
            await machine.close()
            raise
        return machine

    async def freeze(self, tag: str) -> FleetBase:
        """Freeze the machine as a base, from which `Fleet.launch` forks, and let it go on too.

        The base lies on the machine's node. It exists as long as the machine, or a fork of it on
        that node: see `kju.Machine.freeze`.

        Args:
            tag: The name of the base. An older one of this name is removed with its last fork.

        Raises:
            ForkError: The machine cannot be forked; the message has the reason.
            LimitError: There is too little memory for the base.
            MachineLostError: The machine is no longer on its node.
            Exception: Ray's, for a worker that has ended.
        """
        freeze = partial(freeze_near, tag, self.node)
        tasks = await run_blocking(MachineTasks, self._link, freeze)
        task = await run_blocking(tasks.start, self)
        base: FleetBase = await run_blocking(tasks.result, task, self)
        return base

    async def stop(self) -> None:
        """End the machine; return when it has ended.

        Raises:
            MachineLostError: This start has ended, and another one has the name.
            UnavailableError: The fleet's controller has ended.
        """
        await run_blocking(self._link.end, self.name, "it was stopped", self.generation)


class Fleet:
    """A fleet that is open. Use it as a context manager: `open` returns it.

    Attributes:
        name: Its name.
    """

    def __init__(
        self,
        address: str | None,
        name: str,
        detach: bool,
        defaults: dict[str, Any],
        network: FleetNetwork | None,
        user: str,
    ) -> None:
        """Use `open`."""
        self.name: str = name
        self._network, self._user = network, user
        self._address = address
        self._detach = detach
        self._defaults = defaults
        self._opened: FleetLink | None = None

    def __repr__(self) -> str:
        return f"<Fleet {self.name!r}, {'open' if self._opened else 'not open'}>"

    @property
    def _link(self) -> FleetLink:
        if self._opened is None:
            raise ClosedError(f"the fleet {self.name} is not open: use it in a with statement")
        return self._opened

    @overload
    async def launch(
        self, count: None = None, *, name: str | None = None, spread: bool = False,
        max_restarts: int = 0, kvm: bool = False, processors: float = 0,
        fork: ForkBase[Any] | FleetBase | None = None, fork_memory: str | None = None,
        **options: object,
    ) -> FleetMachine: ...  # fmt: skip
    @overload
    async def launch(
        self, count: int, *, name: str | None = None, spread: bool = False,
        max_restarts: int = 0, kvm: bool = False, processors: float = 0,
        fork: ForkBase[Any] | FleetBase | None = None, fork_memory: str | None = None,
        **options: object,
    ) -> list[FleetMachine]: ...  # fmt: skip
    async def launch(
        self,
        count: int | None = None,
        *,
        name: str | None = None,
        spread: bool = False,
        max_restarts: int = 0,
        kvm: bool = False,
        processors: float = 0,
        fork: ForkBase[Any] | FleetBase | None = None,
        fork_memory: str | None = None,
        **options: object,
    ) -> FleetMachine | list[FleetMachine]:
        """Start machines on the nodes with room, all or none; return when they run.

        Args:
            count: Return a list of this many machines.
            name: The name of the machine; of several, the beginning of their names, which end with
                a number. By default the beginning is the fleet's name.
            spread: Prefer nodes with few machines.
            max_restarts: How often a machine that was lost is started again; -1 for no limit. It
                begins with its image, its snapshot or its base again.
            kvm: Use nodes with KVM only. Forks are like the machine that was frozen.
            processors: Processors of a node that each machine takes; none are counted by default.
                Forks take none.
            fork: The base that the machines go on from: of `FleetMachine.freeze`, or one of this
                computer, of `kju.Machine.freeze`. Other nodes copy it once. A machine that is
                started again begins with it, so it has to exist as long as these machines.
            fork_memory: The memory that each fork is expected to write, such as ``256M``; by
                default all of the guest's. A node gets as many forks as it has room for.
            **options: Options of `kju.launch`, in place of those of `open`. Forks have those of
                the machine that was frozen. With *snapshot*, one of the image, each machine writes
                to a copy of the image, which ends with it; else to an overlay.

        Raises:
            FleetFullError: A machine has no place; the message names the missing resources.
            ForkError: The base does not exist any more.
            MachineExistsError: The fleet has a machine of this name.
            MachineLostError: A machine did not start; none of them is left.
            UsageError: An option is not valid.
        """
        link = self._link
        check_options(
            name=name, spread=spread, max_restarts=max_restarts, kvm=kvm, processors=processors
        )
        if count is None and name is not None:
            names = [name]
        else:
            stem, wanted = name or self.name, 1 if count is None else check_count(count)
            names = await run_blocking(link.ask, "free_names", stem, wanted)
        if fork is not None:
            if not isinstance(fork, FleetBase | ForkBase):
                raise UsageError(f"{fork!r} is not a base: see FleetMachine.freeze")
            if options:
                raise UsageError(
                    f"a fork has the options of the machine that was frozen: {', '.join(options)}"
                    " cannot be changed"
                )
            base, parts = await run_blocking(
                link.open_base, fork if isinstance(fork, FleetBase) else fork.id
            )
            specs = fork_specs(
                names, base, memory=fork_memory, at_hand=parts, owner=link.owner, spread=spread,
                max_restarts=max_restarts,
            )  # fmt: skip
        else:
            if fork_memory is not None:
                raise UsageError("fork_memory is for forks of a base: pass fork=BASE too")
            boot = partial(
                machine_specs, names, spread=spread, max_restarts=max_restarts, kvm=kvm,
                processors=float(processors), owner=link.owner,
            )  # fmt: skip
            specs = await self._booting(boot, options)
        token = uuid.uuid4().hex
        try:
            statuses = await run_blocking(link.launch, specs, token)
        except BaseException:
            await run_blocking(link.abandon, token)  # nobody has its machines
            raise
        machines = [FleetMachine(link, status) for status in statuses]
        return machines[0] if count is None else machines

    async def _booting(
        self, specs: Callable[..., list[MachineSpec]], options: dict[str, Any]
    ) -> list[MachineSpec]:
        """Return machines that boot, after their image was read."""
        given = self._defaults | options
        image, at_hand = None, frozenset[str]()
        if given.get("image"):
            path = Path(str(given["image"])).expanduser().absolute()
            given["image"] = str(path)
            snapshot = given.get("snapshot")
            image, at_hand = await run_blocking(self._link.open_image, path, snapshot)
        return specs(given, image=image, at_hand=at_hand)

    async def machine(self, name: str) -> FleetMachine:
        """Return the newest start of a machine; another program may have launched it.

        Raises:
            MachineNotFoundError: The fleet has no machine of this name.
            UnavailableError: The fleet's controller does not answer.
        """
        return FleetMachine(self._link, await run_blocking(self._link.ask, "status", name))

    async def machines(self) -> list[MachineStatus]:
        """Return the states of all machines of the fleet, by name.

        Raises:
            UnavailableError: The fleet's controller does not answer.
        """
        return list(await run_blocking(self._link.ask, "statuses"))

    async def changes(self) -> AsyncIterator[MachineStatus]:
        """Yield each change of a machine's state: first those that the controller keeps.

        It keeps the last 10,000. A controller that was restarted begins anew, with the machines
        that it finds. The iteration ends when the fleet is closed.

        Raises:
            UnavailableError: The fleet's controller does not answer.
        """
        link = self._link
        found: Changes | None = await run_blocking(link.changes, None)
        while found is not None:
            for status in found.statuses:
                yield status
            found = await run_blocking(link.later_changes, found.mark)

    async def map(
        self,
        function: Callable[[Any], Any],
        machines: Iterable[FleetMachine],
        *,
        threads: bool = False,
        return_errors: bool = False,
    ) -> AsyncIterator[tuple[str, Any]]:
        """Run a function with each machine, on the machine's node; yield results as they come.

        The function gets a `kju.Machine` (one of `kju.aio` if it is a coroutine function), which is
        closed after it. A task is never repeated: the guest has seen its input. If one fails, the
        others go on, and their results are lost unless *return_errors* is set.

        Args:
            function: The function; Ray sends it to the nodes.
            machines: The machines.
            threads: Run the tasks of a node in threads of one process. A process for each task
                takes about 100 MB and a second of a processor, and Ray runs only as many at the
                same time as the node has processors. A process that ends takes all its tasks along.
            return_errors: Yield the error of a task in place of its result, and go on.

        Yields:
            The machine's name, and the function's result.

        Raises:
            MachineLostError: A machine is no longer on its node.
            Exception: The function's own, or Ray's for a worker that has ended.
        """
        several = list(machines)
        for each in several:
            if not isinstance(each, FleetMachine):
                raise UsageError(f"{each!r} is not a machine of a fleet: see Fleet.machine")
        if not callable(function):
            raise UsageError(f"{function!r} is not a function")
        tasks = await run_blocking(MachineTasks, self._link, function, several, threads=threads)
        running: dict[Any, FleetMachine] = {}
        losses: list[tuple[FleetMachine, MachineLostError]] = []
        for each in several:
            try:
                running[await run_blocking(tasks.start, each)] = each
            except MachineLostError as error:
                losses.append((each, error))
        for each, loss in losses:
            if not return_errors:
                raise loss
            yield each.name, loss
        while running:
            for task in await run_blocking(tasks_done, list(running)):
                each = running.pop(task)
                result: Any
                try:
                    result = await run_blocking(tasks.result, task, each)
                except Exception as error:
                    if not return_errors:
                        raise
                    result = error
                yield each.name, result

    async def nodes(self) -> list[str]:
        """Return the names of the nodes that report; one that is drained gets no more machines.

        Raises:
            UnavailableError: The fleet's controller does not answer.
        """
        return list(await run_blocking(self._link.ask, "node_names"))

    async def drain(self, node: str, *, undo: bool = False) -> list[str]:
        """Place no more machines on a node; return the names of those that are on it.

        They are not ended, and not moved. Nodes of the cluster stay drained until this is undone.

        Args:
            node: The node.
            undo: Place machines there again.

        Raises:
            UsageError: The fleet has no such node.
        """
        return list(await run_blocking(self._link.ask, "drain", node, not undo))

    async def close(self) -> None:
        """End the machines that this object has launched, unless they are detached."""
        link, self._opened = self._opened, None
        if link is not None:
            await run_blocking(link.close)

    async def __aenter__(self) -> Self:
        self._opened = await run_blocking(
            FleetLink, self._address, self.name, detach=self._detach, network=self._network,
            user=self._user,
        )  # fmt: skip
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()


def open(
    address: str | None = None,
    *,
    name: str = "fleet",
    detach: bool = False,
    image: str | os.PathLike[str] | None = None,
    router: str | Sequence[str] = (),
    user: str | None = None,
    insecure: bool = False,
    **options: object,
) -> Fleet:
    """Open a fleet on a Ray cluster, in an ``async with`` block.

    The fleet's controller and keepers are started where they are missing.

    Args:
        address: The address of the cluster: ``HOST:PORT``; ``auto`` for the one of this computer;
            ``local`` for a new one, which ends with this program. By default the one that the
            program is connected to, then ``RAY_ADDRESS``, ``auto`` and ``local``.
        name: The name of the fleet.
        detach: Machines do not end with this program.
        image: A disk, a CD or a kernel: a file of this computer, which nodes without it copy; or a
            path that every node has. Machines do not write to it: their disks end with them.
        router: ``HOST:PORT`` of one or more routers (`kju router`), through which the machines are
            served to other computers. Each node needs a host certificate (`kju cert host`). By
            default they are served to this user's programs on their own computer only.
        user: This program's user name at the router: see `FleetMachine.attach`.
        insecure: Allow a router without encryption, and all of its clients to control machines.
        **options: Options of `kju.launch` for all machines.
    """
    defaults = dict(options) if image is None else {"image": os.fspath(image), **options}
    routers = (router,) if isinstance(router, str) else tuple(router)
    network = FleetNetwork(routers, insecure) if routers else None
    if network is not None:
        network.endpoints()  # wrong addresses are reported here
    return Fleet(address, name, detach, defaults, network, user or os.environ.get("KJU_USER", ""))
