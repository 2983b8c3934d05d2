"""The options of a new machine: their one definition. I/O-free.

An option is one key of a `TypedDict` below: its type, its limits and its documentation. Everything
else is derived from that: the keywords of `kju.launch`, `kju.define` and their asynchronous twins,
their documentation, the options of ``kju run`` and ``kju create``, the keywords of the pytest
marker ``machine``, and every check of a value. An option of the same name in `Launch` (or in
`kju.store.machine_toml.Definition`) receives its value; the emulator's folder gives it its effect.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import (
    Annotated,
    Any,
    Literal,
    NamedTuple,
    Protocol,
    TypedDict,
    TypeVar,
    get_args,
    get_type_hints,
    runtime_checkable,
)

from msgspec import Meta, Struct, field

from ..errors import UsageError
from .leases import Lease
from .values import DISK_BUSES, DiskBus, KindName, Name, Request, Role, size_fault, tag_fault

Function = TypeVar("Function", bound=Callable[..., Any])
LogLevel = Literal["debug", "info", "warning", "error"]


@runtime_checkable
class PathLike(Protocol):
    """A path such as a `pathlib.Path`: ``os.PathLike[str]``, without the module ``os``."""

    def __fspath__(self) -> str:
        """Return the path as a text."""


class OptionInfo(NamedTuple):
    """The documentation and the limits of one option.

    Attributes:
        help: One sentence, for the command line and for Python.
        value: The name of its value in the command's help; empty for a switch.
        short: Its short form on the command line.
        more: Further sentences, for Python only.
        default: Its value where it is left out.
        limits: Its smallest and its largest value.
        is_size: Whether its value is a number of bytes, such as ``2G``.
        is_tag: Whether its value is a snapshot's name.
    """

    help: str
    value: str = ""
    short: str = ""
    more: str = ""
    default: Any = None
    limits: tuple[int, int] | None = None
    is_size: bool = False
    is_tag: bool = False


class GuestOptions(TypedDict, total=False):
    """The options of a guest: of a machine that is launched, and of one that is defined."""

    memory: Annotated[
        str | None,
        OptionInfo("Guest memory, such as 2G (MiB without a unit).", "SIZE", "-m", is_size=True),
    ]
    cpus: Annotated[int | None, OptionInfo("Number of virtual CPUs.", "N", limits=(1, 1024))]
    disk_bus: Annotated[
        DiskBus | None,
        OptionInfo(
            f"Bus of the disks: {', '.join(DISK_BUSES)} (default: the machine type's).",
            "BUS",
        ),
    ]
    trust_disk: Annotated[
        bool,
        OptionInfo(
            "Allow disks that refer to files in other folders (backing files) or to network"
            " addresses.",
            more="QEMU opens these and may write to them. Never use it for an untrusted disk.",
            default=False,
        ),
    ]
    args: Annotated[
        Sequence[str],
        OptionInfo(
            "QEMU's own arguments, passed on unchanged.",
            more="With *xvfb* they are Xvfb's. `Machine.info` lists what kju adds, and why.",
            default=(),
        ),
    ]
    qemu: Annotated[
        str | PathLike | None,
        OptionInfo("QEMU program to run (default: $KJU_QEMU, else from PATH).", "PROGRAM"),
    ]


class LaunchOptions(GuestOptions, total=False):
    """The options of `kju.launch`."""

    name: Annotated[
        str | None, OptionInfo("Name of the machine (default: from the image).", "NAME")
    ]
    snapshot: Annotated[
        str | None,
        OptionInfo(
            "Load this snapshot of the disks before the guest runs.",
            "TAG",
            more="As with `Snapshots.load`, the disks get the contents that they had at the"
            " snapshot; later changes of them are lost.",
            is_tag=True,
        ),
    ]
    surface: Annotated[
        str | PathLike | None,
        OptionInfo(
            "Use the file PATH as the screen's shared memory.",
            "PATH",
            more="For programs that know only a path. The file stays, with the last frame in it.",
        ),
    ]
    xvfb: Annotated[
        bool | str | PathLike,
        OptionInfo(
            "Run Xvfb, an X server without a screen, in place of QEMU.",
            more='``info()["xvfb"]["display"]`` is the DISPLAY of its programs. A text shows a'
            ' running Xvfb, and sends it no input: its display (``":5"``), the folder of its'
            ' ``-fbdir``, or ``"sysv:ID"`` for ``-shmem``.',
            default=False,
        ),
    ]
    detach: Annotated[
        bool,
        OptionInfo(
            "Run in the background.",
            short="-d",
            more="The machine does not end with this program.",
            default=False,
        ),
    ]
    log_level: Annotated[
        LogLevel,
        OptionInfo(
            f"Lowest level to log: {', '.join(get_args(LogLevel))}.", "LEVEL", default="info"
        ),
    ]


class DefineOptions(GuestOptions, total=False):
    """The options of `kju.define`."""

    disk: Annotated[
        str | None, OptionInfo("Make a new disk of SIZE, such as 20G.", "SIZE", is_size=True)
    ]
    firmware: Annotated[
        str | PathLike,
        OptionInfo("Firmware: bios, uefi or a file.", "FIRMWARE", default="bios"),
    ]


class Declared(NamedTuple):
    """One option with its type.

    Attributes:
        type: As annotated.
        option: Its documentation and limits.
    """

    type: Any
    option: OptionInfo

    @property
    def choices(self) -> tuple[str, ...]:
        """Its possible values; empty if it can have any."""
        kinds = (self.type, *get_args(self.type))
        found = [get_args(kind) for kind in kinds if hasattr(kind, "__args__")]
        return next((words for words in found if words and isinstance(words[0], str)), ())


@functools.cache
def declared(kind: type) -> dict[str, Declared]:
    """Return the options of one of the dictionaries above, by their names."""
    found = {}
    for name, hint in get_type_hints(kind, include_extras=True).items():
        base, option = get_args(hint)
        found[name] = Declared(base, option)
    return found


def checked(kind: type, options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options that are given, without those that have no value. Paths become texts.

    Raises:
        TypeError: A name is unknown, as for any function's keyword; or a value is a path, and the
            option takes none.
        UsageError: A value is not allowed.
    """
    known = declared(kind)
    if unknown := sorted(options.keys() - known.keys()):
        raise TypeError(f"unexpected keyword argument {unknown[0]!r}")
    found = {}
    for name, value in options.items():
        choices, limits = known[name].choices, known[name].option.limits
        # An empty name of a snapshot is an unset variable of a shell: no boot was asked for.
        is_unset = value == "" and not limits and not known[name].option.is_tag
        if value is None or is_unset:
            continue
        if isinstance(value, PathLike):
            if PathLike not in get_args(known[name].type):
                raise TypeError(f"{name} is a text, not a path: {value!r}")
            value = value.__fspath__()
        if name == "args" and isinstance(value, str):
            raise UsageError(f"args is a list of arguments, not one text: {value!r}")
        if choices and value not in choices:
            what = name.replace("_", " ")
            raise UsageError(f"unknown {what} {value!r}; choose one of: {', '.join(choices)}")
        if known[name].option.is_size and (fault := size_fault(name, value)):
            raise UsageError(fault)
        if known[name].option.is_tag and (fault := tag_fault(value)):
            raise UsageError(fault)
        if limits and not limits[0] <= value <= limits[1]:
            raise UsageError(f"{name} is a number from {limits[0]} to {limits[1]}, not {value!r}")
        found[name] = value
    return found


def fields_of(message: type, given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values that a message or a definition has fields of the same names for.

    ``args`` is its field ``arguments``.
    """
    values = {("arguments" if name == "args" else name): value for name, value in given.items()}
    if "arguments" in values:
        values["arguments"] = [str(argument) for argument in values["arguments"]]
    fields: tuple[str, ...] = message.__struct_fields__  # type: ignore[attr-defined]
    return {name: values[name] for name in fields if name in values}


def guest_values(source: object, names: Collection[str]) -> dict[str, Any]:
    """Return the guest's options that *source* has, of those names: to pass them on in one go."""
    known = declared(GuestOptions).keys() & set(names)
    values = {name: getattr(source, name, None) for name in known}
    return {name: value for name, value in values.items() if value is not None}


def launch_message(image: str, client: str, options: LaunchOptions) -> Launch:
    """Return a launch as a message; paths in it are absolute already.

    Raises:
        TypeError: An option is unknown.
        UsageError: A value is not allowed.
    """
    given = checked(LaunchOptions, options)
    xvfb = given.pop("xvfb", False)
    return Launch(
        machine=given.pop("name", ""),
        emulator="qemu" if xvfb is False else "xvfb",
        running=xvfb if isinstance(xvfb, str) else "",
        image=image,
        client=client[:256],
        **fields_of(Launch, given),
    )


class Remote(Struct, frozen=True, omit_defaults=True, kw_only=True):
    """The connection of a mirror.

    Attributes:
        connect: Endpoints of the sender or of routers.
        role: The role that the mirror asks the sender for.
        user: The user to authenticate as; empty for none.
        trust: The folder of certificates and keys; empty for none.
        audience: Join an audience, to which everything is sent once.
        insecure: Allow an unencrypted connection.
        lossy: Allow JPEG for photographic areas.
        codec: The codec of everything else; empty for the best one available.
        sender: The name that the sender must prove; empty for the known one.
    """

    connect: Annotated[list[str], Meta(max_length=64)]
    role: Role = "control"
    user: Name = ""
    trust: str = ""
    audience: bool = False
    insecure: bool = False
    lossy: bool = False
    codec: Name = ""
    sender: Name = ""


class Launch(Request, frozen=True, tag="launch"):
    """Launch a machine: the only request on the connection of the process that started a host.

    It replaces a `Hello` with the control role. The connection stays open, and the host ends with
    it, unless `Detach` has arrived before.

    Attributes:
        machine: The machine's name; empty for one made from the image's.
        emulator: The kind of emulator. One without a guest takes none of the guest's options.
        running: A running emulator to show instead of starting one, as its kind names it; or the
            screen to mirror: ``zenoh:lab/host1/debian``.
        remote: The connection to the screen to mirror.
        image: A disk, CD or kernel; empty for none.
        disks: Further disks and CDs.
        firmware: ``uefi``, the path of a firmware's image, or empty for QEMU's own.
        folder: The folder of a defined machine; empty for another.
        memory: QEMU's ``-m``; empty for the default.
        cpus: QEMU's ``-smp``; 0 for the default.
        disk_bus: The bus of the disks; empty for QEMU's own choice.
        trust_disk: Whether disks may refer to files in other folders and to network addresses.
        arguments: The user's own arguments, passed on unchanged.
        qemu: The QEMU to run; empty to search for one.
        surface: A file for the surface; empty for a memfd.
        detach: Whether the machine outlives this connection, from `Detach` on.
        log_level: The level of host.log: ``debug``, ``info``, ``warning``, ``error``.
        client: The client's name, for the list of clients.
        base: The base that the machine is a fork of, by its number (`kju.store.forks`); empty for a
            machine that boots. The base has all options of the guest.
        spare: Whether the machine waits, paused and not listed, for `Begin`.
        lease: The machine ends with it, unless it is renewed; None without one.
        overlays: Whether the guest writes to overlays over its disks, which end with the machine.
            With `snapshot` it writes to copies of them, which end with the machine too.
        snapshot: The snapshot of the disks that is loaded before the guest runs; empty for none.
    """

    machine: Name = ""
    emulator: KindName = "qemu"
    running: str = ""
    remote: Remote | None = None
    image: str = ""
    disks: Annotated[list[str], Meta(max_length=1000)] = field(default_factory=list)
    firmware: str = ""
    folder: str = ""
    memory: str = ""
    cpus: Annotated[int, Meta(ge=0, le=1024)] = 0
    disk_bus: DiskBus | Literal[""] = ""
    trust_disk: bool = False
    arguments: Annotated[list[str], Meta(max_length=10_000)] = field(default_factory=list)
    qemu: str = ""
    surface: str = ""
    detach: bool = False
    log_level: LogLevel = "info"
    client: Name = ""
    base: Name = ""
    spare: bool = False
    lease: Lease | None = None
    overlays: bool = False
    snapshot: Annotated[str, Meta(max_length=64)] = ""


class Detach(Request, frozen=True, tag="detach"):
    """Let the machine outlive the connection that launched it. Answered by `Done`.

    Its launcher sends this last, once it has everything that it reports. So a machine whose
    launcher was interrupted ends with it.
    """


def takes(kind: type) -> Callable[[Function], Function]:
    """Give a function that takes ``**options`` their names, types and documentation.

    Type checkers read them from ``Unpack[...]``; this is for `help`, `inspect` and the manual. The
    line ``**options:`` of its docstring becomes one entry for each option.
    """

    def decorate(function: Function) -> Function:
        signature = inspect.signature(function)
        plain = [p for p in signature.parameters.values() if p.kind is not p.VAR_KEYWORD]
        options = declared(kind)
        added = [
            inspect.Parameter(
                name,
                inspect.Parameter.KEYWORD_ONLY,
                default=one.option.default,
                annotation=one.type,
            )
            for name, one in options.items()
        ]
        function.__signature__ = signature.replace(  # type: ignore[attr-defined]
            parameters=[*plain, *added]
        )
        before, marker, after = (function.__doc__ or "").partition("**options:")
        if marker:
            entries = [
                f"{n}: {' '.join((o.help, o.more)).strip()}" for n, (_, o) in options.items()
            ]
            rest = after.partition("\n")[2]
            function.__doc__ = before + "\n        ".join(entries) + "\n" + rest
        return function

    return decorate
