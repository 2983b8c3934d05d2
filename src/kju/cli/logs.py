"""`kju logs` and `kju events`."""

from __future__ import annotations

import json as json_format
import os
import sys
import time
from collections.abc import Iterable, Iterator
from typing import Annotated

import typer

from ..client.requests import Event, client_name
from ..client.targets import attach_to_look
from ..errors import MachineGoneError, MachineNotFoundError, WaitTimeoutError
from ..escaping import one_line
from ..protocol.kinds import KINDS
from ..store import claims, postmortem, running
from ..store import logs as log_files
from .exits import line_of
from .parameters import AnyName, Json

#: Seconds of a visit that is short: a command's that asks or does one thing.
SHORT_VISIT = 2.0


def logs(
    name: AnyName = "",
    qemu: Annotated[
        bool, typer.Option("--qemu", "--xvfb", help="Print the output of QEMU or Xvfb instead.")
    ] = False,
) -> None:
    """Print a machine's log.

    Of a machine that failed, the log that was kept is printed.
    """
    claims.sweep()
    try:
        found = running.find(name)
    except MachineNotFoundError:
        last = postmortem.find(name)
        if last is None:
            raise
        found = last
        when = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(found.folder.stat().st_mtime))
        print(f"{name} is not running; this log was put away at {when}", file=sys.stderr)
    # A machine has the log of one kind of emulator.
    paths = tuple(map(found.emulator_log, KINDS)) if qemu else (found.host_log,)
    text = b"".join(log_files.read(path) for path in paths).decode("utf-8", "replace")
    # A guest may have written parts of it, so terminal sequences are escaped.
    for line in text.splitlines():
        print(one_line(line))


def events(
    name: AnyName = "",
    json: Json = False,
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="Print new events until the machine ends.")
    ] = False,
    since: Annotated[
        int, typer.Option(metavar="NUMBER", min=0, help="Print only events after NUMBER.")
    ] = 0,
    every: Annotated[
        bool, typer.Option("--all", help="Include short visits of the kju command itself.")
    ] = False,
) -> None:
    """Print a machine's events.

    The last 256 events are kept; the manual lists their names.
    """
    # Without --follow the kept events arrive with the answer to the subscription.
    timeout = None if follow else 0.0
    with attach_to_look(name) as machine, machine.events(since, timeout=timeout) as happened:
        arriving = _until_timeout(happened)
        for event in arriving if every else without_visits(arriving):
            print(_line(event, json), flush=follow)


def _until_timeout(happened: Iterable[Event]) -> Iterator[Event]:
    try:
        yield from happened
    except WaitTimeoutError:
        pass
    except MachineGoneError as error:
        print(f"kju: {line_of(error)}", file=sys.stderr)


def without_visits(events: Iterable[Event]) -> Iterator[Event]:
    """Leave out the connections of short kju commands, and their ends.

    The arrival of such a client is held back until it is clear whether it stays.
    """
    names = {client_name(), "kju"}
    visits: dict[int, Event] = {}
    for event in events:
        client = event.data.get("client", 0)
        if event.name == "client-came" and event.data.get("name") in names:
            visits[client] = event
            continue
        for number, came in list(visits.items()):
            if event.time - came.time >= SHORT_VISIT:
                yield visits.pop(number)
        if event.name == "client-went" and visits.pop(client, None) is not None:
            continue
        yield event
    yield from (came for came in visits.values() if came.data.get("pid") != os.getpid())


def _line(event: Event, as_json: bool) -> str:
    if as_json:
        fields = {"sequence": event.sequence, "time": event.time, "event": event.name}
        return json_format.dumps({**fields, "data": event.data})
    when = time.strftime("%H:%M:%S", time.localtime(event.time))
    words = " ".join(f"{key}={value}" for key, value in event.data.items())
    return one_line(f"{event.sequence:5}  {when}  {event.name:16}  {words}").rstrip()
