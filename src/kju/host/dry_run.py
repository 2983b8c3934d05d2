"""SHELL: dry runs: report the commands of a launch, and start and make nothing.

- No name is claimed, no folder, surface or socket is made, and the guest's QEMU is not started. The
  program is asked for its version and for the board's buses, as at any launch.
- The errors are those of the launch, and of QEMU's own those that can be known before it starts
  (`kju.emulators.qemu.start_faults`). Others arrive when it starts.
- A host process for dry runs answers one after the other until its client disconnects. It remembers
  the answers of QEMU, so that a second dry run takes a few milliseconds.
- Files are read in this process: if a disk hangs, the client is not blocked, and kills it.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

from ..emulators import launch
from ..errors import KjuError, PeerError, UsageError
from ..files import descriptor_limit
from ..protocol.dry_run import DryRun, Planned
from ..protocol.framing import failure
from ..protocol.launch_options import Launch
from ..protocol.values import Reply, size_fault
from ..store import defining, definitions, running
from ..store.definitions import DISK, DefinedMachine
from ..store.machine_toml import decode
from ..store.paths import DEFINITION_FILE, check_name, definitions_folder, is_defined
from .machine import LaunchingClient

log = logging.getLogger(__name__)


def serve(launcher: LaunchingClient, first: DryRun) -> None:
    """Answer dry runs until the client disconnects."""
    sock, side = launcher.sock, launcher.side
    sock.settimeout(None)
    try:
        _send(launcher, first)
        while data := sock.recv(1 << 16):
            for number, request in side.receive_data(data):
                # A `Cancel` is of a request that has been answered.
                if isinstance(request, DryRun):
                    _send(launcher._replace(number=number), request)
    except (PeerError, OSError) as error:
        log.info("the client of dry runs: %s", error)


def _send(launcher: LaunchingClient, request: DryRun) -> None:
    """Answer one dry run."""
    launcher.side.send(_answer(request), number=launcher.number)
    for out in launcher.side.data_to_send():
        launcher.sock.sendall(out.data)


def _answer(request: DryRun) -> Reply:
    try:
        return Planned(plan=plan(request))
    except KjuError as error:
        return failure(error)
    except OSError as error:
        return failure(descriptor_limit(error) or KjuError(f"the dry run failed: {error}"))


def plan(request: DryRun) -> dict[str, Any]:
    """Return the commands of a launch, ready for JSON.

    Raises:
        KjuError: It would fail with this error.
    """
    if request.launch is not None:
        return _planned(request.launch, [])
    machine, new_disks = _definition(request)
    launched = defining.launch_request(
        machine, request.snapshot, detach=True, client=request.client, new_disks=new_disks
    )
    return _planned(launched, [str(path) for path in new_disks])


def _planned(request: Launch, new_disks: list[str]) -> dict[str, Any]:
    if request.machine:
        check_name(request.machine)
    prepared = launch.prepare(request, new_disks)
    if not request.folder and request.machine:
        running.require_free(request.machine)
    name = request.machine or running.free_name(prepared.default_name)
    return {"name": name, "kind": request.emulator, **prepared.dry_run(name)}


def _definition(request: DryRun) -> tuple[DefinedMachine, list[Path]]:
    """Return the machine of a dry run, and the disks that are still to be made for it."""
    name = check_name(request.machine)
    if request.definition is None:
        machine = definitions.read(name)
        running.require_free(name)
        return machine, []
    if request.new and is_defined(name):
        raise defining.already_defined(name)
    folder = definitions_folder() / name
    file = folder / DEFINITION_FILE
    definition = decode(request.definition, str(file), name)
    machine = DefinedMachine(name, folder, request.definition, definition)
    if not request.disk:
        return machine, []
    if not request.new:
        raise UsageError("a disk is made for a new machine only")
    if fault := size_fault("disk", request.disk):
        raise UsageError(fault).about("disk")
    definition = defining.with_new_disk(definition)
    return machine._replace(definition=definition), [folder / DISK]
