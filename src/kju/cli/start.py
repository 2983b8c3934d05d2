"""Starting a machine, and staying with it."""

from __future__ import annotations

import re
from typing import NamedTuple

from ..client.machine import Machine, launch
from ..escaping import one_line
from ..protocol.kinds import KINDS

_ERRORS = {kind.title: kind.error for kind in KINDS.values()}
#: The host's reason after an emulator failed: see `kju.emulators.process.spawn.describe`.
_FAILED = re.compile(rf"({'|'.join(_ERRORS)}) (was killed|ended with status [1-9])")


class Wish(NamedTuple):
    """What the user wants of a machine; empty is no wish."""

    image: str = ""
    name: str = ""
    detach: bool = False
    memory: str = ""
    cpus: int = 0
    disk_bus: str = ""
    trust_disk: bool = False
    surface: str = ""
    qemu: str = ""
    log_level: str = "info"
    arguments: tuple[str, ...] = ()
    xvfb: bool | str = False


def run(wish: Wish, *, watch: bool) -> None:
    """Start a machine; unless it is detached, stay until it ends.

    Raises:
        KjuError: It did not start.
        EmulatorError: The emulator failed.
    """
    with start(wish) as machine:
        print(f"{machine.name} is running (its host is process {machine.host_pid})", flush=True)
        info = machine.info()
        if display := info[info["kind"]].get("display"):
            print(f"programs: DISPLAY={display} xterm", flush=True)
        if watch:
            from .look import watch_machine

            hint = "leaves; the machine keeps running" if wish.detach else "ends the machine"
            watch_machine(machine, 0, 0, as_json=False, hint=hint)
        elif wish.detach:
            print(f"look: kju watch {machine.name}   end: kju stop {machine.name}")
        else:
            print(f"look: kju watch {machine.name}   end: Ctrl-C here", flush=True)
            _stay(machine)


def start(wish: Wish) -> Machine:
    """Launch what was asked for."""
    return launch(
        wish.image or None,
        name=wish.name or None,
        memory=wish.memory or None,
        cpus=wish.cpus or None,
        disk_bus=wish.disk_bus or None,
        trust_disk=wish.trust_disk,
        args=wish.arguments,
        qemu=wish.qemu or None,
        surface=wish.surface or None,
        xvfb=wish.xvfb,
        detach=wish.detach,
        log_level=wish.log_level,
    )


def _stay(machine: Machine) -> None:
    reason = machine.wait_ended(timeout=None)
    if found := _FAILED.search(reason):
        raise _ERRORS[found[1]](reason, machine.name)
    print(one_line(reason))
