"""The end of a machine's logs, for the side panel: bounded, and read again when they grow."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from ...escaping import one_line
from ...protocol.values import KINDS
from ...store import log_files, running
from ...store.paths import Paths, machine_paths

#: Bytes read at the end of a log, and characters of one line.
TAIL_BYTES, MAX_LINE = 48 << 10, 1000


class LogText(NamedTuple):
    """The end of a machine's logs.

    Attributes:
        lines: Its lines, oldest first, safe to show.
        paths: The files, for following them; empty for those of a machine that has ended.
        note: A remark on a log that is missing or old.
    """

    lines: tuple[str, ...] = ()
    paths: tuple[str, ...] = ()
    note: str = ""


def read_logs(name: str) -> LogText:
    """Return the end of the logs of a machine's host and emulator. It may wait for the disk."""
    paths = machine_paths(name)
    if running.is_alive(paths):
        files = _existing(paths)
        return LogText(_lines(files), tuple(str(path) for path in files))
    kept = log_files.find_kept(name)
    if kept is None:
        return LogText(note="It is not running. The log of a machine that fails is kept.")
    return LogText(_lines(_existing(kept)), note="It is not running: this is its last failure.")


def _existing(paths: Paths) -> list[Path]:
    logs = [paths.host_log, *(paths.emulator_log(kind) for kind in KINDS)]
    return [path for path in logs if path.is_file()]


def _lines(files: list[Path]) -> tuple[str, ...]:
    found: list[str] = []
    for path in files:
        if len(files) > 1:
            found.append(f"== {path.name} ==")
        found += _tail(path)
    return tuple(found)


def _tail(path: Path) -> list[str]:
    try:
        with path.open("rb") as file:
            size = file.seek(0, 2)
            file.seek(max(0, size - TAIL_BYTES))
            data = file.read(TAIL_BYTES)
    except OSError as error:
        return [f"{one_line(path.name)} cannot be read: {error.strerror}"]
    if size > TAIL_BYTES:
        data = data.partition(b"\n")[2]
    # A guest may have written parts of it.
    return [one_line(line, MAX_LINE) for line in data.decode("utf-8", "replace").splitlines()]
