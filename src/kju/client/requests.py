"""What a client asks a machine, and what it makes of the answers. I/O-free.

Both `kju.Machine` and `kju.aio.Machine` are thin shells around this.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, TypeVar, cast

from ..errors import (
    ClosedError,
    KjuError,
    MachineError,
    MachineGoneError,
    PeerError,
    UsageError,
    WaitTimeoutError,
)
from ..protocol.framing import error_from
from ..protocol.launch_options import Launch, LaunchOptions, Remote, launch_message
from ..protocol.messages import Done, Ended, Failure, Keys, LampsState, Refused, Reply
from ..protocol.values import LONGEST_KEYS, ROLES, Role
from ..surface import NOTHING_TAKEN, Mark

if TYPE_CHECKING:
    from ..keys import Chord, Lamps

T = TypeVar("T", bound=Reply)

#: Milliseconds for which keys of a chord are held: a game that only looks which keys are down
#: sees it.
INTERVAL = 10
#: Keyboard steps of one request that goes as fast as the guest takes it: half a second of a USB
#: keyboard's.
TOGETHER = 64
#: Milliseconds that one request takes, unless one chord takes longer: so long do another
#: client's keys wait.
BATCH = 250

#: Steps of a text for which shift may stay down, at most. Of a text in capitals one step in 16
#: is spent on that.
LONGEST_GROUP = 32

#: Steps that belong together: a chord's, or a few characters'.
Steps = Sequence[tuple[int, bool]]


class KeyRequest(NamedTuple):
    """One of the requests that an input is sent in.

    Attributes:
        keys: The request.
        marks: Whether the input's mark may be the mark in its answer.
    """

    keys: Keys
    marks: bool = True


def launch_request(
    image: str | os.PathLike[str] | None, client: str, options: LaunchOptions
) -> Launch:
    """Return a launch as a message, with absolute paths.

    Raises:
        TypeError: An option is unknown.
        UsageError: A value is not allowed.
    """
    absolute = dict(options)
    if surface := options.get("surface"):
        absolute["surface"] = str(Path(surface).expanduser().absolute())
    if isinstance(xvfb := options.get("xvfb"), str):
        absolute["xvfb"] = _running(xvfb)
    path = str(Path(image).expanduser().absolute()) if image else ""
    return launch_message(path, client, cast("LaunchOptions", absolute))


def mirror_request(
    address: str,
    *,
    connect: Sequence[str],
    name: str | None,
    role: str,
    user: str,
    trust: str | os.PathLike[str] | None,
    audience: bool,
    lossy: bool,
    codec: str,
    sender: str,
    insecure: bool,
    surface: str | Path | None,
    detach: bool,
    log_level: str,
    client: str,
) -> Launch:
    """A launch of a mirror as a message.

    Raises:
        UsageError: A value is of the wrong kind.
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
        user=user,
        trust=str(Path(trust).expanduser().absolute()) if trust else "",
        audience=audience,
        insecure=insecure,
        lossy=lossy,
        codec=check_codec(codec),
        sender=sender,
    )
    return Launch(
        machine=name or "",
        emulator="mirror",
        running=address,
        remote=remote,
        surface=str(Path(surface).expanduser().absolute()) if surface else "",
        detach=detach,
        log_level=log_level,  # type: ignore[arg-type]  # the host refuses another
        client=client[:256],
    )


def _running(where: str) -> str:
    """A running Xvfb as the host, whose folder is another, is told of it."""
    if not where:
        raise UsageError("xvfb is True, or names a running one: ':5', a folder or 'sysv:ID'")
    is_path = "/" in where or (":" not in where and Path(where).exists())
    return str(Path(where).expanduser().absolute()) if is_path else where


def key_requests(console: int, groups: Iterable[Steps], interval: int | None) -> list[KeyRequest]:
    """Groups of steps as requests: no group is divided, and none of them is long.

    Args:
        console: The console whose keyboard it is.
        groups: What belongs together.
        interval: Milliseconds between two steps; None is as fast as the guest takes them.

    Raises:
        UsageError: One group takes longer than a request may.
    """
    most = TOGETHER if interval is None else BATCH // max(interval, 1)
    batches: list[list[tuple[int, bool]]] = []
    for group in groups:
        if interval is not None and not 0 <= len(group) * interval <= LONGEST_KEYS:
            raise UsageError(
                f"{len(group)} steps, {interval} ms apart: a chord takes at most {LONGEST_KEYS} ms;"
                " for slower ones use press and release"
            )
        if batches and len(batches[-1]) + len(group) <= most:
            batches[-1] += group
        else:
            batches.append(list(group))
    return [KeyRequest(Keys(console=console, steps=each, interval=interval)) for each in batches]


def chord_steps(chords: Sequence[str | Chord]) -> list[Steps]:
    """Chords, written or as key numbers, as steps: down in order, up in the opposite one."""
    from ..keys import parse_chord, steps  # a client that only looks needs no keys

    return [steps([parse_chord(c) if isinstance(c, str) else tuple(c)]) for c in chords]


def text_requests(
    console: int, text: str, name: str, interval: int | None, lit: Sequence[str] | None
) -> list[KeyRequest]:
    """A text as requests on a layout: shift and AltGr stay down as long as they are wanted.

    Everything is up at the end of a request. While caps lock is on, letters are typed with shift
    the other way round; a text for which that is not enough is typed with caps lock off, which is
    on again at the end. The guest's answer is to the text, so the mark is of a request before that.

    Args:
        console: The console whose keyboard it is.
        text: What to type.
        name: The layout's.
        interval: Milliseconds between two steps, if the client sets them.
        lit: The locks that are on; None where that is unknown, which counts as none.

    Raises:
        UsageError: There is no such layout, or it lacks characters, all of which are named.
    """
    from ..keys import held_steps, layout, number, steps

    most = LONGEST_GROUP if interval is None else min(BATCH // max(interval, 1), LONGEST_GROUP)
    known = layout(name)
    strokes = known.strokes(text)
    toggle: list[KeyRequest] = []
    if lit and "caps" in lit:
        under = known.under_caps_lock(strokes)
        if under is None:
            caps_lock = key_requests(console, [steps([(number("caps_lock"),)])], interval)
            toggle = [request._replace(marks=False) for request in caps_lock]
        else:
            strokes = under
    return [*toggle, *key_requests(console, held_steps(strokes, most), interval), *toggle]


class BootStep(NamedTuple):
    """One step of a boot command.

    Attributes:
        wait: Seconds to wait before it.
        text: What to type then.
        keys: What to press and release after that.
    """

    wait: float = 0.0
    text: str = ""
    keys: Steps = ()


def boot_steps(command: str, name: str) -> list[BootStep]:
    """Divide a boot command into steps; the last one releases the keys that are still held.

    Raises:
        UsageError: A name in the command or the layout is unknown, or the layout lacks characters.
    """
    from ..keys import boot_command, layout, steps

    found: list[BootStep] = []
    held: list[int] = []
    for part in boot_command.parse_boot_command(command):
        match part:
            case boot_command.Pause(seconds):
                found.append(BootStep(wait=seconds))
            case boot_command.TypeText(text):
                layout(name).strokes(text)
                found.append(BootStep(text=text))
            case boot_command.PressKey(key):
                found.append(BootStep(keys=steps([(key,)])))
            case boot_command.HoldKey(key, down):
                found.append(BootStep(keys=[(key, down)]))
                held = [other for other in held if other != key] + [key] * down
    if held:
        found.append(BootStep(keys=[(key, False) for key in reversed(held)]))
    return found


def releases(steps: Iterable[BootStep]) -> Steps:
    """Make the steps that release every key of a boot command; a key that is up stays up."""
    pressed = dict.fromkeys(key for step in steps for key, down in step.keys if down)
    return [(key, False) for key in reversed(pressed)]


def boot_mark(before: Mark, sent: Mark, keys: Steps) -> Mark:
    """The mark of a boot command after one of its steps.

    Args:
        before: The mark of the steps before.
        sent: The mark of this step.
        keys: What this step has pressed and released; releases alone do not move the mark.
    """
    return sent if before == NOTHING_TAKEN or any(down for _, down in keys) else before


def caps_lock_matters(text: str, name: str) -> bool:
    """Check whether caps lock changes what any key of a text types on a layout.

    Raises:
        UsageError: There is no such layout, or it lacks characters.
    """
    from ..keys import layout

    known = layout(name)
    return any(chord in known.caps for chord in known.type(text))


def lamps_of(state: LampsState) -> Lamps | None:
    """The lamps in an answer."""
    from ..keys import Lamps

    return None if state.lit is None else Lamps(*(name in state.lit for name in Lamps._fields))


def key_steps(keys: Sequence[str | int], down: bool) -> list[Steps]:
    """Keys as steps that press or release them."""
    return [[(key_number(key), down)] for key in keys]


def key_number(key: str | int) -> int:
    """A key by name or number.

    Raises:
        UsageError: There is no such key.
    """
    if isinstance(key, int):
        if not 1 <= key <= 0xFF:
            raise UsageError(f"a key's number is 1 to 255, not {key}")
        return key
    from ..keys import number

    return number(key)


def check_role(role: str) -> Role:
    """Return a role by its name.

    Raises:
        UsageError: There is no role of this name.
    """
    for known in ROLES:
        if role == known:
            return known
    raise UsageError(f"there is no role {role!r}: choose {' or '.join(ROLES)}")


def check_codec(codec: str) -> str:
    """Return the name of a codec; empty for the best one.

    Raises:
        UsageError: There is no codec of this name.
    """
    from ..wire import codecs  # only for mirrors: `import kju` stays fast

    if codec and codec not in codecs.CODECS:
        raise UsageError(f"there is no codec {codec!r}: choose {', '.join(codecs.CODECS)}")
    return codec


def mark_of(done: Done) -> Mark:
    """The mark of the screen before an input."""
    return Mark(done.incarnation, done.epoch, done.version)


def duration(request: Keys) -> float:
    """Seconds that a request takes at least."""
    return len(request.steps) * (request.interval or 0) / 1000


def check_reply(reply: Reply, wanted: type[T]) -> T:
    """Return a reply of the kind that was asked for.

    Raises:
        KjuError: It is a failure; the error is the one the host raised.
        PeerError: It is something else.
    """
    if isinstance(reply, Failure):
        raise error_from(reply)
    if not isinstance(reply, wanted):
        raise PeerError(f"the host answered {type(reply).__name__}, not {wanted.__name__}", reply)
    return reply


def gone_reason(name: str, ended: Ended | None, refused: Refused | None = None) -> str:
    """Why a machine is no longer there, or not for us, in words."""
    if refused is not None:
        return f"the host of {name!r} {HUNG_UP}: {refused.reason}"
    if ended is None:
        return (
            f"the machine {name!r} has gone: its host hung up without a word (was it killed?);"
            f" its log: kju logs {name}"
        )
    log = f"; its last words: {' | '.join(ended.log[-3:])}" if ended.status and ended.log else ""
    return f"the machine {name!r} has ended: {ended.reason}{log}"


def gone_error(name: str, reason: str) -> KjuError:
    """The error for a use after the end.

    `ClosedError` where this process closed it, `PeerError` where the host refuses us.
    """
    if reason == CLOSED:
        return ClosedError(f"the machine {name!r} has been closed here")
    if reason.startswith(f"the host of {name!r} {HUNG_UP}"):
        return PeerError(reason)
    return MachineGoneError(reason, name)


def not_ended(name: str, seconds: float, log: Path) -> MachineError:
    """The error for a machine that was told to end and does not."""
    return MachineError(f"the machine {name!r} has not ended in {seconds:g} s: see {log}", name)


def still_running(name: str, seconds: float | None) -> WaitTimeoutError:
    """Make the error for a machine that was expected to end."""
    return WaitTimeoutError(f"the machine {name!r} has not ended within {seconds:g} s")


def host_failed(status: int | None) -> KjuError:
    """The error for a host that ended before it could say anything."""
    return KjuError(f"the host process ended with status {status} before the machine ran")


CLOSED = "closed by this process"
HUNG_UP = "has hung up on this program"
