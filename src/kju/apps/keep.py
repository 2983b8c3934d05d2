"""Machines that are kept: create, edit, clone, rm, start."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

from ..client import kept
from ..definitions import Definition
from ..errors import DefinitionError, KjuError, UsageError
from ..host import runtime, store
from .exits import line_of


class Wish(NamedTuple):
    """What the user wants of a kept machine; empty is no wish."""

    image: str = ""
    disk: str = ""
    memory: str = ""
    cpus: int = 0
    firmware: str = "bios"
    qemu: str = ""
    arguments: tuple[str, ...] = ()


def create(name: str, wish: Wish) -> None:
    """Keep a machine."""
    file = kept.define(
        name,
        wish.image or None,
        disk=wish.disk or None,
        memory=wish.memory or None,
        cpus=wish.cpus or None,
        firmware=wish.firmware,
        args=wish.arguments,
        qemu=wish.qemu or None,
    )
    print(f"{name} is kept in {file.parent}")
    try:
        chosen = accelerator(wish.qemu)
    except KjuError as error:
        # It is kept all the same; another computer, or tomorrow's, may have one.
        print(f"kju: it cannot be started here yet: {line_of(error)}", file=sys.stderr)
    else:
        print(f"accelerator: {chosen}")
    print(f"start: kju start {name}   change: kju edit {name}")


def accelerator(wanted: str) -> str:
    """What guests run on here, and why; tried out once per boot of the computer."""
    from ..host import probe, qemu

    found = probe.accelerator(qemu.require(qemu.inspect(qemu.locate(wanted))))
    return f"{found.name}: {found.reason}"


def edit(name: str) -> None:
    """Edit a definition until it is right; what is not is kept aside."""
    # One that is not right may be edited, above all.
    file = store.home() / runtime.check_name(name) / store.FILE
    if not file.is_file():
        store.read(name)
    before = file.read_text(errors="surrogateescape")
    aside = file.with_name(store.EDITED)
    if aside.exists():
        print(f"going on with what was not right last time ({aside})", file=sys.stderr)
    else:
        aside.write_text(before, errors="surrogateescape")
        aside.chmod(0o600)
    while True:
        _run_editor(aside)
        text = aside.read_text(errors="replace")
        if text == before:
            aside.unlink()
            print(f"{name} has not changed")
            return
        try:
            store.checked(name, file.parent, text, aside)
        except DefinitionError as error:
            print(f"kju: {line_of(error)}", file=sys.stderr)
            if _again():
                continue
            raise UsageError(
                f"{name} is as it was; what you wrote is in {aside}, and kju edit {name} goes on"
                " with it"
            ) from error
        break
    store.replace(store.Kept(name, file.parent, text, Definition()), text)
    aside.unlink()
    print(f"{name} has changed; it counts from the next start")


def _run_editor(path: Path) -> None:
    editor = os.environ.get("VISUAL") or os.environ.get("EDITOR") or "vi"
    try:
        status = subprocess.run([*shlex.split(editor), str(path)]).returncode
    except (OSError, ValueError) as error:
        raise UsageError(f"the editor {editor!r} cannot be run: {error}; set EDITOR") from error
    if status:
        raise UsageError(f"{editor!r} ended with status {status}; what it wrote is in {path}")


def _again() -> bool:
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        return False
    print("edit again? [Y/n] ", end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip().lower() in ("", "y", "yes")


def clone(name: str, new: str) -> None:
    """Keep a copy of a machine."""
    made = store.clone(name, new)
    print(f"{new} is kept in {made.folder}; its disks lie over those of {name}")
    print(f"{name} is not started any more while {new} is kept; start: kju start {new}")


def rm(name: str) -> None:
    """Remove a kept machine."""
    elsewhere = store.remove(name)
    for path in elsewhere:
        print(f"left alone: {path}")


def start(name: str, watch: bool) -> None:
    """Start a kept machine; it goes on when this command ends."""
    with kept.start(name, detach=True) as machine:
        chosen = machine.info()["accelerator"]
        print(f"{name} is running (its host is process {machine.host_pid})", flush=True)
        print(f"accelerator: {chosen['name']}: {chosen['reason']}", flush=True)
        if watch:
            from .look import watch_machine

            hint = "q quits; the machine goes on"
            watch_machine(machine, 0, 0, as_json=False, hint=hint)
        else:
            print(f"look: kju watch {name}   end: kju stop {name}")
