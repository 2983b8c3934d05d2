"""`kju fleet`: the machines and the nodes of a fleet on a Ray cluster."""

from __future__ import annotations

import json as json_format
import sys
from collections.abc import Mapping
from typing import Annotated, Any

import typer

from ...errors import FleetNotFoundError, UnavailableError, UsageError
from ...fleet.local import end_cluster, running_cluster
from ...fleet.messages import MachineStatus
from ...fleet.placement import Node, room_left
from ..command import Json, group
from ..output import print_table, progress
from .watching import FleetName, connect_to_ray, events, ls, watch
from .work import Address, launch, map_task, up

_GIB = 1 << 30


def nodes(address: Address = "auto", fleet: FleetName = "fleet", json: Json = False) -> None:
    """List the nodes of a fleet, with their room."""
    link = connect_to_ray(address, fleet)
    found: Mapping[str, Node] = link.ask("nodes")
    faults = link.keeper_faults()
    if json:
        failed = [{"name": name, "fault": fault} for name, fault in sorted(faults.items())]
        print(json_format.dumps([*map(_node_data, found.values()), *failed]))
        return
    rows = [("name", "machines", "memory left", "of", "state")]
    for name, node in found.items():
        left, total = room_left(node.facts.total, node.used), node.facts.total
        state = "silent" if node.silent else "draining" if node.draining else "ready"
        rows.append((name, str(len(node.taken)), _gib(left.memory), _gib(total.memory), state))
    rows += [(name, "", "", "", f"failed: {fault}") for name, fault in sorted(faults.items())]
    print_table(rows)


def stop(
    machines: Annotated[
        list[str] | None,
        typer.Argument(metavar="MACHINE", help="Names of the machines.", show_default=False),
    ] = None,
    address: Address = "auto",
    fleet: FleetName = "fleet",
    every: Annotated[bool, typer.Option("--all", help="End all machines of the fleet.")] = False,
    json: Json = False,
) -> None:
    """End machines of a fleet; return when they have ended."""
    if bool(machines) == every:
        raise UsageError("name the machines to end, or use --all")
    link, reason = connect_to_ray(address, fleet), "it was stopped by a command"
    with progress("ending the machines"):
        if machines:
            names = machines
            for name in names:
                link.ask("status", name)  # before anything is done: the name may not be known
            for name in names:
                link.end(name, reason)
        else:
            statuses: list[MachineStatus] = link.ask("statuses")
            names = [each.name for each in statuses if not each.state.is_over]
            link.end_machines(reason)
    if json:
        print(json_format.dumps({"ended": names}))


def drain(
    node: Annotated[str, typer.Argument(metavar="NODE", help="Name of the node.")],
    address: Address = "auto",
    fleet: FleetName = "fleet",
    undo: Annotated[bool, typer.Option("--undo", help="Place machines there again.")] = False,
    json: Json = False,
) -> None:
    """Place no more machines on a node, and print those that are on it: they go on."""
    names = connect_to_ray(address, fleet).ask("drain", node, not undo)
    if json:
        print(json_format.dumps({"node": node, "machines": names}))
    else:
        for name in names:
            print(name)


def down(address: Address = "auto", fleet: FleetName = "fleet", json: Json = False) -> None:
    """End a fleet and all of its machines; return when they have ended.

    A cluster that `kju fleet up --local` has started on this computer ends with its last fleet.
    """
    local = running_cluster()
    is_local = local is not None and address in ("auto", local.address)
    others: list[str] = []
    try:
        with progress("ending the machines"):
            link = connect_to_ray(address, fleet)
            others = [name for name in link.fleets() if name != fleet]
            link.end_machines("the fleet was ended by a command")
            link.end_fleet()
    except UnavailableError as error:
        # Of a cluster that does not answer the processes end, and the machines with their leases.
        has_others = isinstance(error, FleetNotFoundError) and bool(error.others)
        if not is_local or has_others:
            raise
    if is_local and not others:
        with progress("ending the cluster"):
            end_cluster()
    if json:
        ended = local.address if local is not None and is_local and not others else ""
        print(json_format.dumps({"fleet": fleet, "cluster": ended}))
    elif is_local and others:
        print(f"the cluster continues for its other fleets: {', '.join(others)}", file=sys.stderr)


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
