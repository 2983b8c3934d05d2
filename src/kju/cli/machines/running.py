"""Running machines: `kju run`, `stop`, `pause`, `resume`, `reset`, `cd` and `snapshot`."""

from __future__ import annotations

import json as json_format
import re
import shlex
import sys
import time
from collections.abc import Iterable, Iterator
from typing import Annotated, Any

import typer

from ...client.launching import attach, launch
from ...client.machine import Machine
from ...client.planning import plan_launch
from ...client.requests import LaunchPlan, Snapshot
from ...client.targets import attach_to_look, responds
from ...errors import MachineNotFoundError, PowerButtonError, UsageError, WaitTimeoutError
from ...escaping import one_line
from ...protocol.launch_options import LaunchOptions
from ...protocol.values import KINDS
from ...store import running
from ..command import NO_IMAGE, AnyName, DryRun, Json, Name, group, with_options
from ..output import progress, reporting

_ERRORS = {kind.title: kind.error for kind in KINDS.values()}
#: The host's reason after an emulator failed: see `kju.emulators.spawn.describe`.
_FAILED = re.compile(rf"({'|'.join(_ERRORS)}) (was killed|ended with status [1-9])")
_Tag = Annotated[str, typer.Argument(metavar="TAG", help="Name of the snapshot.")]


@with_options(LaunchOptions, without=("args", "xvfb"))
def run(
    context: typer.Context,
    image: Annotated[
        str,
        typer.Argument(
            metavar="IMAGE",
            help="A disk, a CD or a kernel to boot (default: none; the guest then has no disk).",
        ),
    ] = "",
    *,
    watch: Annotated[
        bool, typer.Option("--watch", "-w", help="Show the screen in this terminal.")
    ] = False,
    xvfb: Annotated[bool, typer.Option("--xvfb", help="Run Xvfb in place of QEMU.")] = False,
    xvfb_at: Annotated[
        str,
        typer.Option(
            metavar="WHERE",
            help="Show a running Xvfb: its DISPLAY (:5), its -fbdir folder or sysv:ID.",
        ),
    ] = "",
    dry_run: DryRun = False,
    **options: Any,  # noqa: ANN401  checked by `launch`
) -> None:
    """Start a machine from a disk, a CD or a kernel.

    The machine ends with this command, unless it is detached. Arguments after -- go to QEMU, or to
    Xvfb, unchanged.
    """
    given = {name: value for name, value in options.items() if value is not None}
    given |= {"args": tuple(context.obj or ()), "xvfb": xvfb_at or xvfb}
    if dry_run:
        with progress("planning the start"):
            plan = plan_launch(image or None, **given)
        print_plan(plan)
        return
    with progress("starting the machine"):
        machine = launch(image or None, **given)
    if not (image or context.obj or xvfb or xvfb_at):
        print(NO_IMAGE, file=sys.stderr)
    detached = bool(options.get("detach"))
    with machine:
        with reporting(machine):
            print(f"{machine.name} is running (process {machine.host_pid})")
        info = machine.info()
        if display := info[info["kind"]].get("display"):
            print(f"programs: DISPLAY={display} xterm", flush=True)
        if watch:
            from ..screen import watch_machine

            hint = "leaves; the machine keeps running" if detached else "ends the machine"
            watch_machine(machine, 0, 0, as_json=False, hint=hint)
        elif detached:
            print(f"show: kju watch {machine.name}   end: kju stop {machine.name}")
        else:
            print(f"show: kju watch {machine.name}   end: Ctrl+C here", flush=True)
            _wait_until_ended(machine)


def print_plan(plan: LaunchPlan) -> None:
    """Print the command of a launch, then each reason on a line."""
    print(one_line(plan.command_line) or "no program would be started", flush=True)
    reasons = [(shlex.join(arguments), reason) for arguments, reason in plan.appended]
    reasons += [(f"disk {disk['path']}", disk["reason"]) for disk in plan.info.get("disks", ())]
    for subject, reason in [*reasons, *(("note", note) for note in plan.notes)]:
        print(one_line(f"{subject}: {reason}"), file=sys.stderr)


def _wait_until_ended(machine: Machine) -> None:
    """Wait for the machine's end, and print its reason.

    Raises:
        EmulatorError: The emulator failed.
    """
    reason = machine.wait_ended(timeout=None)
    if found := _FAILED.search(reason):
        raise _ERRORS[found[1]](reason, machine.name)
    print(one_line(reason))


def stop(
    name: Name,
    now: Annotated[
        bool, typer.Option("--now", help="End it at once, without the power button.")
    ] = False,
    powerdown: Annotated[
        bool,
        typer.Option(
            "--powerdown",
            help="Press the power button and wait; fail if the guest still runs after --timeout."
            " Never ends the machine.",
        ),
    ] = False,
    timeout: Annotated[
        float,
        typer.Option(metavar="SECONDS", min=0, help="Wait SECONDS for the guest to shut down."),
    ] = 30,
) -> None:
    """Shut a machine down, and end it if that fails.

    The power button is pressed. The machine is ended if its guest cannot receive that, or has not
    shut down within the time limit.
    """
    if now and powerdown:
        raise UsageError("--now and --powerdown exclude each other; use one of them")
    try:
        answers = responds(name)
    except MachineNotFoundError as error:
        # Who stops a machine does not wish to start it.
        raise MachineNotFoundError(str(error).partition("; start it")[0], name) from None
    if not answers:
        number = running.host_pid(name)
        if not now:
            raise WaitTimeoutError(
                f"the host of {name} (process {number or 'unknown'}) does not respond: its process"
                f" may be stopped (kill -CONT continues it). End it with: kju stop --now {name}"
            )
        number = running.kill(name)
        print(f"the host of {name} did not respond: process {number} was killed", file=sys.stderr)
        return
    with attach(name) as machine:
        if powerdown:
            machine.powerdown()
            try:
                machine.wait_ended(timeout=timeout)
            except WaitTimeoutError as error:
                raise WaitTimeoutError(
                    f"{name} has not shut down in {timeout:g} s: its guest may not listen to the"
                    f" power button; end it with: kju stop --now {name}"
                ) from error
            return
        if now or not KINDS[machine.info()["kind"]].has_guest:
            machine.stop()
            return
        try:
            machine.powerdown()
        except PowerButtonError as error:
            why = str(error).partition(";")[0]
            print(f"{why}: ended at once", file=sys.stderr)
            machine.stop()
            return
        print(
            f"asking the guest of {name} to shut down; it is ended in {timeout:g} s"
            " (Ctrl+C leaves it running; --now does not ask)",
            file=sys.stderr,
        )
        try:
            machine.wait_ended(timeout=timeout)
        except WaitTimeoutError:
            machine.stop()
            print(f"the guest did not shut down in {timeout:g} s: ended", file=sys.stderr)


def pause(name: AnyName = "") -> None:
    """Pause a machine."""
    with attach(name) as machine:
        machine.pause()


def resume(name: AnyName = "") -> None:
    """Continue a paused machine."""
    with attach(name) as machine:
        machine.resume()


def reset(name: Name) -> None:
    """Reset a machine, as its reset button does."""
    with attach(name) as machine:
        machine.reset()


def cd(
    name: Name,
    image: Annotated[
        str, typer.Argument(metavar="ISO", help="The image of a CD; see also --eject.")
    ] = "",
    eject: Annotated[bool, typer.Option("--eject", help="Leave the drive empty.")] = False,
) -> None:
    """Change the CD in a running machine's drive, or eject it.

    The CD stays in the drive when the guest restarts.
    """
    if bool(image) == eject:
        raise UsageError("give an ISO image, or --eject (not both)")
    with attach(name) as machine:
        machine.change_cd(image or None)
    print(one_line(f"{name}: {image} is in the CD drive" if image else f"{name}: CD ejected"))


def _save(name: Name, tag: _Tag) -> None:
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


def _load(name: Name, tag: _Tag) -> None:
    """Return the machine to a snapshot."""
    with attach(name) as machine, progress(f"loading {tag}"):
        loaded = machine.snapshots.load(tag, timeout=None)
    if loaded.note:
        print(f"kju: {one_line(loaded.note)}", file=sys.stderr)


def _remove(name: Name, tag: _Tag) -> None:
    """Remove a snapshot."""
    with attach(name) as machine, progress(f"removing {tag}"):
        machine.snapshots.remove(tag, timeout=None)


def _list(
    name: AnyName = "",
    json: Json = False,
    tree: Annotated[
        bool, typer.Option("--tree", help="Print each snapshot below its parent.")
    ] = False,
) -> None:
    """List a machine's snapshots, oldest first.

    The machine's present state descends from the current one.
    """
    with attach_to_look(name) as machine:
        found = machine.snapshots.list()
    if json:
        print(json_format.dumps([snapshot._asdict() for snapshot in found]))
        return
    if not found:
        print(f"no snapshot; save one with: kju snapshot save {name} TAG", file=sys.stderr)
        return
    rows = list(_branches(found)) if tree else [("", snapshot) for snapshot in found]
    # Tags and file names come from a disk, which may be untrusted.
    tags = [branch + one_line(snapshot.tag) for branch, snapshot in rows]
    width = max(map(len, tags))
    for tag, (_, snapshot) in zip(tags, rows, strict=True):
        when = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(snapshot.time))
        lacking = one_line(", ".join(snapshot.lacking))
        whole = f"  not in {lacking}" if lacking else ""
        current = "  current" if snapshot.current else ""
        print(f"{tag.ljust(width)}  {when}  {_size(snapshot):>8}{current}{whole}")


def _branches(snapshots: Iterable[Snapshot]) -> Iterator[tuple[str, Snapshot]]:
    """Yield each snapshot after its parent, with the lines that are drawn before its tag."""
    below: dict[str | None, list[Snapshot]] = {}
    for snapshot in snapshots:
        below.setdefault(snapshot.parent, []).append(snapshot)
    # A stack: a chain of snapshots may be longer than Python's limit of nested calls.
    waiting = [("", "", root) for root in reversed(below.get(None, []))]
    while waiting:
        branch, indent, snapshot = waiting.pop()
        yield branch, snapshot
        last = True
        for child in reversed(below.get(snapshot.tag, [])):
            mine, rest = ("└── ", "    ") if last else ("├── ", "│   ")
            waiting.append((indent + mine, indent + rest, child))
            last = False


def _size(snapshot: Snapshot) -> str:
    return f"{snapshot.size / (1 << 20):.0f} MiB"


snapshot = group(save=_save, load=_load, ls=_list, rm=_remove)
