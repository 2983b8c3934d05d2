"""Details of one machine as titled rows, for the side panel.

The texts are as received from the host, QEMU and the definition; the panel escapes them.
"""

from __future__ import annotations

import itertools
import shlex
import time
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import msgspec

from ...store.machine_toml import Definition
from ..machines.entry import MachineEntry, duration_text

#: Clients or disks that are shown; a machine with more has a row with their number.
_MAX_ROWS = 64


class Row(NamedTuple):
    """One fact."""

    name: str
    value: str


class DetailsSection(NamedTuple):
    """A group of facts."""

    title: str
    rows: tuple[Row, ...]


def details(
    entry: MachineEntry,
    info: Mapping[str, Any] | None = None,
    *,
    definition: Definition | None = None,
    memory_use: int | None = None,
    now: float = 0.0,
    own: int = 0,
) -> list[DetailsSection]:
    """Return everything known about a machine.

    Args:
        entry: Its entry.
        info: `Machine.info`; None where it does not run.
        definition: Its definition; None for none.
        own: The process number of this program, which is not listed as a client.
        memory_use: Bytes of the computer's memory that its emulator uses; None if unknown.
        now: Seconds since the epoch.
    """
    found = [DetailsSection("Machine", tuple(_machine_rows(entry, info, now)))]
    if info:
        found.append(DetailsSection("Screens", tuple(_screen_rows(info))))
        found.append(
            DetailsSection("Programs that look or control", tuple(_client_rows(info, own)))
        )
        found.append(DetailsSection("Memory", tuple(_memory_rows(info, memory_use))))
        found.append(DetailsSection("Disks", tuple(_disk_rows(info))))
        found.append(DetailsSection("Emulator", tuple(_emulator_rows(info))))
        found.append(DetailsSection("Added arguments and reasons", tuple(_argument_rows(info))))
    if definition:
        found.append(DetailsSection("Definition", tuple(_definition_rows(definition))))
    return [section for section in found if section.rows]


def _machine_rows(entry: MachineEntry, info: Mapping[str, Any] | None, now: float) -> list[Row]:
    rows = [Row("State", entry.state.value)]
    if entry.reason:
        rows.append(Row("Reason", entry.reason))
    if entry.started is not None and entry.state.runs:
        since = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(entry.started))
        rows.append(Row("Running for", duration_text(now - entry.started)))
        rows.append(Row("Started", since))
    rows += [Row("Warning", warning) for warning in entry.warnings]
    if entry.labels:
        rows.append(Row("Labels", ", ".join(entry.labels)))
    if entry.key.host:
        rows.append(Row("Served by", entry.key.host))
    if entry.round_trip is not None:
        rows.append(Row("Round trip", f"{entry.round_trip * 1000:.1f} ms"))
    if info:
        ends = "keeps running" if info.get("detached") else "ends with the program that started it"
        rows.append(Row("Afterwards", ends))
        if temporary := info.get("temporary"):
            rows.append(Row("Snapshots", str(temporary)))
    return rows


def _screen_rows(info: Mapping[str, Any]) -> list[Row]:
    rows = []
    for index, console in enumerate(_maps(info.get("consoles"))):
        words = []
        if console.get("width") and console.get("height"):
            words.append(f"{console['width']} \N{MULTIPLICATION SIGN} {console['height']}")
        if source := console.get("source"):
            words.append(f"source {source}")
        if rate := rate_text(console.get("rate")):
            words.append(rate)
        rows.append(Row(f"Screen {index}", ", ".join(words)))
    return rows


def rate_text(rate: object) -> str:
    """Return the rate at which a screen is looked at, in words; empty if unknown."""
    if not isinstance(rate, int | float):
        return ""
    return f"looked at {rate:g} times a second" if rate else "nobody looks"


def _client_rows(info: Mapping[str, Any], own: int) -> list[Row]:
    clients = [each for each in _maps(info.get("clients")) if each.get("pid") != own]
    rows = [
        Row(
            "Controls" if client.get("role") == "control" else "Looks",
            f"{client.get('name') or 'a program'} (process {client.get('pid', 'unknown')})",
        )
        for client in clients[:_MAX_ROWS]
    ]
    if len(clients) > _MAX_ROWS:
        rows.append(Row("And", f"{len(clients) - _MAX_ROWS} more"))
    return rows


def _memory_rows(info: Mapping[str, Any], memory_use: int | None) -> list[Row]:
    rows = []
    if size := guest_memory(_arguments(info)):
        rows.append(Row("Guest", size))
    if memory_use is not None:
        rows.append(Row("In use here", f"{memory_use / (1 << 20):.0f} MiB"))
    return rows


def guest_memory(arguments: Sequence[str]) -> str:
    """Return the guest's memory in QEMU's arguments; empty without the option."""
    for option, value in itertools.pairwise(arguments):
        if option == "-m":
            size = value.partition(",")[0].removeprefix("size=")
            return f"{size} MiB" if size.isdecimal() else size
    return ""


def _arguments(info: Mapping[str, Any]) -> list[str]:
    """Return all arguments of the emulator: the user's, and those that kju added."""
    emulator = _emulator(info)
    own = [str(word) for word in emulator.get("arguments", ())]
    added = [str(word) for part in _maps(info.get("appended")) for word in part["arguments"]]
    return own + added


def _emulator(info: Mapping[str, Any]) -> Mapping[str, Any]:
    found = info.get(str(info.get("kind", "")))
    return found if isinstance(found, Mapping) else {}


def _disk_rows(info: Mapping[str, Any]) -> list[Row]:
    rows = []
    for disk in _maps(info.get("disks"))[:_MAX_ROWS]:
        rows.append(Row(str(disk.get("bus", "disk")), str(disk.get("path", ""))))
        below = _maps(disk.get("layers"))[1:]
        rows += [Row(str(each.get("role", "")), str(each.get("path", ""))) for each in below]
    return rows


def _emulator_rows(info: Mapping[str, Any]) -> list[Row]:
    emulator, accelerator = _emulator(info), info.get("accelerator")
    rows = [Row("Kind", str(info.get("kind", "")))]
    if version := emulator.get("version"):
        rows.append(Row("Version", f"{version} ({emulator.get('architecture', '')})"))
    if isinstance(accelerator, Mapping):
        rows.append(Row("Accelerator", f"{accelerator.get('name')}: {accelerator.get('reason')}"))
    for name, key in (("Process", "pid"), ("Program", "path"), ("Shows", "of")):
        if value := emulator.get(key):
            rows.append(Row(name, str(value)))
    host = info.get("host")
    if isinstance(host, Mapping):
        rows.append(Row("Host process", str(host.get("pid", ""))))
    if own := emulator.get("arguments"):
        rows.append(Row("Own arguments", shlex.join(map(str, own))))
    return rows


def _argument_rows(info: Mapping[str, Any]) -> list[Row]:
    rows = [
        Row(shlex.join(map(str, part.get("arguments", ()))), str(part.get("reason", "")))
        for part in _maps(info.get("appended"))
    ]
    return rows + [Row("Note", str(note)) for note in info.get("notes", ())]


def _definition_rows(definition: Definition) -> list[Row]:
    """Return the keys of a definition that differ from their defaults."""
    usual = Definition()
    rows = []
    for key, value in msgspec.structs.asdict(definition).items():
        if value != getattr(usual, key):
            words = ", ".join(value) if isinstance(value, list) else str(value)
            rows.append(Row(key, words))
    return rows


def _maps(value: object) -> list[Mapping[str, Any]]:
    """Return the maps in a list; a host of another version may send something else."""
    return [each for each in value if isinstance(each, Mapping)] if isinstance(value, list) else []
