"""Defined machines: `kju create`, `start`, `clone`, `rm` and `edit`."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from ...client import launching
from ...client.planning import plan_start
from ...emulators.qemu import program as qemu
from ...errors import DefinitionError, KjuError, UsageError
from ...escaping import one_line
from ...files import Folder
from ...protocol.launch_options import DefineOptions
from ...store import defining, definitions, disk_files
from ...store.definitions import DefinedMachine
from ...store.machine_toml import Definition
from ...store.paths import DEFINITION_FILE, check_name, definitions_folder
from ..command import NO_IMAGE, Defined, DryRun, with_options
from ..output import line_of, progress, reporting
from .running import print_plan

# The definition stands between these lines. An editor that could not write all of its text (the
# disk was full) leaves the first line without the last one. A text with neither was written by a
# program.
_FIRST_LINE = "# Keep this line and the last one: they show that the editor has saved everything.\n"
_LAST_LINE = "# This is the last line.\n"


@with_options(DefineOptions, without=("args",))
def create(
    context: typer.Context,
    name: Annotated[str, typer.Argument(metavar="NAME", help="Name of the new machine.")],
    image: Annotated[
        str,
        typer.Option(
            metavar="IMAGE",
            help="A disk, a CD or a kernel, which is not copied (default: none; the guest then has"
            " no disk).",
        ),
    ] = "",
    **options: Any,  # noqa: ANN401  checked by `define`
) -> None:
    """Define a machine, to be started by its name.

    Arguments after -- go to QEMU unchanged.
    """
    given = {option: value for option, value in options.items() if value is not None}
    with progress(f"creating {name}"):
        file = launching.define(name, image or None, args=tuple(context.obj or ()), **given)
    if not (image or context.obj or given.get("disk")):
        print(NO_IMAGE, file=sys.stderr)
    print(f"{name} is defined in {file.parent}")
    for _, chain in definitions.examined(definitions.read(name)):
        for line in disk_files.describe(chain):
            print(one_line(line))
    try:
        with progress("trying out the accelerator"):
            chosen = _accelerator(given.get("qemu", ""))
    except KjuError as error:
        # It is defined all the same: another computer may have a QEMU.
        print(f"kju: {name} cannot be started here yet: {line_of(error)}", file=sys.stderr)
    else:
        print(_accelerator_line(chosen.name, chosen.reason))
    print(f"start: kju start {name}   change: kju edit {name}")


def _accelerator(program: str) -> qemu.Accelerator:
    """Return the accelerator of this computer; it is tried out once per boot."""
    return qemu.best_accelerator(qemu.require(qemu.inspect(qemu.locate(program))))


def _accelerator_line(name: str, reason: str) -> str:
    title = {"tcg": "TCG (slow)", "kvm": "KVM"}.get(name, name)
    return one_line(f"accelerator: {title}. {reason[:1].upper()}{reason[1:]}")


def start(
    name: Defined,
    watch: Annotated[
        bool, typer.Option("--watch", "-w", help="Show the screen in this terminal.")
    ] = False,
    snapshot: Annotated[
        str | None, typer.Option(metavar="TAG", help="Load this snapshot before the guest runs.")
    ] = None,
    dry_run: DryRun = False,
) -> None:
    """Start a defined machine in the background."""
    if dry_run:
        with progress("planning the start"):
            plan = plan_start(name, snapshot=snapshot)
        print_plan(plan)
        return
    with progress(f"starting {name}"):
        machine = launching.start(name, snapshot=snapshot, detach=True)
    with machine:
        with reporting(machine):
            print(f"{name} is running (process {machine.host_pid})")
        chosen = machine.info()["accelerator"]
        print(_accelerator_line(chosen["name"], chosen["reason"]), flush=True)
        if watch:
            from ..screen import watch_machine

            hint = "leaves; the machine keeps running"
            watch_machine(machine, 0, 0, as_json=False, hint=hint)
        else:
            print(f"show: kju watch {name}   end: kju stop {name}")


def clone(
    name: Defined,
    new: Annotated[str, typer.Argument(metavar="NEW", help="Name of the clone.")],
    snapshot: Annotated[
        str,
        typer.Option(
            metavar="TAG",
            help="Copy the disks as they were at this snapshot; both machines can be started.",
        ),
    ] = "",
) -> None:
    """Clone a machine, using copy-on-write disks.

    The first machine cannot be started while the clone exists, unless the clone has copies of its
    disks (--snapshot).
    """
    with progress(f"cloning {name}"):
        file = launching.clone(name, new, snapshot=snapshot or None)
    if snapshot:
        print(f"{new} is defined in {file.parent}; its disks are as they were at {snapshot}")
        print(f"start: kju start {new}   with the memory: kju start {new} --snapshot {snapshot}")
        return
    print(f"{new} is defined in {file.parent}; its disks are overlays of those of {name}")
    print(f"{name} cannot be started while {new} exists; start: kju start {new}")


def rm(name: Defined) -> None:
    """Remove a defined machine.

    The disks and snapshots in its folder are removed; disks in other places stay.
    """
    kept = launching.remove(name)
    print(f"{name} is removed")
    for path in kept:
        print(one_line(f"not removed: {path}"))


def edit(name: Defined) -> None:
    """Edit a machine's definition.

    Starts $VISUAL or $EDITOR. If the new text has errors, the definition stays unchanged; the next
    `kju edit` opens the text again.
    """
    file = _definition_file(name)
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise UsageError(f"kju edit needs a terminal; a program can change the file itself: {file}")
    edit_definition(name)


def _definition_file(name: str) -> Path:
    """Return the path of a definition, also of an invalid one: editing is how it is repaired.

    Raises:
        MachineNotFoundError: No machine of this name is defined.
    """
    file = definitions_folder() / check_name(name) / DEFINITION_FILE
    if not file.is_file():
        definitions.read(name)
    return file


def edit_definition(name: str) -> None:
    """Run the editor until the definition is valid.

    Raises:
        UsageError: It is not, and the user gives up; the text is kept for the next time.
    """
    file = _definition_file(name)
    with Folder.open(file.parent, follow_own_link=True) as folder:
        before = folder.read(DEFINITION_FILE).decode(errors="surrogateescape")
        _prepare(folder, before)
        while True:
            _run_editor(str(folder.path / definitions.EDITED))
            try:
                head, text = _edited(folder)
                if text == _with_line_end(before):
                    folder.remove(definitions.EDITED)
                    print(f"{name} has not changed")
                    return
                # With its first line, so that line numbers in messages are the editor's.
                definitions.checked(
                    name, file.parent, head + text, folder.path / definitions.EDITED
                )
            except DefinitionError as error:
                print(f"kju: {line_of(error)}", file=sys.stderr)
                if _wants_to_continue():
                    continue
                raise UsageError(
                    f"{name} has not changed; your text is in {folder.path / definitions.EDITED},"
                    f" and kju edit {name} continues with it"
                ) from error
            break
        defining.replace(DefinedMachine(name, file.parent, text, Definition()), text)
        folder.remove(definitions.EDITED)
    print(f"{name} has changed; the change applies from the next start")


def _prepare(folder: Folder, before: str) -> None:
    """Write the text to edit: the definition, or the last text with errors."""
    path = folder.path / definitions.EDITED
    if folder.status(definitions.EDITED) is not None:
        try:
            _, text = _edited(folder)
        except KjuError as error:
            print(f"starting again from the definition: {line_of(error)}", file=sys.stderr)
            text = _with_line_end(before)
        # They are equal if the last edit was applied and its text could not be removed.
        if text != _with_line_end(before):
            print(f"continuing with the last text, which has errors ({path})", file=sys.stderr)
            return
    text = _FIRST_LINE + _with_line_end(before) + _LAST_LINE
    folder.write(definitions.EDITED, text.encode(errors="surrogateescape"))


def _edited(folder: Folder) -> tuple[str, str]:
    """Return the first line, if the editor kept it, and the rest of a complete text.

    Raises:
        DefinitionError: The text is empty, incomplete, or not UTF-8.
    """
    path = str(folder.path / definitions.EDITED)
    try:
        lines = folder.read(definitions.EDITED).decode().splitlines(keepends=True)
    except UnicodeDecodeError as error:
        raise DefinitionError(f"{path}:1: the text is not UTF-8: {error}", path, 1) from error
    last = next((at for at in reversed(range(len(lines))) if lines[at].strip()), -1)
    if last < 0:
        raise DefinitionError(f"{path}:1: the text is empty; was the disk full?", path, 1)
    ends = lines[last].strip() == _LAST_LINE.strip()
    begins = lines[0].strip() == _FIRST_LINE.strip() or _FIRST_LINE.startswith("".join(lines))
    if begins and not ends:
        where = f"{path}:{len(lines)}"
        why = f"the text is incomplete: its last line must be {_LAST_LINE.strip()!r}"
        raise DefinitionError(f"{where}: {why}; was the disk full?", path, len(lines))
    rest = _with_line_end("".join(lines[begins : last if ends else None]))
    return "".join(lines[:begins]), rest


def _with_line_end(text: str) -> str:
    return text if text.endswith("\n") or not text else f"{text}\n"


def _run_editor(path: str) -> None:
    editor = os.environ.get("VISUAL") or os.environ.get("EDITOR") or "vi"
    try:
        status = subprocess.run([*shlex.split(editor), path]).returncode
    except (OSError, ValueError) as error:
        raise UsageError(f"the editor {editor!r} cannot be run: {error}; set EDITOR") from error
    if status:
        raise UsageError(f"{editor!r} ended with status {status}; its text is in {path}")


def _wants_to_continue() -> bool:
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        return False
    print("edit again? [Y/n] ", end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip().lower() in ("", "y", "yes")
