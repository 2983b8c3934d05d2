"""What runs and what is kept: ls, info, logs."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from typing import Any

from ..client.defined import running_names
from ..client.targets import all_info, attach_to_look
from ..errors import KjuError, MachineNotFoundError, WaitTimeoutError
from ..escaping import one_line
from ..protocol.kinds import KINDS
from ..store import claims, defined, postmortem, running
from ..store import logs as log_files
from ..store.paths import is_defined


def ls(as_json: bool) -> None:
    """List the machines that run and those that are kept, one per line."""
    names = running_names()
    rows_of = zip(names, all_info(names), strict=True)
    running = [row for name, facts in rows_of if (row := _row(name, facts))]
    known = {row["name"] for row in running}
    at_rest = [_at_rest(name) for name in defined.names() if name not in known]
    rows = sorted([*running, *at_rest], key=lambda row: str(row["name"]))
    if as_json:
        print(json.dumps(rows))
        return
    columns = ("name", "state", "screen", "source", "emulator", "host", "up")
    if not rows:
        print("no machine is running or kept; start one with: kju run IMAGE", file=sys.stderr)
        return
    texts = [columns, *[tuple(_cells(row)) for row in rows]]
    widths = [max(len(text[i]) for text in texts) for i in range(len(columns))]
    for text in texts:
        cells = (one_line(word).ljust(w) for word, w in zip(text, widths, strict=True))
        print("  ".join(cells).rstrip())


def _row(name: str, info: dict[str, Any] | KjuError) -> dict[str, Any] | None:
    """One machine as data; None if it ended while we looked. Names are stable."""
    if isinstance(info, WaitTimeoutError):
        pid = running.host_pid(name) or None
        return {**_at_rest(name), "state": "not responding", "host_pid": pid}
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
        "kept": is_defined(name),
        "consoles": [
            {key: console[key] for key in ("index", "width", "height", "source", "version")}
            for console in info["consoles"]
        ],
    }


def _at_rest(name: str) -> dict[str, Any]:
    """A machine that does not run or does not respond, with the same names."""
    names = ("started", "host_pid", "kind", "pid", "qemu_pid")
    empty = dict.fromkeys(names)
    kept_so = is_defined(name)
    return {"name": name, "state": "stopped", **empty, "kept": kept_so, "consoles": []}


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


def info(name: str, as_json: bool) -> None:
    """Print everything about a machine."""
    with attach_to_look(name) as machine:
        facts = machine.info()
    if as_json:
        print(json.dumps(facts))
        return
    for line in _lines(said(facts)):
        print(line)


def said(facts: dict[str, Any]) -> dict[str, Any]:
    """The same for people: the time as such, and of a source with nothing against it that it is."""
    started = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(facts["started"]))
    facts = {**facts, "started": started}
    if "qemu" not in facts:
        return facts
    sources = {name: why or "ok" for name, why in facts["qemu"]["sources"].items()}
    return {**facts, "qemu": {**facts["qemu"], "sources": sources}}


def _lines(value: Any, indent: str = "") -> Iterator[str]:  # noqa: ANN401  any JSON
    """Nested data as indented lines."""
    items = value.items() if isinstance(value, dict) else ((str(i), v) for i, v in enumerate(value))
    for key, item in items:
        words = isinstance(item, list) and all(isinstance(word, str) for word in item)
        if isinstance(item, dict) or (isinstance(item, list) and not words):
            yield f"{indent}{one_line(key.replace('_', ' '))}:"
            yield from _lines(item, indent + "  ")
        else:
            text = " ".join(item) if words else str(item)
            yield indent + one_line(f"{key.replace('_', ' ')}: {text}").rstrip()


def logs(name: str, qemu: bool) -> None:
    """Print a machine's log, or its emulator's; of one that did not end well, what was kept."""
    claims.sweep()
    try:
        found = running.find(name)
    except MachineNotFoundError:
        last = postmortem.find(name)
        if last is None:
            raise
        found = last
        when = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(found.folder.stat().st_mtime))
        print(f"{name} is not running; this is from the one put away at {when}", file=sys.stderr)
    # A machine has the log of one kind of emulator.
    paths = tuple(map(found.emulator_log, KINDS)) if qemu else (found.host_log,)
    text = b"".join(log_files.read(path) for path in paths).decode("utf-8", "replace")
    # A guest may have had a hand in it: what a terminal would obey is taken out.
    for line in text.splitlines():
        print(one_line(line))
