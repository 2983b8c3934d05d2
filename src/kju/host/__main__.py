"""The process of one machine: ``python -m kju.host FD``, started by `kju.launch`.

``python -m kju.host FD spawner`` forks such processes instead: see `kju.host.spawner`.

FD is an inherited socket. It receives one `Launch`, which is answered by `Welcome` or `Failure`; or
`DryRun`s, which start nothing (`kju.host.dry_run`).
Then it is a client's connection like any other, except that the machine ends with it, unless it was
detached.

Exit statuses:

| status | meaning                                                             |
|--------|---------------------------------------------------------------------|
| 0      | the machine ended on request, or powered off                        |
| 1      | a bug in kju; host.log has the traceback                            |
| 2      | it could not start: arguments, image, name or runtime folder        |
| 3      | the emulator is missing, unusable, or refused to start              |
| 4      | the emulator failed or was killed                                   |
"""

from __future__ import annotations

import asyncio
import faulthandler
import gc
import logging
import os
import socket
import sys
from pathlib import Path

from ..emulators import launch
from ..emulators.events import MachineEvents
from ..emulators.spawn import reset_signals
from ..errors import EmulatorError, KjuError, PeerError
from ..files import descriptor_limit
from ..memory import _system
from ..protocol.dry_run import DryRun
from ..protocol.framing import HostSide, failure
from ..protocol.launch_options import Launch
from ..protocol.spawning import SPAWNER
from ..store import leased, running, sweeping
from ..store.definitions import VARIABLES
from ..store.forks import unmerged
from ..store.log_files import BoundedLog, LogHandler
from . import spawner
from .detaching import StartOutcome, fork_host
from .machine import HostedMachine, LaunchingClient

log = logging.getLogger("kju.host")

#: Exit statuses. `_FAILED` is that of Python after an uncaught error.
_OK, _FAILED, _REFUSED, _NO_EMULATOR, _EMULATOR_ENDED = range(5)
#: Seconds for the launch request, which is sent right after the fork.
_REQUEST_TIMEOUT = 30.0


def main(arguments: list[str]) -> int:
    """Run one machine; return the exit status."""
    words = arguments[1:]
    if not arguments or not arguments[0].isdecimal() or words not in ([], [SPAWNER]):
        print("this is started by kju run and kju.launch; see: kju run --help", file=sys.stderr)
        return _REFUSED
    if words:
        spawner.preload()
    # The modules are 35,000 objects that stay. Collections pass them over from now on: those while
    # the guest runs, and those at the exit, which took a third as long as the whole start.
    gc.freeze()
    _system.give_memory_back()
    reset_signals()
    owner = socket.socket(fileno=int(arguments[0]))
    os.set_inheritable(owner.fileno(), False)
    if not words:
        return _run(owner)
    forked = spawner.serve(owner)
    if forked is None:
        return _OK
    connection, outcome = forked
    status = _FAILED
    try:
        status = _run(connection, outcome)
    finally:
        outcome.ended(status)
    return status


def _run(owner: socket.socket, outcome: spawner.SpawnedOutcome | None = None) -> int:
    """Take a launcher's request, and run its machine; return the exit status."""
    side = HostSide(launch=True)
    try:
        number, request = _receive(owner, side)
    except (KjuError, OSError) as error:
        print(f"kju host: no request to start a machine: {error}", file=sys.stderr)
        return _REFUSED
    if isinstance(request, DryRun):
        from . import dry_run  # not for the host of a machine

        logging.getLogger().addHandler(logging.NullHandler())
        dry_run.serve(LaunchingClient(owner, side, number), request)
        return _OK
    told: StartOutcome | None = None
    if request.detach:
        told = outcome or fork_host(owner)
    return _serve(LaunchingClient(owner, side, number, told), request)


def _receive(owner: socket.socket, side: HostSide) -> tuple[int, Launch | DryRun]:
    owner.settimeout(_REQUEST_TIMEOUT)
    while True:
        data = owner.recv(1 << 16)
        if not data:
            raise PeerError("the launcher disconnected")
        for number, request in side.receive_data(data):
            if isinstance(request, Launch | DryRun):
                return number, request


def _serve(launcher: LaunchingClient, request: Launch) -> int:
    claim = None
    # Until there is a log, only the launcher gets the errors.
    logging.getLogger().addHandler(logging.NullHandler())
    try:
        sweeping.sweep()
        prepared = launch.prepare(request)
        if request.machine:
            claim = running.claim(request.machine, hidden=request.spare)
        else:
            claim = running.claim_any(prepared.default_name, hidden=request.spare)
        if request.folder:
            from ..store.defining import confirm

            confirm(request)
        if request.lease is not None:
            leased.write_lease(claim.paths, request.lease)
        _redirect(claim, request.log_level)
        if not request.base:
            _settle_disks(request)
        log.info("machine %s, process %d", claim.name, os.getpid())
        emulator = launch.create(claim, prepared, MachineEvents())

        async def run() -> int:
            machine = HostedMachine(claim, request, emulator, launcher)
            ending = await machine.run()
            return _OK if ending.asked else _EMULATOR_ENDED

        return asyncio.run(run())
    except KjuError as error:
        log.error("%s", error)
        _refuse(launcher, error)
        return _NO_EMULATOR if isinstance(error, EmulatorError) else _REFUSED
    except OSError as error:
        log.exception("a system call failed")
        why = descriptor_limit(error) or KjuError(f"the machine could not be started: {error}")
        _refuse(launcher, why)
        return _REFUSED
    except BaseException as error:
        log.exception("a bug in kju")
        _refuse(launcher, KjuError(f"kju's host failed: {error!r}"))
        raise
    finally:
        if claim is not None:
            # Does nothing if the machine has ended well: it has released the claim.
            claim.release(keep_logs=True)


def _settle_disks(request: Launch) -> None:
    """Write to the disks what machines that were frozen with them wrote, and were killed."""
    disks = [path for path in (request.image, *request.disks) if path]
    if request.folder:
        disks.append(str(Path(request.folder) / VARIABLES))
    unmerged.settle_for(disks)


def _refuse(launcher: LaunchingClient, error: KjuError) -> None:
    """Send the launcher the error, if it is still connected."""
    launcher.side.send(failure(error), number=launcher.number)
    try:
        launcher.sock.setblocking(True)
        launcher.sock.settimeout(1)
        for out in launcher.side.data_to_send():
            launcher.sock.sendall(out.data)
    except OSError:
        pass  # it has disconnected, or the loop has closed its socket after an answer


def _redirect(claim: running.Claim, level: str) -> None:
    """Send all output of this process to host.log from now on."""
    nothing = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
    os.dup2(nothing, 0)
    os.close(nothing)
    log_file = BoundedLog(claim.paths.host_log, opened=_take_output)
    faulthandler.enable()
    logging.basicConfig(
        force=True,
        handlers=[LogHandler(log_file)],
        level=level.upper(),
        format="%(asctime)s.%(msecs)03d %(levelname)-7s %(name)s: %(message)s",
        datefmt="%Y-%m-%d %H:%M:%S",
    )
    # It logs the end of every connection as an error; kju logs how QEMU ended.
    logging.getLogger("qemu.qmp").setLevel(logging.CRITICAL)


def _take_output(log_file: int) -> None:
    """Send output that bypasses the logging, of any library, to the log as well."""
    os.dup2(log_file, 1)
    os.dup2(log_file, 2)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
