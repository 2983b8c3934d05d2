"""The process of one machine: ``python -m kju.host FD``, started by `kju.launch`.

FD is an inherited socket. One `Launch` comes through it, and a `Welcome` or a `Failure`
goes back; then it is a client like any other, except that a machine that is not detached
ends when it hangs up.

Exit statuses:

| status | meaning                                                             |
|--------|---------------------------------------------------------------------|
| 0      | the machine ended as somebody wanted: asked to, or powered off       |
| 1      | a mistake in kju; host.log has the traceback                         |
| 2      | it could not start: arguments, image, name or runtime directory      |
| 3      | there is no usable QEMU or Xvfb, or it refused to start              |
| 4      | that ended by itself with an error, or was killed                    |
"""

from __future__ import annotations

import asyncio
import faulthandler
import logging
import os
import socket
import sys

from ..emulators import launch
from ..emulators.process import spawn as process
from ..errors import EmulatorError, KjuError, PeerError
from ..files import descriptor_limit
from ..memory import _system
from ..protocol.framing import HostSide, failure
from ..protocol.messages import Launch
from ..store import claims
from ..store.logs import BoundedLog, LogHandler
from .machine import Machine

log = logging.getLogger("kju.host")

OK, MISTAKE, REFUSED, NO_EMULATOR, EMULATOR_ENDED = range(5)
#: The launcher sends its request right behind the fork.
PATIENCE = 30.0


def main(arguments: list[str]) -> int:
    """Run one machine; return the exit status."""
    if len(arguments) != 1 or not arguments[0].isdecimal():
        print("this is started by kju run and kju.launch; see: kju run --help", file=sys.stderr)
        return REFUSED
    _system.give_memory_back()
    process.reset_signals()
    owner = socket.socket(fileno=int(arguments[0]))
    os.set_inheritable(owner.fileno(), False)
    side = HostSide(launch=True)
    try:
        request = _receive(owner, side)
    except (KjuError, OSError) as error:
        print(f"kju host: no request to start a machine: {error}", file=sys.stderr)
        return REFUSED
    if request.detach and os.fork():
        # The launcher waits for this process; the machine is its orphan from here on.
        os._exit(OK)
    return _serve(owner, side, request)


def _receive(owner: socket.socket, side: HostSide) -> Launch:
    owner.settimeout(PATIENCE)
    while True:
        data = owner.recv(1 << 16)
        if not data:
            raise PeerError("the launcher hung up")
        for request in side.receive_data(data):
            if isinstance(request, Launch):
                return request


def _serve(owner: socket.socket, side: HostSide, request: Launch) -> int:
    claim = None
    # Until there is a log the launcher is told, and nobody else.
    logging.getLogger().addHandler(logging.NullHandler())
    try:
        claims.sweep()
        prepared = launch.prepare(request)
        if request.machine:
            claim = claims.claim(request.machine)
        else:
            claim = claims.claim_any(prepared.default_name)
        if request.folder:
            from ..store.starting import confirm

            confirm(request)
        _redirect(claim, request.log_level)
        log.info("machine %s, process %d", claim.name, os.getpid())
        emulator = launch.create(claim, prepared)

        async def run() -> int:
            machine = Machine(claim, request, emulator, (owner, side))
            ending = await machine.run()
            return OK if ending.asked else EMULATOR_ENDED

        return asyncio.run(run())
    except KjuError as error:
        log.error("%s", error)
        _refuse(owner, side, request, error)
        return NO_EMULATOR if isinstance(error, EmulatorError) else REFUSED
    except OSError as error:
        log.exception("the system refused")
        why = descriptor_limit(error) or KjuError(f"the machine could not be started: {error}")
        _refuse(owner, side, request, why)
        return REFUSED
    except BaseException as error:
        log.exception("a mistake in kju")
        _refuse(owner, side, request, KjuError(f"kju's host failed: {error!r}"))
        raise
    finally:
        if claim is not None:
            # The machine has done so if there was one that ended well.
            claim.release(keep_logs=True)


def _refuse(owner: socket.socket, side: HostSide, request: Launch, error: KjuError) -> None:
    """Tell the launcher, if it is still there, why there is no machine."""
    side.send(failure(request.number, error))
    try:
        owner.setblocking(True)
        owner.settimeout(1)
        for out in side.data_to_send():
            owner.sendall(out.data)
    except OSError:
        pass  # it has gone, or the loop has closed its socket after an answer


def _redirect(claim: claims.Claim, level: str) -> None:
    """From now on everything this process says goes to host.log, whoever says it."""
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
    # It logs every connection that ends as an error; how QEMU ended is ours to say.
    logging.getLogger("qemu.qmp").setLevel(logging.CRITICAL)


def _take_output(log_file: int) -> None:
    """What is printed past the logging, by whatever library, goes the same way."""
    os.dup2(log_file, 1)
    os.dup2(log_file, 2)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
