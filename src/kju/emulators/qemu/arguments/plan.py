"""The arguments that kju appends to the user's QEMU arguments, each with its reason. I/O-free.

The user's arguments come first, unchanged. Contradictions are refused before anything starts. A
category (video, tablet, network, memory, ...) gets a device only if the user named none. The ids of
everything that kju appends begin with ``kju-``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ....errors import ConflictError
from ....store.image import Image, Kind
from ...base import Appended, CommandPlan
from . import devices
from .board import DriveAttachment
from .user_options import (
    PREFIX,
    VIRT,
    X86,
    Items,
    LaunchFacts,
    QemuOption,
    UserOptions,
    fields,
    parse,
    quote,
)

#: Options, and why they cannot be combined with kju.
CONFLICTS = {
    "daemonize": "QEMU would leave its host, and nothing would end it or clean up after"
    " it. To keep a machine running without the terminal: kju run --detach",
    "display": "kju reads the screen through -display dbus, and QEMU has one display at a time."
    " Leave it out, and look with: kju watch NAME",
    "nographic": "it turns the screen off. Leave it out: kju opens no window."
    " Serial port: kju serial NAME",
    "curses": "kju reads the screen itself. Look with: kju watch NAME",
    "sdl": "kju reads the screen itself. Look with: kju watch NAME",
    "full-screen": "no window of QEMU's own is opened",
    "preconfig": "QEMU would wait for commands before there is a machine",
    "h": "QEMU would print its help and end. Run QEMU itself for that",
    "help": "QEMU would print its help and end. Run QEMU itself for that",
    "audio-help": "QEMU would print its help and end. Run QEMU itself for that",
    "version": "QEMU would print its version and end. See: kju doctor",
}
#: Architectures for whose ``virt`` QEMU has no firmware of its own.
_NEED_FIRMWARE = ("aarch64", "arm")
#: Properties of ``-machine`` that name other objects, or do not change the board.
_NOT_THE_BOARD = re.compile(
    r"accel|memory-.*|kernel-irqchip|confidential-.*|sgx-.*|hmat|dump-.*|(?:pcspk-)?audiodev"
    r"|pflash[01]"
)
_READCONFIG = (
    "-readconfig: kju does not see the devices it names and may add to them, and does not check"
    " the disks it names"
)
_TEMPORARY = (
    "the disks are temporary (-snapshot or snapshot=on): the guest's changes, and every snapshot,"
    " are lost when the machine ends"
)


@dataclass(frozen=True)
class QemuPlan(CommandPlan):
    """A whole command line of QEMU.

    Attributes:
        changes_user: Whether QEMU becomes another user's process.
        buses: The path of each disk and CD, and its bus with the reason.
        temporary: A warning that changes of the disks are lost; empty if they are kept.
    """

    changes_user: bool = False
    buses: tuple[tuple[str, DriveAttachment], ...] = ()
    temporary: str = ""

    @property
    def has_serial(self) -> bool:
        """True if kju has added a serial port."""
        return any(f"chardev:{PREFIX}serial" in part.arguments for part in self.appended)


def _refuse(options: Sequence[QemuOption], given: UserOptions, facts: LaunchFacts) -> None:
    """Refuse options that contradict kju, or the caller's other choices.

    Raises:
        ConflictError: An option contradicts kju or another choice.
    """
    for option in options:
        if option.name == "display" and option.value == "none":
            continue  # it opens no window, and kju's own -display comes later and wins
        if why := CONFLICTS.get(option.name):
            raise ConflictError(f"{option.written} cannot be used with kju, because {why}")
        if option.value in ("help", "?") and option.name not in ("name", "append"):
            raise ConflictError(f"{option.written} ends QEMU at once; run QEMU itself for that")
        if fields(option.value, "").get("id", "").startswith(PREFIX):
            raise ConflictError(f"{option.written}: ids that begin with {PREFIX!r} are kju's own")
    if facts.memory and given.has("m"):
        why = f"memory={facts.memory} and the QEMU argument -m: give one of them"
        raise ConflictError(why).about("memory")
    if facts.cpus and given.has("smp"):
        why = f"cpus={facts.cpus} and the QEMU argument -smp: give one of them"
        raise ConflictError(why).about("cpus")
    if facts.snapshot and given.has("loadvm", "incoming"):
        why = f"snapshot={facts.snapshot} and the QEMU argument -loadvm or -incoming: give one"
        raise ConflictError(why).about("snapshot")
    if facts.firmware and given.firmware:
        why = "firmware, and a QEMU argument that names another: give one of them"
        raise ConflictError(why).about("firmware")
    if facts.image and facts.image.kind is Kind.KERNEL and given.has("kernel"):
        raise ConflictError(f"{facts.image.path} is a kernel, and -kernel names another: give one")


def _machine(given: UserOptions, facts: LaunchFacts) -> Items:
    """Append the machine type, its name and ``-nodefaults``."""
    items: Items = [Appended(("-nodefaults",), "QEMU adds no devices by itself")]
    if given.has("nodefaults"):
        items = []
    if facts.architecture in VIRT and not given.machine:
        items.append(Appended(("-machine", "virt"), "this architecture has no default machine"))
    if not given.has("name"):
        items.append(Appended(("-name", f"guest={quote(facts.name)}"), "the machine's name"))
    if facts.shares_video_memory and not given.field(("machine", "M"), "aux-ram-share"):
        items.append(
            Appended(
                ("-machine", "aux-ram-share=on"),
                "the video memory is shared with the host, so QEMU does not have to draw",
            )
        )
    if given.has("readconfig"):
        items.append(_READCONFIG)
    return items


def _accelerator(given: UserOptions, facts: LaunchFacts) -> Items:
    """Append the accelerator."""
    if given.has("accel", "enable-kvm") or given.field(("machine", "M"), "accel"):
        return ["the accelerator is the user's own choice"]
    return [Appended(("-accel", facts.accelerator), facts.accelerator_reason)]


def _cpu(given: UserOptions, facts: LaunchFacts) -> Items:
    """Append a processor for current systems, the same with every accelerator."""
    if given.has("cpu"):
        return []
    if facts.accelerator == "kvm":
        return [Appended(("-cpu", "host"), "the guest gets what this processor can do")]
    if not facts.board.accepts_cpu_max:
        return []
    if facts.architecture in X86:
        why = "QEMU's default processor is too old for current systems (x86-64-v2 and later)"
        return [Appended(("-cpu", "max"), why)]
    if facts.architecture == "aarch64" and given.is_virt(facts.architecture):
        return [Appended(("-cpu", "max"), "QEMU's default processor of virt has 32 bits")]
    return []


def _memory(given: UserOptions, facts: LaunchFacts) -> Items:
    """Append the memory and the number of processors."""
    items: Items = []
    if facts.memory:
        items.append(Appended(("-m", facts.memory), "asked for (memory)"))
    elif not given.has("m"):
        if facts.board.memory:
            items.append(f"memory: the board's own {facts.board.memory} MiB; it refuses 1G")
        else:
            items.append(Appended(("-m", "1G"), "QEMU's default of 128 MiB starts few systems"))
    if facts.cpus:
        items.append(Appended(("-smp", str(facts.cpus)), "asked for (cpus)"))
    return items


def _fork(given: UserOptions, facts: LaunchFacts) -> Items:
    """Append a frozen machine's memory, mapped copy-on-write, and the wait for its state."""
    memory = facts.fork_memory
    if memory is None:
        return []
    backend = f"memory-backend-file,id={quote(memory.name)},size={memory.size}"
    backend += f",mem-path={quote(memory.path)},offset={memory.offset}"
    backend += ",share=off,readonly=on,rom=off"
    words = ("-object", backend, "-machine", f"memory-backend={quote(memory.name)}")
    return [
        Appended(words, "the frozen machine's memory; only pages that this fork writes are copied"),
        Appended(("-S", "-incoming", "defer"), "the state of the frozen machine is loaded next"),
    ]


def _snapshot(given: UserOptions, facts: LaunchFacts) -> Items:
    """Append the wait for a snapshot. A fork continues from its base, and loads none."""
    if not facts.snapshot or facts.fork_memory is not None:
        return []
    return [Appended(("-S",), f"the snapshot {facts.snapshot} is loaded before the guest runs")]


def _boot(given: UserOptions, facts: LaunchFacts) -> Items:
    """Append a kernel."""
    image = facts.image
    if image is None or image.kind is not Kind.KERNEL:
        return []
    return [Appended(("-kernel", image.path), f"the image: {image.reason}")]


def _firmware(given: UserOptions, facts: LaunchFacts) -> Items:
    """Append the firmware and its variables."""
    found = facts.firmware
    if found is None:
        return []
    if not found.code_format:
        return [Appended(("-bios", found.code), found.reason)]
    flash = "if=pflash,unit={},format={},file.driver=file,file.filename={}"
    code = flash.format(0, found.code_format, quote(found.code)) + ",readonly=on"
    variables = flash.format(1, "qcow2", quote(found.variables))
    return [Appended(("-drive", code, "-drive", variables), found.reason)]


def _sandbox(given: UserOptions, facts: LaunchFacts) -> Items:
    """Append the sandbox, as strict as the user's arguments allow."""
    if given.has("sandbox"):
        return ["the sandbox is the user's own choice"]
    netdev = given.field(("netdev", "nic", "net"), "type")
    spawn, elevate = "deny", "deny"
    items: Items = []
    if netdev in ("tap", "bridge", "passt") or given.has("incoming"):
        spawn, elevate = "allow", "allow"
        items.append(
            "the sandbox lets QEMU start programs: the user's network or -incoming may need it"
        )
    resources = "allow" if given.field(("object",), "qom-type") == "thread-context" else "deny"
    if given.changes_user:
        # Otherwise the kernel kills QEMU at the change (SIGSYS). After it QEMU cannot change back.
        elevate = "allow"
        items.append("the sandbox lets QEMU change its user, as the user's arguments ask")
    value = f"on,obsolete=deny,elevateprivileges={elevate},spawn={spawn}"
    value += f",resourcecontrol={resources}"
    return [
        Appended(("-sandbox", value), "limits a guest that breaks out of QEMU"),
        *items,
    ]


def _user(given: UserOptions, facts: LaunchFacts) -> Items:
    """Note that QEMU changes its user."""
    if not given.changes_user:
        return []
    return [
        "QEMU changes its user, and so loses the kernel's signal that ends it with its host: a"
        " second process of the host watches it instead"
    ]


def _channels(given: UserOptions, facts: LaunchFacts) -> Items:
    """Append the display and the QMP connection."""
    return [
        Appended(
            ("-display", "dbus,p2p=yes"),
            "the screen, keys and pointer, between QEMU and its host alone",
        ),
        Appended(
            (
                "-chardev",
                f"socket,id=kju-qmp,fd={facts.qmp}",
                "-mon",
                "chardev=kju-qmp,mode=control",
            ),
            "QMP over an inherited descriptor: no path, no listener",
        ),
    ]


#: The parts of the command line, in its order.
_PARTS: tuple[Callable[[UserOptions, LaunchFacts], Items], ...] = (
    _machine,
    _accelerator,
    _cpu,
    _memory,
    _fork,
    _snapshot,
    _firmware,
    _boot,
    devices.disks,
    devices.video,
    devices.inputs,
    devices.network,
    devices.generation_id,
    devices.sound,
    devices.serial,
    _sandbox,
    _user,
    _channels,
)


def plan(user: Sequence[str], facts: LaunchFacts) -> QemuPlan:
    """Decide which arguments to append.

    Raises:
        ConflictError: The user's arguments contradict kju's, or the caller's other choices.
    """
    options = parse(user)
    given = UserOptions(options)
    _refuse(options, given, facts)
    appended: list[Appended] = []
    notes: list[str] = []
    for part in _PARTS:
        for item in part(given, facts):
            if isinstance(item, Appended):
                appended.append(item)
            else:
                notes.append(item)
    temporary = _TEMPORARY if given.is_temporary else ""
    return QemuPlan(
        tuple(user),
        tuple(appended),
        tuple([*notes, temporary] if temporary else notes),
        changes_user=given.changes_user,
        buses=tuple((path, attached) for _, path, attached in devices.drives(given, facts)),
        temporary=temporary,
    )


def needs_firmware(user: Sequence[str], architecture: str, image: Image | None) -> bool:
    """Return whether an image needs firmware that QEMU lacks for this board."""
    given = UserOptions(parse(user))
    if image is None or image.kind is Kind.KERNEL or architecture not in _NEED_FIRMWARE:
        return False
    if given.firmware or given.has("kernel"):
        return False
    return given.is_virt(architecture)


def board_arguments(user: Sequence[str], architecture: str, kernel: str = "") -> list[str]:
    """Return the arguments that choose the board: the machine type and its firmware.

    References to other arguments (an audio device, a node of ``-blockdev``) are left out.

    Args:
        user: The user's arguments.
        architecture: The guest's.
        kernel: The image, if it is a kernel: some boards do not start without one.
    """
    options = parse(user)
    words = []
    for option in options:
        if option.name in ("machine", "M"):
            found = fields(option.value, "type")
            kind = found.pop("type", "")
            kept = [quote(kind)] if kind else []
            kept += [f"{k}={quote(v)}" for k, v in found.items() if not _NOT_THE_BOARD.fullmatch(k)]
            words += ["-machine", ",".join(kept)] if kept else []
        elif option.name == "drive" and fields(option.value, "file").get("if") == "pflash":
            # This QEMU only answers questions about the board: its writes are discarded.
            words += ["-drive", f"{option.value},snapshot=on"]
        elif option.name in ("kernel", "bios", "pflash", "m", "cpu", "smp") and option.value:
            words += [f"-{option.name}", option.value]
    if architecture in VIRT and not UserOptions(options).machine:
        words += ["-machine", "virt"]
    return words + (["-kernel", kernel] if kernel else [])
