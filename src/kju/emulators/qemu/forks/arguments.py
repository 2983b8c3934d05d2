"""The user's own QEMU arguments in a fork: refused ones, and those with values per fork.

I/O-free. A fork has the devices of the frozen machine, one for one. The backends behind them
cannot be shared: a port of this computer, a file that is written, a pseudo-terminal. A fork's
serial ports and character devices are connected to nothing, and it forwards no ports.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence

from ....errors import ForkError
from ..arguments.user_options import (
    QemuOption,
    UserOptions,
    decode_json,
    fields,
    parse,
    quote,
)

#: Options that a fork does without: connections of their own, and files that QEMU writes.
_DROPPED = frozenset(
    {
        *("D", "d", "trace", "pidfile", "gdb", "s", "debugcon"),
        *("mon", "monitor", "qmp", "qmp-pretty", "vnc", "spice"),
    }
)
#: Backends of ``-serial`` that are no connection of their own.
_KEPT_SERIAL = re.compile(r"none|null|chardev:.*|vc.*")
_NETWORK = ("netdev", "nic", "net")
_FORWARDS = ("hostfwd", "guestfwd")
#: Network backends that a fork may have: each QEMU has its own.
_OWN_NETWORKS = frozenset(("user", "none", "nic", ""))
#: Devices that QEMU cannot migrate, and the reason in a message.
_BLOCKERS = re.compile(
    r"virtio-sound.*|usb-audio|usb-mtp|virtio-9p.*|virtio-vga-gl|virtio-gpu-gl.*|vfio-.*|ivshmem.*"
    r"|vhost-.*|.*-rutabaga.*|intel-iommu-accel"
)
_MEMORY_BACKEND = re.compile(r"memory-backend-.*")


def check(arguments: Sequence[str]) -> None:
    """Refuse arguments with which a machine cannot be forked.

    Raises:
        ForkError: The message has the argument, the reason and the way out.
    """
    options = parse(arguments)
    given = UserOptions(options)
    if given.is_temporary:
        raise ForkError(
            "a machine with temporary disks (-snapshot or snapshot=on) cannot be frozen: forks"
            " need the disk's file. Start it without: a fork does not write to the original disk"
        )
    if given.changes_user:
        raise ForkError(
            "a machine whose QEMU changes its user (-run-with user=, -runas) cannot be frozen: that"
            " user may not write the base. Start it without"
        )
    for option in options:
        if why := _refusal(option):
            raise ForkError(f"a machine with {option.written} cannot be frozen: {why}")


def _refusal(option: QemuOption) -> str:
    """Return why this option keeps a machine from being frozen; "" if it does not."""
    given = fields(option.value, "")
    kind = fields(option.value, "type").get("type", "") or fields(option.value, "").get("", "")
    if option.name in _NETWORK and kind not in _OWN_NETWORKS:
        return (
            f"all forks would have its MAC address on the same {kind} network. Use a user network:"
            " -nic user"
        )
    if option.name == "device":
        driver = fields(option.value, "driver").get("driver", "")
        if _BLOCKERS.fullmatch(driver):
            return f"QEMU cannot save the state of {driver}. Start the machine without it"
    if option.name == "chardev" and kind == "qemu-vdagent":
        return "QEMU cannot save the state of its clipboard. Start the machine without it"
    if option.name == "tpmdev":
        return "its TPM is outside QEMU, and forks cannot share it. Start the machine without it"
    if option.name in ("virtfs", "fsdev"):
        return "QEMU cannot save the state of a shared folder. Start the machine without it"
    if option.name in ("hda", "hdb", "hdc", "hdd", "mtdblock", "sd", "fda", "fdb"):
        return _OWN_DISK
    if option.name in ("drive", "blockdev") and not _is_read_only(given):
        return _OWN_DISK
    if option.name == "object" and _MEMORY_BACKEND.fullmatch(
        fields(option.value, "qom-type").get("qom-type", "")
    ):
        return "forks map the memory of a machine that has kju's. Use --memory, or -m alone"
    if option.name in ("incoming", "loadvm", "mem-path", "mem-prealloc"):
        return "it is in conflict with the way in which a fork starts. Leave it out"
    return ""


_OWN_DISK = (
    "kju makes the forks' disks for images that it attaches itself. Give the disk as the image"
    " (kju run DISK), or to kju create"
)


def _is_read_only(given: dict[str, str]) -> bool:
    read_only = given.get("readonly") or given.get("read-only") or ""
    is_cd = given.get("media") == "cdrom"
    return is_cd or read_only in ("on", "yes", "true", "y")


def own_arguments(arguments: Sequence[str]) -> list[str]:
    """Return the user's arguments for a fork: the same devices, with backends of their own."""
    words: list[str] = []
    for option in parse(arguments):
        words += _own(option)
    return words


def _own(option: QemuOption) -> list[str]:
    flag = f"-{option.name}"
    if option.name == "serial" and option.value is not None:
        kept = _KEPT_SERIAL.fullmatch(option.value) is not None
        return [flag, option.value if kept else "null"]
    if option.name == "parallel" and option.value is not None:
        return [flag, "none" if option.value == "none" else "null"]
    if option.name == "chardev" and option.value is not None:
        name = fields(option.value, "backend").get("id", "")
        return [flag, f"null,id={quote(name)}"]
    if option.name in _DROPPED:
        return []
    if option.name == "object" and _kind(option, "qom-type") == "filter-dump":
        return []  # it writes a file
    if option.name == "audiodev" and _kind(option, "driver") == "wav":
        name = fields(option.value, "driver").get("id", "")
        return [flag, f"none,id={quote(name)}"]
    if option.name in _NETWORK and option.value is not None:
        return [flag, _without_forwards(option.value)]
    return [flag] if option.value is None else [flag, option.value]


def _kind(option: QemuOption, key: str) -> str:
    """Return the field of an option's value that may be its first word."""
    return fields(option.value, key).get(key, "")


def _without_forwards(value: str) -> str:
    """Return the value of a network option without the ports that it forwards."""
    if value.lstrip().startswith("{"):
        given = decode_json(value)
        return json.dumps({key: given[key] for key in given if key not in _FORWARDS})
    parts = re.split(r"(?<!,),(?!,)", value)
    return ",".join(part for part in parts if part.partition("=")[0] not in _FORWARDS)
