"""`kju run`: start a machine, and stay with it."""

from __future__ import annotations

import re
from typing import Annotated, Any

import typer

from ..client.launching import launch
from ..client.machine import Machine
from ..escaping import one_line
from ..protocol.kinds import KINDS
from ..protocol.launch_options import LaunchOptions
from .options import with_options
from .terminal import progress

_ERRORS = {kind.title: kind.error for kind in KINDS.values()}
#: The host's reason after an emulator failed: see `kju.emulators.spawn.describe`.
_FAILED = re.compile(rf"({'|'.join(_ERRORS)}) (was killed|ended with status [1-9])")


@with_options(LaunchOptions, without=("args", "xvfb"))
def run(
    context: typer.Context,
    image: Annotated[
        str, typer.Argument(metavar="IMAGE", help="A disk, a CD or a kernel to boot.")
    ] = "",
    *,
    watch: Annotated[
        bool, typer.Option("--watch", "-w", help="Show the screen in this terminal.")
    ] = False,
    xvfb: Annotated[bool, typer.Option("--xvfb", help="Run Xvfb in place of QEMU.")] = False,
    xvfb_at: Annotated[
        str,
        typer.Option(
            metavar="WHERE",
            help="Show a running Xvfb: its DISPLAY (:5), its -fbdir folder or sysv:ID.",
        ),
    ] = "",
    **options: Any,  # noqa: ANN401  checked by `launch`
) -> None:
    """Start a machine from a disk, a CD or a kernel.

    The machine ends with this command, unless it is detached. Arguments after -- go to QEMU, or to
    Xvfb, unchanged.
    """
    given = {name: value for name, value in options.items() if value is not None}
    image_of = image or None
    with progress("starting the machine"):
        machine = launch(image_of, args=tuple(context.obj or ()), xvfb=xvfb_at or xvfb, **given)
    detached = bool(options.get("detach"))
    with machine:
        print(f"{machine.name} is running (its host is process {machine.host_pid})", flush=True)
        info = machine.info()
        if display := info[info["kind"]].get("display"):
            print(f"programs: DISPLAY={display} xterm", flush=True)
        if watch:
            from .screen import watch_machine

            hint = "leaves; the machine keeps running" if detached else "ends the machine"
            watch_machine(machine, 0, 0, as_json=False, hint=hint)
        elif detached:
            print(f"show: kju watch {machine.name}   end: kju stop {machine.name}")
        else:
            print(f"show: kju watch {machine.name}   end: Ctrl-C here", flush=True)
            _wait_until_gone(machine)


def _wait_until_gone(machine: Machine) -> None:
    """Wait for the machine's end, and print its reason.

    Raises:
        EmulatorError: The emulator failed.
    """
    reason = machine.wait_ended(timeout=None)
    if found := _FAILED.search(reason):
        raise _ERRORS[found[1]](reason, machine.name)
    print(one_line(reason))
