"""`kju snapshot save`, `load`, `ls` and `rm`."""

from __future__ import annotations

import json as json_format
import sys
import time
from typing import Annotated

import typer

from ..client.launching import attach
from ..client.requests import Snapshot
from ..client.targets import attach_to_look
from ..escaping import one_line
from .command import group
from .parameters import AnyName, Json, Name
from .terminal import progress

Tag = Annotated[str, typer.Argument(metavar="TAG", help="Name of the snapshot.")]


def save(name: Name, tag: Tag) -> None:
    """Save the machine's memory, disks and screen."""
    with attach(name) as machine:
        # The warning comes first: after saving, users may rely on the snapshot.
        if temporary := str(machine.info().get("temporary", "")):
            print(f"kju: {temporary}", file=sys.stderr)
        with progress(f"saving {tag}"):
            saved = machine.snapshots.save(tag, timeout=None)
    print(f"{tag} is saved ({_size(saved)} of memory)")
    if saved.picture:
        print(f"picture: {one_line(saved.picture)}")
    if note := (saved.note or "").removeprefix(temporary).removeprefix("; "):
        print(f"kju: {one_line(note)}", file=sys.stderr)


def load(name: Name, tag: Tag) -> None:
    """Return the machine to a snapshot."""
    with attach(name) as machine, progress(f"loading {tag}"):
        loaded = machine.snapshots.load(tag, timeout=None)
    if loaded.note:
        print(f"kju: {one_line(loaded.note)}", file=sys.stderr)


def remove(name: Name, tag: Tag) -> None:
    """Remove a snapshot."""
    with attach(name) as machine, progress(f"removing {tag}"):
        machine.snapshots.remove(tag, timeout=None)


def list_(name: AnyName = "", json: Json = False) -> None:
    """List a machine's snapshots, oldest first."""
    with attach_to_look(name) as machine:
        found = machine.snapshots.list()
    if json:
        print(json_format.dumps([snapshot._asdict() for snapshot in found]))
        return
    if not found:
        print(f"no snapshot; save one with: kju snapshot save {name} TAG", file=sys.stderr)
        return
    # Tags and file names come from a disk, which may be untrusted.
    tags = [one_line(snapshot.tag) for snapshot in found]
    width = max(map(len, tags))
    for tag, snapshot in zip(tags, found, strict=True):
        when = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(snapshot.time))
        lacking = one_line(", ".join(snapshot.lacking))
        whole = f"  not in {lacking}" if lacking else ""
        print(f"{tag.ljust(width)}  {when}  {_size(snapshot):>8}{whole}")


def _size(snapshot: Snapshot) -> str:
    return f"{snapshot.size / (1 << 20):.0f} MiB"


app = group(save=save, load=load, ls=list_, rm=remove)
