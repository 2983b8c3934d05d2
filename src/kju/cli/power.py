"""A machine's life from the command line: stop, pause, resume, reset, qmp, events."""

from __future__ import annotations

import json
import sys
import time
from typing import Any

from ..client.life import Event
from ..client.machine import attach
from ..client.targets import attach_to_look, responds
from ..errors import MachineGoneError, PowerButtonError, UsageError, WaitTimeoutError
from ..escaping import one_line
from ..protocol.kinds import KINDS
from ..store import claims, running
from .exits import line_of


def stop(name: str, now: bool, powerdown: bool, timeout: float) -> None:
    """End a machine, and return when it has ended."""
    if now and powerdown:
        raise UsageError("--now and --powerdown: give one of them")
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


def pause(name: str) -> None:
    """Let a machine stand still."""
    with attach(name) as machine:
        machine.pause()


def resume(name: str) -> None:
    """Let a machine go on."""
    with attach(name) as machine:
        machine.resume()


def reset(name: str) -> None:
    """Reset a machine."""
    with attach(name) as machine:
        machine.reset()


def qmp(name: str, command: str, words: list[str]) -> None:
    """Run a QMP command and print what it returns."""
    arguments = parse(words)
    with attach(name) as machine:
        print(json.dumps(machine.qmp(command, **arguments), indent=2))


def parse(words: list[str]) -> dict[str, Any]:
    """Arguments from one JSON object, or from KEY=VALUE words.

    Raises:
        UsageError: They are neither.
    """
    if len(words) == 1 and words[0].lstrip().startswith("{"):
        try:
            found = json.loads(words[0])
        except (ValueError, RecursionError) as error:
            raise UsageError(f"{words[0]!r} is no JSON: {error}") from error
        return dict(found)
    arguments = {}
    for word in words:
        key, equals, value = word.partition("=")
        if not (key and equals):
            raise UsageError(f"{word!r} is no KEY=VALUE; or give all arguments as one JSON object")
        try:
            arguments[key] = json.loads(value)
        except (ValueError, RecursionError):
            arguments[key] = value
    return arguments


def events(name: str, as_json: bool, follow: bool, since: int) -> None:
    """Print a machine's events."""
    # A breath: what was kept is on its way when the subscription is answered.
    timeout = None if follow else 0.0
    with attach_to_look(name) as machine, machine.events(since, timeout=timeout) as happened:
        try:
            for event in happened:
                print(_line(event, as_json), flush=follow)
        except WaitTimeoutError:
            pass
        except MachineGoneError as error:
            print(f"kju: {line_of(error)}", file=sys.stderr)


def _line(event: Event, as_json: bool) -> str:
    if as_json:
        said = {"sequence": event.sequence, "time": event.time, "event": event.name}
        return json.dumps({**said, "data": event.data})
    when = time.strftime("%H:%M:%S", time.localtime(event.time))
    words = " ".join(f"{key}={value}" for key, value in event.data.items())
    return one_line(f"{event.sequence:5}  {when}  {event.name:16}  {words}").rstrip()
