"""`kju fleet`: the machines and the nodes of a fleet on a Ray cluster."""

from __future__ import annotations

import json as json_format
from collections.abc import Mapping
from typing import Annotated, Any

import typer

from ...errors import UnavailableError
from ...fleet.local import end_cluster, running_cluster
from ...fleet.placement import Node, room_left
from ..command import Json, group
from ..output import print_table, progress
from .watching import FleetName, connect_to_ray, events, ls, watch
from .work import Address, launch, map_task, up

_GIB = 1 << 30

MachineName = Annotated[str, typer.Argument(metavar="MACHINE", help="Name of the machine.")]


def nodes(address: Address = "auto", fleet: FleetName = "fleet", json: Json = False) -> None:
    """List the nodes of a fleet, with their room."""
    found: Mapping[str, Node] = connect_to_ray(address, fleet).ask("nodes")
    if json:
        print(json_format.dumps([_node_data(node) for node in found.values()]))
        return
    rows = [("name", "machines", "memory left", "of", "state")]
    for name, node in found.items():
        left, total = room_left(node.facts.total, node.used), node.facts.total
        state = "silent" if node.silent else "draining" if node.draining else "ready"
        rows.append((name, str(len(node.taken)), _gib(left.memory), _gib(total.memory), state))
    print_table(rows)


def stop(
    machine: MachineName,
    address: Address = "auto",
    fleet: FleetName = "fleet",
) -> None:
    """End a machine of a fleet; return when it has ended."""
    connect_to_ray(address, fleet).end(machine, "it was stopped by a command")


def drain(
    node: Annotated[str, typer.Argument(metavar="NODE", help="Name of the node.")],
    address: Address = "auto",
    fleet: FleetName = "fleet",
) -> None:
    """Place no more machines on a node, and print those that are on it."""
    for name in connect_to_ray(address, fleet).ask("drain", node):
        print(name)


def down(address: Address = "auto", fleet: FleetName = "fleet") -> None:
    """End a fleet and all of its machines; return when they have ended.

    A cluster that `kju fleet up --local` has started on this computer ends too.
    """
    local = running_cluster()
    is_local = local is not None and address in ("auto", local.address)
    try:
        with progress("ending the machines"):
            link = connect_to_ray(address, fleet)
            link.end_machines("the fleet was ended by a command")
            link.end_fleet()
    except UnavailableError:
        # The cluster ends in any case, and its machines with their leases.
        if not is_local:
            raise
    if is_local:
        with progress("ending the cluster"):
            end_cluster()


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


fleet = group(
    default="ls", up=up, launch=launch, map=map_task, ls=ls, watch=watch, nodes=nodes,
    events=events, stop=stop, drain=drain, down=down,
)  # fmt: skip
