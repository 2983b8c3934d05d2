"""The actions of a page on a machine: one table of them and of the roles that may use them.

A new action is a `msgspec.Struct` of its arguments, a function, and a line in `ACTIONS`.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import unicodedata
from collections.abc import Awaitable, Callable
from typing import Annotated, Any, Literal, NamedTuple

import msgspec
from msgspec import Meta, Struct

from ..client.aio.launching import attach, start
from ..client.aio.machine import Machine
from ..client.aio.surface import Screen
from ..errors import LimitError, MachineNotFoundError, RoleError, UsageError, WaitTimeoutError
from ..escaping import without_folders
from ..files import read_file
from ..keys import LAYOUT_ALIASES, LAYOUTS, layout
from ..protocol.values import Role, Tag
from ..store.paths import check_name
from .access_list import Principal
from .messages import MAX_TEXT, Act, WebRole

#: Characters between two reports of progress. A text of this length takes a fifth of a second.
PIECE = 100
#: Bytes of a snapshot's picture.
MAX_PICTURE = 1 << 19
#: Seconds that an action may take, without typing.
ACTION_TIMEOUT = 120.0
#: Looks per second of a connection that only acts.
_NO_LOOK = 0.0

#: Takes the parts that are done, and all parts.
Report = Callable[[int, int], object]


class _None(Struct, forbid_unknown_fields=True):
    """No arguments."""


class _Screen(Struct, forbid_unknown_fields=True):
    """A screen of the machine."""

    console: Annotated[int, Meta(ge=0, lt=16)] = 0


class TypedText(Struct, forbid_unknown_fields=True):
    """A text and the guest's keyboard layout."""

    text: Annotated[str, Meta(max_length=MAX_TEXT)]
    layout: Annotated[str, Meta(max_length=64)] = "us"
    console: Annotated[int, Meta(ge=0, lt=16)] = 0


class _Power(Struct, forbid_unknown_fields=True):
    """A change of the machine's power."""

    how: Literal["pause", "resume", "reset", "shutdown", "quit"]


class _Tag(Struct, forbid_unknown_fields=True):
    """A snapshot."""

    tag: Tag


class _Snapshot(Struct, forbid_unknown_fields=True):
    """A change of the machine's snapshots."""

    how: Literal["save", "load", "delete"]
    tag: Tag


async def _info(machine: Machine, arguments: _None, report: Report) -> Any:  # noqa: ANN401  JSON
    """Return the facts for a viewer, without paths and process ids of this computer."""
    info = await machine.info()
    consoles = [{key: each.get(key) for key in ("width", "height")} for each in info["consoles"]]
    viewers = [{key: each.get(key) for key in ("name", "role")} for each in info["clients"]]
    return {
        "state": info["state"],
        "kind": info["kind"],
        "consoles": consoles,
        "viewers": [each for each in viewers if str(each["name"]).startswith("viewer ")],
    }


async def _snapshots(machine: Machine, arguments: _None, report: Report) -> Any:  # noqa: ANN401
    shown = ("tag", "time", "size", "note", "parent", "current")
    return [
        {key: getattr(each, key) for key in shown}
        | {"note": without_folders(each.note or ""), "picture": bool(each.picture)}
        for each in await machine.snapshots.list()
    ]


async def _snapshot_picture(machine: Machine, arguments: _Tag, report: Report) -> str | None:
    """Return a snapshot's picture as base64; None for one that is missing or too large."""
    for each in await machine.snapshots.list():
        if each.tag == arguments.tag and each.picture:
            with contextlib.suppress(LimitError, OSError):
                data = await asyncio.to_thread(read_file, each.picture, MAX_PICTURE)
                return base64.b64encode(data).decode()
    return None


async def _input(machine: Machine, arguments: _Screen, report: Report) -> Any:  # noqa: ANN401
    screen = _screen(machine, arguments.console)
    lamps = await screen.keyboard.lamps()
    lit = None if lamps is None else [*lamps.names]
    return {"absolute": await screen.pointer.is_absolute(), "lamps": lit}


async def _type(machine: Machine, arguments: TypedText, report: Report) -> None:
    text, total = arguments.text, len(arguments.text)
    layout(arguments.layout).type(text)  # names missing characters before anything is sent
    keyboard = _screen(machine, arguments.console).keyboard
    for begin in range(0, total, PIECE):
        report(begin, total)
        await keyboard.type(text[begin : begin + PIECE], layout=arguments.layout)
    report(total, total)


async def _power(machine: Machine, arguments: _Power, report: Report) -> None:
    if arguments.how == "shutdown":
        await machine.powerdown()
    elif arguments.how == "quit":
        await machine.stop()
    else:
        await getattr(machine, arguments.how)()


async def _snapshot(machine: Machine, arguments: _Snapshot, report: Report) -> None:
    how = "remove" if arguments.how == "delete" else arguments.how
    await getattr(machine.snapshots, how)(arguments.tag, timeout=ACTION_TIMEOUT)


def _screen(machine: Machine, console: int) -> Screen:
    if console >= len(machine.screens):
        raise UsageError(f"{machine.name} has no console {console}")
    return machine.screens[console]


async def _start(name: str, arguments: _None, report: Report) -> None:
    machine = await start(name, detach=True)
    await machine.close()


async def _layouts(name: str, arguments: _None, report: Report) -> Any:  # noqa: ANN401
    return sorted([*LAYOUTS, *LAYOUT_ALIASES])


async def _check_text(name: str, arguments: TypedText, report: Report) -> Any:  # noqa: ANN401
    chords = layout(arguments.layout).chords
    text = unicodedata.normalize("NFC", arguments.text)
    return sorted({character for character in text if character not in chords})


class PageAction(NamedTuple):
    """One action.

    Attributes:
        role: The role that may use it.
        arguments: The type of its arguments.
        run: Carries it out. Takes the machine, the arguments, and a function for progress.
        host_role: The role of its connection to the machine's host. None for an action that needs
            no running machine; it takes the name instead.
        timeout: Seconds for it; None for no limit.
    """

    role: WebRole
    arguments: type[Struct]
    run: Callable[[Any, Any, Report], Awaitable[Any]]
    host_role: Role | None = "view"
    timeout: float | None = ACTION_TIMEOUT


ACTIONS: dict[str, PageAction] = {
    "info": PageAction("view", _None, _info),
    "snapshots": PageAction("view", _None, _snapshots),
    "snapshot-picture": PageAction("view", _Tag, _snapshot_picture),
    "input": PageAction("view", _Screen, _input),
    "layouts": PageAction("view", _None, _layouts, None),
    "check-text": PageAction("control", TypedText, _check_text, None),
    "type": PageAction("control", TypedText, _type, "control", None),
    "power": PageAction("manage", _Power, _power, "control"),
    "snapshot": PageAction("manage", _Snapshot, _snapshot, "control"),
    "start": PageAction("manage", _None, _start, None),
}


def allowed_action(principal: Principal, act: Act) -> tuple[PageAction, Struct]:
    """Return the rule and the arguments of an action that a session may use.

    Raises:
        KjuError: It is unknown, or the session's role or machines do not allow it.
    """
    rule = ACTIONS.get(act.action)
    if rule is None:
        raise UsageError(f"unknown action {act.action!r}; choose one of: {', '.join(ACTIONS)}")
    if not principal.has_role(rule.role):
        raise RoleError(
            f"a session with the role {principal.role} cannot use {act.action}; it needs a link"
            f" with the role {rule.role}"
        )
    if not principal.may_use(act.machine):
        raise no_machine(act.machine)
    try:
        return rule, msgspec.convert(act.arguments, rule.arguments)
    except msgspec.ValidationError as error:
        raise UsageError(f"invalid arguments of {act.action}: {error}") from None


async def carry_out(principal: Principal, act: Act, report: Report) -> Any:  # noqa: ANN401  JSON
    """Carry out an action, and return its result.

    Raises:
        KjuError: It is unknown, the session's role or machines do not allow it, or it failed.
    """
    rule, arguments = allowed_action(principal, act)
    try:
        async with asyncio.timeout(rule.timeout):
            if rule.host_role is None:
                return await rule.run(act.machine, arguments, report)
            # Not a screen on the network: attaching would start a mirror of it here.
            name = check_name(act.machine)
            async with await attach(name, rule.host_role, rate=_NO_LOOK) as machine:
                return await rule.run(machine, arguments, report)
    except TimeoutError:
        raise WaitTimeoutError(f"{act.action} was not done in {rule.timeout:g} s") from None


def no_machine(name: str) -> MachineNotFoundError:
    """Return the error for a machine that is missing, or that the session does not include."""
    return MachineNotFoundError(f"no machine {name!r} is running for this session", name)
