"""`kju fleet ls`, `watch` and `events`: a fleet over zenoh, without Ray on this computer."""

from __future__ import annotations

import asyncio
import json as json_format
import sys
import threading
import time
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Annotated, Any, TextIO, TypeVar

import msgspec
import typer

from ... import extras
from ...errors import MachineNotFoundError, UnavailableError
from ...escaping import one_line
from ...fleet.local import cluster_address
from ...fleet.messages import Changes, FleetState, MachineStatus
from ...fleet.network.watcher import FleetEvent, FleetWatcher
from ...remote.addresses import SCHEME
from ...remote.trust import Trust, default_folder
from ..command import Connect, Insecure, Json, Seconds, User
from ..network import reach_to
from ..output import print_table

if TYPE_CHECKING:
    from ...fleet.cluster import FleetLink

T = TypeVar("T")
#: Seconds between two looks for a change of the table.
_LOOK = 0.5

FleetName = Annotated[str, typer.Option("--fleet", metavar="FLEET", help="Name of the fleet.")]
RayAddress = Annotated[
    str,
    typer.Option(
        metavar="HOST:PORT",
        help="Ask Ray instead of the network: the address of the cluster (auto: the one on this"
        " computer).",
    ),
]


def ls(
    fleet: FleetName = "fleet",
    connect: Connect = None,
    user: User = "",
    insecure: Insecure = False,
    address: RayAddress = "",
    json: Json = False,
) -> None:
    """List the machines of a fleet."""
    if address:
        print_statuses(connect_to_ray(address, fleet).ask("statuses"), fleet, json)
        return

    async def read(watcher: FleetWatcher) -> list[MachineStatus]:
        _print_notices(watcher.taken())
        return watcher.picture.statuses()

    print_statuses(_watched(read, fleet, connect, user, insecure), fleet, json)


def print_statuses(statuses: list[MachineStatus], fleet: str, as_json: bool) -> None:
    """Print the states of machines."""
    if as_json:
        print(json_format.dumps([status_data(status) for status in statuses]), flush=True)
    elif not statuses:
        print(f"the fleet {fleet} has no machine", file=sys.stderr)
    else:
        rows = [_cells(status) for status in statuses]
        print_table([("name", "state", "start", "node", "reason"), *rows])
        sys.stdout.flush()


def watch(
    machine: Annotated[
        str,
        typer.Argument(
            metavar="MACHINE",
            help="Show this machine's screen (default: the list of machines).",
            show_default=False,
        ),
    ] = "",
    fleet: FleetName = "fleet",
    connect: Connect = None,
    user: User = "",
    insecure: Insecure = False,
    view_only: Annotated[bool, typer.Option("--view-only", help="Send no input.")] = False,
    seconds: Seconds = 0,
    json: Json = False,
) -> None:
    """Show the machines of a fleet as they change, or the screen of one in this terminal.

    With --json, and in a pipe, the list is printed again after each change.
    """
    if machine:
        from ..screen import watch as watch_screen

        async def find(watcher: FleetWatcher) -> str:
            return _address_of(machine, fleet, watcher.picture.statuses())

        address = _watched(find, fleet, connect, user, insecure)
        watch_screen(
            address, connect=connect, user=user, insecure=insecure, view_only=view_only,
            seconds=seconds, json=json,
        )  # fmt: skip
        return

    async def follow(watcher: FleetWatcher) -> None:
        shown: list[MachineStatus] | None = None
        while True:
            _print_notices(watcher.taken())
            if (found := watcher.picture.statuses()) != shown:
                shown = found
                if sys.stdout.isatty() and not json:
                    sys.stdout.write("\x1b[H\x1b[2J")
                print_statuses(found, fleet, json)
            await asyncio.sleep(_LOOK)

    _watched(follow, fleet, connect, user, insecure, seconds=seconds)


def _address_of(machine: str, fleet: str, statuses: list[MachineStatus]) -> str:
    for status in statuses:
        if status.name == machine:
            if status.state is FleetState.RUNNING:
                return f"{SCHEME}{fleet}/{status.node}/{machine}"
            why = f": {status.reason}" if status.reason else ""
            raise UnavailableError(f"the machine {machine!r} is {status.state.value}{why}")
    names = ", ".join(status.name for status in statuses) or "none"
    raise MachineNotFoundError(
        f"the fleet {fleet} has no machine {machine!r}; its machines: {names}", machine
    )


def events(
    fleet: FleetName = "fleet",
    connect: Connect = None,
    user: User = "",
    insecure: Insecure = False,
    address: RayAddress = "",
    json: Json = False,
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="Print new changes until Ctrl+C.")
    ] = False,
) -> None:
    """Print the changes of a fleet's machines; of those that failed, the end of their logs too.

    The controller keeps the last 10,000. A controller that was restarted begins anew. Without a
    controller the nodes' machines are followed.
    """
    if address:
        _print_changes(address, fleet, json, follow)
        return

    async def read(watcher: FleetWatcher) -> None:
        for event in watcher.taken():
            _print_event(event, json)
        if follow:
            sys.stdout.flush()
            async for event in watcher.events():
                _print_event(event, json)
                sys.stdout.flush()

    _watched(read, fleet, connect, user, insecure, past=True)


def _print_changes(address: str, fleet: str, as_json: bool, follow: bool) -> None:
    link = connect_to_ray(address, fleet)
    found: Changes | None = link.changes(None)
    while found is not None:
        if found.missed:
            print(f"{found.missed} changes are no longer kept", file=sys.stderr)
        for status in found.statuses:
            _print_event(FleetEvent(status), as_json)
        sys.stdout.flush()
        found = link.later_changes(found.mark) if follow else None


def _print_event(event: FleetEvent, as_json: bool) -> None:
    if event.status is None:
        print(one_line(event.notice), file=sys.stderr)
    elif as_json:
        print(json_format.dumps(status_data(event.status)))
    else:
        # A node that shows its machines without the controller knows no time.
        when = event.status.since
        at = time.strftime("%H:%M:%S", time.localtime(when)) if when else "-"
        print(one_line("  ".join((at, *_cells(event.status)))).rstrip())
        for line in event.status.log:
            print(f"    {one_line(line)}")


def _print_notices(found: list[FleetEvent]) -> None:
    for event in found:
        if event.status is None:
            print(one_line(event.notice), file=sys.stderr)


def _watched(
    use: Callable[[FleetWatcher], Awaitable[T]],
    fleet: str,
    connect: list[str] | None,
    user: str,
    insecure: bool,
    *,
    past: bool = False,
    seconds: float = 0,
) -> T:
    """Use a fleet on the network."""
    reach = reach_to(connect, user, insecure)
    options = reach.options()
    trust = Trust(default_folder()) if options.tls is not None else None

    async def run() -> T:
        async with FleetWatcher(fleet, options, trust, past=past) as watcher:
            return await use(watcher)

    async def run_limited() -> T:
        try:
            async with asyncio.timeout(seconds or None) as limit:
                return await run()
        except TimeoutError:
            if not limit.expired():
                raise
            raise typer.Exit from None

    return asyncio.run(run_limited())


def connect_to_ray(address: str, fleet: str, *, start: bool = False) -> FleetLink:
    """Connect to a fleet through Ray.

    Args:
        address: The cluster; ``auto`` for the one on this computer.
        fleet: The name of the fleet.
        start: Start the fleet if it does not exist.

    Raises:
        UnavailableError: The cluster cannot be reached, or has no such fleet.
    """
    extras.require("fleet", "a fleet")
    address = cluster_address(address)
    # Ray takes a second to import: not for the help of these commands.
    from ...fleet.cluster import FleetLink

    output: Any = sys.stdout
    if not isinstance(output, _OwnOutput):
        output = _OwnOutput(sys.stdout)
        sys.stdout = output
    return FleetLink(address, fleet, detach=True, start=start)


class _OwnOutput:
    """The standard output of the main thread; other threads, Ray's, write to the standard error.

    Args:
        stream: The standard output.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401  any attribute of a stream
        is_own = threading.current_thread() is threading.main_thread()
        return getattr(self._stream if is_own else sys.stderr, name)


def status_data(status: MachineStatus) -> dict[str, Any]:
    """Return a machine as data. The names are stable; ``since`` is in seconds since the epoch."""
    fields: dict[str, Any] = {"node": "", "reason": "", "log": [], "since": None}
    return {**fields, **msgspec.to_builtins(status)}


def _cells(status: MachineStatus) -> tuple[str, ...]:
    start = str(status.generation)
    return status.name, status.state.value, start, status.node or "-", status.reason
