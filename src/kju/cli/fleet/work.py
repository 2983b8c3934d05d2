"""`kju fleet up`, `launch` and `map`: start a fleet and its machines, and work beside them."""

from __future__ import annotations

import json as json_format
import sys
import time
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ... import extras
from ...errors import KjuError, MachineLostError, UnavailableError, UsageError
from ...escaping import one_line
from ...fleet.local import (
    MAX_NODES,
    START_TIMEOUT,
    cluster_address,
    end_cluster,
    start_cluster,
)
from ...fleet.messages import FleetState, MachineStatus
from ...fleet.tasks import ScriptError, load_task
from ...protocol.launch_options import LaunchOptions, declared
from ..command import Json, with_options
from ..output import print_table, progress
from .watching import FleetName, connect_to_ray, status_data

if TYPE_CHECKING:
    from ...fleet.cluster import FleetLink

Address = Annotated[
    str,
    typer.Option(
        metavar="HOST:PORT",
        help="Address of the Ray cluster (auto: the one on this computer).",
    ),
]
#: The base of `kju fleet launch --fork`: a newer one takes its name.
_TAG = "launch"
#: Options of `kju.launch` that are not those of a fleet's machines, or have a form of their own.
_NOT_HERE = ("args", "xvfb", "name", "detach", "surface")
_LOOK = 0.2


def up(
    address: Address = "auto",
    fleet: FleetName = "fleet",
    json: Json = False,
    local: Annotated[
        int,
        typer.Option(
            metavar="N",
            min=0,
            max=MAX_NODES,
            help="Start a cluster of N nodes on this computer first (0: none).",
        ),
    ] = 0,
) -> None:
    """Start a fleet on a Ray cluster.

    A cluster of --local runs until `kju fleet down`. Some of its ports are open to other computers;
    its nodes ask for Ray's token (2.52 or newer). With an older Ray use --local behind a firewall.
    """
    extras.require("fleet", "a fleet")
    if local:
        if address != "auto":
            raise UsageError("--local starts a cluster with an address of its own: omit --address")
        with progress(f"starting a cluster of {local} nodes"):
            address = start_cluster(local).address
    try:
        with progress("starting the fleet"):
            link = connect_to_ray(address, fleet, start=True)
            nodes = _wait_for_nodes(link, local)
    except BaseException:
        if local:
            end_cluster()
        raise
    address = cluster_address(address)
    if json:
        print(json_format.dumps({"fleet": fleet, "address": address, "nodes": nodes}))
        return
    print(f"the fleet {fleet} at {address} has {len(nodes)} nodes: {', '.join(nodes)}")
    print("launch: kju fleet launch IMAGE --count N   end: kju fleet down", flush=True)


def _wait_for_nodes(link: FleetLink, count: int) -> list[str]:
    """Return the names of the nodes, once *count* of them have reported."""
    deadline = time.monotonic() + START_TIMEOUT
    while len(nodes := list(link.ask("node_names"))) < count:
        if len(faults := link.keeper_faults()) + len(nodes) >= count:
            why = "; ".join(f"{name}: {fault}" for name, fault in sorted(faults.items()))
            raise UnavailableError(f"{len(nodes)} of {count} nodes have joined the fleet: {why}")
        if time.monotonic() >= deadline:
            raise UnavailableError(f"{len(nodes)} of {count} nodes have joined the fleet")
        time.sleep(_LOOK)
    return nodes


@with_options(LaunchOptions, without=_NOT_HERE)
def launch(
    context: typer.Context,
    image: Annotated[
        str,
        typer.Argument(
            metavar="IMAGE",
            help="A disk, a CD or a kernel, which nodes without it copy (default: none).",
        ),
    ] = "",
    *,
    address: Address = "auto",
    fleet: FleetName = "fleet",
    json: Json = False,
    count: Annotated[int, typer.Option(metavar="N", min=1, help="Start N machines.")] = 1,
    name: Annotated[
        str,
        typer.Option(metavar="NAME", help="Name of the machine; of several, their beginning."),
    ] = "",
    spread: Annotated[
        bool, typer.Option("--spread", help="Prefer nodes with few machines.")
    ] = False,
    max_restarts: Annotated[
        int,
        typer.Option(
            metavar="N", min=-1, help="Start a lost machine again N times (-1: without limit)."
        ),
    ] = 0,
    kvm: Annotated[bool, typer.Option("--kvm", help="Use nodes with KVM only.")] = False,
    processors: Annotated[
        float,
        typer.Option(metavar="N", min=0, help="Processors of a node for each machine (0: any)."),
    ] = 0.0,
    fork: Annotated[
        str,
        typer.Option(
            metavar="MACHINE", help="Freeze a machine of the fleet, and start forks of it."
        ),
    ] = "",
    fork_memory: Annotated[
        str, typer.Option(metavar="SIZE", help="Memory that each fork writes (default: all of it).")
    ] = "",
    xvfb: Annotated[bool, typer.Option("--xvfb", help="Run Xvfb in place of QEMU.")] = False,
    **options: Any,  # noqa: ANN401  checked by `Fleet.launch`
) -> None:
    """Start machines on the nodes of a fleet, all or none.

    They run until they are stopped. Arguments after -- go to QEMU unchanged.
    """
    extras.require("fleet", "a fleet")
    address = cluster_address(address)
    from ...fleet.opening import open as open_fleet

    known = declared(LaunchOptions)
    # Forks take none, and defaults are no options.
    given = {key: value for key, value in options.items() if value != known[key].option.default}
    if context.obj:
        given["args"] = tuple(context.obj)
    if image:
        given["image"] = image
    if xvfb:
        given["xvfb"] = True
    # Closed at the end; detached machines go on.
    with open_fleet(address, name=fleet, detach=True) as opened:
        before = {status.name for status in opened.machines()}

        def work() -> str:
            try:
                new = [each for each in opened.machines() if each.name not in before]
            except KjuError:
                new = []
            running = sum(each.state is FleetState.RUNNING for each in new)
            return f"starting machines: {running} of {count} run"

        with progress(work):
            if fork:
                given["fork"] = opened.machine(fork).freeze(_TAG)
            # One machine has the name itself.
            number = None if name and count == 1 else count
            launched = opened.launch(
                number, name=name or None, spread=spread, max_restarts=max_restarts,
                kvm=kvm, processors=processors, fork_memory=fork_memory or None, **given,
            )  # fmt: skip
        several = launched if isinstance(launched, list) else [launched]
        try:
            wanted = {machine.name for machine in several}
            statuses = [status for status in opened.machines() if status.name in wanted]
            if json:
                print(json_format.dumps([status_data(status) for status in statuses]))
            else:
                print_table([(status.name, status.node) for status in statuses])
        except KeyboardInterrupt:
            # Nobody knows their names.
            for machine in several:
                machine.stop()
            raise


def map_task(
    task: Annotated[
        str,
        typer.Argument(
            metavar="TASK",
            help="MODULE:FUNCTION, which gets the machine; or a script.py, with it as `machine`.",
        ),
    ],
    machines: Annotated[
        list[str] | None,
        typer.Argument(metavar="MACHINE", help="Machines (default: all that run)."),
    ] = None,
    address: Address = "auto",
    fleet: FleetName = "fleet",
    threads: Annotated[
        bool,
        typer.Option("--threads", help="Run the tasks of a node in threads of one process."),
    ] = False,
    json: Json = False,
) -> None:
    """Run a function or a script beside each machine, and print each result when it is done.

    A failure does not end the others; the command fails then. The result of a script is its output.
    A script has no arguments, and finds only modules that are installed on the nodes. The module of
    a function is sent to the nodes, but not the modules that it imports.
    """
    link = connect_to_ray(address, fleet)
    function, module = load_task(task)
    from ...fleet.machine_tasks import MachineTasks, send_by_value, tasks_done

    send_by_value(module)
    statuses: dict[str, MachineStatus] = {status.name: status for status in link.ask("statuses")}
    names = machines or [n for n, s in statuses.items() if s.state is FleetState.RUNNING]
    # A name that is not known is an error before anything is done.
    chosen: list[MachineStatus] = [statuses.get(name) or link.ask("status", name) for name in names]
    tasks = MachineTasks(link, function, chosen, threads=threads)
    running: dict[Any, MachineStatus] = {}
    failed = 0
    for each in chosen:
        try:
            running[tasks.start(each)] = each
        except MachineLostError as error:
            failed += 1
            _print_failure(each.name, error, json=json)
    done, count = failed, len(chosen)
    with progress(lambda: f"{done} of {count} tasks are done"):
        while running:
            for found in tasks_done(list(running)):
                each = running.pop(found)
                done += 1
                try:
                    result = tasks.result(found, each)
                except Exception as error:  # the task's own, of any kind
                    failed += 1
                    _print_failure(each.name, error, json=json)
                else:
                    _print_result(each.name, {"result": result}, str(result), json=json)
    if failed:
        raise KjuError(f"{failed} of {count} tasks failed")


def _print_failure(name: str, error: Exception, *, json: bool) -> None:
    cause = getattr(error, "cause", None) or error
    # The text of a KeyError is only its key. A ScriptError has the type in its text.
    is_plain = isinstance(cause, KjuError | ScriptError)
    text = str(cause) if is_plain else f"{type(cause).__name__}: {cause}"
    _print_result(name, {"error": text}, text, json=json, failed=True)


def _print_result(
    name: str, data: dict[str, object], text: str, *, json: bool, failed: bool = False
) -> None:
    if json:
        print(json_format.dumps({"name": name, **data}, default=str), flush=True)
    else:
        stream = sys.stderr if failed else sys.stdout
        print(one_line(f"{name}: {text.rstrip()}"), file=stream, flush=True)
