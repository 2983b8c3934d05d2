"""Requests of a client, and its reading of the replies. I/O-free.

Keyboards and pointers have theirs in `input_requests`.
"""

from __future__ import annotations

import json
import os
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeVar, cast

from ..errors import (
    ClosedError,
    KjuError,
    MachineError,
    MachineGoneError,
    PeerError,
    UsageError,
    WaitTimeoutError,
)
from ..protocol.dry_run import DryRun, Planned
from ..protocol.forks import Freeze
from ..protocol.framing import error_from
from ..protocol.launch_options import Launch, LaunchOptions, Remote, launch_message
from ..protocol.messages import Ended, Execute, Failed, Happened, Refused, Resize
from ..protocol.snapshots import ChangeSnapshot, SavedSnapshot
from ..protocol.values import MAX_RATE, MIN_SIDE, ROLES, Reply, Role, tag_fault
from ..store.paths import check_name
from ..surface.layout import MAX_SIDE

ReplyT = TypeVar("ReplyT", bound=Reply)

#: Seconds for a host to start: QEMU's version (0.04), once a day the accelerator (2), and
#: QEMU itself, which may have to allocate a large guest's memory (the host's own limit is 120).
START = 150.0
#: Seconds for a machine to end: QEMU writes its disks (the host's own limits add up to 34).
END = 45.0

#: The reason of a connection that this process has closed.
CLOSED = "closed by this process"
_REFUSED = "has closed the connection to this program"


class Event(NamedTuple):
    """One event in the life of a machine.

    Attributes:
        sequence: The events of a machine are numbered from 1, without a gap.
        time: Seconds since the epoch.
        name: Its kind: see `kju.emulators.events`.
        data: Details, ready for JSON.
    """

    sequence: int
    time: float
    name: str
    data: dict[str, Any]


class Snapshot(NamedTuple):
    """One snapshot of a machine.

    Attributes:
        tag: Its name.
        time: Time of saving, in seconds since the epoch.
        size: Bytes of the machine's state, without the disks'.
        picture: The path of a PNG of the screen; None without a screen.
        input: The path of the log of input until then; None if nothing was logged.
        lacking: Writable disks that do not hold the snapshot; with any it cannot be loaded.
        note: The parts that could not be saved, such as the picture; None if all were.
        parent: The tag of the snapshot that was saved or loaded last before this one was saved,
            or of its nearest ancestor that was not removed; None for the first snapshot, and for
            one of unknown origin.
        current: True for the snapshot that was saved or loaded last: the machine's present state
            descends from it. It is remembered after the machine's end.
    """

    tag: str
    time: float
    size: int
    picture: str | None = None
    input: str | None = None
    lacking: tuple[str, ...] = ()
    note: str | None = None
    parent: str | None = None
    current: bool = False


class LaunchPlan(NamedTuple):
    """The command that a launch would run: the result of a dry run.

    Attributes:
        name: The machine's name.
        kind: ``qemu`` or ``xvfb``.
        command: The program and its arguments. QEMU inherits descriptors, whose numbers here are
            examples, so this command cannot be run by itself.
        appended: The arguments that kju adds, in groups, each with the reason.
        notes: Further remarks.
        info: The part of `Machine.info` that is known before the start: the program, the
            accelerator, each disk with its bus.
    """

    name: str
    kind: str
    command: tuple[str, ...]
    appended: tuple[tuple[tuple[str, ...], str], ...]
    notes: tuple[str, ...]
    info: dict[str, Any]

    @property
    def command_line(self) -> str:
        """The command as a shell would read it; empty if no program would be started."""
        return shlex.join(self.command)


# ---- Requests


def client_name() -> str:
    """Return this program's name for the host's list of clients."""
    return Path(sys.argv[0]).name if sys.argv and sys.argv[0] else "python"


def launch_request(image: str | os.PathLike[str] | None, options: LaunchOptions) -> Launch:
    """Return the request to launch a machine, with absolute paths.

    Raises:
        TypeError: An option is unknown.
        UsageError: A value is not allowed.
    """
    absolute = dict(options)
    if surface := options.get("surface"):
        absolute["surface"] = absolute_path(surface)
    if not isinstance(xvfb := options.get("xvfb"), bool | None):
        absolute["xvfb"] = _running_xvfb(os.fspath(xvfb))
    path = absolute_path(image) if image else ""
    return launch_message(path, client_name(), cast("LaunchOptions", absolute))


def mirror_request(
    address: str,
    *,
    connect: Sequence[str],
    name: str | None,
    role: str,
    user: str | None,
    trust: str | os.PathLike[str] | None,
    audience: bool,
    lossy: bool,
    codec: str | None,
    sender: str | None,
    insecure: bool,
    surface: str | os.PathLike[str] | None,
    detach: bool,
    log_level: str,
) -> Launch:
    """Return the request to launch a mirror.

    Raises:
        UsageError: A value is not allowed.
    """
    if audience and (lossy or codec):
        raise UsageError(
            "audience cannot be combined with lossy or codec: all members share one stream"
        )
    if user and not trust:
        from ..remote.trust import default_folder

        trust = default_folder()
    if sender and not trust:
        raise UsageError(
            f"the sender {sender!r} can be checked only in an encrypted session: name your user,"
            " too (user, or --user NAME)"
        )
    remote = Remote(
        connect=[str(each) for each in connect],
        role="view" if audience else check_role(role),
        user=user or "",
        trust=absolute_path(trust) if trust else "",
        audience=audience,
        insecure=insecure,
        lossy=lossy,
        codec=check_codec(codec or ""),
        sender=sender or "",
    )
    return Launch(
        machine=name or "",
        emulator="mirror",
        running=address,
        remote=remote,
        surface=absolute_path(surface) if surface else "",
        detach=detach,
        log_level=log_level,  # type: ignore[arg-type]  # the host refuses another
        client=client_name()[:256],
    )


def snapshot_request(how: str, tag: str) -> ChangeSnapshot:
    """Return the request to save, load or remove a snapshot.

    Raises:
        UsageError: *tag* is not a valid name.
    """
    return ChangeSnapshot(how=how, tag=checked_tag(tag))  # type: ignore[arg-type]  # a constant of the caller


def checked_tag(tag: str | None) -> str:
    """Return the name of a snapshot; empty for none.

    Raises:
        UsageError: It is not a valid name.
    """
    if tag is None:
        return ""
    if fault := tag_fault(tag):
        raise UsageError(fault)
    return tag


def dry_run_of(
    name: str,
    definition: str | None = None,
    *,
    new: bool = False,
    disk: str = "",
    snapshot: str | None = None,
) -> DryRun:
    """Return the request for a dry run of a defined machine, or of a definition.

    Args:
        name: The machine's name.
        definition: The text of its definition; None for the one on the disk.
        new: Whether the machine is still to be defined.
        disk: The size of a new disk to make with it; empty for none.
        snapshot: The snapshot that the machine begins with; None for none.

    Raises:
        UsageError: *snapshot* is not a valid name.
    """
    return DryRun(
        machine=check_name(name),
        definition=definition,
        new=new,
        disk=disk,
        snapshot=checked_tag(snapshot),
        client=client_name()[:256],
    )


def resize_request(console: int, width: int, height: int) -> Resize:
    """Return the request for a size of a guest's screen.

    Raises:
        UsageError: The size is out of range.
    """
    if not (MIN_SIDE <= width <= MAX_SIDE and MIN_SIDE <= height <= MAX_SIDE):
        raise UsageError(
            f"a screen cannot be {width}x{height}: each side has {MIN_SIDE} to {MAX_SIDE} pixels"
        )
    return Resize(console=console, width=int(width), height=int(height))


def execute_request(command: str, arguments: dict[str, Any]) -> Execute:
    """Return the request to run a QMP command.

    Raises:
        UsageError: The arguments cannot be written as JSON.
    """
    try:
        return Execute(command=command, arguments=json.dumps(arguments))
    except (TypeError, ValueError, RecursionError) as error:
        raise UsageError(
            f"the arguments of {command} cannot be written as JSON: {error}"
        ) from error


def absolute_path(path: str | os.PathLike[str]) -> str:
    """Return a path that does not depend on the working directory."""
    return str(Path(path).expanduser().absolute())


def _running_xvfb(where: str) -> str:
    """Return the place of a running Xvfb for the host, whose working directory is another."""
    if not where:
        raise UsageError("xvfb is True, or names a running one: ':5', a folder or 'sysv:ID'")
    is_path = "/" in where or (":" not in where and Path(where).exists())
    return absolute_path(where) if is_path else where


def check_role(role: str) -> Role:
    """Return a role by its name.

    Raises:
        UsageError: No role has this name.
    """
    for known in ROLES:
        if role == known:
            return known
    raise UsageError(f"unknown role {role!r}; choose {' or '.join(ROLES)}")


def check_rate(rate: float | None) -> float | None:
    """Return the rate at which a viewer looks.

    Raises:
        UsageError: It is not a number from 0 to `MAX_RATE`.
    """
    if rate is not None and not 0 <= rate <= MAX_RATE:
        raise UsageError(f"rate must be 0 to {MAX_RATE} looks per second, or None, not {rate}")
    return rate


#: Forks that one call starts, and spare forks of one base.
_MAX_FORKS = 1000
_MAX_SPARES = 64


#: The name of the base of `Machine.fork`.
NAMELESS = "fork"


def fork_names(count: int | None, name: str | None) -> list[str]:
    """Return the names of the forks that a call starts; empty ones are chosen by their hosts.

    Raises:
        UsageError: The name or the number is not valid.
    """
    if name:
        check_name(name)
    if count is None:
        return [name or ""]
    if not 1 <= count <= _MAX_FORKS:
        raise UsageError(f"the number of forks must be 1 to {_MAX_FORKS}, not {count}")
    return [check_name(f"{name}-{number}") if name else "" for number in range(1, count + 1)]


def check_spares(spares: int) -> int:
    """Return the number of spare forks.

    Raises:
        UsageError: It is out of range.
    """
    if not 0 <= spares <= _MAX_SPARES:
        raise UsageError(f"the number of spare forks must be 0 to {_MAX_SPARES}, not {spares}")
    return spares


def freeze_request(tag: str) -> Freeze:
    """Return the request to freeze a machine.

    Raises:
        UsageError: *tag* is not a valid name for a base.
    """
    if fault := tag_fault(tag, "base"):
        raise UsageError(fault)
    return Freeze(tag=tag)


def check_codec(codec: str) -> str:
    """Return the name of a codec; empty for the best one.

    Raises:
        UsageError: No codec has this name.
    """
    from ..wire import codecs  # only for mirrors: `import kju` stays fast

    if codec and codec not in codecs.CODECS:
        raise UsageError(f"unknown codec {codec!r}; choose one of: {', '.join(codecs.CODECS)}")
    return codec


# ---- Replies


def check_reply(reply: Reply, wanted: type[ReplyT]) -> ReplyT:
    """Return a reply of the expected kind.

    Raises:
        KjuError: It is a failure; the error is the one that the host raised.
        PeerError: It is another kind of reply.
    """
    if isinstance(reply, Failed):
        raise error_from(reply)
    if not isinstance(reply, wanted):
        raise PeerError(f"the host answered {type(reply).__name__}, not {wanted.__name__}", reply)
    return reply


def event_of(happened: Happened) -> Event:
    """Return the event in a message."""
    return Event(happened.sequence, happened.time, happened.event, happened.data)


def snapshot_of(saved: SavedSnapshot, note: str = "") -> Snapshot:
    """Return the snapshot in a reply."""
    return Snapshot(
        saved.tag,
        saved.time,
        saved.size,
        saved.picture or None,
        saved.input or None,
        tuple(saved.lacking),
        note or None,
        saved.parent or None,
        saved.current,
    )


def plan_of(planned: Planned) -> LaunchPlan:
    """Return the plan in a reply.

    Raises:
        PeerError: A part of it is missing.
    """
    info = dict(planned.plan)
    try:
        return LaunchPlan(
            str(info.pop("name")),
            str(info.pop("kind")),
            tuple(map(str, info.pop("command"))),
            tuple(
                (tuple(map(str, part["arguments"])), str(part["reason"]))
                for part in info.get("appended", ())
            ),
            tuple(map(str, info.get("notes", ()))),
            info,
        )
    except (KeyError, TypeError) as error:
        raise PeerError(f"the host answered a dry run without {error}", planned) from error


def _machine_words(name: str) -> str:
    """Return the words for a machine in a message; one that starts may have no name yet."""
    return f"the machine {name!r}" if name else "a machine that was starting"


def host_words(name: str) -> str:
    """Return the words for a machine's host in a message: see `_machine_words`."""
    return f"the host of {name!r}" if name else f"the host of {_machine_words(name)}"


def gone_reason(name: str, ended: Ended | None, refused: Refused | None = None) -> str:
    """Return the reason why a connection has ended, from the host's last messages."""
    if refused is not None:
        return f"{host_words(name)} {_REFUSED}: {refused.reason}"
    if ended is None:
        logs = f"; see kju logs {name}" if name else ""
        return (
            f"{_machine_words(name)} has ended: its host closed the connection without a message"
            f" (was it killed?){logs}"
        )
    log = f"; end of its log: {' | '.join(ended.log[-3:])}" if ended.status and ended.log else ""
    return f"{_machine_words(name)} has ended: {ended.reason}{log}"


def gone_error(name: str, reason: str) -> KjuError:
    """Return the error of a call after the end of the connection.

    It is a `ClosedError` where this process closed it, a `PeerError` where the host refused us.
    """
    if reason == CLOSED:
        return ClosedError(f"{_machine_words(name)} has been closed here")
    if reason.startswith(f"{host_words(name)} {_REFUSED}"):
        return PeerError(reason)
    return MachineGoneError(reason, name)


def not_ended(name: str, seconds: float, log: Path) -> MachineError:
    """Return the error of a machine that does not end after a stop."""
    return MachineError(f"the machine {name!r} has not ended in {seconds:g} s: see {log}", name)


def still_running(name: str, seconds: float | None) -> WaitTimeoutError:
    """Return the error of a wait for the end of a machine."""
    return WaitTimeoutError(f"the machine {name!r} has not ended within {seconds:g} s")


def no_answer(name: str) -> WaitTimeoutError:
    """Return the error of a request that the host did not answer in time."""
    return WaitTimeoutError(f"{host_words(name)} did not answer in time")


def no_event(name: str, seconds: float | None) -> WaitTimeoutError:
    """Return the error of a wait for an event."""
    return WaitTimeoutError(f"no event of the machine {name!r} within {seconds:g} s")


def host_failed(status: int | None) -> KjuError:
    """Return the error of a host that ended before it sent a reply."""
    return KjuError(f"the host process ended with status {status} before it answered")
