"""The state of machines: `kju ls`, `info`, `logs` and `events`."""

from __future__ import annotations

import json as json_format
import os
import sys
import time
from collections.abc import Iterable, Iterator
from typing import Annotated, Any

import typer

from ...client.requests import Event, client_name
from ...client.targets import all_info, attach_to_look, running_names
from ...errors import KjuError, MachineGoneError, MachineNotFoundError, WaitTimeoutError
from ...escaping import one_line
from ...protocol.values import KINDS
from ...store import definitions, log_files, running
from ...store.forks import listing, unmerged
from ...store.paths import is_defined
from ..command import AnyName, Json
from ..output import BOLD, GREEN, RED, YELLOW, line_of, styled

#: Seconds of a visit that is short: a command's that asks or does one thing.
_SHORT_VISIT = 2.0
_COLUMNS = ("name", "state", "screen", "source", "emulator", "host", "up")
_BASE_COLUMNS = ("base", "of", "memory", "age", "forks")
_COLOURS = {"running": GREEN, "paused": YELLOW, "stale": RED, "not responding": RED}


def ls(
    json: Json = False,
    remote: Annotated[
        bool, typer.Option("--remote", help="List the screens on the network.")
    ] = False,
    connect: Annotated[
        list[str] | None,
        typer.Option(
            metavar="HOST:PORT",
            help="List the screens that the sender or router at HOST:PORT offers.",
        ),
    ] = None,
    user: Annotated[
        str,
        typer.Option(metavar="USER", help="Your user name at that sender; see `kju cert take`."),
    ] = "",
    insecure: Annotated[
        bool, typer.Option("--insecure", help="Connect to other computers without encryption.")
    ] = False,
) -> None:
    """List machines, or the screens on the network.

    Running and defined machines are listed, and the bases that machines were frozen as; with
    --remote or --connect, served screens.
    """
    if remote or connect:
        from ..network import list_screens

        list_screens(connect or [], user, insecure, json)
        return
    names = running_names()
    rows_of = zip(names, all_info(names), strict=True)
    started = [row for name, facts in rows_of if (row := _row(name, facts))]
    known = {row["name"] for row in started}
    stopped = [_stopped_row(name) for name in definitions.names() if name not in known]
    rows = sorted([*started, *stopped], key=lambda row: str(row["name"]))
    bases = listing.bases()
    if json:
        print(json_format.dumps([{**row, **_forks_of(row["name"], bases)} for row in rows]))
        return
    if not rows:
        print("no machine is running or defined; start one with: kju run IMAGE", file=sys.stderr)
    else:
        _print_table([_COLUMNS, *[tuple(map(one_line, _cells(row))) for row in rows]])
    if bases:
        print()
        _print_table([_BASE_COLUMNS, *[tuple(map(one_line, _base_cells(base))) for base in bases]])
    for note in unmerged.notes():
        print(one_line(note), file=sys.stderr)


def _forks_of(name: str, bases: Iterable[listing.BaseEntry]) -> dict[str, Any]:
    """Return the base that a machine is a fork of, and the bases that it was frozen as."""
    found = [_base_data(base) for base in bases if name in base.forks]
    return {
        "base": found[0] if found else None,
        "bases": [_base_data(base) for base in bases if base.facts.machine == name],
    }


def _base_data(base: listing.BaseEntry) -> dict[str, Any]:
    """Return a base as data. The names are stable."""
    return {
        "id": base.id,
        "machine": base.facts.machine,
        "tag": base.facts.tag,
        "time": base.time,
        "bytes": base.used,
        "forks": list(base.forks),
    }


def _base_cells(base: listing.BaseEntry) -> Iterator[str]:
    yield base.facts.tag
    yield base.facts.machine
    yield f"{base.used / (1 << 20):.0f} MiB"
    yield _duration(time.time() - base.time)
    yield ", ".join(base.forks) or "-"


def _print_table(texts: list[tuple[str, ...]]) -> None:
    widths = [max(map(len, column)) for column in zip(*texts, strict=True)]
    for number, text in enumerate(texts):
        cells = [word.ljust(width) for word, width in zip(text, widths, strict=True)]
        cells[-1] = cells[-1].rstrip()
        if number and text[1] in _COLOURS:
            cells[1] = styled(cells[1], _COLOURS[text[1]])
        line = "  ".join(cells)
        print(line if number else styled(line, BOLD))


def _row(name: str, info: dict[str, Any] | KjuError) -> dict[str, Any] | None:
    """Return one machine as data, or None if it has just ended. The names are stable."""
    if isinstance(info, WaitTimeoutError):
        pid = running.host_pid(name) or None
        return {**_stopped_row(name), "state": "not responding", "host_pid": pid}
    if isinstance(info, KjuError):
        return None
    return {
        "name": name,
        "state": "stale" if info.get("mirror", {}).get("up") is False else info["state"],
        "started": info["started"],
        "host_pid": info["host"]["pid"],
        "kind": info["kind"],
        "pid": info[info["kind"]].get("pid", 0),
        "qemu_pid": info["qemu"]["pid"] if "qemu" in info else None,
        "defined": is_defined(name),
        "consoles": [
            {key: console[key] for key in ("index", "width", "height", "source", "version")}
            for console in info["consoles"]
        ],
    }


def _stopped_row(name: str) -> dict[str, Any]:
    """Return a machine that is stopped or does not respond, with the same names."""
    names = ("started", "host_pid", "kind", "pid", "qemu_pid")
    empty = dict.fromkeys(names)
    return {
        "name": name,
        "state": "stopped",
        **empty,
        "defined": is_defined(name),
        "consoles": [],
    }


def _cells(row: dict[str, Any]) -> Iterator[str]:
    consoles = row["consoles"]
    yield row["name"]
    yield row["state"]
    yield ",".join(f"{c['width']}x{c['height']}" for c in consoles) or "-"
    yield ",".join(c["source"] for c in consoles) or "-"
    if row["host_pid"] is None:
        yield from "---"
        return
    if row["started"] is None:
        yield from ("-", str(row["host_pid"]), "-")
        return
    yield f"{row['kind']} {row['pid']}" if row["pid"] else row["kind"]
    yield str(row["host_pid"])
    yield _duration(time.time() - row["started"])


def _duration(seconds: float) -> str:
    whole = max(0, int(seconds))
    if whole < 60:
        return f"{whole}s"
    if whole < 3600:
        return f"{whole // 60}m{whole % 60:02}s"
    return f"{whole // 3600}h{whole // 60 % 60:02}m"


def info(name: AnyName = "", json: Json = False) -> None:
    """Print everything about a machine.

    Its screens and their sources, QEMU, the arguments that kju added, and the reasons.
    """
    with attach_to_look(name) as machine:
        forks = _forks_of(machine.name, listing.bases())
        facts = machine.info() | {key: value for key, value in forks.items() if value}
    if json:
        print(json_format.dumps(facts))
        return
    for line in _data_lines(readable(facts)):
        print(line)


def readable(facts: dict[str, Any]) -> dict[str, Any]:
    """Return the facts with the time as text, and ``ok`` for a source that works."""
    started = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(facts["started"]))
    facts = {**facts, "started": started}
    if "qemu" not in facts:
        return facts
    sources = {name: why or "ok" for name, why in facts["qemu"]["sources"].items()}
    return {**facts, "qemu": {**facts["qemu"], "sources": sources}}


def _data_lines(value: Any, indent: str = "") -> Iterator[str]:  # noqa: ANN401  any JSON
    """Yield nested data as indented lines."""
    items = value.items() if isinstance(value, dict) else ((str(i), v) for i, v in enumerate(value))
    for key, item in items:
        words = isinstance(item, list) and all(isinstance(word, str) for word in item)
        if isinstance(item, dict) or (isinstance(item, list) and not words):
            yield f"{indent}{one_line(key.replace('_', ' '))}:"
            yield from _data_lines(item, indent + "  ")
        else:
            text = " ".join(item) if words else str(item)
            yield indent + one_line(f"{key.replace('_', ' ')}: {text}").rstrip()


def logs(
    name: AnyName = "",
    qemu: Annotated[
        bool, typer.Option("--qemu", "--xvfb", help="Print the output of QEMU or Xvfb instead.")
    ] = False,
) -> None:
    """Print a machine's log.

    If the machine is not running, print the log of its last failure.
    """
    running.sweep()
    try:
        found = running.find(name)
    except MachineNotFoundError:
        last = log_files.find_kept(name)
        if last is None:
            raise
        found = last
        when = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(found.folder.stat().st_mtime))
        print(f"{name} is not running; this is the log of its failure at {when}", file=sys.stderr)
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
        bool, typer.Option("--all", help="Include connections of short kju commands.")
    ] = False,
) -> None:
    """Print a machine's events.

    The last 256 events are kept; the page "Keep machines running" lists their names.
    """
    # Without --follow the kept events arrive with the answer to the subscription.
    timeout = None if follow else 0.0
    with attach_to_look(name) as machine, machine.events(since, timeout=timeout) as happened:
        arriving = _until_timeout(happened)
        for event in arriving if every else without_visits(arriving):
            print(_event_line(event, json), flush=follow)


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
        if event.name == "client-connected" and event.data.get("name") in names:
            visits[client] = event
            continue
        for number, arrival in list(visits.items()):
            if event.time - arrival.time >= _SHORT_VISIT:
                yield visits.pop(number)
        if event.name == "client-disconnected" and visits.pop(client, None) is not None:
            continue
        yield event
    yield from (each for each in visits.values() if each.data.get("pid") != os.getpid())


def _event_line(event: Event, as_json: bool) -> str:
    if as_json:
        fields = {"sequence": event.sequence, "time": event.time, "event": event.name}
        return json_format.dumps({**fields, "data": event.data})
    when = time.strftime("%H:%M:%S", time.localtime(event.time))
    words = " ".join(f"{key}={value}" for key, value in event.data.items())
    return one_line(f"{event.sequence:5}  {when}  {event.name:16}  {words}").rstrip()
