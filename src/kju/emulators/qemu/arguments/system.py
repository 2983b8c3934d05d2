"""The machine, its processor, memory and firmware; the sandbox and kju's channels. I/O-free."""

from __future__ import annotations

import re
from collections.abc import Sequence

from ....store.image import Image, Kind
from ...base import Appended
from ..options import fields, parse, quote
from .facts import Facts, Items
from .given import VIRT, X86, Given

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


def machine(given: Given, facts: Facts) -> Items:
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


def accelerator(given: Given, facts: Facts) -> Items:
    """Append the accelerator."""
    if given.has("accel", "enable-kvm") or given.field(("machine", "M"), "accel"):
        return ["the accelerator is the user's own choice"]
    return [Appended(("-accel", facts.accelerator), facts.accelerator_reason)]


def cpu(given: Given, facts: Facts) -> Items:
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


def memory(given: Given, facts: Facts) -> Items:
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


def boot(given: Given, facts: Facts) -> Items:
    """Append a kernel."""
    image = facts.image
    if image is None or image.kind is not Kind.KERNEL:
        return []
    return [Appended(("-kernel", image.path), f"the image: {image.reason}")]


def firmware(given: Given, facts: Facts) -> Items:
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


def sandbox(given: Given, facts: Facts) -> Items:
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
        items.append("the sandbox lets QEMU change its user, as the user's arguments want")
    value = f"on,obsolete=deny,elevateprivileges={elevate},spawn={spawn}"
    value += f",resourcecontrol={resources}"
    return [
        Appended(("-sandbox", value), "limits what a guest that breaks out of QEMU can do"),
        *items,
    ]


def user(given: Given, facts: Facts) -> Items:
    """Note that QEMU changes its user."""
    if not given.changes_user:
        return []
    return [
        "QEMU changes its user, and so loses the kernel's signal that ends it with its host: a"
        " second process of the host watches it instead"
    ]


def channels(given: Given, facts: Facts) -> Items:
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


def needs_firmware(user: Sequence[str], architecture: str, image: Image | None) -> bool:
    """Return whether an image needs firmware that QEMU does not have for this board."""
    given = Given(parse(user))
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
            # The board runs only to be asked: its writes are discarded.
            words += ["-drive", f"{option.value},snapshot=on"]
        elif option.name in ("kernel", "bios", "pflash", "m", "cpu", "smp") and option.value:
            words += [f"-{option.name}", option.value]
    if architecture in VIRT and not Given(options).machine:
        words += ["-machine", "virt"]
    return words + (["-kernel", kernel] if kernel else [])
