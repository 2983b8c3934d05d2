"""The machines of a launch as `MachineSpec`s. I/O-free."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from ..errors import UsageError
from ..protocol.launch_options import launch_message
from ..protocol.values import size_fault
from ..store.paths import check_name
from .bases.source import FleetBase
from .images.source import FleetImage
from .messages import MachineSpec
from .placement import Demand, Room

_UNITS = {"K": 10, "M": 20, "G": 30, "T": 40, "P": 50, "E": 60}
#: Bytes of guest memory without an option: QEMU's machine of kju.
DEFAULT_MEMORY = 1 << 30
#: Bytes of a host and its emulator besides the guest's memory.
OVERHEAD = 160 << 20


#: Machines of one launch.
MAX_COUNT = 100_000
#: Processors of one machine.
MAX_PROCESSORS = 1024
#: Restarts of one machine; -1 is without a limit.
MAX_RESTARTS = 1_000_000


def check_count(count: int) -> int:
    """Return the number of machines of a launch.

    Raises:
        UsageError: It is out of range.
    """
    if not is_whole(count, 1, MAX_COUNT):
        raise UsageError(f"the number of machines is 1 to {MAX_COUNT}, not {count!r}")
    return count


def is_whole(value: object, lowest: int, highest: int) -> bool:
    """Return whether a value is a whole number in a range."""
    is_number = isinstance(value, int) and not isinstance(value, bool)
    return is_number and lowest <= value <= highest  # type: ignore[operator]


def check_options(
    *, name: object, spread: object, max_restarts: object, kvm: object, processors: object
) -> None:
    """Check the options of a launch that a fleet has, and `kju.launch` has not.

    Raises:
        UsageError: One has another type, or is out of range.
    """
    if not isinstance(name, str | None):
        raise UsageError(f"name is a text, not {name!r}")
    for option, value in (("spread", spread), ("kvm", kvm)):
        if not isinstance(value, bool):
            raise UsageError(f"{option} is True or False, not {value!r}")
    if not isinstance(processors, int | float) or not 0 <= processors <= MAX_PROCESSORS:
        raise UsageError(f"processors is 0 to {MAX_PROCESSORS}, not {processors!r}")
    if not is_whole(max_restarts, -1, MAX_RESTARTS):
        raise UsageError(f"max_restarts is -1 to {MAX_RESTARTS}, not {max_restarts!r}")


def machine_specs(
    names: Sequence[str],
    options: Mapping[str, Any],
    *,
    image: FleetImage | None = None,
    at_hand: frozenset[str] = frozenset(),
    owner: str = "",
    spread: bool = False,
    max_restarts: int = 0,
    kvm: bool = False,
    processors: float = 0.0,
) -> list[MachineSpec]:
    """Return the machines of one launch.

    Args:
        names: Their names.
        options: Options of `kju.launch`, with ``image``: a path that every node has if there is no
            *image*.
        image: Their image.
        at_hand: The nodes that have it without a copy.
        owner: The program that they end with; empty for none.
        spread: Prefer nodes with few machines.
        max_restarts: How often a lost one is started again.
        kvm: Each needs a node with KVM.
        processors: Processors of the node that each takes.

    Raises:
        UsageError: A value is not allowed.
        TypeError: An option is unknown.
    """
    given = dict(options)
    path = str(given.pop("image", "") or "")
    for refused in ("name", "detach", "surface"):
        if given.pop(refused, None):
            raise UsageError(f"{refused} is not an option of a fleet's machines")
    launch = msgspec.to_builtins(launch_message(path, owner, given))  # type: ignore[arg-type]
    launch = {key: value for key, value in launch.items() if key not in ("type", "client")}
    memory = memory_bytes(given.get("memory"), guest="emulator" not in launch)
    if path:
        # An image is many machines', and those that start again begin with it.
        launch["overlays"] = True
    elif "snapshot" in launch:
        raise UsageError("snapshot needs an image: name one, too")
    parts = () if image is None else (msgspec.structs.replace(image.part, at_hand=at_hand),)
    # An overlay has no snapshots: each machine writes to a copy of the image.
    copy = image.size if image is not None and "snapshot" in launch else 0
    room = Room(memory=memory + OVERHEAD, processors=processors, copies=copy)
    demand = Demand(room, parts, kvm)
    return [
        MachineSpec(check_name(name), demand, launch, owner, max_restarts, spread, image)
        for name in names
    ]


def fork_specs(
    names: Sequence[str],
    base: FleetBase,
    *,
    memory: str | None = None,
    at_hand: Mapping[str, frozenset[str]] | None = None,
    owner: str = "",
    spread: bool = False,
    max_restarts: int = 0,
) -> list[MachineSpec]:
    """Return forks of a base.

    Args:
        names: Their names.
        base: The base.
        memory: Memory that each of them writes; None for all of the guest's.
        at_hand: The nodes that have a part of the base without a copy, by the key of the part.
        owner: The program that they end with; empty for none.
        spread: Prefer nodes with few machines.
        max_restarts: How often a lost one is started again.

    Raises:
        UsageError: A value is not allowed.
    """
    if memory is not None and (fault := size_fault("memory", memory)):
        raise UsageError(fault)
    written = base.memory if memory is None else min(base.memory, memory_bytes(memory, guest=True))
    here = at_hand or {}
    parts = tuple(
        msgspec.structs.replace(part, at_hand=here.get(part.key, frozenset()))
        for part in (base.part, *(image.part for image in base.images))
    )
    demand = Demand(Room(memory=written + OVERHEAD), parts, kvm=base.kvm)
    return [
        MachineSpec(check_name(name), demand, {}, owner, max_restarts, spread, base=base)
        for name in names
    ]


def memory_bytes(text: str | None, *, guest: bool) -> int:
    """Return the bytes of a guest's memory, as QEMU's ``-m`` reads them."""
    if not guest:
        return 0
    if not text:
        return DEFAULT_MEMORY
    unit = text[-1].upper()
    number = float(text[:-1] if unit in _UNITS else text)
    return int(number * (1 << _UNITS.get(unit, 20)))
