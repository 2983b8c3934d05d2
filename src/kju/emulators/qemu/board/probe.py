"""SHELL: asking QEMU for the buses and devices of a board.

QEMU is run with the board and an empty disk, and asked over QMP before its first instruction; for
one last question it runs for a moment. That takes 30 to 100 ms. Some boards refuse kju's defaults
(a memory size, ``-cpu max``, a disk); the next run then leaves one of them out. If QEMU does not
start with any of them, the user's processor (it may need KVM) and then the machine's properties
(they may refer to other arguments) are left out: the board's buses are the same without.
"""

from __future__ import annotations

import itertools
import json
import logging
import re
import subprocess
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from ....errors import QemuError
from .. import errors as qemu_errors
from ..input.events import NO_KEY
from ..options import Option, fields, parse, quote
from ..program import Qemu
from . import board
from .board import Board

log = logging.getLogger(__name__)

#: For one run: it takes 0.1 s, on a computer with nothing else to do.
TIME_LIMIT = 20.0
#: MiB: kju's default for a guest.
MEMORY = 1024

_MEMORY, _CPU, _DISK = "memory", "cpu", "disk"
_TRIED = {
    _MEMORY: ("-m", str(MEMORY)),
    _CPU: ("-cpu", "max"),
    # A disk without contents, of a size that SD cards may have.
    _DISK: ("-drive", f"driver=null-co,size={1 << 30}"),
}
_ASKED: tuple[tuple[str, dict[str, object]], ...] = (
    ("query-block", {}),
    ("query-memory-size-summary", {}),
    ("qom-list", {"path": "/backend"}),
    ("qom-list-types", {"implements": "device"}),
    ("qom-get", {"path": "/machine", "property": "type"}),
    ("human-monitor-command", {"command-line": "info qtree"}),
    # QEMU says whether it has a keyboard only while the guest runs.
    ("cont", {}),
    ("input-send-event", {"events": [NO_KEY]}),
)
#: QEMU's default machine of a PC, by any of its names.
_PC = re.compile(r"(?:pc(?:-i440fx-.*)?)?")
#: A processor without a program may end QEMU when it runs: the last two answers may be missing.
_NEEDED = len(_ASKED) - 2
_TREE = _NEEDED - 1


def ask(qemu: Qemu, machine: Sequence[str]) -> Board:
    """Return the buses and devices of a board.

    Args:
        qemu: The QEMU.
        machine: The arguments that choose the board; empty for QEMU's default.

    Returns:
        The board; `board.PC` for QEMU's default machine of a PC, if that does not start: its
        real start reports the error.

    Raises:
        QemuError: Another board does not start; QEMU's own words are in it.
    """
    reasons = []
    until = time.monotonic() + TIME_LIMIT  # a QEMU that hangs is not asked everything
    for words in _simpler(machine):
        found, said = _try(qemu, words)
        if found is not None:
            return found
        reasons.append(said)
        if time.monotonic() > until:
            break
    said = reasons[0]
    if qemu.architecture in ("x86_64", "i386") and _PC.fullmatch(_machine_type(parse(machine))):
        log.info("%s %s could not be asked for its devices: %s", qemu.path, " ".join(machine), said)
        return board.PC
    what = qemu_errors.message(said.splitlines() or ["no error message"], qemu.path)
    raise QemuError(f"{Path(qemu.path).name} {' '.join(machine)} does not start: {what}")


def _simpler(machine: Sequence[str]) -> list[list[str]]:
    """The arguments, then fewer of them: those without which the board has the same buses."""
    options = parse(machine)
    kind = _machine_type(options)
    bare = ["-machine", quote(kind)] if kind else []
    starts = [o for o in options if o.name in ("kernel", "bios")]
    found = [
        list(machine),
        [word for o in options if o.name != "cpu" for word in _words(o)],
        [*bare, *(word for o in starts for word in _words(o))],
        bare,
    ]
    return [words for index, words in enumerate(found) if words not in found[:index]]


def _machine_type(options: Sequence[Option]) -> str:
    types = [fields(o.value, "type").get("type", "") for o in options if o.name in ("machine", "M")]
    return next((kind for kind in reversed(types) if kind), "")


def _words(option: Option) -> list[str]:
    return [f"-{option.name}"] if option.value is None else [f"-{option.name}", option.value]


def _try(qemu: Qemu, machine: Sequence[str]) -> tuple[Board | None, str]:
    """Ask for a board with as many of kju's defaults as it takes; None, and why, for no answer."""
    said = ""
    own = {word for word in machine if word != "-drive"}  # drives are added up
    for tried in _subsets():
        words = [word for name in tried for word in _TRIED[name] if _TRIED[name][0] not in own]
        answers, said = _run(qemu.path, [*machine, *qemu.no_sound, *words])
        if len(answers) < _NEEDED:
            continue
        try:
            return _read(answers, tried, _usb_ports(qemu, machine, answers)), ""
        except (KeyError, TypeError, ValueError, IndexError) as error:
            return None, f"unexpected answers: {error!r}"
    return None, said


def _usb_ports(qemu: Qemu, machine: Sequence[str], answers: list[Any]) -> int:
    """Count the USB ports of a board without PCI, up to two; QEMU does not list them."""
    buses = board.buses(str(answers[_TREE].get("return")))
    if "usb-bus" not in buses or buses & {"PCI", "PCIE"}:
        return 0
    for count in (2, 1):
        words = ["-device", "usb-kbd", "-device", "usb-tablet"][: 2 * count]
        if _run(qemu.path, [*machine, *qemu.no_sound, *words])[0]:
            return count
    return 0


def _subsets() -> Iterator[tuple[str, ...]]:
    """All of what is tried, then all but one, and so on; the disk is left out first."""
    for size in range(len(_TRIED), -1, -1):
        yield from itertools.combinations(_TRIED, size)


def _read(answers: list[Any], tried: Sequence[str], usb_ports: int) -> Board:
    # QEMU 7.2 has no /backend until something is in it.
    facts = [answer.get("return", []) for answer in answers[:_NEEDED]]
    blocks, memory, backends, devices, kind, tree = facts
    # The user's firmware may be a drive as well.
    ours = [b for b in blocks if (b.get("inserted") or {}).get("drv") == "null-co"]
    return board.read(
        str(kind).removesuffix("-machine"),
        tree=str(tree),
        disk=str(ours[0]["device"]) if ours else "",
        memory=0 if _MEMORY in tried else int(memory["base-memory"]) >> 20,
        accepts_cpu_max=_CPU in tried,
        has_keyboard="return" in answers[-1] if len(answers) == len(_ASKED) else False,
        usb_ports=usb_ports,
        backends=[str(backend["type"]) for backend in backends],
        devices=[str(device["name"]) for device in devices],
    )


def _run(path: str, arguments: Sequence[str]) -> tuple[list[Any], str]:
    """Run QEMU once; return its answers, perhaps not all of them, and its standard error."""
    command = [path, "-nodefaults", "-no-user-config", "-display", "none", "-S"]
    command += ["-accel", "tcg", "-qmp", "stdio", *arguments]
    requests: list[dict[str, object]] = [{"execute": "qmp_capabilities"}]
    requests += [{"execute": name, "arguments": values} for name, values in _ASKED]
    requests += [{"execute": "quit"}]
    lines = "".join(json.dumps(request) + "\n" for request in requests)
    try:
        done = subprocess.run(
            command, input=lines.encode(), capture_output=True, timeout=TIME_LIMIT
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return [], str(error)
    said = done.stderr.decode("utf-8", "replace").strip()[:4000]
    found = []
    for line in done.stdout.splitlines():
        try:
            answer = json.loads(line)
        except (ValueError, RecursionError):
            return [], "it did not answer in QMP"
        if isinstance(answer, dict) and ("return" in answer or "error" in answer):
            found.append(answer)
    # The first answer is to qmp_capabilities, the last one to quit.
    return found[1 : len(_ASKED) + 1], said
