"""`kju fleet`: the machines and the nodes of a fleet on a Ray cluster."""

from __future__ import annotations

import json as json_format
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
import typer

from .. import extras
from ..escaping import one_line
from ..fleet.messages import Changes, MachineStatus
from ..fleet.placement import Node, room_left
from .command import Json, group
from .output import print_table

if TYPE_CHECKING:
    from ..fleet.cluster import FleetLink

_GIB = 1 << 30

Address = Annotated[
    str,
    typer.Option(
        metavar="HOST:PORT",
        help="Address of the Ray cluster (auto: the one on this computer).",
    ),
]
FleetName = Annotated[str, typer.Option("--fleet", metavar="FLEET", help="Name of the fleet.")]
MachineName = Annotated[str, typer.Argument(metavar="MACHINE", help="Name of the machine.")]


def _connect(address: str, fleet: str) -> FleetLink:
    extras.require("fleet", "a fleet")
    # Ray takes a second to import: not for the help of these commands.
    from ..fleet.cluster import FleetLink

    return FleetLink(address, fleet, detach=True, start=False)


def ls(address: Address = "auto", fleet: FleetName = "fleet", json: Json = False) -> None:
    """List the machines of a fleet."""
    statuses: list[MachineStatus] = _connect(address, fleet).ask("statuses")
    if json:
        print(json_format.dumps([_data(status) for status in statuses]))
    elif not statuses:
        print(f"the fleet {fleet} has no machine", file=sys.stderr)
    else:
        rows = [_cells(status) for status in statuses]
        print_table([("name", "state", "start", "node", "reason"), *rows])


def nodes(address: Address = "auto", fleet: FleetName = "fleet", json: Json = False) -> None:
    """List the nodes of a fleet, with their room."""
    found: Mapping[str, Node] = _connect(address, fleet).ask("nodes")
    if json:
        print(json_format.dumps([_node_data(node) for node in found.values()]))
        return
    rows = [("name", "machines", "memory left", "of", "state")]
    for name, node in found.items():
        left, total = room_left(node.facts.total, node.used), node.facts.total
        state = "silent" if node.silent else "draining" if node.draining else "ready"
        rows.append((name, str(len(node.taken)), _gib(left.memory), _gib(total.memory), state))
    print_table(rows)


def events(
    address: Address = "auto",
    fleet: FleetName = "fleet",
    json: Json = False,
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="Print new changes until Ctrl+C.")
    ] = False,
) -> None:
    """Print the changes of a fleet's machines.

    The controller keeps the last 10,000. A controller that was restarted begins anew.
    """
    link = _connect(address, fleet)
    found: Changes | None = link.changes(None)
    while found is not None:
        if found.missed:
            print(f"{found.missed} changes are no longer kept", file=sys.stderr)
        for status in found.statuses:
            line = one_line("  ".join(_cells(status))).rstrip()
            print(json_format.dumps(_data(status)) if json else line, flush=follow)
        found = link.later_changes(found.mark) if follow else None


def stop(
    machine: MachineName,
    address: Address = "auto",
    fleet: FleetName = "fleet",
) -> None:
    """End a machine of a fleet; return when it has ended."""
    _connect(address, fleet).end(machine, "it was stopped by a command")


def drain(
    node: Annotated[str, typer.Argument(metavar="NODE", help="Name of the node.")],
    address: Address = "auto",
    fleet: FleetName = "fleet",
) -> None:
    """Place no more machines on a node, and print those that are on it."""
    for name in _connect(address, fleet).ask("drain", node):
        print(name)


def down(address: Address = "auto", fleet: FleetName = "fleet") -> None:
    """End a fleet and all of its machines; return when they have ended."""
    link = _connect(address, fleet)
    link.end_machines("the fleet was ended by a command")
    link.end_fleet()


def _data(status: MachineStatus) -> dict[str, Any]:
    """Return a machine as data. The names are stable; the controller's clock is its own."""
    given: dict[str, Any] = {"node": "", "reason": "", **msgspec.to_builtins(status)}
    given.pop("since", None)
    return given


def _cells(status: MachineStatus) -> tuple[str, ...]:
    start = str(status.generation)
    return status.name, status.state.value, start, status.node or "-", status.reason


def _node_data(node: Node) -> dict[str, Any]:
    used, total = node.used, node.facts.total
    return {
        "name": node.facts.name,
        "machines": sorted(instance.name for instance in node.taken),
        "memory": total.memory,
        "memory_used": used.memory,
        "kvm": node.facts.kvm,
        "draining": node.draining,
        "silent": node.silent,
    }


def _gib(size: int) -> str:
    return f"{size / _GIB:.1f} GiB"


fleet = group(default="ls", ls=ls, nodes=nodes, events=events, stop=stop, drain=drain, down=down)
