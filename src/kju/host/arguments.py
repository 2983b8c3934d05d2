"""What kju adds to a user's QEMU arguments, and why. I/O-free.

The user's arguments are passed on as they are, first and whole. kju appends; each thing
it appends carries its reason; where the two would contradict each other nothing starts.
A category (video, tablet, network, memory, ...) gets a device only if the user named
none. Everything kju adds has an id that begins with ``kju-``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import NamedTuple

from ..errors import ConflictError
from .image import Image, Kind
from .options import Option, fields, parse, quote

PREFIX = "kju-"

#: An option, and why it cannot be combined with kju.
CONFLICTS = {
    "daemonize": "QEMU would leave the process that owns it, and nothing would end it or"
    " clean up after it; to have a machine outlive the terminal, use: kju run --detach",
    "display": "kju reads the screen through -display dbus, and QEMU has one display at a time;"
    " leave it out and look with: kju watch NAME",
    "nographic": "it turns the screen off; for a serial console add -serial file:PATH",
    "curses": "kju reads the screen itself; look with: kju watch NAME",
    "sdl": "kju reads the screen itself; look with: kju watch NAME",
    "full-screen": "no window of QEMU's own is opened",
    "preconfig": "QEMU would wait for commands before there is a machine",
    "h": "QEMU would print its help and end; run QEMU itself for that",
    "help": "QEMU would print its help and end; run QEMU itself for that",
    "version": "QEMU would print its version and end; see: kju doctor",
}

_VIDEO = re.compile(
    r"VGA|(?:.*-)?vga(?:-gl|-rutabaga)?|cirrus-vga|bochs-display|qxl|ramfb|vmware-svga|sm501"
    r"|virtio-gpu.*|vhost-user-gpu.*|cg3|tcx|ati-vga"
)
_TABLET = re.compile(r"usb-tablet|usb-wacom-tablet|virtio-tablet.*")
_KEYBOARD = re.compile(r"usb-kbd|virtio-keyboard.*|usb-ccid-kbd")
_NETWORK = re.compile(
    r"e1000.*|rtl8139|ne2k_.*|pcnet|vmxnet3|i8255.*|tulip|usb-net|igb|virtio-net.*|sungem|lan9118"
)
#: Machines that have no PCI bus to put kju's devices on.
_NO_PCI = ("microvm", "isapc", "none")
#: Machines of these computers have a PS/2 keyboard of their own.
_X86 = ("x86_64", "i386")


class Facts(NamedTuple):
    """What the shell found out before the arguments are made.

    Attributes:
        name: The machine's name.
        architecture: Of the guest, as in ``qemu-system-ARCHITECTURE``.
        qmp: The number of the descriptor that QEMU inherits for QMP.
        accelerator: ``kvm`` or ``tcg``.
        accelerator_reason: Why that one.
        image: What to boot from, if anything.
        memory: As the caller wants it, for ``-m``; empty for no wish.
        cpus: As the caller wants it, for ``-smp``; 0 for no wish.
        shares_video_memory: Whether this QEMU knows ``aux-ram-share``.
    """

    name: str
    architecture: str
    qmp: int
    accelerator: str
    accelerator_reason: str
    image: Image | None = None
    memory: str = ""
    cpus: int = 0
    shares_video_memory: bool = False


class Appended(NamedTuple):
    """Arguments that kju adds, and why."""

    arguments: tuple[str, ...]
    reason: str


class Plan(NamedTuple):
    """A whole command line.

    Attributes:
        user: The user's arguments, untouched.
        appended: What follows them.
        notes: What else a reader of ``kju info`` should know.
    """

    user: tuple[str, ...]
    appended: tuple[Appended, ...]
    notes: tuple[str, ...]
    changes_user: bool = False

    @property
    def arguments(self) -> list[str]:
        """Everything, in the order in which QEMU gets it."""
        return [*self.user, *(a for part in self.appended for a in part.arguments)]


class _Given:
    """Questions about the user's own options."""

    def __init__(self, options: Sequence[Option]) -> None:
        self._options = options
        self.drivers = [
            fields(o.value, "driver").get("driver", "") for o in options if o.name == "device"
        ]

    def has(self, *names: str) -> bool:
        return any(o.name in names for o in self._options)

    def device(self, pattern: re.Pattern[str]) -> bool:
        return any(pattern.fullmatch(driver) for driver in self.drivers)

    def field(self, names: tuple[str, ...], key: str, first: str = "type") -> str:
        """The last value given for a key of any of these options."""
        found = [fields(o.value, first).get(key, "") for o in self._options if o.name in names]
        return next((value for value in reversed(found) if value), "")

    @property
    def machine(self) -> str:
        return self.field(("machine", "M"), "type")

    @property
    def changes_user(self) -> bool:
        return self.has("runas") or bool(self.field(("run-with",), "user"))


def plan(user: Sequence[str], facts: Facts) -> Plan:
    """Decide what to append.

    Raises:
        ConflictError: The user's arguments contradict what kju needs, or what the caller
            asked for beside them.
    """
    options = parse(user)
    given = _Given(options)
    _refuse(options, given, facts)
    appended: list[Appended] = []
    notes: list[str] = []
    for part in _PARTS:
        for item in part(given, facts):
            if isinstance(item, Appended):
                appended.append(item)
            else:
                notes.append(item)
    return Plan(tuple(user), tuple(appended), tuple(notes), given.changes_user)


def _refuse(options: Sequence[Option], given: _Given, facts: Facts) -> None:
    for option in options:
        if why := CONFLICTS.get(option.name):
            raise ConflictError(f"{option.written} cannot be used with kju: {why}")
        if option.value in ("help", "?") and option.name not in ("name", "append"):
            raise ConflictError(f"{option.written} ends QEMU at once; run QEMU itself for that")
        if fields(option.value, "").get("id", "").startswith(PREFIX):
            raise ConflictError(f"{option.written}: ids that begin with {PREFIX!r} are kju's own")
    if facts.memory and given.has("m"):
        raise ConflictError(f"memory={facts.memory} and the QEMU argument -m: give one of them")
    if facts.cpus and given.has("smp"):
        raise ConflictError(f"cpus={facts.cpus} and the QEMU argument -smp: give one of them")
    if facts.image and facts.image.kind is Kind.KERNEL and given.has("kernel"):
        raise ConflictError(f"{facts.image.path} is a kernel, and -kernel names another: give one")


_Items = list[Appended | str]


def _machine(given: _Given, facts: Facts) -> _Items:
    items: _Items = [Appended(("-nodefaults",), "QEMU adds no device that nobody asked for")]
    if given.has("nodefaults"):
        items = []
    if facts.architecture in ("aarch64", "arm", "riscv64", "riscv32") and not given.machine:
        items.append(Appended(("-machine", "virt"), "this architecture has no default machine"))
    if not given.has("name"):
        items.append(Appended(("-name", f"guest={quote(facts.name)}"), "the machine's name"))
    if facts.shares_video_memory and not given.field(("machine", "M"), "aux-ram-share"):
        items.append(
            Appended(
                ("-machine", "aux-ram-share=on"),
                "the video memory is shared with the host, so that QEMU need not draw",
            )
        )
    if given.has("readconfig"):
        items.append("-readconfig: kju does not see the devices it names, and may add to them")
    return items


def _accelerator(given: _Given, facts: Facts) -> _Items:
    if given.has("accel", "enable-kvm") or given.field(("machine", "M"), "accel"):
        return ["the accelerator is the user's own choice"]
    items: _Items = [Appended(("-accel", facts.accelerator), facts.accelerator_reason)]
    if facts.accelerator == "kvm" and not given.has("cpu"):
        items.append(Appended(("-cpu", "host"), "the guest gets what this processor can do"))
    elif facts.architecture in _X86 and not given.has("cpu"):
        items.append(
            Appended(
                ("-cpu", "max"),
                "QEMU's default processor is too old for current systems (x86-64-v2 and later)",
            )
        )
    return items


def _memory(given: _Given, facts: Facts) -> _Items:
    items: _Items = []
    if facts.memory:
        items.append(Appended(("-m", facts.memory), "asked for (memory)"))
    elif not given.has("m"):
        items.append(Appended(("-m", "1G"), "QEMU's default of 128 MiB starts few systems"))
    if facts.cpus:
        items.append(Appended(("-smp", str(facts.cpus)), "asked for (cpus)"))
    return items


def _video(given: _Given, facts: Facts) -> _Items:
    if given.has("vga") or given.device(_VIDEO):
        return []
    if given.has("nodefaults"):
        return ["no video device: the user's -nodefaults asks for none"]
    if given.machine in _NO_PCI:
        return [f"no video device: machine {given.machine} has no PCI bus"]
    driver = "VGA" if facts.architecture in _X86 else "virtio-gpu-pci"
    why = "no video device was given; this one is drawn on by every guest"
    return [Appended(("-device", f"{driver},id=kju-video"), why)]


def _input(given: _Given, facts: Facts) -> _Items:
    if given.machine in _NO_PCI:
        return [f"no tablet: machine {given.machine} has no PCI bus"]
    items: _Items = []
    if not given.device(_TABLET) and given.field(("usbdevice",), "type") != "tablet":
        items.append(
            Appended(
                ("-device", "qemu-xhci,id=kju-usb", "-device", "usb-tablet,id=kju-tablet"
                 ",bus=kju-usb.0"),
                "no tablet was given; with one the pointer is where the viewer says it is",
            )
        )  # fmt: skip
    if facts.architecture not in _X86 and not given.device(_KEYBOARD):
        items.append(
            Appended(
                ("-device", "virtio-keyboard-pci,id=kju-keyboard"),
                "no keyboard was given, and this architecture's machines have none",
            )
        )
    return items


def _network(given: _Given, facts: Facts) -> _Items:
    if given.has("nic", "net", "netdev") or given.device(_NETWORK):
        return []
    if given.has("nodefaults"):
        return ["no network: the user's -nodefaults asks for none"]
    if given.machine in _NO_PCI:
        return [f"no network: machine {given.machine} has no PCI bus"]
    device = "virtio-net-pci,id=kju-nic,netdev=kju-net,romfile="
    why = "no network was given; this one reaches out and listens on nothing"
    return [Appended(("-netdev", "user,id=kju-net", "-device", device), why)]


def _boot(given: _Given, facts: Facts) -> _Items:
    image = facts.image
    if image is None:
        return []
    if image.kind is Kind.KERNEL:
        return [Appended(("-kernel", image.path), f"the image: {image.reason}")]
    # The filename is a field of its own, so that "nbd:..." is a name and not a protocol.
    drive = f"if=none,file.driver=file,file.filename={quote(image.path)}"
    if image.disk_format:
        drive += f",format={image.disk_format}"
    if image.read_only:
        drive += ",readonly=on"
    if image.kind is Kind.DISK:
        devices = ["virtio-blk-pci,drive=kju-disk"]
        drive += ",id=kju-disk"
    elif facts.architecture in _X86:
        devices = ["ide-cd,drive=kju-cd"]
        drive += ",media=cdrom,id=kju-cd"
    else:
        devices = ["virtio-scsi-pci,id=kju-scsi", "scsi-cd,drive=kju-cd"]
        drive += ",media=cdrom,id=kju-cd"
    words = [word for device in devices for word in ("-device", device)]
    return [Appended(("-drive", drive, *words), f"the image: {image.reason}")]


def _sandbox(given: _Given, facts: Facts) -> _Items:
    if given.has("sandbox"):
        return ["the sandbox is the user's own choice"]
    netdev = given.field(("netdev", "nic", "net"), "type")
    spawn, elevate = "deny", "deny"
    items: _Items = []
    if netdev in ("tap", "bridge", "passt") or given.has("incoming"):
        spawn, elevate = "allow", "allow"
        items.append("the sandbox lets QEMU start programs: the user's network or -incoming may")
    resources = "allow" if given.field(("object",), "qom-type") == "thread-context" else "deny"
    if given.changes_user:
        # Else the kernel kills QEMU at the change (SIGSYS); afterwards there is no way back.
        elevate = "allow"
        items.append("the sandbox lets QEMU change its user, as the user's arguments want")
    value = f"on,obsolete=deny,elevateprivileges={elevate},spawn={spawn}"
    value += f",resourcecontrol={resources}"
    return [Appended(("-sandbox", value), "a guest that breaks out finds little to use"), *items]


def _user(given: _Given, facts: Facts) -> _Items:
    if not given.changes_user:
        return []
    return [
        "QEMU changes its user, and the kernel's signal that ends it with its host is lost with"
        " that: a second process of the host waits to do so"
    ]


def _channels(given: _Given, facts: Facts) -> _Items:
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


_PARTS: tuple[Callable[[_Given, Facts], _Items], ...] = (
    _machine,
    _accelerator,
    _memory,
    _boot,
    _video,
    _input,
    _network,
    _sandbox,
    _user,
    _channels,
)
