"""Machines that are kept: create, clone, rm, start."""

from __future__ import annotations

import sys
from typing import NamedTuple

from ..client import defined
from ..errors import KjuError
from ..escaping import one_line
from ..store import defined as store
from ..store import disk_chain
from .exits import line_of


class Wish(NamedTuple):
    """What the user wants of a kept machine; empty is no wish."""

    image: str = ""
    disk: str = ""
    memory: str = ""
    cpus: int = 0
    disk_bus: str = ""
    trust_disk: bool = False
    firmware: str = "bios"
    qemu: str = ""
    arguments: tuple[str, ...] = ()


def create(name: str, wish: Wish) -> None:
    """Keep a machine."""
    file = defined.define(
        name,
        wish.image or None,
        disk=wish.disk or None,
        memory=wish.memory or None,
        cpus=wish.cpus or None,
        disk_bus=wish.disk_bus or None,
        trust_disk=wish.trust_disk,
        firmware=wish.firmware,
        args=wish.arguments,
        qemu=wish.qemu or None,
    )
    print(f"{name} is kept in {file.parent}")
    for _, chain in store.examined(store.read(name)):
        for line in disk_chain.lines(chain):
            print(one_line(line))
    try:
        chosen = accelerator(wish.qemu)
    except KjuError as error:
        # It is kept all the same; another computer, or tomorrow's, may have one.
        print(f"kju: it cannot be started here yet: {line_of(error)}", file=sys.stderr)
    else:
        print(one_line(f"accelerator: {chosen}"))
    print(f"start: kju start {name}   change: kju edit {name}")


def accelerator(wanted: str) -> str:
    """What guests run on here, and why; tried out once per boot of the computer."""
    from ..emulators.qemu import accelerator as probe
    from ..emulators.qemu import program as qemu

    found = probe.accelerator(qemu.require(qemu.inspect(qemu.locate(wanted))))
    return f"{found.name}: {found.reason}"


def clone(name: str, new: str) -> None:
    """Keep a copy of a machine."""
    file = defined.clone(name, new)
    print(f"{new} is kept in {file.parent}; its disks lie over those of {name}")
    print(f"{name} is not started any more while {new} is kept; start: kju start {new}")


def rm(name: str) -> None:
    """Remove a kept machine."""
    for path in defined.remove(name):
        print(one_line(f"left alone: {path}"))


def start(name: str, watch: bool) -> None:
    """Start a kept machine; it goes on when this command ends."""
    with defined.start(name, detach=True) as machine:
        chosen = machine.info()["accelerator"]
        print(f"{name} is running (its host is process {machine.host_pid})", flush=True)
        print(one_line(f"accelerator: {chosen['name']}: {chosen['reason']}"), flush=True)
        if watch:
            from .look import watch_machine

            hint = "leaves; the machine keeps running"
            watch_machine(machine, 0, 0, as_json=False, hint=hint)
        else:
            print(f"look: kju watch {name}   end: kju stop {name}")
