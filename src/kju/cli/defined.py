"""Defined machines: `kju create`, `clone`, `rm` and `start`."""

from __future__ import annotations

import sys
from typing import Annotated, Any

import typer

from ..client import launching
from ..emulators.qemu import accelerator as probe
from ..emulators.qemu import program as qemu
from ..errors import KjuError
from ..escaping import one_line
from ..protocol.launch_options import DefineOptions
from ..store import defined as store
from ..store import disk_chain
from .exits import line_of
from .options import with_options
from .parameters import Defined
from .terminal import progress


@with_options(DefineOptions, without=("args",))
def create(
    context: typer.Context,
    name: Annotated[str, typer.Argument(metavar="NAME", help="Name of the new machine.")],
    image: Annotated[
        str, typer.Option(metavar="IMAGE", help="A disk, a CD or a kernel; it is not copied.")
    ] = "",
    **options: Any,  # noqa: ANN401  checked by `define`
) -> None:
    """Define a machine, to be started by its name.

    Arguments after -- go to QEMU unchanged.
    """
    given = {option: value for option, value in options.items() if value is not None}
    with progress(f"creating {name}"):
        file = launching.define(name, image or None, args=tuple(context.obj or ()), **given)
    print(f"{name} is defined in {file.parent}")
    for _, chain in store.examined(store.read(name)):
        for line in disk_chain.lines(chain):
            print(one_line(line))
    try:
        with progress("trying out the accelerator"):
            chosen = accelerator(given.get("qemu", ""))
    except KjuError as error:
        # It is defined all the same: another computer may have a QEMU.
        print(f"kju: {name} cannot be started here yet: {line_of(error)}", file=sys.stderr)
    else:
        print(one_line(f"accelerator: {chosen}"))
    print(f"start: kju start {name}   change: kju edit {name}")


def accelerator(program: str) -> str:
    """Return what guests run on here, and why; tried out once per boot of the computer."""
    found = probe.accelerator(qemu.require(qemu.inspect(qemu.locate(program))))
    return f"{found.name}: {found.reason}"


def clone(
    name: Defined, new: Annotated[str, typer.Argument(metavar="NEW", help="Name of the clone.")]
) -> None:
    """Clone a machine, using copy-on-write disks.

    The first machine cannot be started while the clone exists.
    """
    with progress(f"cloning {name}"):
        file = launching.clone(name, new)
    print(f"{new} is defined in {file.parent}; its disks are overlays of those of {name}")
    print(f"{name} cannot be started while {new} exists; start: kju start {new}")


def rm(name: Defined) -> None:
    """Remove a defined machine.

    The disks and snapshots in its folder are removed; disks in other places stay.
    """
    for path in launching.remove(name):
        print(one_line(f"not removed: {path}"))


def start(
    name: Defined,
    watch: Annotated[
        bool, typer.Option("--watch", "-w", help="Show the screen in this terminal.")
    ] = False,
) -> None:
    """Start a defined machine in the background."""
    with progress(f"starting {name}"):
        machine = launching.start(name, detach=True)
    with machine:
        chosen = machine.info()["accelerator"]
        print(f"{name} is running (its host is process {machine.host_pid})", flush=True)
        print(one_line(f"accelerator: {chosen['name']}: {chosen['reason']}"), flush=True)
        if watch:
            from .screen import watch_machine

            hint = "leaves; the machine keeps running"
            watch_machine(machine, 0, 0, as_json=False, hint=hint)
        else:
            print(f"show: kju watch {name}   end: kju stop {name}")
