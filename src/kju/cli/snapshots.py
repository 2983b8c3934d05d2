"""Snapshots from the command line."""

from __future__ import annotations

import json
import sys
import time

from ..client.life import Snapshot
from ..client.machine import attach
from ..client.targets import attach_to_look
from ..escaping import one_line


def save(name: str, tag: str) -> None:
    """Save one."""
    with attach(name) as machine:
        # Before it is saved: afterwards somebody may rely on it.
        if temporary := str(machine.info().get("temporary", "")):
            print(f"kju: {temporary}", file=sys.stderr)
        saved = machine.snapshots.save(tag, timeout=None)
    print(f"{tag} is saved ({_size(saved)} of memory)")
    if saved.picture:
        print(f"picture: {one_line(saved.picture)}")
    if note := (saved.note or "").removeprefix(temporary).removeprefix("; "):
        print(f"kju: {one_line(note)}", file=sys.stderr)


def load(name: str, tag: str) -> None:
    """Go back to one."""
    with attach(name) as machine:
        loaded = machine.snapshots.load(tag, timeout=None)
    if loaded.note:
        print(f"kju: {one_line(loaded.note)}", file=sys.stderr)


def remove(name: str, tag: str) -> None:
    """Remove one."""
    with attach(name) as machine:
        machine.snapshots.remove(tag, timeout=None)


def list_(name: str, as_json: bool) -> None:
    """List them."""
    with attach_to_look(name) as machine:
        found = machine.snapshots.list()
    if as_json:
        print(json.dumps([snapshot._asdict() for snapshot in found]))
        return
    if not found:
        print(f"no snapshot; save one with: kju snapshot save {name} TAG", file=sys.stderr)
        return
    # Tags and file names are a disk's, which may be anybody's.
    tags = [one_line(snapshot.tag) for snapshot in found]
    width = max(map(len, tags))
    for tag, snapshot in zip(tags, found, strict=True):
        when = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(snapshot.time))
        lacking = one_line(", ".join(snapshot.lacking))
        whole = f"  not in {lacking}" if lacking else ""
        print(f"{tag.ljust(width)}  {when}  {_size(snapshot):>8}{whole}")


def _size(snapshot: Snapshot) -> str:
    return f"{snapshot.size / (1 << 20):.0f} MiB"
