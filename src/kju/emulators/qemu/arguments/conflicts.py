"""Options that cannot be combined with kju. I/O-free."""

from __future__ import annotations

from collections.abc import Sequence

from ....errors import ConflictError
from ....store.image import Kind
from ..options import Option, fields
from .facts import PREFIX, Facts
from .given import Given

#: Options, and why they cannot be combined with kju.
CONFLICTS = {
    "daemonize": "QEMU would leave its host, and nothing would end it or clean up after"
    " it; to keep a machine running without the terminal, use: kju run --detach",
    "display": "kju reads the screen through -display dbus, and QEMU has one display at a time;"
    " leave it out and look with: kju watch NAME",
    "nographic": "it turns the screen off; leave it out: kju opens no window, and the serial port"
    " is at: kju serial NAME",
    "curses": "kju reads the screen itself; look with: kju watch NAME",
    "sdl": "kju reads the screen itself; look with: kju watch NAME",
    "full-screen": "no window of QEMU's own is opened",
    "preconfig": "QEMU would wait for commands before there is a machine",
    "h": "QEMU would print its help and end; run QEMU itself for that",
    "help": "QEMU would print its help and end; run QEMU itself for that",
    "audio-help": "QEMU would print its help and end; run QEMU itself for that",
    "version": "QEMU would print its version and end; see: kju doctor",
}


def refuse(options: Sequence[Option], given: Given, facts: Facts) -> None:
    """Refuse options that contradict kju, or what the caller asked for beside them.

    Raises:
        ConflictError: One does.
    """
    for option in options:
        if option.name == "display" and option.value == "none":
            continue  # no window; kju's own -display comes later and wins
        if why := CONFLICTS.get(option.name):
            raise ConflictError(f"{option.written} cannot be used with kju: {why}")
        if option.value in ("help", "?") and option.name not in ("name", "append"):
            raise ConflictError(f"{option.written} ends QEMU at once; run QEMU itself for that")
        if fields(option.value, "").get("id", "").startswith(PREFIX):
            raise ConflictError(f"{option.written}: ids that begin with {PREFIX!r} are kju's own")
    if facts.memory and given.has("m"):
        raise ConflictError(f"memory={facts.memory} and the QEMU argument -m: give one of them")
    if facts.cpus and given.has("smp"):
        raise ConflictError(f"cpus={facts.cpus} and the QEMU argument -smp: give one of them")
    if facts.firmware and given.firmware:
        raise ConflictError("firmware, and a QEMU argument that names another: give one of them")
    if facts.image and facts.image.kind is Kind.KERNEL and given.has("kernel"):
        raise ConflictError(f"{facts.image.path} is a kernel, and -kernel names another: give one")
