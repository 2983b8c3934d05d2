"""SHELL: the questions to a QEMU about the buses and devices of a board."""

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

from ...errors import QemuError
from .arguments.board import PC, Board, board_of, bus_types
from .arguments.user_options import QemuOption, fields, parse, quote
from .input.events import NO_KEY
from .program import Qemu
from .stderr import error_message

log = logging.getLogger(__name__)

#: Seconds for one run; it takes 0.1 s on an idle computer.
_TIME_LIMIT = 20.0
#: kju's default memory of a guest, in MiB.
_DEFAULT_MEMORY = 1024

_MEMORY, _CPU, _DISK = "memory", "cpu", "disk"
_TRIED = {
    _MEMORY: ("-m", str(_DEFAULT_MEMORY)),
    _CPU: ("-cpu", "max"),
    # A disk without contents; the size is a power of two, which SD cards need.
    _DISK: ("-drive", f"driver=null-co,size={1 << 30}"),
}
_ASKED: tuple[tuple[str, dict[str, object]], ...] = (
    ("query-block", {}),
    ("query-memory-size-summary", {}),
    ("qom-list", {"path": "/backend"}),
    ("qom-list-types", {"implements": "device"}),
    ("qom-get", {"path": "/machine", "property": "type"}),
    ("human-monitor-command", {"command-line": "info qtree"}),
    # QEMU reports a missing keyboard only while the guest runs.
    ("cont", {}),
    ("input-send-event", {"events": [NO_KEY]}),
)
#: QEMU's default machine of a PC, by any of its names.
_PC = re.compile(r"(?:pc(?:-i440fx-.*)?)?")
#: A processor without a program may end QEMU when it starts: the last two answers may be missing.
_NEEDED = len(_ASKED) - 2
_TREE = _NEEDED - 1


def inspect_board(qemu: Qemu, machine: Sequence[str]) -> Board:
    """Run a QEMU to read the buses and devices of a board.

    QEMU starts with the board and an empty disk, and answers over QMP before its first instruction;
    for the last question it runs for a moment. That takes 30 to 100 ms. Some boards refuse kju's
    defaults (a memory size, ``-cpu max``, a disk); then the next run leaves one of them out. If
    QEMU does not start without any of them either, the user's processor (it may need KVM) and then
    the machine's properties (they may refer to other arguments) are left out: the board's buses are
    the same without them.

    Args:
        qemu: The QEMU.
        machine: The arguments that choose the board; empty for QEMU's default.

    Returns:
        The board. If QEMU's default machine of a PC does not start, `PC`: the machine's own start
        reports the error.

    Raises:
        QemuError: Another board does not start; the message has QEMU's output.
    """
    reasons = []
    until = time.monotonic() + _TIME_LIMIT  # a QEMU that hangs is not run for each variant
    for words in _simpler(machine):
        found, output = _try(qemu, words)
        if found is not None:
            return found
        reasons.append(output)
        if time.monotonic() > until:
            break
    output = reasons[0]
    if qemu.architecture in ("x86_64", "i386") and _PC.fullmatch(_machine_type(parse(machine))):
        log.info(
            "%s %s could not be asked for its devices: %s", qemu.path, " ".join(machine), output
        )
        return PC
    what = error_message(output.splitlines() or ["no error message"], qemu.path)
    raise QemuError(f"{Path(qemu.path).name} {' '.join(machine)} does not start: {what}")


def _simpler(machine: Sequence[str]) -> list[list[str]]:
    """Return the arguments, then smaller sets of them that give the board the same buses."""
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


def _machine_type(options: Sequence[QemuOption]) -> str:
    types = [fields(o.value, "type").get("type", "") for o in options if o.name in ("machine", "M")]
    return next((kind for kind in reversed(types) if kind), "")


def _words(option: QemuOption) -> list[str]:
    return [f"-{option.name}"] if option.value is None else [f"-{option.name}", option.value]


def _try(qemu: Qemu, machine: Sequence[str]) -> tuple[Board | None, str]:
    """Read a board, with as many of kju's defaults as it accepts; or None and the reason."""
    output = ""
    # A further drive does not replace the user's; the other options would.
    own = {word for word in machine if word != "-drive"}
    for tried in _subsets():
        words = [word for name in tried for word in _TRIED[name] if _TRIED[name][0] not in own]
        answers, output = _answers_of(qemu.path, [*machine, *qemu.no_sound, *words])
        if len(answers) < _NEEDED:
            continue
        try:
            return _read(answers, tried, _usb_ports(qemu, machine, answers)), ""
        except (KeyError, TypeError, ValueError, IndexError) as error:
            return None, f"unexpected answers: {error!r}"
    return None, output


def _usb_ports(qemu: Qemu, machine: Sequence[str], answers: list[Any]) -> int:
    """Count the USB ports of a board without PCI, up to two; QEMU does not list them."""
    buses = bus_types(str(answers[_TREE].get("return")))
    if "usb-bus" not in buses or buses & {"PCI", "PCIE"}:
        return 0
    for count in (2, 1):
        words = ["-device", "usb-kbd", "-device", "usb-tablet"][: 2 * count]
        if _answers_of(qemu.path, [*machine, *qemu.no_sound, *words])[0]:
            return count
    return 0


def _subsets() -> Iterator[tuple[str, ...]]:
    """Yield all defaults, then all but one, and so on; the disk is left out first."""
    for size in range(len(_TRIED), -1, -1):
        yield from itertools.combinations(_TRIED, size)


def _read(answers: list[Any], tried: Sequence[str], usb_ports: int) -> Board:
    # QEMU 7.2 has no /backend until something is in it.
    facts = [answer.get("return", []) for answer in answers[:_NEEDED]]
    blocks, memory, backends, devices, kind, tree = facts
    # The user's firmware may be a drive as well.
    ours = [b for b in blocks if (b.get("inserted") or {}).get("drv") == "null-co"]
    return board_of(
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


def _answers_of(path: str, arguments: Sequence[str]) -> tuple[list[Any], str]:
    """Run QEMU once; return its answers, possibly incomplete, and its standard error."""
    command = [path, "-nodefaults", "-no-user-config", "-display", "none", "-S"]
    command += ["-accel", "tcg", "-qmp", "stdio", *arguments]
    requests: list[dict[str, object]] = [{"execute": "qmp_capabilities"}]
    requests += [{"execute": name, "arguments": values} for name, values in _ASKED]
    requests += [{"execute": "quit"}]
    lines = "".join(json.dumps(request) + "\n" for request in requests)
    try:
        done = subprocess.run(
            command, input=lines.encode(), capture_output=True, timeout=_TIME_LIMIT
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return [], str(error)
    output = done.stderr.decode("utf-8", "replace").strip()[:4000]
    found = []
    for line in done.stdout.splitlines():
        try:
            answer = json.loads(line)
        except (ValueError, RecursionError):
            return [], "it did not answer in QMP"
        if isinstance(answer, dict) and ("return" in answer or "error" in answer):
            found.append(answer)
    # The first answer is to qmp_capabilities, the last one to quit.
    return found[1 : len(_ASKED) + 1], output
