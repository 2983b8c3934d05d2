"""Launch, mirror, attach to and define machines, for asyncio."""

from __future__ import annotations

import functools
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Unpack

from ...protocol.launch_options import (
    DefineOptions,
    Launch,
    LaunchOptions,
    checked,
    fields_of,
    takes,
)
from ...protocol.values import Role
from ...remote.addresses import SCHEME
from ...store import sweeping
from ...store.forks import bases
from ...store.paths import check_name, default_network
from .. import requests
from ..requests import absolute_path, client_name
from .forks import ForkBase
from .link import AsyncLink
from .machine import Machine
from .starting import Starting
from .surface import open_screen
from .waiting import Screens, run_blocking


@takes(LaunchOptions)
async def launch(
    image: str | os.PathLike[str] | None = None, **options: Unpack[LaunchOptions]
) -> Machine:
    """Start a machine and attach to it with the control role.

    Args:
        image: A disk, a CD (``.iso``) or a kernel.
        **options: See `kju.LaunchOptions`.

    Raises:
        UsageError: The image cannot be read or is compressed, a disk refers to a file that it may
            not use, or a value is not allowed.
        ConflictError: Arguments contradict each other, or the arguments of kju.
        MachineExistsError: The name is taken.
        QemuError: No usable QEMU was found, or it did not start; the message has QEMU's own.
        XvfbError: The same for Xvfb; or the running one does not share its screen, or the screen
            is not 24 bits deep.
    """
    if name := options.get("name"):
        check_name(name)
    return await launched(requests.launch_request(image, options))


async def mirror(
    address: str,
    *,
    connect: Sequence[str] = (),
    name: str | None = None,
    role: Role = "control",
    user: str | None = None,
    trust: str | os.PathLike[str] | None = None,
    audience: bool = False,
    lossy: bool = False,
    codec: str | None = None,
    sender: str | None = None,
    insecure: bool = False,
    surface: str | os.PathLike[str] | None = None,
    detach: bool = False,
    log_level: str = "info",
) -> Machine:
    """Mirror a screen that another computer serves: a local machine that shows and drives it.

    The mirror's screen is kept equal, and is marked stale while the link is down. Its keyboard and
    pointer are the served ones. A mirror is used like any other machine.

    Args:
        address: ``zenoh:lab/host1/debian``; `kju.serving.server.find` lists them.
        connect: ``HOST:PORT`` of the sender or of a router; by default the addresses in the
            environment variable ``KJU_CONNECT``, with the user of ``KJU_USER``; else the machines
            that this user serves on this computer.
        name: The name of the mirror; by default the last part of the address.
        role: ``control``, or ``view``.
        user: The user's name, for a sender that authenticates its viewers.
        trust: The folder with certificates and keys; with *user* by default this user's own.
        audience: Join an audience: one stream is sent to all members, who have the view role.
        lossy: Accept photographs as JPEG first; they are exact soon after they stop changing.
        codec: ``zstd``, ``lz4`` or ``raw``; by default `zstd`, which needs the fewest bytes.
        sender: The name in the sender's certificate, as `kju cert show` prints it there. By
            default the known sender of this screen; the first one is remembered in the trust
            folder. A key that differs from the remembered one is refused in either case.
        insecure: Connect to other computers without encryption.
        surface: As for `launch`.
        detach: The mirror continues after the end of this program.
        log_level: As for `launch`.

    Raises:
        UsageError: The address is not valid, or the connection would not be protected.
        UnavailableError: The screen is not served, or this user may not see it.
        MissingError: zenoh, or the library of the codec, is not installed.
    """
    default = default_network()
    request = requests.mirror_request(
        address,
        connect=connect or default.connect,
        name=check_name(name) if name else None,
        role=role,
        user=user if connect else user or default.user,
        trust=trust,
        audience=audience,
        lossy=lossy,
        codec=codec,
        sender=sender,
        insecure=insecure,
        surface=surface,
        detach=detach,
        log_level=log_level,
    )
    return await launched(request)


async def launched(request: Launch) -> Machine:
    """Start the machine of a request and attach to it with the control role.

    Raises:
        KjuError: The machine did not start; see `launch`.
    """
    sweeping.sweep()
    return await Starting(request).finish(Machine)


async def attach(name: str, role: Role = "control", *, rate: float | None = None) -> Machine:
    """Attach to a running machine. It continues after the end of this program.

    Args:
        name: The machine's name; `machines` lists them. Or a screen on the network
            (``zenoh:lab/host1/debian``): a mirror of it, which ends with this program.
        role: ``control``, or ``view``.
        rate: How often this program looks at the screens, per second: see `kju.Screen.set_rate`.

    Raises:
        UsageError: The name, the role or the rate is not valid.
        MachineNotFoundError: No machine of this name is running.
        MachineGoneError: The machine ended at this moment.
    """
    if name.startswith(SCHEME):
        machine = await mirror(name, role=role)
        if rate is not None:
            await machine.screen.set_rate(rate)
        return machine
    link = await AsyncLink.attach(name, requests.check_role(role), client_name())
    try:
        screens = await Screens.of(link, functools.partial(open_screen, rate=rate))
    except BaseException:
        link.close()
        raise
    return Machine(link, screens)


async def open_base(machine: str, tag: str | None = None, *, spares: int = 0) -> ForkBase[Machine]:
    """Open a base of a machine, to start forks from it.

    Args:
        machine: The name of the machine that was frozen, which may have ended since.
        tag: The name of the base; by default the newest one.
        spares: The number of spare forks: see `ForkBase`.

    Raises:
        UsageError: *spares* is not valid.
        ForkError: The machine has no such base, or it is damaged; the message lists its bases.
    """
    requests.check_spares(spares)
    sweeping.sweep()
    held = await run_blocking(bases.find, machine, tag or "")
    return ForkBase(held, Machine, spares=spares)


# ---- Defined machines


@takes(DefineOptions)
async def define(
    name: str,
    image: str | os.PathLike[str] | None = None,
    **options: Unpack[DefineOptions],
) -> Path:
    """Define a machine, to be started by its name.

    Args:
        name: The machine's name.
        image: A disk, a CD or a kernel; it is not copied.
        **options: See `kju.DefineOptions`.

    Returns:
        The file of its definition, which may be edited.

    Raises:
        MachineExistsError: The name is taken.
        UsageError: The image cannot be read, or a value is not allowed.
        QemuError: qemu-img is missing, or could not create the disk.
    """
    from ...store import defining
    from ...store.machine_toml import Definition

    given = checked(DefineOptions, options)
    firmware = given.get("firmware", "bios")
    given["firmware"] = firmware if firmware in ("bios", "uefi") else absolute_path(firmware)
    if "/" in given.get("qemu", ""):
        given["qemu"] = absolute_path(given["qemu"])
    given["image"] = absolute_path(image) if image else None
    definition = Definition(**fields_of(Definition, given))
    defined = await run_blocking(defining.create, name, definition, given.get("disk", ""))
    return defined.file


async def clone(name: str, new_name: str, *, snapshot: str | None = None) -> Path:
    """Clone a defined machine; the clone's disks are overlays of the machine's disks.

    The machine cannot be started while a clone of it exists. A clone of a snapshot is independent:
    it has copies of the disks, with all their snapshots.

    Args:
        name: The machine.
        new_name: The name of the clone.
        snapshot: The clone's disks are as they were at this snapshot of the machine; loading it in
            the clone restores the memory, too.

    Returns:
        The file of the clone's definition.

    Raises:
        MachineNotFoundError: No machine of this name is defined.
        MachineExistsError: *new_name* is taken.
        ConflictError: The machine is running.
        UsageError: The machine has no such snapshot, or a disk does not hold it.
        QemuError: qemu-img is missing or failed.
        FileError: A file could not be written; no files of the clone are left.
    """
    from ...store import defining

    return (await run_blocking(defining.clone, name, new_name, snapshot or "")).file


async def remove(name: str) -> list[Path]:
    """Remove a defined machine, with its folder and the disks in it.

    Returns:
        The machine's disks in other folders; they are not removed.

    Raises:
        MachineNotFoundError: No machine of this name is defined.
        ConflictError: The machine is running, it has clones, or its folder has files of the user.
        FileError: A file could not be removed; the machine is no longer defined.
    """
    from ...store import defining

    return [Path(path) for path in await run_blocking(defining.remove, name)]


async def start(name: str, *, snapshot: str | None = None, detach: bool = False) -> Machine:
    """Start a defined machine and attach to it with the control role.

    Args:
        name: The machine's name.
        snapshot: Load this snapshot before the guest runs: see `launch`.
        detach: The machine continues after the end of this program.

    Raises:
        MachineNotFoundError: No machine of this name is defined.
        DefinitionError: Its definition is not valid, or a disk is missing.
        UsageError: A disk does not hold the snapshot.
        ConflictError: Clones use its disks; or arguments contradict each other.
        MachineExistsError: The machine is running.
        QemuError: QEMU is missing or too old, or it did not start.
    """
    from ...store import definitions
    from ...store.defining import launch_request

    tag = requests.checked_tag(snapshot)
    return await launched(
        launch_request(definitions.read(name), tag, detach=detach, client=client_name())
    )
