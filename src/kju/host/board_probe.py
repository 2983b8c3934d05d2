"""SHELL: asking QEMU what a board has.

QEMU is run with the board and an empty disk, and asked over QMP before its first instruction; for
one last question it runs for a moment. That takes 30 to 100 ms. Some boards refuse kju's defaults
(a memory size, ``-cpu max``, a disk); then fewer of these are tried, so that what a board accepts
is seen from QEMU itself.
"""

from __future__ import annotations

import itertools
import json
import logging
import subprocess
from collections.abc import Iterator, Sequence
from typing import Any

from . import board
from .board import Board
from .input.gauges import NO_HANDLER, NO_KEY
from .qemu import Qemu

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


def ask(qemu: Qemu, machine: Sequence[str]) -> Board:
    """Return what a board has.

    Args:
        qemu: The QEMU.
        machine: The arguments that choose the board; empty for QEMU's default.

    Returns:
        The board; `board.PC` where QEMU does not start with any of what was tried.
    """
    refused = "it was not asked"
    for tried in _subsets():
        words = [word for name in tried for word in _TRIED[name]]
        answers, refused = _run(qemu.path, [*machine, *qemu.no_sound, *words])
        if answers is None:
            continue
        try:
            return _read(answers, tried)
        except (KeyError, TypeError, ValueError, IndexError) as error:
            refused = f"unexpected answers: {error!r}"
            break
    log.info("%s %s was not asked what it has: %s", qemu.path, " ".join(machine), refused)
    return board.PC


def _subsets() -> Iterator[tuple[str, ...]]:
    """All of what is tried, then all but one, and so on; the disk is left out first."""
    for size in range(len(_TRIED), -1, -1):
        yield from itertools.combinations(_TRIED, size)


def _read(answers: list[Any], tried: Sequence[str]) -> Board:
    *facts, _, key = answers
    blocks, memory, backends, devices, kind, tree = (answer["return"] for answer in facts)
    return board.read(
        str(kind).removesuffix("-machine"),
        tree=str(tree),
        disk=str(blocks[0]["device"]) if _DISK in tried and blocks else "",
        memory=0 if _MEMORY in tried else int(memory["base-memory"]) >> 20,
        accepts_cpu_max=_CPU in tried,
        has_keyboard=NO_HANDLER not in str(key),
        backends=[str(backend["type"]) for backend in backends],
        devices=[str(device["name"]) for device in devices],
    )


def _run(path: str, arguments: Sequence[str]) -> tuple[list[Any] | None, str]:
    """Run QEMU once; return its answers, or None and why there are none."""
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
        return None, str(error)
    try:
        answers = [json.loads(line) for line in done.stdout.splitlines()]
        found = [answer for answer in answers if "return" in answer or "error" in answer]
    except (ValueError, TypeError, RecursionError) as error:
        return None, f"it did not answer in QMP: {error}"
    # The first answer is to qmp_capabilities, the last one to quit.
    wanted = found[1 : len(_ASKED) + 1]
    if len(wanted) < len(_ASKED):
        return None, done.stderr.decode("utf-8", "replace").strip()[:400] or "it did not answer"
    return wanted, ""
