"""`kju stop`, `pause`, `resume` and `reset`."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from ..client.launching import attach
from ..client.targets import responds
from ..errors import PowerButtonError, UsageError, WaitTimeoutError
from ..protocol.kinds import KINDS
from ..store import claims, running
from .parameters import AnyName, Name


def stop(
    name: Name,
    now: Annotated[
        bool, typer.Option("--now", help="End it at once, without the power button.")
    ] = False,
    powerdown: Annotated[
        bool, typer.Option("--powerdown", help="Press the power button, and only that.")
    ] = False,
    timeout: Annotated[
        float,
        typer.Option(metavar="SECONDS", min=0, help="Wait SECONDS for the guest to shut down."),
    ] = 30,
) -> None:
    """Shut a machine down, and end it if that fails.

    The power button is pressed. The machine is ended if its guest cannot receive that, or has not
    shut down within the time limit.
    """
    if now and powerdown:
        raise UsageError("--now and --powerdown exclude each other; use one of them")
    if not responds(name):
        number = running.host_pid(name)
        if not now:
            raise WaitTimeoutError(
                f"the host of {name} (process {number or 'unknown'}) does not respond: its process"
                f" may be stopped (kill -CONT continues it). End it with: kju stop --now {name}"
            )
        number = claims.kill(name)
        print(f"the host of {name} did not respond: process {number} was killed", file=sys.stderr)
        return
    with attach(name) as machine:
        if powerdown:
            machine.powerdown()
            try:
                machine.wait_ended(timeout=timeout)
            except WaitTimeoutError as error:
                raise WaitTimeoutError(
                    f"{name} has not shut down in {timeout:g} s: its guest may not listen to the"
                    f" power button; end it with: kju stop --now {name}"
                ) from error
            return
        if now or not KINDS[machine.info()["kind"]].has_guest:
            machine.stop()
            return
        try:
            machine.powerdown()
        except PowerButtonError as error:
            why = str(error).partition(";")[0]
            print(f"{why}: ended at once", file=sys.stderr)
            machine.stop()
            return
        print(
            f"asking the guest of {name} to shut down; it is ended in {timeout:g} s"
            " (Ctrl-C leaves it running; --now does not ask)",
            file=sys.stderr,
        )
        try:
            machine.wait_ended(timeout=timeout)
        except WaitTimeoutError:
            machine.stop()
            print(f"the guest did not shut down in {timeout:g} s: ended", file=sys.stderr)


def pause(name: AnyName = "") -> None:
    """Pause a machine."""
    with attach(name) as machine:
        machine.pause()


def resume(name: AnyName = "") -> None:
    """Continue a paused machine."""
    with attach(name) as machine:
        machine.resume()


def reset(name: Name) -> None:
    """Reset a machine without asking its guest."""
    with attach(name) as machine:
        machine.reset()
